"""Twilio's IncomingPhoneNumber resource: its record, the changes a form makes to it, and its list.

Source: Twilio docs, IncomingPhoneNumber resource and paging of lists.
"""

from __future__ import annotations

from datetime import datetime
from email.utils import format_datetime
from urllib.parse import urlsplit

from adapters.sandbox.api import Json, Refusal

ROOT = "/2010-04-01/Accounts"

_NUMBER_FIELDS = {
    "FriendlyName": "friendly_name",
    "VoiceUrl": "voice_url",
    "VoiceMethod": "voice_method",
    "VoiceFallbackUrl": "voice_fallback_url",
    "VoiceFallbackMethod": "voice_fallback_method",
    "StatusCallback": "status_callback",
    "StatusCallbackMethod": "status_callback_method",
    "SmsUrl": "sms_url",
    "SmsMethod": "sms_method",
    "TrunkSid": "trunk_sid",
    "VoiceApplicationSid": "voice_application_sid",
}


def new_number(account_sid: str, e164: str, sid: str, voice_url: str, now: datetime) -> Json:
    written = format_datetime(now)
    number: Json = {
        "sid": sid,
        "account_sid": account_sid,
        "friendly_name": e164,
        "phone_number": e164,
        "voice_url": voice_url,
        "voice_method": "POST",
        "voice_fallback_url": "",
        "voice_fallback_method": "POST",
        "voice_caller_id_lookup": False,
        "voice_application_sid": None,
        "voice_receive_mode": "voice",
        "status_callback": "",
        "status_callback_method": "POST",
        "sms_url": "",
        "sms_method": "POST",
        "sms_fallback_url": "",
        "sms_fallback_method": "POST",
        "sms_application_sid": None,
        "trunk_sid": None,
        "address_sid": None,
        "address_requirements": "none",
        "bundle_sid": None,
        "identity_sid": None,
        "emergency_status": "Inactive",
        "emergency_address_sid": None,
        "emergency_address_status": "unregistered",
        "capabilities": {"voice": True, "sms": True, "mms": True, "fax": False},
        "beta": False,
        "origin": "twilio",
        "status": "in-use",
        "api_version": "2010-04-01",
        "date_created": written,
        "date_updated": written,
    }
    number["uri"] = f"{ROOT}/{account_sid}/IncomingPhoneNumbers/{number['sid']}.json"
    return number


def number_changes(form: dict[str, str], number: Json) -> Json:
    """A number's new fields from a form; raises Refusal for what Twilio refuses."""
    changes: Json = {ours: form[theirs] for theirs, ours in _NUMBER_FIELDS.items() if theirs in form}
    for name, value in changes.items():
        if name.endswith("_method") and value not in {"GET", "POST"}:
            raise Refusal(400, f"{name} must be GET or POST", 21403)
        if name.endswith(("_url", "_callback")) and value and urlsplit(value).scheme not in {"http", "https"}:
            raise Refusal(400, f"{name} is not a valid URL: {value}", 21402)
        if name.endswith("_sid"):
            changes[name] = value or None
    if changes.get("voice_fallback_url") and not (number | changes)["voice_url"]:
        raise Refusal(400, "A fallback URL needs a primary URL", 21405)
    return changes


def page_of_numbers(account_sid: str, numbers: list[Json], page: int, size: int) -> Json:
    here = numbers[page * size : (page + 1) * size]
    uri = f"{ROOT}/{account_sid}/IncomingPhoneNumbers.json?PageSize={size}&Page="
    return {
        "incoming_phone_numbers": here,
        "page": page,
        "page_size": size,
        "start": page * size,
        "end": page * size + max(0, len(here) - 1),
        "uri": f"{uri}{page}",
        "first_page_uri": f"{uri}0",
        "previous_page_uri": f"{uri}{page - 1}" if page else None,
        "next_page_uri": f"{uri}{page + 1}" if len(numbers) > (page + 1) * size else None,
    }
