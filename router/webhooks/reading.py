"""Reads what a provider sends, within bounds.

What a provider says is stored, indexed and calculated with, and an agency can say anything in its provider's name. A
value out of bounds is cut or left out, so that the rest of the report still counts: above all, that the call ended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from adapters.base import ProviderEvent, TransferAsked, Turn
from adapters.facets import WebhooksFacet

_LONGEST_ID: Final = 200  # characters; the providers' ids have up to 40
_LONGEST_NUMBER: Final = 100  # a SIP address may take a number's place
_LONGEST_WORD: Final = 300
_LONGEST_SUMMARY: Final = 20_000
_LONGEST_TRANSCRIPT: Final = 500_000  # hours of talk
_MOST_SECONDS: Final = 86_400.0
_MOST_DOLLARS: Final = 100_000.0


def read_event(webhooks: WebhooksFacet, body: bytes) -> ProviderEvent:
    """Raises ValueError for a body that is none of the provider's."""
    event = webhooks.read_event(body)
    return replace(
        event,
        original=event.original[:_LONGEST_WORD],
        provider_call_id=_bound_id(event.provider_call_id),
        call_id=_bound_id(event.call_id),
        call_sid=_bound_id(event.call_sid),
        caller=_bound_number(event.caller),
        to=_bound_number(event.to),
        reason=_cut(event.reason, _LONGEST_WORD),
        seconds=_bound(event.seconds, _MOST_SECONDS),
        cost=_bound(event.cost, _MOST_DOLLARS),
        summary=_cut(event.summary, _LONGEST_SUMMARY),
        transcript=_cut(event.transcript, _LONGEST_TRANSCRIPT),
        turns=tuple(_bound_turns(event.turns)),
    )


def read_transfer(webhooks: WebhooksFacet, body: bytes) -> TransferAsked:
    """Raises ValueError for a body that is not the assistant's request for a person."""
    asked = webhooks.read_transfer(body)
    return replace(
        asked,
        call_id=_bound_id(asked.call_id),
        provider_call_id=_bound_id(asked.provider_call_id),
        caller=_bound_number(asked.caller),
    )


def _bound_id(said: str | None) -> str | None:
    """A longer one keeps its beginning, and is still the same in each report and another than any other."""
    if said is None or len(said) <= _LONGEST_ID:
        return said
    digest = hashlib.sha256(said.encode()).hexdigest()
    return f"{said[: _LONGEST_ID - len(digest)]}{digest}"


def _bound_number(said: str | None) -> str | None:
    return said if said is not None and len(said) <= _LONGEST_NUMBER else None


def _bound(value: float | None, most: float) -> float | None:
    """None for what no call lasts or costs."""
    return value if value is not None and 0 <= value <= most else None


def _cut(text: str | None, longest: int) -> str | None:
    return None if text is None else text[:longest]


def _bound_turns(turns: Sequence[Turn]) -> Iterator[Turn]:
    """Together as long as a transcript may be."""
    left = _LONGEST_TRANSCRIPT
    for turn in turns:
        if left <= 0:
            return
        said = turn.text[:left]
        left -= len(said)
        yield Turn(turn.speaker, said, _bound(turn.at, _MOST_SECONDS))
