"""What happened on a simulated call, in order and in plain words, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

AnsweredBy: TypeAlias = Literal[
    "ai",
    "owner",
    "mailbox",  # a machine at the owner's number was bridged to the caller
    "voicemail",
    "rejected",
    "abandoned",  # the caller hung up before anybody answered
    "spoken",  # a word and a hang-up
    "fallback",  # the fallback document took over, and no one answered
    "application-error",
    "nobody",
]
EntryKind: TypeAlias = Literal["request", "leg", "spoken", "caller", "failure", "violation", "update", "end"]


_NAMES = {"ai": "the AI", "owner": "the owner's phone", "mailbox": "a mailbox at the owner's number"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened; `at` in virtual seconds since the call came in."""

    at: float
    kind: EntryKind
    text: str


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request to the router and its answer; `ms` is real time. `status` is None if no answer came."""

    at: float
    purpose: str
    method: str
    url: str
    parameters: Mapping[str, str]
    status: int | None
    ms: float
    body: str
    copy: int = 0  # counts the repetitions of the same request

    def describe(self) -> str:
        answer = "no answer" if self.status is None else f"HTTP {self.status}"
        again = f", copy {self.copy + 1}" if self.copy else ""
        return f"{self.purpose}{again}: {answer} in {self.ms:.0f} ms"


@dataclass(frozen=True, slots=True)
class Leg:
    """One far end that was called, and how that went. Times in virtual seconds."""

    at: float
    kind: Literal["stream", "sip", "number", "redirect"]
    address: str
    who: Literal["ai", "owner", "mailbox"]
    provider: str | None
    status: str  # answered, busy, no-answer, failed, canceled
    ring_seconds: float
    talk_seconds: float
    bridged: bool
    reason: str = ""

    def describe(self) -> str:
        name = f"{self.provider}'s AI" if self.provider else _NAMES[self.who]
        parts = [f"{name} ({self.kind}): {self.status} after {self.ring_seconds:g} s"]
        if self.reason:
            parts.append(self.reason)
        if self.status == "answered" and not self.bridged:
            parts.append("not put through")
        if self.talk_seconds:
            parts.append(f"{self.talk_seconds:g} s of talk")
        return ", ".join(parts)


@dataclass(slots=True)
class Timeline:
    """The record of one call.

    `violations` are what Twilio would not accept or would not execute as written; `failures` are requests that
    were not answered as they should have been.
    """

    call_sid: str
    from_: str
    to: str
    entries: list[Entry] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    legs: list[Leg] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    answered_by: AnsweredBy = "nobody"
    provider: str | None = None  # of the AI that answered
    provider_call_id: str | None = None  # what that provider calls the call
    answered_at: float | None = None  # virtual seconds until the last answer
    ringing_seconds: float = 0
    fallback_used: bool = False
    final_status: str = ""
    seconds: float = 0
    recordings: list[str] = field(default_factory=list)
    forwarded: Timeline | None = None  # the second call, which the owner's phone sent back to us

    @property
    def said(self) -> list[str]:
        """All that was spoken on the caller's or the owner's line, in order."""
        return [entry.text for entry in self.entries if entry.kind == "spoken"]

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return asdict(self)


class CarrierViolation(Exception):  # noqa: N818 - a verdict on the router, not an error of the carrier
    """The router sent something that Twilio would not accept or not execute as it is written."""

    def __init__(self, timeline: Timeline) -> None:
        super().__init__("; ".join(timeline.violations))
        self.timeline = timeline
