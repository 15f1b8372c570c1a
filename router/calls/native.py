"""Calls to numbers that were bought from a voice provider: they do not pass through us, the provider reports them.

The account of such a call is the provider's name with the agency's id, and its CallSid is the provider's call id. Our id
is derived from both as for every call, so that any event may come first, and repeated or late events change nothing. With
the agency in it, an agency that names another's call reaches only a call of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from adapters.base import ROUTER_CALL_ID, ProviderEvent
from adapters.phone import WITHHELD
from adapters.provider import Provider
from router.callers import name_caller, read_caller
from router.calls.ending import Closer
from router.calls.events import CallEvents
from router.calls.recorder import Recorder
from router.calls.reports import Reports
from router.calls.state import CallState, call_id_of
from router.calls.steps import SAID
from router.clock import Clock
from router.routing.route import Route
from router.store.calls.calls import find_facts
from router.store.calls.reports import Answering, find_answering, find_key_version
from router.store.pool import Database
from router.telemetry import metrics

_FLUSH_SECONDS: Final = 2.0
_DIGITS: Final = re.compile(r"[1-9][0-9]{6,14}")


@dataclass(frozen=True, slots=True)
class NativeCalls:
    """Answers the providers' questions and records the calls."""

    database: Database
    recorder: Recorder
    events: CallEvents
    reports: Reports
    closer: Closer
    clock: Clock

    async def answer(self, provider: Provider[Any], agency_id: str, event: ProviderEvent) -> Mapping[str, Any] | None:
        """Which assistant takes the call of an "asked" event. None: the provider decides."""
        number = await self._find(provider.name, agency_id, event)
        if number is None:
            return None
        metadata: dict[str, str] = {}
        if number.account_sid == provider.name and event.provider_call_id:
            state = self._receive(provider.name, agency_id, number, event)
            metadata = {ROUTER_CALL_ID: state.call_id}
            await self.recorder.flush(_FLUSH_SECONDS)
        if number.assistant_id is None or provider.answer_question is None:
            return None
        caller = _name_caller(event)
        known = caller if caller == WITHHELD else read_caller(caller)
        variables = {"client_name": number.client_name, "caller_number": known or ""}
        return provider.answer_question(event, number.assistant_id, variables, metadata)

    async def take(self, provider: str, agency_id: str, event: ProviderEvent) -> bool:
        """Record the event if it is about a call to one of the provider's own numbers; else False."""
        if event.provider_call_id is None:
            return False
        if event.call_id not in (None, call_id_of(_account_of(provider, agency_id), event.provider_call_id)):
            return False
        number = await self._find(provider, agency_id, event)
        if number is None or number.account_sid != provider:
            return False
        state = self._receive(provider, agency_id, number, event)
        if event.kind == "started":
            self.events.note_answer(state, "ai", provider, self.clock())
        elif event.kind == "ended":
            await self._note_end(state, provider, event)
        elif event.kind == "other":
            facts = await find_facts(self.database.webhooks, state.call_id)
            self.reports.keep_other(replace(state, step=SAID), provider, event, facts)
        self.reports.keep_story(state.call_id, provider, event)
        if event.kind == "ended":
            seconds = None if event.seconds is None else round(event.seconds)
            missed = event.provider_fault or event.unanswered
            self.closer.end(state, "abandoned" if missed else "ai", seconds)
        await self.recorder.flush(_FLUSH_SECONDS)
        return True

    async def _find(self, provider: str, agency_id: str, event: ProviderEvent) -> Answering | None:
        to = _as_e164(event.to)
        return None if to is None else await find_answering(self.database.webhooks, agency_id, to, provider)

    def _receive(self, provider: str, agency_id: str, number: Answering, event: ProviderEvent) -> CallState:
        """Record the call, whichever of its events arrives first."""
        now = self.clock()
        if event.kind == "ended" and event.seconds is not None:
            now -= timedelta(seconds=event.seconds)
        account, call_sid = _account_of(provider, agency_id), event.provider_call_id or ""
        state = CallState(
            call_id=call_id_of(account, call_sid),
            account_sid=account,
            call_sid=call_sid,
            from_number=_name_caller(event),
            caller=read_caller(_name_caller(event)),
            route=Route(agency_id, number.client_id, number.client_name, provider, number.e164),
            rungs=(),
            started_at=now.timestamp(),
        )
        self.recorder.note(state.record)
        if self.events.note(state, "call.received", provider=provider, caller=state.from_number, to=number.e164):
            metrics.call_received()
        return state

    async def _note_end(self, state: CallState, provider: str, event: ProviderEvent) -> None:
        """Note the end, and the answer if its start was never reported."""
        began = datetime.fromtimestamp(state.started_at, self.clock().tzinfo)
        if not event.provider_fault and not event.unanswered:
            self.events.note_answer(state, "ai", provider, began)
        is_news = self.reports.keep_end(replace(state, step=SAID), provider, event, failed=event.provider_fault)
        if is_news and not event.unanswered:
            version = await find_key_version(self.database.webhooks, state.route.agency_id, provider, began)
            self.reports.count_end(state, provider, event.failure, key_version=version)


def _account_of(provider: str, agency_id: str) -> str:
    """What stands in the place of a carrier account. No carrier's begins like this."""
    return f"{provider}/{agency_id}"


def _name_caller(event: ProviderEvent) -> str:
    return name_caller(_as_e164(event.caller) or event.caller)


def _as_e164(said: str | None) -> str | None:
    """Adds the plus sign that some providers leave out. None for what is no number."""
    digits = (said or "").removeprefix("+")
    return f"+{digits}" if _DIGITS.fullmatch(digits) else None
