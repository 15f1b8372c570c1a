"""What the stand-in knows of an account. Source: Twilio docs, Account and Recordings resources."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

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
class Account:
    """A Twilio account or subaccount; whoever has the parent's credentials may use it too."""

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
    calls: dict[str, list[dict[str, str]]] = field(default_factory=dict)  # by CA…, the updates it was sent
    recordings: dict[str, Recording] = field(default_factory=dict)  # by RE…

    def number_called(self, e164: str) -> Json | None:
        return next((number for number in self.numbers.values() if number["phone_number"] == e164), None)
