"""Single requests as Twilio would sign them, for what the simulated carrier never does."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import httpx
from twilio.request_validator import RequestValidator

from adapters.sandbox.carrier.document import read_reply
from adapters.sandbox.carrier.rules import check_document
from tests.support.world import CALLER, Client, World

VOICE = "/webhooks/twilio/voice"
STATUS = "/webhooks/twilio/status"
SIGNATURE = "X-Twilio-Signature"


def new_call_sid() -> str:
    return "CA" + secrets.token_hex(16)


def call_form(client: Client, **changes: str) -> dict[str, str]:
    """The form of an inbound call to the client."""
    return {
        "AccountSid": client.account_sid,
        "ApiVersion": "2010-04-01",
        "CallSid": new_call_sid(),
        "CallStatus": "ringing",
        "Direction": "inbound",
        "From": CALLER,
        "To": client.number,
    } | changes


def signature(token: str, url: str, form: Mapping[str, str]) -> str:
    return RequestValidator(token).compute_signature(url, dict(form))


async def post_signed(
    world: World,
    path: str,
    form: Mapping[str, str],
    token: str,
    *,
    signed_url: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """One form, signed with the token. `path` may have a query; `signed_url` is what the signature covers."""
    url = signed_url or f"{world.settings.base_url}{path}"
    return await world.http.post(
        f"{world.urls[0]}{path}",
        content=urlencode(form),
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            SIGNATURE: signature(token, url, form),
            **(headers or {}),
        },
    )


def read_document(response: httpx.Response, *, screening: bool = False) -> ET.Element:
    """The TwiML of an answer that Twilio can execute."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/xml")
    root, complaint = read_reply(response.headers["content-type"], response.content)
    assert complaint is None
    assert check_document(root, screening=screening) == []
    return ET.fromstring(response.text)  # noqa: S314 - our own document


def verbs(response: httpx.Response, *, screening: bool = False) -> list[str]:
    return [verb.tag for verb in read_document(response, screening=screening)]


async def count_writes(world: World) -> dict[str, Any]:
    """How many rows there are of all that a call may write."""
    tables = ("calls", "call_steps", "call_events", "voicemails")
    return {table: await world.db.fetchval(f"SELECT count(*) FROM {table}") for table in tables}  # noqa: S608 - constants
