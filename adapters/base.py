"""What every outside system has to offer us, in our own words.

Protocols and data only: no HTTP, no provider's vocabulary, no key handling beyond passing a Secret on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol, TypeAlias

from crypto.secret import Secret


class ErrorKind(StrEnum):
    """Why an outside system did not do what was asked. The names are those of `handoff.failed`."""

    KEY_REJECTED = "key_rejected"
    OUT_OF_CREDIT = "out_of_credit"
    RATE_LIMITED = "rate_limited"
    AT_CAPACITY = "at_capacity"
    BAD_REQUEST = "bad_request"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    PROVIDER_ERROR = "provider_error"
    MALFORMED_REPLY = "malformed_reply"


class ProviderError(Exception):
    """An outside system refused or failed.

    Its text and args hold only the kind and the HTTP status. `said` is the system's own explanation, cut short
    and with the key taken out, meant for the owner of that key and for nobody's log.
    """

    def __init__(
        self, kind: ErrorKind, *, status: int | None = None, said: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(f"{kind.value}" if status is None else f"{kind.value} (HTTP {status})")
        self.kind = kind
        self.status = status
        self.said = said
        self.retry_after = retry_after  # seconds


ROUTER_CALL_ID = "router_call_id"
TWILIO_CALL_SID = "twilio_call_sid"


@dataclass(frozen=True, slots=True)
class InboundCall:
    """A caller on the line, as a provider needs to know it."""

    call_id: str
    call_sid: str
    agency_id: str
    client_id: str
    client_name: str
    caller: str | None  # E.164; None for withheld, SIP and malformed caller numbers
    to: str  # E.164, the client's number that was called
    max_seconds: int  # how long the assistant may talk

    @property
    def metadata(self) -> dict[str, str]:
        """What a provider keeps with the call and gives back in its events."""
        return {ROUTER_CALL_ID: self.call_id, TWILIO_CALL_SID: self.call_sid}

    @property
    def variables(self) -> dict[str, str]:
        """What an assistant's prompt may name; an unknown caller is an empty string."""
        return {"client_name": self.client_name, "caller_number": self.caller or ""}


@dataclass(frozen=True, slots=True)
class Target:
    """Which assistant at a provider is to take a call, and the called number's counterpart there."""

    assistant_id: str | None = None
    registration: str | None = None
    mode: str | None = None  # how a registration is reached, where a provider offers several ways


@dataclass(frozen=True, slots=True)
class StreamHandoff:
    """The provider takes the call's media over a WebSocket; attributes and parameters are passed on as they came."""

    attributes: tuple[tuple[str, str], ...]  # of the Stream element, `url` (wss) among them
    parameters: tuple[tuple[tuple[str, str], ...], ...] = ()  # the attributes of each Parameter element
    provider_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class SipHandoff:
    """The provider takes the call at a SIP address (with parameters and headers), good for one call."""

    uri: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    provider_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class NumberHandoff:
    """The provider takes the call at a phone number of its own."""

    e164: str
    provider_call_id: str | None = None


Handoff: TypeAlias = StreamHandoff | SipHandoff | NumberHandoff


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """What a provider says of a key that it accepts."""

    status: Literal["valid", "out_of_credit"]
    balance: float | None = None


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """One thing a provider tells about a call, in our words; `original` and `reason` keep the provider's."""

    kind: Literal["started", "ended", "other"]
    original: str
    provider_call_id: str | None
    call_id: str | None = None  # ours, from the metadata we sent
    call_sid: str | None = None
    reason: str | None = None
    provider_fault: bool = False  # it ended because the provider failed, not because somebody hung up
    seconds: float | None = None
    cost: float | None = None  # US dollars
    summary: str | None = None
    transcript: str | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the router may ask of a provider."""

    ends_calls: bool  # `end_call` can stop a call that nobody will join
    webhook_proof: Literal["none", "header", "hmac"]  # how its webhooks prove where they come from


class VoiceProvider(Protocol):
    """A voice-AI service. Every method raises ProviderError, and keeps no reference to the key it is given."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    def missing(self, target: Target) -> Literal["assistant", "registration"] | None:
        """What a client still lacks before this provider can take its calls; None if nothing."""
        ...

    def hand_off(self, call: InboundCall, target: Target, key: Secret, limit: float) -> Coroutine[Any, Any, Handoff]:
        """Ask once to take the call; no retry. `limit` in seconds ends a request that hangs."""
        ...

    async def check_key(self, key: Secret, limit: float) -> KeyCheck:
        """The cheapest real request that proves the key."""
        ...

    async def end_call(self, provider_call_id: str, key: Secret, limit: float) -> None:
        """Stop a call that was handed off too late."""
        ...

    def verify_webhook(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[Secret], now: datetime) -> bool:
        """Whether one of the secrets proves that the provider sent this body. Header names are lower case."""
        ...

    def read_event(self, body: bytes) -> ProviderEvent:
        """Raises ValueError for a body that is none of the provider's."""
        ...


@dataclass(frozen=True, slots=True)
class Account:
    """A carrier account with what opens it."""

    sid: str
    auth_token: Secret


@dataclass(frozen=True, slots=True)
class CarrierNumber:
    """A phone number as the carrier has it. URLs are empty where none is set."""

    sid: str
    e164: str
    voice_url: str
    fallback_url: str
    status_url: str
    trunk_sid: str | None = None  # set: the carrier ignores voice_url
    application_sid: str | None = None  # likewise


class Carrier(Protocol):
    """Who holds the caller's line. Every method raises ProviderError; `limit` is in seconds."""

    async def check_account(self, account: Account, limit: float) -> KeyCheck:
        """A real request that proves SID and token, and that the account is active."""
        ...

    async def find_number(self, account: Account, e164: str, limit: float) -> CarrierNumber | None: ...

    async def configure_number(
        self, account: Account, number_sid: str, *, voice_url: str, fallback_url: str, status_url: str, limit: float
    ) -> CarrierNumber:
        """Point the number at us: POST for all three addresses, and no trunk or application that would override them."""
        ...

    async def limit_call(self, account: Account, call_sid: str, seconds: int, limit: float) -> None:
        """Let a live call last that long at most, counted from its start."""
        ...

    def stream_recording(
        self, account: Account, recording_sid: str, byte_range: str | None, limit: float
    ) -> AsyncIterator[RecordingPart]:
        """The recording's audio (MP3). Yields first the head, then pieces of the body."""
        ...

    async def delete_recording(self, account: Account, recording_sid: str, limit: float) -> None:
        """Also fine if it is gone already."""
        ...


@dataclass(frozen=True, slots=True)
class RecordingPart:
    """A piece of a recording; the first one carries status and headers, and no data."""

    data: bytes = b""
    status: int = 200
    content_type: str = "audio/mpeg"
    content_length: int | None = None
    content_range: str | None = None
