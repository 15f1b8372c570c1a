"""What a log event and its fields are, and the fields that several events share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

Level: TypeAlias = Literal["debug", "info", "warning", "error"]
FieldType: TypeAlias = Literal["string", "integer", "number", "boolean", "number_e164", "exception"]

NOT_A_NUMBER: Final = "other"  # logged for a caller ID that is withheld, a SIP address or malformed


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `values` lists all that a string may be; a number_e164 is masked when it is written."""

    name: str
    type: FieldType
    meaning: str
    values: tuple[str, ...] = ()
    required: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """One event. Level None: each line has its own."""

    name: str
    level: Level | None
    meaning: str
    fields: tuple[Field, ...] = ()


OF_EVERY_LINE: Final = (
    Field("replica", "string", "the process: its host's name and its id there", required=True),
    Field("request_id", "string", "our ID of the HTTP request during which it happened"),
    Field("trace_id", "string", "the trace, if traces are on"),
    Field("span_id", "string", "the span of that trace"),
)
"""Added to every event beside time, level and name."""

HANDOFF_FAILURES = (
    "key_rejected",
    "out_of_credit",
    "rate_limited",
    "at_capacity",
    "bad_request",
    "timeout",
    "unreachable",
    "provider_error",
    "malformed_reply",
)
SKIP_REASONS = (
    "circuit_open",
    "not_synced",
    "assistant_gone",
    "not_registered",
    "no_key",
    "no_time",
    "at_capacity",
    "destination_refused",
)
OWNER_MISSES = (
    "busy",
    "declined",
    "no_answer",
    "not_accepted",
    "unreachable",
    "caller_gone",
)
REJECTIONS = (
    "too_large",
    "not_a_form",
    "missing_field",
    "missing_signature",
    "wrong_signature",
    "unknown_account",
    "unknown_algorithm",
    "unknown_shared_key",
    "unknown_agency",
    "unknown_call",
    "foreign_call",
    "unverifiable",
    "unreadable",
    "another_function",
)

_SHARED: Final = {
    field.name: field
    for field in (
        Field("account_sid", "string", "the Twilio account that the request names"),
        Field("agency_id", "string", "the agency that it belongs to"),
        Field("call_id", "string", "our ID of the call"),
        Field("call_sid", "string", "Twilio's ID of the call"),
        Field("carrier", "string", "the seller: twilio, or the name of a provider that sells numbers"),
        Field("client_id", "string", "the client that it belongs to"),
        Field("count", "integer", "the number of records"),
        Field("duration_ms", "number", "how long it took, in milliseconds"),
        Field("exception", "exception", "type, frames and causes of the exception, without its message"),
        Field("job", "string", "the kind of job", required=True),
        Field("key_version", "integer", "the version of the agency's key"),
        Field("kind", "string", "a provider's name, twilio or subaccount"),
        Field("method", "string", "the HTTP method"),
        Field("number", "number_e164", "the client's number"),
        Field("provider", "string", "the voice AI provider"),
        Field("provider_call_id", "string", "the provider's ID of the call"),
        Field("reason", "string", "why"),
        Field("recording_sid", "string", "Twilio's ID of the recording"),
        Field("route", "string", "the path, with placeholders for its variable parts"),
        Field("scope", "string", "whose requests are affected", ("agency", "provider"), required=True),
        Field("seconds", "number", "how long it lasted"),
        Field("status", "integer", "the HTTP status"),
        Field("step", "string", "the step of the call"),
        Field("to", "number_e164", "the number that was called"),
        Field("tried", "integer", "the number of this attempt"),
        Field("version", "string", "the version of callrouter", required=True),
        Field("voicemail_id", "string", "our ID of the message"),
    )
}
_OF_A_CALL: Final = "call_id! call_sid agency_id client_id provider duration_ms step reason"


def event(name: str, level: Level | None, meaning: str, *fields: Field | str) -> Event:
    """An event. A string names shared fields, such as `"agency_id! reason"`; an exclamation mark means required."""
    return Event(name, level, meaning, tuple(_read(fields)))


def call_event(name: str, level: Level, meaning: str, *fields: Field | str) -> Event:
    """An event of one call: it has the call's IDs and the other common fields besides those given."""
    by_name = {field.name: field for field in _read((_OF_A_CALL, *fields))}
    return Event(name, level, meaning, tuple(by_name.values()))


def needed(name: str, values: Iterable[str]) -> Field:
    """The shared field of that name, required and with a closed set of values."""
    return replace(_SHARED[name], required=True, values=tuple(values))


def _read(fields: Iterable[Field | str]) -> Iterator[Field]:
    for field in fields:
        if isinstance(field, Field):
            yield field
            continue
        for name in field.split():
            shared = _SHARED[name.removesuffix("!")]
            yield replace(shared, required=True) if name.endswith("!") else shared
