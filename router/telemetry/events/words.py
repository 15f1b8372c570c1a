"""The words in which log events are declared: what an event and a field are, and the fields that many carry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

Level: TypeAlias = Literal["debug", "info", "warning", "error"]
FieldType: TypeAlias = Literal["string", "integer", "number", "boolean", "number_e164", "exception"]

LEVELS: Final[tuple[Level, ...]] = ("debug", "info", "warning", "error")
NOT_A_NUMBER: Final = "other"  # shown for a caller that is withheld, a SIP address or malformed


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `values` closes a string's set; a field of type number_e164 is masked when it is written."""

    name: str
    type: FieldType
    meaning: str
    values: tuple[str, ...] = ()
    required: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """One event. Level None: it has the level of what it passes on."""

    name: str
    level: Level | None
    meaning: str
    fields: tuple[Field, ...] = ()


def needed(field: Field, values: Iterable[str] = ()) -> Field:
    return replace(field, required=True, values=tuple(values) or field.values)


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
SKIP_REASONS = ("circuit_open", "not_synced", "no_key", "no_time", "at_capacity")
REJECTIONS = (
    "too_large",
    "not_a_form",
    "missing_field",
    "missing_signature",
    "wrong_signature",
    "unknown_account",
    "unknown_agency",
    "unknown_call",
    "foreign_call",
    "unverifiable",
    "unreadable",
)

CALL_ID = Field("call_id", "string", "our id of the call")
CALL_SID = Field("call_sid", "string", "Twilio's id of the call")
AGENCY = Field("agency_id", "string", "the agency it belongs to")
CLIENT = Field("client_id", "string", "the client it belongs to")
PROVIDER = Field("provider", "string", "the voice-AI provider")
DURATION = Field("duration_ms", "number", "how long it took, in milliseconds")
STEP = Field("step", "string", "the step of the call")
REASON = Field("reason", "string", "why")
ACCOUNT = Field("account_sid", "string", "the Twilio account, as the request names it")
TO = Field("to", "number_e164", "the number that was called")
NUMBER = Field("number", "number_e164", "the client's number")
KIND = Field("kind", "string", "a provider's name, twilio or subaccount")
CARRIER = Field("carrier", "string", "from whom: twilio, or the name of a provider that sells numbers itself")
KEY_VERSION = Field("key_version", "integer", "which version of the agency's key")
STATUS = Field("status", "integer", "the HTTP status")
SECONDS = Field("seconds", "number", "how long it lasted")
COUNT = Field("count", "integer", "how many records")
EXCEPTION = Field("exception", "exception", "its type, frames and causes, without any message")
METHOD = Field("method", "string", "the HTTP method")
ROUTE = Field("route", "string", "the path with placeholders for its variable parts")
PROVIDER_CALL = Field("provider_call_id", "string", "the provider's id of the call")
RECORDING = Field("recording_sid", "string", "Twilio's id of the recording")

JOB = (
    Field("job", "string", "what kind of job it is", required=True),
    Field("tried", "integer", "which attempt it was", required=True),
    AGENCY,
)

OF_A_CALL = (needed(CALL_ID), CALL_SID, AGENCY, CLIENT, PROVIDER, DURATION, STEP, REASON)


def call_event(name: str, level: Level, meaning: str, *fields: Field) -> Event:
    """An event of one call: carries the call's ids, and of the other common fields those that apply."""
    replaced = {field.name for field in fields}
    return Event(name, level, meaning, (*(field for field in OF_A_CALL if field.name not in replaced), *fields))
