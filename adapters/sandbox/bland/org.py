"""What an org owns at the stand-in for Bland, and how Bland reads what it is sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from adapters.sandbox.api import Asked, Json, Refusal
from adapters.sandbox.orgs import Org

_US_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Session:
    """Variables for a call that is about to come in by SIP."""

    e164: str
    request_data: Json
    expires_at: datetime


@dataclass(slots=True)
class BlandOrg(Org):
    numbers: dict[str, Json] = field(default_factory=dict)  # by E.164
    sessions: dict[str, Session] = field(default_factory=dict)  # by token
    calls: dict[str, Json] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)  # calls that were deleted
    may_delete_calls: bool = True  # not every organisation has that entitlement
    accounts: dict[str, str] = field(default_factory=dict)  # encrypted key to the SID of the account it opens
    uploaded: dict[str, str] = field(default_factory=dict)  # E.164 to the SID of the account that the number is on
    sip_enabled: bool = True  # Bland's support may have to enable it
    attached: dict[str, str] = field(default_factory=dict)  # numbers attached for inbound SIP, and their auth_mode
    tools: dict[str, Json] = field(default_factory=dict)  # by TL-…
    knowledge: dict[str, Json] = field(default_factory=dict)  # by kb_…
    learned_at: datetime | None = None


def key_of(asked: Asked) -> str:
    """The bare key; Bland's API pages name no scheme."""
    return asked.headers.get("authorization", "")


def as_e164(written: str) -> str:
    """Bland docs, Number Details: the plus is optional, ten digits are American."""
    digits = written.removeprefix("+")
    return f"+1{digits}" if len(digits) == _US_DIGITS else f"+{digits}"


def refuse_unknown(body: Json, known: frozenset[str]) -> None:
    if unknown := sorted(set(body) - known):
        raise Refusal(400, f"Unknown parameter: {unknown[0]}")
