"""The API under /twilio, version 2010-04-01: its resources in one, its error bodies, and what a test puts into it.

Sources: Twilio docs (the resources' pages, error dictionary) and its OpenAPI. What Twilio does with callers and TwiML
is the simulated carrier's business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from adapters.sandbox.api import Asked, Clock, Json, Refusal, StandIn, new_id
from adapters.sandbox.twilio.accounts import Accounts
from adapters.sandbox.twilio.calls import Calls
from adapters.sandbox.twilio.numbers import Numbers, new_number
from adapters.sandbox.twilio.recordings import Recordings
from adapters.sandbox.twilio.records import Account, Call, Recording
from adapters.sandbox.twilio.register import Register, credentials

_CODES = {400: 20001, 401: 20003}  # of other statuses: 20000 and the status
_LISTS = frozenset(
    {"incoming_phone_numbers", "available_phone_numbers", "countries", "accounts", "keys", "calls", "recordings"}
)


class Twilio(StandIn):
    """Twilio's stand-in and its accounts."""

    name = "twilio"
    vital = frozenset({"sid", "status", *_LISTS})
    words: ClassVar = {"wallet": Refusal(402), "concurrency": Refusal(429)}
    messages: ClassVar = {
        400: "Bad request",
        401: "Authenticate",
        403: "Forbidden",
        404: "The requested resource was not found",
        429: "Too Many Requests",
    }
    unfit: ClassVar = dict.fromkeys(_LISTS, "none") | {"sid": 7, "status": 7}

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._register = Register(clock)
        self.accounts = self._register.accounts
        self.account_for = self._register.opened_by
        self.parts = tuple(part(self._register) for part in (Accounts, Numbers, Calls, Recordings))

    def summarize(self) -> list[Json]:
        return [
            {
                "account": account.sid,
                "status": account.status,
                "numbers": [number["phone_number"] for number in account.numbers.values()],
                "recordings": list(account.recordings),
                "calls": {sid: call.updates for sid, call in account.calls.items()},
            }
            for account in self.accounts.values()
        ]

    def tell_of_calls(self, when_placed: Callable[[Account, Call], object]) -> None:
        """Called for each call that an account places over the API."""
        self._register.when_placed = when_placed

    def add_account(
        self, sid: str | None = None, auth_token: str | None = None, *, parent: str | None = None
    ) -> Account:
        return self._register.add(sid, auth_token, parent)

    def add_number(self, account: Account, e164: str, *, sid: str | None = None, voice_url: str = "") -> Json:
        """The number as the API shows it; change it in place to simulate an edit in Twilio's console."""
        number = new_number(account.sid, e164, sid or new_id("PN"), voice_url, self._clock())
        account.numbers[number["sid"]] = number
        return number

    def add_recording(self, account_sid: str, call_sid: str, recording_sid: str, seconds: float) -> Recording:
        """Raises KeyError for an account that does not exist."""
        recording = Recording(recording_sid, call_sid, seconds, self._clock())
        self.accounts[account_sid].recordings[recording_sid] = recording
        return recording

    def keep_call(self, account_sid: str, call_sid: str, caller: str, to: str, forwarded_from: str | None) -> Call:
        """The carrier's call, kept from the first time that it is told of. Raises KeyError for an unknown account."""
        calls = self.accounts[account_sid].calls
        if call_sid not in calls:
            calls[call_sid] = Call(call_sid, caller, to, self._clock(), forwarded_from=forwarded_from)
        return calls[call_sid]

    def key_of(self, asked: Asked) -> str:
        return credentials(asked)[1]

    def describe_error(self, refusal: Refusal, message: str | list[str]) -> Json:
        code = refusal.code or _CODES.get(refusal.status, 20000 + refusal.status)
        more_info = f"https://www.twilio.com/docs/errors/{code}"
        return {"code": code, "message": message, "more_info": more_info, "status": refusal.status}
