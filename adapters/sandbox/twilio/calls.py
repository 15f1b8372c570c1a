"""Calls of the simulated carrier as the API shows them, and the updates that live ones are sent.

What an update does is the carrier's business: it takes them as it tells how the call stands. A call that is placed here has
no line: whether it is answered is settled at once.
Source: Twilio docs, Call resource (To may be a SIP address); error 21220 (invalid call state).
"""

from __future__ import annotations

from email.utils import format_datetime
from typing import Final

from adapters.phone import is_e164
from adapters.sandbox.api import Asked, Json, Refusal, endpoint, new_id
from adapters.sandbox.carrier.addresses import sip_uri_fault, web_url_fault
from adapters.sandbox.twilio.paging import is_within, page_of
from adapters.sandbox.twilio.records import ROOT, Account, Call
from adapters.sandbox.twilio.register import TwilioPart, not_found

_LONGEST_TWIML: Final = 4000
_LONGEST_URL: Final = 4000
_LONGEST_CALL: Final = 86400  # seconds
_INVALID, _NOT_IN_PROGRESS, _INVALID_NUMBER, _NOT_OURS = 21205, 21220, 21211, 21210


class Calls(TwilioPart):
    prefix = f"{ROOT}/{{account}}/Calls"

    @endpoint("GET", ".json")
    def _list(self, account: Account, asked: Asked) -> Json:
        query = asked.query
        found = [
            _describe(account.sid, call)
            for call in reversed(account.calls.values())
            if query.get("To") in (None, call.to)
            and query.get("From") in (None, call.caller)
            and query.get("Status") in (None, call.status)
            and query.get("ParentCallSid") is None  # legs have no records here
            and is_within(call.began_at, asked, "StartTime")
        ]
        return page_of("calls", found, asked)

    @endpoint("POST", ".json", "handoff", 201)
    def _place(self, account: Account, asked: Asked) -> Json:
        """Calls `Register.when_placed`, which decides what becomes of the call."""
        form = asked.form()
        to = form.get("To", "")
        if not is_e164(form.get("From")):
            raise Refusal(400, "From is not a phone number", _INVALID_NUMBER)
        if not is_e164(to) and sip_uri_fault(to):
            raise Refusal(400, "To is neither a phone number nor a SIP address", _INVALID_NUMBER)
        if account.number_called(form["From"]) is None:
            raise Refusal(400, f"{form['From']} is not a number of this account", _NOT_OURS)
        if not form.keys() & {"Url", "Twiml"}:
            raise Refusal(400, "Url or Twiml is missing", _INVALID)
        _check_update(form)
        call = Call(new_id("CA"), form["From"], to, self._clock(), "queued", document=form.get("Twiml", ""))
        account.calls[call.sid] = call
        if self._register.when_placed is not None:
            self._register.when_placed(account, call)
        return _describe(account.sid, call)

    @endpoint("GET", "/{id}.json")
    def _show(self, account: Account, asked: Asked) -> Json:
        return _describe(account.sid, asked.find(account.calls, message=not_found(asked)))

    @endpoint("POST", "/{id}.json")
    def _update(self, account: Account, asked: Asked) -> Json:
        call, form = asked.find(account.calls, message=not_found(asked)), asked.form()
        _check_update(form)
        if not call.is_live or (form.keys() & {"Url", "Twiml"} and call.status != "in-progress"):
            raise Refusal(400, "Call is not in-progress. Cannot redirect.", _NOT_IN_PROGRESS)
        call.updates.append(form)
        if call.document is not None and form.get("Status") == "completed":
            call.stands("completed", 0, 0)
        return _describe(account.sid, call)


def _check_update(form: dict[str, str]) -> None:
    if not form.keys() & {"Url", "Twiml", "Status", "TimeLimit"}:
        raise Refusal(400, "Url, Twiml, Status or TimeLimit is missing", _INVALID)
    for name in ("Url", "FallbackUrl"):
        if name in form and (web_url_fault(form[name]) or len(form[name]) > _LONGEST_URL):
            raise Refusal(400, f"{name} is not a valid URL", _INVALID)
    if len(form.get("Twiml", "")) > _LONGEST_TWIML:
        raise Refusal(400, "Twiml is too long")
    if form.get("Status", "completed") not in {"completed", "canceled"}:
        raise Refusal(400, "Status must be completed or canceled")
    limit = form.get("TimeLimit", "1")
    if not limit.isdecimal() or not 1 <= int(limit) <= _LONGEST_CALL:
        raise Refusal(400, "TimeLimit is not valid")


def _describe(account_sid: str, call: Call) -> Json:
    began, ended = format_datetime(call.began_at), call.ended_at
    uri = f"{ROOT}/{account_sid}/Calls/{call.sid}"
    return {
        "sid": call.sid,
        "account_sid": account_sid,
        "parent_call_sid": None,
        "from": call.caller,
        "from_formatted": call.caller,
        "to": call.to,
        "to_formatted": call.to,
        "phone_number_sid": None,
        "status": call.status,
        "direction": "inbound" if call.document is None else "outbound-api",
        "start_time": began,
        "end_time": None if ended is None else format_datetime(ended),
        "duration": str(call.talked) if call.status == "completed" and call.talked is not None else None,
        "answered_by": None,
        "forwarded_from": call.forwarded_from,
        "caller_name": None,
        "price": None,
        "price_unit": "USD",
        "date_created": began,
        "date_updated": began,
        "api_version": "2010-04-01",
        "uri": f"{uri}.json",
        "subresource_uris": {"recordings": f"{uri}/Recordings.json"},
    }
