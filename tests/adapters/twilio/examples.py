"""An account with a token to look for, what is in it, and every request that we make of Twilio."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from adapters.carrier import Account, Carrier
from adapters.twilio import Twilio
from crypto.secret import Secret

SID = "AC" + "0123456789abcdef" * 2
CHILD = "AC" + "fedcba9876543210" * 2
TOKEN = "canary7f3e91d2c4b8a6501f2e3d4c5b"
CHILD_TOKEN = "0c" * 16
BASIC = base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()
ACCOUNT = Account(SID, Secret(TOKEN))
HOME = f"/2010-04-01/Accounts/{SID}"
NUMBER_SID = "PN" + "a" * 32
RECORDING_SID = "RE" + "B" * 32
CALL_SID = "CA" + "c" * 32
KEY_SID = "SK" + "d" * 32
E164 = "+15550001111"
SINCE = datetime(2026, 11, 25, 8, 30, tzinfo=UTC)
URLS = {
    "voice_url": "https://calls.example.com/webhooks/twilio/voice",
    "fallback_url": "https://fallback.example.com/fallback/voice?t=a+b%2F&c#ct=2000",
    "status_url": "https://calls.example.com/webhooks/twilio/status",
}
NUMBER = {
    "sid": NUMBER_SID,
    "phone_number": E164,
    "friendly_name": "Acme Plumbing",
    "voice_url": URLS["voice_url"],
    "voice_method": "POST",
    "voice_fallback_url": URLS["fallback_url"],
    "voice_fallback_method": "POST",
    "status_callback": URLS["status_url"],
    "status_callback_method": "POST",
    "trunk_sid": None,
    "voice_application_sid": "",
}
ADDRESSES = {
    "VoiceUrl": URLS["voice_url"],
    "VoiceMethod": "POST",
    "VoiceFallbackUrl": URLS["fallback_url"],
    "VoiceFallbackMethod": "POST",
    "StatusCallback": URLS["status_url"],
    "StatusCallbackMethod": "POST",
}
SUBACCOUNT = {
    "sid": CHILD,
    "owner_account_sid": SID,
    "auth_token": CHILD_TOKEN,
    "friendly_name": "agency_1",
    "status": "active",
    "date_created": "Wed, 25 Nov 2026 08:00:00 +0000",
}
CALL = {
    "sid": CALL_SID,
    "account_sid": SID,
    "from": "+14155550123",
    "to": E164,
    "status": "completed",
    "direction": "inbound",
    "start_time": "Wed, 25 Nov 2026 09:00:00 +0000",
    "end_time": "Wed, 25 Nov 2026 09:01:10 +0000",
    "duration": "70",
    "parent_call_sid": None,
    "forwarded_from": None,
}
RECORDING = {
    "sid": RECORDING_SID,
    "call_sid": CALL_SID,
    "status": "completed",
    "duration": "12",
    "date_created": "Wed, 25 Nov 2026 09:01:00 +0000",
}


def as_carrier(twilio: Twilio) -> Carrier:
    """Mypy holds Twilio to the protocol here."""
    return twilio


async def every(items: Any) -> list[Any]:
    return [item async for item in items]


Ask = Callable[[Twilio, float], Awaitable[object]]
REQUESTS: dict[str, Ask] = {
    "check_account": lambda t, limit: t.check_account(ACCOUNT, limit),
    "find_subaccount": lambda t, limit: t.find_subaccount(ACCOUNT, "agency_1", limit),
    "create_subaccount": lambda t, limit: t.create_subaccount(ACCOUNT, "agency_1", limit),
    "close_subaccount": lambda t, limit: t.close_subaccount(ACCOUNT, CHILD, limit),
    "create_api_key": lambda t, limit: t.create_api_key(ACCOUNT, "vapi", limit),
    "find_api_keys": lambda t, limit: t.find_api_keys(ACCOUNT, "vapi", limit),
    "delete_api_key": lambda t, limit: t.delete_api_key(ACCOUNT, KEY_SID, limit),
    "search_numbers": lambda t, limit: t.search_numbers(ACCOUNT, "US", "415", 5, limit),
    "buy_number": lambda t, limit: t.buy_number(ACCOUNT, E164, **URLS, friendly_name="Acme", limit=limit),
    "find_number": lambda t, limit: t.find_number(ACCOUNT, E164, limit),
    "find_number_by_sid": lambda t, limit: t.find_number_by_sid(ACCOUNT, NUMBER_SID, limit),
    "configure_number": lambda t, limit: t.configure_number(ACCOUNT, NUMBER_SID, **URLS, limit=limit),
    "release_number": lambda t, limit: t.release_number(ACCOUNT, NUMBER_SID, limit),
    "limit_call": lambda t, limit: t.limit_call(ACCOUNT, CALL_SID, 900, limit),
    "redirect_call": lambda t, limit: t.redirect_call(ACCOUNT, CALL_SID, URLS["voice_url"], limit=limit),
    "end_call": lambda t, limit: t.end_call(ACCOUNT, CALL_SID, limit),
    "find_call": lambda t, limit: t.find_call(ACCOUNT, CALL_SID, limit),
    "list_calls": lambda t, limit: every(t.list_calls(ACCOUNT, E164, SINCE, limit)),
    "list_recordings": lambda t, limit: every(t.list_recordings(ACCOUNT, CALL_SID, SINCE, limit)),
    "stream_recording": lambda t, limit: every(t.stream_recording(ACCOUNT, RECORDING_SID, None, limit)),
    "delete_recording": lambda t, limit: t.delete_recording(ACCOUNT, RECORDING_SID, limit),
}
"""Each is one request that asks for the account's token."""

LISTS = {
    "find_subaccount": "accounts",
    "find_api_keys": "keys",
    "list_calls": "calls",
    "list_recordings": "recordings",
}
