"""What every outside system has to offer us, in our own words: here those of voice providers and their calls.

Protocols and data only: no HTTP, no provider's vocabulary, no key handling beyond passing a Secret on. The words of
carriers are in `adapters.carrier`, how asking ends in `adapters.outcomes`; they can be had from here.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias

from adapters.carrier import (
    Account,
    AddressNeed,
    ApiKey,
    AvailableNumber,
    CallOver,
    CallStatus,
    Carrier,
    CarrierAccounts,
    CarrierCall,
    CarrierCalls,
    CarrierNumber,
    CarrierNumbers,
    CarrierRecording,
    CarrierRecordings,
    NumberGone,
    PapersRequired,
    RecordingPart,
)
from adapters.outcomes import ErrorKind, KeyCheck, ProviderError
from adapters.portable import Lines
from crypto.secret import Secret

__all__ = [
    "ROUTER_CALL_ID",
    "TWILIO_CALL_SID",
    "Account",
    "AddressNeed",
    "ApiKey",
    "AvailableNumber",
    "CallOver",
    "CallStatus",
    "Capabilities",
    "Carrier",
    "CarrierAccounts",
    "CarrierCall",
    "CarrierCalls",
    "CarrierNumber",
    "CarrierNumbers",
    "CarrierRecording",
    "CarrierRecordings",
    "ErrorKind",
    "Handoff",
    "InboundCall",
    "KeyCheck",
    "NumberGone",
    "NumberHandoff",
    "PapersRequired",
    "ProviderError",
    "ProviderEvent",
    "RecordingPart",
    "SipHandoff",
    "StreamHandoff",
    "Target",
    "VoiceProvider",
]

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
    lines: Lines | None = None


@dataclass(frozen=True, slots=True)
class SipHandoff:
    """The provider takes the call at a SIP address (with parameters and headers), good for one call."""

    uri: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    provider_call_id: str | None = None
    lines: Lines | None = None


@dataclass(frozen=True, slots=True)
class NumberHandoff:
    """The provider takes the call at a phone number of its own."""

    e164: str
    provider_call_id: str | None = None
    lines: Lines | None = None


Handoff: TypeAlias = StreamHandoff | SipHandoff | NumberHandoff
"""`lines` is what the provider told in passing of the agency's lines, with this call."""


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """One thing a provider tells about a call, in our words; `original` and `reason` keep the provider's.

    "asked": the caller is on the line, and the provider wants to know which assistant takes the call. It comes for
    native numbers only, and the reply's body answers it: see `answer_question`. "analyzed": what the provider made of a
    call that is over. `summary`, `transcript` and `cost` are whole in "ended" and "analyzed" only.
    """

    kind: Literal["started", "ended", "analyzed", "asked", "other"]
    original: str
    provider_call_id: str | None
    call_id: str | None = None  # ours, from the metadata we sent
    call_sid: str | None = None
    caller: str | None = None  # as the provider writes it; None where it says nothing
    to: str | None = None  # likewise
    reason: str | None = None
    failure: ErrorKind | None = None  # how the provider failed, if that ended it and not somebody who hung up
    seconds: float | None = None
    cost: float | None = None  # US dollars
    summary: str | None = None
    transcript: str | None = None

    @property
    def provider_fault(self) -> bool:
        """Whether it ended because the provider failed."""
        return self.failure is not None


@dataclass(frozen=True, slots=True)
class TransferAsked:
    """An assistant asks for a person. `request_id` is the provider's, to be named in the answer."""

    call_id: str | None  # ours, from the metadata we sent
    caller: str | None = None  # the caller's number as the provider spells it, where our id did not travel along
    request_id: str | None = None


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

    def read_transfer(self, body: bytes) -> TransferAsked:
        """The assistant's function "put me through to a person". Raises ValueError for another body."""
        ...

    def answer_transfer(self, asked: TransferAsked, said: str) -> dict[str, Any]:
        """The reply that tells the assistant `said`."""
        ...

    def answer_question(
        self, event: ProviderEvent, assistant_id: str, variables: Mapping[str, str], metadata: Mapping[str, str]
    ) -> dict[str, Any]:
        """The JSON body that gives an "asked" event its assistant, and the call what `InboundCall` gives a handoff.

        Raises ValueError for any other event, and where a provider never asks.
        """
        ...
