"""What the stand-in knows of an account. Source: Twilio docs, Account, Call and Recordings resources."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from adapters.sandbox.api import Json

ROOT = "/2010-04-01/Accounts"


@dataclass(frozen=True, slots=True)
class Recording:
    """A recorded message, made of silence."""

    sid: str
    call_sid: str
    seconds: float
    made_at: datetime


@dataclass(slots=True)
class Call:
    """A call that the simulated carrier has on the line, or had. `updates` are all that it was sent. One that was placed
    over the API has the `document` of the calling side.
    """

    sid: str
    caller: str
    to: str
    began_at: datetime
    status: str = "ringing"
    forwarded_from: str | None = None
    ended_at: datetime | None = None
    talked: int | None = None  # seconds from the answer to the end
    updates: list[dict[str, str]] = field(default_factory=list)
    document: str | None = None
    taken: int = 0  # so many of the updates have reached the carrier

    @property
    def is_live(self) -> bool:
        return self.status in {"queued", "ringing", "in-progress"}

    def stands(self, status: str, seconds: float, talked: int | None) -> None:
        """What the carrier tells of it, `seconds` after its beginning."""
        self.status = status
        if not self.is_live and self.ended_at is None:
            self.ended_at = self.began_at + timedelta(seconds=seconds)
            self.talked = talked

    def take_updates(self) -> list[dict[str, str]]:
        """Those that the carrier has not seen yet, oldest first."""
        fresh = self.updates[self.taken :]
        self.taken = len(self.updates)
        return fresh


@dataclass(slots=True)
class Account:
    """A Twilio account or subaccount; the parent's credentials open it too."""

    sid: str
    auth_token: str
    made_at: datetime
    friendly_name: str = "Sandbox"
    status: str = "active"  # active, suspended, closed
    type: str = "Full"  # Full, Trial
    parent: str | None = None
    balance: float = 25.0  # US dollars; subaccounts spend their parent's
    api_keys: dict[str, str] = field(default_factory=dict)  # SK… to secret
    key_names: dict[str, str] = field(default_factory=dict)  # SK… to friendly name
    numbers: dict[str, Json] = field(default_factory=dict)  # by PN…
    calls: dict[str, Call] = field(default_factory=dict)  # by CA…
    recordings: dict[str, Recording] = field(default_factory=dict)  # by RE…

    def number_called(self, e164: str) -> Json | None:
        return next((number for number in self.numbers.values() if number["phone_number"] == e164), None)
