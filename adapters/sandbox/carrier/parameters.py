"""The parameters of Twilio's requests about a call, under Twilio's names.

Sources: Twilio docs: TwiML (request parameters), TwiML Dial, Number, Stream and Record (callback parameters).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime

from adapters.phone import is_e164

_PLACES = ("City", "State", "Zip", "Country")


def inbound_parameters(
    *, account_sid: str, call_sid: str, caller: str, called: str, status: str, token: str, forwarded_from: str | None
) -> dict[str, str]:
    """The normal parameters of an inbound call; places are half empty, as they often are."""
    found = _normal(account_sid, call_sid, caller, called, status) | {
        "Direction": "inbound",
        "CallToken": f'{{"parentCallInfoToken":"{token}","identityHeaderTokens":[]}}',
    }
    if is_e164(caller):
        found["StirVerstat"] = "TN-Validation-Passed-A"
    if forwarded_from is not None:
        found["ForwardedFrom"] = forwarded_from
    return found


def child_parameters(ids: Mapping[str, str], child_sid: str, caller: str, called: str, status: str) -> dict[str, str]:
    """The normal parameters of a leg that a Dial made; `ids` are those of the call it belongs to."""
    return _normal(ids["AccountSid"], child_sid, caller, called, status) | {
        "Direction": "outbound-dial",
        "ParentCallSid": ids["CallSid"],
    }


def progress_parameters(sequence: int) -> dict[str, str]:
    """What a callback about a call's or a leg's progress has beside the normal parameters."""
    return {
        "CallbackSource": "call-progress-events",
        "SequenceNumber": str(sequence),
        "Timestamp": format_datetime(datetime.now(UTC)),
    }


def recording_parameters(ids: Mapping[str, str], recording_sid: str) -> dict[str, str]:
    """Which recording, of which call."""
    url = f"https://api.twilio.com/2010-04-01/Accounts/{ids['AccountSid']}/Recordings/{recording_sid}"
    return {**ids, "RecordingSid": recording_sid, "RecordingUrl": url}


def query_of(parameters: Mapping[str, str]) -> dict[str, str]:
    """The parameters as they go into a GET request: Twilio sends the call token by POST only."""
    return {name: value for name, value in parameters.items() if name != "CallToken"}


def _normal(account_sid: str, call_sid: str, caller: str, called: str, status: str) -> dict[str, str]:
    return {
        "AccountSid": account_sid,
        "ApiVersion": "2010-04-01",
        "CallSid": call_sid,
        "CallStatus": status,
        "From": caller,
        "Caller": caller,
        "To": called,
        "Called": called,
        **_places("From", caller),
        **_places("Caller", caller),
        **_places("To", called),
        **_places("Called", called),
    }


def _places(prefix: str, number: str) -> dict[str, str]:
    country = "US" if number.startswith("+1") else ""
    return {f"{prefix}{place}": "" for place in _PLACES} | {f"{prefix}Country": country}
