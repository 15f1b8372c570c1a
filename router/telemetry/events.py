"""The catalogue of log events: every event that may be logged, and every field that it may carry.

An allow-list: what is not declared here is not logged (router.telemetry.log). `python -m router.telemetry` prints
the JSON Schema that stands in deploy/log-events.schema.json.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

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


def _needed(field: Field, values: Iterable[str] = ()) -> Field:
    return replace(field, required=True, values=tuple(values) or field.values)


_HANDOFF_FAILURES = (
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
_SKIP_REASONS = ("circuit_open", "not_synced", "no_key", "no_time", "at_capacity")
_REJECTIONS = (
    "too_large",
    "not_a_form",
    "missing_field",
    "missing_signature",
    "wrong_signature",
    "unknown_account",
    "unknown_agency",
    "unknown_call",
    "unverifiable",
    "unreadable",
)

_CALL_ID = Field("call_id", "string", "our id of the call")
_CALL_SID = Field("call_sid", "string", "Twilio's id of the call")
_AGENCY = Field("agency_id", "string", "the agency it belongs to")
_CLIENT = Field("client_id", "string", "the client it belongs to")
_PROVIDER = Field("provider", "string", "the voice-AI provider")
_DURATION = Field("duration_ms", "number", "how long it took, in milliseconds")
_STEP = Field("step", "string", "the step of the call")
_REASON = Field("reason", "string", "why")
_ACCOUNT = Field("account_sid", "string", "the Twilio account, as the request names it")
_TO = Field("to", "number_e164", "the number that was called")
_NUMBER = Field("number", "number_e164", "the client's number")
_KIND = Field("kind", "string", "vapi, retell, bland or twilio")
_KEY_VERSION = Field("key_version", "integer", "which version of the agency's key")
_STATUS = Field("status", "integer", "the HTTP status")
_SECONDS = Field("seconds", "number", "how long it lasted")
_COUNT = Field("count", "integer", "how many records")
_EXCEPTION = Field("exception", "exception", "its type, frames and causes, without any message")
_METHOD = Field("method", "string", "the HTTP method")
_ROUTE = Field("route", "string", "the path with placeholders for its variable parts")
_PROVIDER_CALL = Field("provider_call_id", "string", "the provider's id of the call")
_RECORDING = Field("recording_sid", "string", "Twilio's id of the recording")

_OF_A_CALL = (_needed(_CALL_ID), _CALL_SID, _AGENCY, _CLIENT, _PROVIDER, _DURATION, _STEP, _REASON)


def _call_event(name: str, level: Level, meaning: str, *fields: Field) -> Event:
    """An event of one call: carries the call's ids, and of the other common fields those that apply."""
    replaced = {field.name for field in fields}
    return Event(name, level, meaning, (*(field for field in _OF_A_CALL if field.name not in replaced), *fields))


CATALOGUE: Final[tuple[Event, ...]] = (
    Event(
        "service.started",
        "info",
        "The service takes calls.",
        (
            Field("version", "string", "of callrouter", required=True),
            Field("host", "string", "the address it listens on", required=True),
            Field("port", "integer", "the port it listens on", required=True),
            Field("workers", "integer", "the number of processes", required=True),
            Field(
                "database",
                "string",
                "who runs it; `callrouter fallback` has none",
                ("embedded", "external", "none"),
                required=True,
            ),
            Field("memory_hygiene", "boolean", "whether freed memory is overwritten", required=True),
            Field("core_dumps", "boolean", "whether a crash could write memory to disk", required=True),
            Field("dumpable", "boolean", "whether other processes of its user could read its memory", required=True),
            Field("public_url", "string", "where Twilio and the providers reach us", required=True),
        ),
    ),
    Event(
        "service.draining",
        "info",
        "Told to stop: answers the calls in flight, then takes no more.",
        (Field("calls_in_flight", "integer", "webhooks being answered"),),
    ),
    Event(
        "worker.died",
        "error",
        "One of several processes ended unasked; another takes its place.",
        (Field("exit_code", "integer", "negative for a signal"), _SECONDS),
    ),
    Event(
        "settings.warning",
        "warning",
        "A setting works, but not as one would want it in production.",
        (
            Field("setting", "string", "its name", required=True),
            Field("message", "string", "what to do about it", required=True),
        ),
    ),
    _call_event(
        "call.received",
        "info",
        "A verified call to a number of ours has come in.",
        Field("caller", "number_e164", "who calls"),
        _TO,
    ),
    _call_event(
        "call.answered",
        "info",
        "Somebody or something took the call.",
        Field("by", "string", "who", ("ai", "owner", "voicemail"), required=True),
    ),
    _call_event(
        "call.fell_back",
        "warning",
        "A rung did not take the call; it goes on to the one named in step.",
        _needed(_STEP),
    ),
    _call_event(
        "call.unlimited",
        "warning",
        "The carrier could not be told how long the call may last; only the provider's own limit holds.",
        _EXCEPTION,
    ),
    _call_event(
        "call.capped",
        "warning",
        "Too many calls at once of this caller, or for this agency: the call goes to the voicemail.",
        Field("of", "string", "whose calls", ("caller", "agency"), required=True),
    ),
    _call_event(
        "call.loop",
        "warning",
        "The owner's phone sent the call back to us.",
        Field("kind", "string", "said by the carrier, or guessed", ("forwarded", "suspected"), required=True),
    ),
    _call_event(
        "call.ended",
        "info",
        "The call is over.",
        Field("outcome", "string", "how", ("ai", "owner", "voicemail", "abandoned", "rejected"), required=True),
        _SECONDS,
    ),
    _call_event("handoff.requested", "info", "A provider is asked to take the call.", _needed(_PROVIDER), _KEY_VERSION),
    _call_event(
        "handoff.succeeded",
        "info",
        "The provider said how to reach it; the carrier is told so.",
        _needed(_PROVIDER),
        Field("handoff", "string", "how it is reached", ("stream", "sip", "number")),
        _PROVIDER_CALL,
    ),
    _call_event(
        "handoff.late",
        "warning",
        "The provider answered after we had gone on without it.",
        _needed(_PROVIDER),
        _PROVIDER_CALL,
        Field("ended", "boolean", "whether its call could be ended there"),
    ),
    _call_event(
        "handoff.failed",
        "warning",
        "The provider did not take the call.",
        _needed(_PROVIDER),
        _needed(_REASON, _HANDOFF_FAILURES),
        _STATUS,
        _KEY_VERSION,
    ),
    _call_event(
        "handoff.skipped",
        "warning",
        "A provider of the ladder was not asked.",
        _needed(_PROVIDER),
        _needed(_REASON, _SKIP_REASONS),
    ),
    _call_event(
        "ai.ended",
        "info",
        "The provider says that its part of the call is over; reason is its own word.",
        _needed(_PROVIDER),
        _PROVIDER_CALL,
        _SECONDS,
    ),
    _call_event(
        "ai.failed",
        "warning",
        "The provider says that its part of the call ended by its own fault; reason is its own word.",
        _needed(_PROVIDER),
        _PROVIDER_CALL,
        _SECONDS,
    ),
    _call_event("owner.accepted", "info", "The owner pressed the key that accepts the call."),
    _call_event(
        "voicemail.received",
        "info",
        "A message was recorded and filed.",
        Field("voicemail_id", "string", "our id of the message"),
        _RECORDING,
        _SECONDS,
    ),
    _call_event("voicemail.absent", "info", "The caller reached the voicemail and said nothing.", _RECORDING),
    Event(
        "step.repeated",
        "info",
        "Twilio asked for a step again.",
        (_CALL_ID, _CALL_SID, _AGENCY, _CLIENT, _needed(_STEP), _REASON, _DURATION),
    ),
    Event(
        "number.unknown",
        "warning",
        "A verified call to a number that nobody has set up on that account.",
        (_needed(_ACCOUNT), _TO, _CALL_SID),
    ),
    Event(
        "number.drifted",
        "warning",
        "The carrier's configuration of a number is no longer what we made it.",
        (_AGENCY, _CLIENT, _needed(_NUMBER), _REASON),
    ),
    Event(
        "key.saved",
        "info",
        "An agency's key was checked and saved.",
        (
            _needed(_AGENCY),
            _needed(_KIND),
            Field("version", "integer", "which version it became"),
            Field("status", "string", "what the provider says of it", ("valid", "out_of_credit")),
            Field("active", "boolean", "whether its provider is the agency's active one now"),
        ),
    ),
    Event(
        "key.deleted",
        "info",
        "An agency's key was erased, with all its versions.",
        (_needed(_AGENCY), _needed(_KIND), _REASON),
    ),
    Event(
        "key.erased",
        "info",
        "A version of a key that was replaced earlier is gone: no call needs it any more.",
        (_needed(_AGENCY), _needed(_KIND), _KEY_VERSION),
    ),
    Event(
        "key.rejected",
        "warning",
        "A key was offered and not saved.",
        (_needed(_AGENCY), _needed(_KIND), _needed(_REASON, _HANDOFF_FAILURES), _STATUS),
    ),
    Event(
        "key.failing",
        "error",
        "A saved key no longer works.",
        (_needed(_AGENCY), _needed(_KIND), _REASON, _KEY_VERSION, _CALL_ID, _CALL_SID),
    ),
    Event(
        "key.unreadable",
        "error",
        "A sealed key did not open: changed, or sealed under a platform key that we don't have.",
        (_needed(_AGENCY), _needed(_KIND), _REASON, _KEY_VERSION, _CALL_ID, _CALL_SID, _CLIENT),
    ),
    Event(
        "assistant.synced",
        "info",
        "A client's assistant is there at a provider.",
        (
            _needed(_AGENCY),
            _needed(_CLIENT),
            _needed(_PROVIDER),
            Field("state", "string", "made by us, or linked", ("synced", "linked")),
            _DURATION,
        ),
    ),
    Event(
        "circuit.opened",
        "warning",
        "A provider is not asked for a while: by one agency, or by any.",
        (
            Field("scope", "string", "for whom", ("agency", "provider"), required=True),
            _needed(_PROVIDER),
            _AGENCY,
            _KEY_VERSION,
            _REASON,
            Field("seconds", "number", "until a live call probes it"),
        ),
    ),
    Event(
        "circuit.closed",
        "info",
        "A provider is asked again.",
        (
            Field("scope", "string", "for whom", ("agency", "provider"), required=True),
            _needed(_PROVIDER),
            _AGENCY,
            _KEY_VERSION,
            Field("seconds", "number", "how long it was open"),
        ),
    ),
    Event(
        "webhook.rejected",
        "warning",
        "A request from outside was refused before anything was done about it.",
        (
            Field("source", "string", "who it claims to be: twilio, vapi, retell or bland", required=True),
            _needed(_REASON, _REJECTIONS),
            Field("url", "string", "the address over which its signature was checked, without the query"),
            _ACCOUNT,
            _AGENCY,
            _CALL_SID,
            _TO,
            _STEP,
            _STATUS,
        ),
    ),
    Event(
        "fallback.served",
        "warning",
        "Twilio asked for the static fallback: it could not fetch or execute our document.",
        (
            _needed(_STEP, ("voice", "screen", "accept", "done", "recorded")),
            Field("answer", "string", "what the document does", required=True),
            Field("sealed", "string", "the state of its `t`", ("opened", "missing", "unreadable"), required=True),
            Field("error_code", "integer", "Twilio's reason"),
            _CALL_SID,
            _AGENCY,
            _CLIENT,
            _RECORDING,
        ),
    ),
    Event(
        "request.failed",
        "error",
        "Our own bug: a request was answered by its last resort.",
        (_needed(_EXCEPTION), _ROUTE, _METHOD, _CALL_ID, _CALL_SID, _AGENCY, _CLIENT, _STEP),
    ),
    Event(
        "recorder.failed",
        "error",
        "Call records could not be written to the database nor to the spool.",
        (_EXCEPTION, _COUNT, _REASON, _CALL_ID, _CALL_SID),
    ),
    Event("database.lost", "error", "The database does not answer; calls go on from memory.", (_REASON, _EXCEPTION)),
    Event("database.regained", "info", "The database answers again.", (_SECONDS,)),
    Event(
        "spool.replayed",
        "info",
        "Records kept on local disk were written to the database.",
        (_needed(_COUNT), _DURATION),
    ),
    Event(
        "api.request",
        "debug",
        "A request to the API was answered.",
        (_needed(_METHOD), _needed(_ROUTE), _needed(_STATUS), _DURATION, _AGENCY),
    ),
    Event(
        "log",
        None,
        "A line of a library that logs in its own way: its first line, redacted.",
        (
            Field("logger", "string", "its name", required=True),
            Field("message", "string", "without anything that looks like a key", required=True),
            _EXCEPTION,
        ),
    ),
)

EVENTS: Final[dict[str, Event]] = {event.name: event for event in CATALOGUE}

CALL_EVENTS: Final[frozenset[str]] = frozenset(
    name for name in EVENTS if name.split(".")[0] in {"ai", "call", "handoff", "owner", "voicemail"}
)
"""Those that belong in a call's timeline, under the same names as in the log."""


def make_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a log line: one of the events, with its own fields and no others."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "callrouter log line",
        "description": "One JSON object a line on standard output.",
        "type": "object",
        "oneOf": [{"$ref": f"#/$defs/{event.name}"} for event in CATALOGUE],
        "$defs": {event.name: _describe_event(event) for event in CATALOGUE},
    }


def _describe_event(event: Event) -> dict[str, Any]:
    return {
        "type": "object",
        "description": event.meaning,
        "properties": {
            "timestamp": {"type": "string", "format": "date-time", "pattern": r"^\d{4}-\d\d-\d\dT[0-9:.]+Z$"},
            "level": {"const": event.level} if event.level else {"enum": list(LEVELS)},
            "event": {"const": event.name},
            **{field.name: _describe_field(field) for field in event.fields},
        },
        "required": ["timestamp", "level", "event", *(field.name for field in event.fields if field.required)],
        "additionalProperties": False,
    }


def _describe_field(field: Field) -> dict[str, Any]:
    if field.values:
        return {"enum": list(field.values), "description": field.meaning}
    if field.type == "number_e164":
        pattern = rf"^(\+[*0-9]{{7,15}}|{NOT_A_NUMBER})$"
        return {"type": "string", "pattern": pattern, "description": field.meaning}
    if field.type == "exception":
        strings = {"type": "array", "items": {"type": "string"}}
        return {
            "type": "object",
            "description": field.meaning,
            "properties": {"type": {"type": "string"}, "frames": strings, "causes": strings},
            "required": ["type", "frames", "causes"],
            "additionalProperties": False,
        }
    return {"type": field.type, "description": field.meaning}
