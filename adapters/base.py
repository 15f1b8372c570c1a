"""Calls, what providers report about them, and how a request to an outside system ends: the data all adapters share.

No HTTP and no provider's vocabulary. What a provider can be asked is in `adapters.facets`; a carrier's data and methods
are in `adapters.carrier`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, TypeAlias

from adapters.phone import WITHHELD
from adapters.portable import Lines
from crypto.secret import Secret

MOST_DOLLARS: Final = 10_000_000.0
"""More than any account holds, and within the database's column."""

ROUTER_CALL_ID = "router_call_id"
TWILIO_CALL_SID = "twilio_call_sid"


class ErrorKind(StrEnum):
    """Why an outside system did not do what we asked, as `handoff.failed` names it."""

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
    and with the key taken out. It is meant for the owner of that key and must not be logged.
    """

    def __init__(
        self, kind: ErrorKind, *, status: int | None = None, said: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(f"{kind.value}" if status is None else f"{kind.value} (HTTP {status})")
        self.kind = kind
        self.status = status
        self.said = said
        self.retry_after = retry_after  # seconds


def bad_request(said: str, status: int | None = None) -> ProviderError:
    """A BAD_REQUEST with an explanation for the key's owner."""
    return ProviderError(ErrorKind.BAD_REQUEST, status=status, said=said)


class GoneError(ProviderError):
    """A BAD_REQUEST: what we asked about does not exist there, or not any more."""

    def __init__(self, said: str) -> None:
        super().__init__(ErrorKind.BAD_REQUEST, said=said)


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """What a provider says about a key that it accepts. `balance` is kept within MOST_DOLLARS, also below zero."""

    status: Literal["valid", "out_of_credit"]
    balance: float | None = None

    def __post_init__(self) -> None:
        if self.balance is not None:
            object.__setattr__(self, "balance", min(max(self.balance, -MOST_DOLLARS), MOST_DOLLARS))


@dataclass(frozen=True, slots=True)
class InboundCall:
    """What a provider needs to know about a caller on the line."""

    call_id: str
    call_sid: str
    agency_id: str
    client_id: str
    client_name: str
    caller: str | None  # E.164; None for withheld, SIP and malformed caller numbers
    to: str  # E.164, the client's number that was called
    max_seconds: int  # how long the assistant may talk
    withheld: bool = False  # the caller has a number and does not show it

    @property
    def metadata(self) -> dict[str, str]:
        """What a provider keeps with the call and returns in its events."""
        return {ROUTER_CALL_ID: self.call_id, TWILIO_CALL_SID: self.call_sid}

    @property
    def variables(self) -> dict[str, str]:
        """What an assistant's prompt may refer to; a caller who is neither a number nor withheld is an empty string."""
        return {"client_name": self.client_name, "caller_number": self.caller or (WITHHELD if self.withheld else "")}


@dataclass(frozen=True, slots=True)
class Target:
    """The assistant that takes a call at a provider, and the called number's registration there."""

    assistant_id: str | None = None
    registration: str | None = None
    mode: str | None = None  # how a registration is reached, if there are several ways
    sealed_address: str | None = field(
        default=None, repr=False
    )  # where it is reached, if its import told that: a secret


@dataclass(frozen=True, slots=True)
class OpenedTarget(Target):
    """A target with its address, for one request."""

    address: Secret = field(default_factory=lambda: Secret(""))


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


@dataclass(frozen=True, slots=True)
class RedirectHandoff:
    """The provider takes the call over with its own document, at an address that holds a secret. None of our documents
    follows: the carrier asks us again only if that address fails.
    """

    url: Secret
    provider_call_id: str | None = None
    lines: Lines | None = None


Handoff: TypeAlias = StreamHandoff | SipHandoff | NumberHandoff | RedirectHandoff
"""`lines` is what the provider's reply says about the agency's lines, this call included."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said at a stretch; `at` is in seconds from the start."""

    speaker: Literal["assistant", "caller"]
    text: str
    at: float | None = None


MOST_TURNS: Final = 2_000


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """A provider's report about a call, in our words; `original` and `reason` keep the provider's.

    "asked": the caller is on the line, and the provider asks which assistant takes the call. It comes for native numbers
    only, and `Provider.answer_question` answers it. "analyzed": the provider's analysis of a call that is over.
    `summary`, `transcript`, `turns` and `cost` are complete in "ended" and "analyzed" only.
    """

    kind: Literal["started", "ended", "analyzed", "asked", "other"]
    original: str
    provider_call_id: str | None
    call_id: str | None = None  # ours, from the metadata we sent
    call_sid: str | None = None
    caller: str | None = None  # as the provider writes it; None where it says nothing
    to: str | None = None  # likewise
    reason: str | None = None
    failure: ErrorKind | None = None  # how the provider failed, if that ended the call
    unanswered: bool = False  # the caller was gone before the assistant had the call, which is no failure
    seconds: float | None = None
    cost: float | None = None  # US dollars
    summary: str | None = None
    transcript: str | None = None
    turns: tuple[Turn, ...] = ()

    @property
    def provider_fault(self) -> bool:
        """Whether it ended because the provider failed."""
        return self.failure is not None


@dataclass(frozen=True, slots=True)
class TransferAsked:
    """An assistant asks for a transfer to a person. `request_id` is the provider's, and part of the answer."""

    call_id: str | None  # ours, from the metadata we sent
    provider_call_id: str | None = None
    caller: str | None = None  # as the provider spells it, for calls without our id
    request_id: str | None = None
    needs_address_token: bool = (
        False  # its name may be that of another function: only the address proves that it is ours
    )
