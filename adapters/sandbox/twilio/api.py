"""The API under /twilio: its resources in one, its error bodies, and what a test puts into it."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import ClassVar

from starlette.responses import JSONResponse, Response

from adapters.sandbox.api import Asked, Clock, Endpoint, Json, Refusal
from adapters.sandbox.ids import new_id
from adapters.sandbox.twilio.accounts import AccountsApi
from adapters.sandbox.twilio.calls import CallsApi
from adapters.sandbox.twilio.numbers import NumbersApi, new_number
from adapters.sandbox.twilio.recordings import RecordingsApi
from adapters.sandbox.twilio.records import Account, Call, Recording
from adapters.sandbox.twilio.register import Register, credentials

_MESSAGES = {
    400: (20001, "Bad request"),
    401: (20003, "Authenticate"),
    403: (20403, "Forbidden"),
    404: (20404, "The requested resource was not found"),
    429: (20429, "Too Many Requests"),
}
_LISTS = frozenset(
    {"incoming_phone_numbers", "available_phone_numbers", "countries", "accounts", "keys", "calls", "recordings"}
)


class Twilio:
    """Twilio's stand-in and its accounts."""

    name = "twilio"
    vital = frozenset({"sid", "status", *_LISTS})
    words: ClassVar[dict[str, Refusal]] = {"wallet": Refusal(402), "concurrency": Refusal(429)}

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._register = Register(clock)

    @property
    def accounts(self) -> dict[str, Account]:
        return self._register.accounts

    def tell_of_calls(self, when_placed: Callable[[Account, Call], object]) -> None:
        """Called for each call that an account places over the API."""
        self._register.when_placed = when_placed

    def add_account(
        self, sid: str | None = None, auth_token: str | None = None, *, parent: str | None = None
    ) -> Account:
        return self._register.add(sid, auth_token, parent)

    def add_number(self, account: Account, e164: str, *, sid: str | None = None, voice_url: str = "") -> Json:
        """The number as the API shows it; change it in place to play somebody who meddles in Twilio's console."""
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

    def account_for(self, user: str, secret: str) -> Account | None:
        """The account that a SID and token, or an API key and its secret, open."""
        return self._register.opened_by(user, secret)

    def endpoints(self) -> list[Endpoint]:
        resources = (AccountsApi, NumbersApi, CallsApi, RecordingsApi)
        return [endpoint for resource in resources for endpoint in resource(self._register).endpoints()]

    def key_of(self, asked: Asked) -> str:
        return credentials(asked)[1]

    def refuse(self, refusal: Refusal) -> Response:
        code, message = _MESSAGES.get(refusal.status, (20000 + refusal.status, HTTPStatus(refusal.status).phrase))
        code = refusal.code or code
        content = {
            "code": code,
            "message": refusal.message or message,
            "more_info": f"https://www.twilio.com/docs/errors/{code}",
            "status": refusal.status,
        }
        return JSONResponse(content, refusal.status)

    def bend(self, fault: str, answer: Json) -> Json:
        return answer | dict.fromkeys(_LISTS, "none") | {"sid": 7, "status": 7} if fault.endswith("-twiml") else answer
