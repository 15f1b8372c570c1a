"""Stand-in for Twilio's REST API, version 2010-04-01: accounts, incoming numbers, live calls and recordings.

Source: Twilio docs (Account, IncomingPhoneNumber, Call and Recording resources; error codes) and its OpenAPI. What
Twilio does with callers and TwiML is the simulated carrier's business.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import ClassVar

from starlette.responses import JSONResponse, Response

from adapters.sandbox.api import E164, Asked, Clock, Endpoint, Json, Refusal, fresh_hex
from adapters.sandbox.audio import serve_audio, silent_mp3, silent_wav
from adapters.sandbox.twilio_numbers import ROOT, new_number, number_changes, page_of_numbers

_MESSAGES = {
    400: (20001, "Bad request"),
    401: (20003, "Authenticate"),
    403: (20403, "Forbidden"),
    404: (20404, "The requested resource was not found"),
    429: (20429, "Too Many Requests"),
}


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
    friendly_name: str = "Sandbox"
    status: str = "active"  # active, suspended, closed
    type: str = "Full"  # Full, Trial
    parent: str | None = None
    api_keys: dict[str, str] = field(default_factory=dict)  # SK… to secret
    numbers: dict[str, Json] = field(default_factory=dict)  # by PN…
    calls: dict[str, list[dict[str, str]]] = field(default_factory=dict)  # by CA…, the updates it was sent
    recordings: dict[str, Recording] = field(default_factory=dict)  # by RE…

    def number_called(self, e164: str) -> Json | None:
        return next((number for number in self.numbers.values() if number["phone_number"] == e164), None)


class Twilio:
    """The API under /twilio and its accounts."""

    name = "twilio"
    vital = frozenset({"sid", "status", "incoming_phone_numbers"})
    words: ClassVar[dict[str, Refusal]] = {"wallet": Refusal(402), "concurrency": Refusal(429)}

    def __init__(self, clock: Clock) -> None:
        self.accounts: dict[str, Account] = {}
        self._clock = clock

    def add_account(
        self, sid: str | None = None, auth_token: str | None = None, *, parent: str | None = None
    ) -> Account:
        account = Account(sid or fresh_hex("AC"), auth_token or fresh_hex(), parent=parent)
        self.accounts[account.sid] = account
        return account

    def add_number(self, account: Account, e164: str, *, sid: str | None = None, voice_url: str = "") -> Json:
        """The number as the API shows it; change it in place to play somebody who meddles in Twilio's console."""
        number = new_number(account.sid, e164, sid or fresh_hex("PN"), voice_url, self._clock())
        account.numbers[number["sid"]] = number
        return number

    def add_recording(self, account_sid: str, call_sid: str, recording_sid: str, seconds: float) -> Recording:
        """Raises KeyError for an account that does not exist."""
        recording = Recording(recording_sid, call_sid, seconds, self._clock())
        self.accounts[account_sid].recordings[recording_sid] = recording
        return recording

    def account_for(self, user: str, secret: str) -> Account | None:
        """The account that a SID and token, or an API key and its secret, open."""
        for account in self.accounts.values():
            if (user == account.sid and secret == account.auth_token) or (
                user in account.api_keys and secret == account.api_keys[user]
            ):
                return account
        return None

    def endpoints(self) -> list[Endpoint]:
        numbers = f"{ROOT}/{{account}}/IncomingPhoneNumbers"
        recording = f"{ROOT}/{{account}}/Recordings/{{sid}}"
        return [
            Endpoint("GET", f"{ROOT}/{{account}}.json", self._get_account, "check"),
            Endpoint("GET", f"{ROOT}/{{account}}/Balance.json", self._get_balance, "check"),
            Endpoint("GET", f"{numbers}.json", self._list_numbers, "check"),
            Endpoint("POST", f"{numbers}.json", self._buy_number, "check"),
            Endpoint("GET", f"{numbers}/{{sid}}.json", lambda asked: JSONResponse(self._number(asked)), "check"),
            Endpoint("POST", f"{numbers}/{{sid}}.json", self._update_number, "check"),
            Endpoint("DELETE", f"{numbers}/{{sid}}.json", self._release_number, "check"),
            Endpoint("POST", f"{ROOT}/{{account}}/Calls/{{sid}}.json", self._update_call, "check"),
            Endpoint("GET", f"{recording}.json", self._describe_recording, "check"),
            Endpoint("DELETE", f"{recording}.json", self._delete_recording, "check"),
            Endpoint("GET", f"{recording}.mp3", lambda asked: self._play_recording(asked, "mp3"), "check"),
            Endpoint("GET", f"{recording}.wav", lambda asked: self._play_recording(asked, "wav"), "check"),
            Endpoint("GET", recording, lambda asked: self._play_recording(asked, "wav"), "check"),
            Endpoint("DELETE", recording, self._delete_recording, "check"),
        ]

    def key_of(self, asked: Asked) -> str:
        return _credentials(asked)[1]

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
        return (
            answer | {"sid": 7, "status": 7, "incoming_phone_numbers": "none"} if fault.endswith("-twiml") else answer
        )

    def _account(self, asked: Asked, *, even_suspended: bool = False) -> Account:
        """Twilio docs, error 20003: wrong credentials, and a suspended account, look alike."""
        opened = self.account_for(*_credentials(asked))
        account = self.accounts.get(asked.parameters["account"])
        if opened is None or account is None or opened.sid not in {account.sid, account.parent}:
            raise Refusal(401)
        if account.status != "active" and not even_suspended:
            raise Refusal(401)
        return account

    def _get_account(self, asked: Asked) -> Response:
        account = self._account(asked, even_suspended=True)
        now = format_datetime(self._clock())
        return JSONResponse(
            {
                "sid": account.sid,
                "owner_account_sid": account.parent or account.sid,
                "auth_token": account.auth_token,
                "friendly_name": account.friendly_name,
                "status": account.status,
                "type": account.type,
                "date_created": now,
                "date_updated": now,
                "uri": f"{ROOT}/{account.sid}.json",
                "subresource_uris": {"calls": f"{ROOT}/{account.sid}/Calls.json"},
            }
        )

    def _get_balance(self, asked: Asked) -> Response:
        account = self._account(asked)
        return JSONResponse({"account_sid": account.sid, "balance": "25.00", "currency": "USD"})

    def _list_numbers(self, asked: Asked) -> Response:
        account = self._account(asked)
        wanted = asked.query.get("PhoneNumber")
        found = [number for number in account.numbers.values() if wanted in (None, number["phone_number"])]
        size, page = int(asked.query.get("PageSize", 50)), int(asked.query.get("Page", 0))
        return JSONResponse(page_of_numbers(account.sid, found, page, size))

    def _buy_number(self, asked: Asked) -> Response:
        account = self._account(asked)
        form = asked.form()
        e164 = form.get("PhoneNumber") or f"+1{form.get('AreaCode', '')}{len(account.numbers):07d}"
        if not E164.fullmatch(e164):
            raise Refusal(400, f"{e164} is not a valid number", 21421)
        if any(other.number_called(e164) for other in self.accounts.values()):
            raise Refusal(400, f"{e164} is not available", 21422)
        changes = number_changes(form, {"voice_url": ""})
        number = self.add_number(account, e164)
        number.update(changes)
        return JSONResponse(number, 201)

    def _number(self, asked: Asked) -> Json:
        number = self._account(asked).numbers.get(asked.parameters["sid"])
        if number is None:
            raise Refusal(404, f"The requested resource {asked.path} was not found")
        return number

    def _update_number(self, asked: Asked) -> Response:
        number = self._number(asked)
        number.update(number_changes(asked.form(), number), date_updated=format_datetime(self._clock()))
        return JSONResponse(number)

    def _release_number(self, asked: Asked) -> Response:
        self._account(asked).numbers.pop(self._number(asked)["sid"])
        return Response(status_code=204)

    def _update_call(self, asked: Asked) -> Response:
        """Accepted and remembered; to act on it is the simulated carrier's business."""
        account = self._account(asked)
        form = asked.form()
        if not form.keys() & {"Url", "Twiml", "Status", "TimeLimit"}:
            raise Refusal(400, "Url, Twiml, Status or TimeLimit is missing", 21205)
        sid = asked.parameters["sid"]
        account.calls.setdefault(sid, []).append(form)
        status = form.get("Status", "in-progress")
        return JSONResponse({"sid": sid, "account_sid": account.sid, "status": status, "direction": "inbound"})

    def _recording(self, asked: Asked) -> Recording:
        recording = self._account(asked).recordings.get(asked.parameters["sid"])
        if recording is None:
            raise Refusal(404, f"The requested resource {asked.path} was not found")
        return recording

    def _describe_recording(self, asked: Asked) -> Response:
        recording = self._recording(asked)
        account_sid = asked.parameters["account"]
        return JSONResponse(
            {
                "sid": recording.sid,
                "account_sid": account_sid,
                "call_sid": recording.call_sid,
                "status": "completed",
                "duration": str(round(recording.seconds)),
                "channels": 1,
                "source": "RecordVerb",
                "date_created": format_datetime(recording.made_at),
                "uri": f"{ROOT}/{account_sid}/Recordings/{recording.sid}.json",
            }
        )

    def _play_recording(self, asked: Asked, form: str) -> Response:
        recording = self._recording(asked)
        if form == "mp3":
            return serve_audio(silent_mp3(recording.seconds), "audio/mpeg", asked.headers.get("range"))
        return serve_audio(silent_wav(recording.seconds), "audio/x-wav", asked.headers.get("range"))

    def _delete_recording(self, asked: Asked) -> Response:
        self._account(asked).recordings.pop(self._recording(asked).sid)
        return Response(status_code=204)


def _credentials(asked: Asked) -> tuple[str, str]:
    """User and password of HTTP basic authentication; empty if there are none."""
    scheme, _, encoded = asked.headers.get("authorization", "").partition(" ")
    try:
        user, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (user, secret) if scheme == "Basic" else ("", "")
