"""What we send to Bland has the fields and types of its documentation. There is no SDK to be the judge, and Bland's own
CLI (bland-cli on npm) ships no schema.

Each schema is written from the page of Bland's docs that it names.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from adapters.facets import NumberOrder
from adapters.http import Http
from adapters.portable import Copy, Credentials
from adapters.provider import Provider
from adapters.sandbox.api import Asked, Json
from adapters.sandbox.server import RunningSandbox, running_sandbox
from crypto.secret import Secret
from tests.adapters.bland.conftest import SIP
from tests.adapters.bland.examples import ACME, KEY, LIMIT, PLAIN, WIRING, on
from tests.support.adapters import bland_at

pytestmark = pytest.mark.anyio

NUMBER, NATIVE = "+14155550101", "+14155550102"


def fields(required: list[str], **properties: object) -> Json:
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


TEXT: Json = {"type": "string"}
TEXT_OR_NULL: Json = {"type": ["string", "null"]}
FILLED: Json = {"type": "string", "minLength": 1}
ADDRESS: Json = {"type": "string", "pattern": "^https://"}
E164: Json = {"type": "string", "pattern": r"^\+[1-9][0-9]{6,14}$"}
RESERVED = "(?i)^(?!.*(input|speak|transfer|switch|wait|finish|press|button|say|pause|record|play|dial|hang))"

BODIES: dict[str, Json] = {
    # Update Inbound Number Details
    "POST /v1/inbound/{n}": fields(
        ["prompt"],
        prompt=FILLED,
        first_sentence=TEXT_OR_NULL,
        model={"enum": ["base", "turbo"]},
        language={"type": "string", "pattern": "^(auto|[a-z]{2}(-[A-Z]{2}|-419|-Hans|-Hant|-Latn)?)$"},
        timezone={"type": "string", "pattern": "^(UTC|[A-Z][A-Za-z_]+/[A-Za-z_/]+)$"},
        max_duration={"type": "integer", "minimum": 1},
        tools={"type": "array", "items": {"type": "string", "pattern": "^(TL-|kb_|KB-)"}},
        webhook={"anyOf": [ADDRESS, {"type": "null"}]},
        webhook_events={
            "type": "array",
            "items": {"enum": ["queue", "call", "latency", "webhook", "tool", "dynamic_data"]},
        },
        metadata={"type": "object"},
        transfer_phone_number={"anyOf": [E164, {"type": "null"}]},
        fallback_number={"anyOf": [E164, {"type": "null"}]},
        pathway_id=TEXT_OR_NULL,
        voice=TEXT,
        background_track={"enum": [None, "office", "cafe", "restaurant", "none"]},
        interruption_threshold={"type": "number"},
        block_interruptions={"type": "boolean"},
        noise_cancellation={"type": "boolean"},
        keywords={"type": "array", "items": TEXT},
    ),
    # Create a Custom Tool
    "POST /v1/tools": fields(
        ["name", "description", "url"],
        name={"type": "string", "pattern": RESERVED},
        description=FILLED,
        url=ADDRESS,
        method={"enum": ["GET", "POST"]},
        headers={"type": "object", "additionalProperties": TEXT},
        body={"type": "object"},
        query={"type": "object"},
        input_schema={"type": "object"},
        response={"type": "object"},
        speech=TEXT,
        timeout={"type": "number"},
    ),
    # Create Knowledge Base, of type text
    "POST /v1/knowledge/learn": fields(
        ["type", "name", "text"], type={"const": "text"}, name=FILLED, description=TEXT, text=FILLED
    ),
    # Create Encrypted Key
    "POST /v1/accounts": fields(
        ["account_sid", "auth_token"],
        account_sid={"type": "string", "pattern": "^AC[0-9a-fA-F]{32}$"},
        auth_token={"type": "string", "minLength": 1, "maxLength": 1000},
    ),
    # Upload Inbound Phone Numbers
    "POST /v1/inbound/insert": fields(["numbers"], numbers={"type": "array", "items": E164, "minItems": 1}),
    # Purchase Inbound Number
    "POST /numbers/purchase": fields(
        [],
        area_code={"type": "string", "pattern": "^[2-9][0-9]{2}$"},
        country_code={"enum": ["US", "CA"]},
        prompt=FILLED,
        webhook=ADDRESS,
        phone_number={"type": "string", "pattern": r"^\+1[0-9]{10}$"},
    ),
}
BODILESS = {
    "GET /v1/inbound", "GET /v1/inbound/{n}", "POST /v1/inbound/{n}/delete", "DELETE /v1/inbound/{n}", "GET /v1/tools",
    "DELETE /v1/tools/{id}", "GET /v1/knowledge", "DELETE /v1/knowledge/{id}", "GET /v1/sip",
}  # fmt: skip


@pytest.fixture
async def box() -> AsyncIterator[RunningSandbox]:
    async with running_sandbox() as running:
        yield running


@pytest.fixture
async def bland(box: RunningSandbox) -> AsyncIterator[Provider[Any]]:
    http = Http()
    yield bland_at(http, f"{box.url}/bland", SIP)
    await http.aclose()


def page_of(asked: Asked) -> str:
    """The request as the documentation's pages are headed."""
    path = asked.path
    for written, value in asked.parameters.items():
        path = path.replace(value, "{n}" if written == "number" else "{id}")
    return f"{asked.method} {path}"


async def test_everything_that_is_sent_is_as_documented(box: RunningSandbox, bland: Provider[Any]):
    org = box.state.bland.add_org(KEY.reveal())
    account = box.state.twilio.add_account()
    box.state.twilio.add_number(account, NUMBER)
    credentials = Credentials(account.sid, Secret(account.auth_token))

    registration = await bland.registrations.register(bland.open(KEY, LIMIT), NUMBER, credentials, None, None)
    native = await bland.shop.buy(bland.open(KEY, LIMIT), NumberOrder("US", "415", "label", Copy(None), WIRING, None))
    numbers = [registration, *on(native.remote_id)]
    copy = await bland.assistants.put_copy(bland.open(KEY, LIMIT), ACME, WIRING, None, numbers)
    org.numbers[NUMBER]["pathway_id"] = "put there by hand"
    copy = await bland.assistants.put_copy(
        bland.open(KEY, LIMIT), replace(PLAIN, timezone="Asia/Kathmandu"), WIRING, copy, numbers
    )
    await bland.assistants.manage_link(bland.open(KEY, LIMIT), native.remote_id, ["webhook", "transfer"], WIRING)
    await bland.shop.assign(bland.open(KEY, LIMIT), native, None, WIRING, None)
    await bland.assistants.delete_copy(bland.open(KEY, LIMIT), copy, numbers)
    await bland.registrations.unregister(bland.open(KEY, LIMIT), registration)
    await bland.shop.release(bland.open(KEY, LIMIT), native)

    seen = {page_of(asked) for asked in box.state.requests}
    assert seen == BODIES.keys() | BODILESS
    for asked in box.state.requests:
        page = page_of(asked)
        assert asked.headers["authorization"] == KEY.reveal(), "the bare key, in every request"
        if page in BODILESS:
            assert asked.raw == b"", page
        else:
            Draft202012Validator(BODIES[page]).validate(asked.json())
    assert not org.numbers


async def test_numbers_stand_in_addresses_as_the_documentation_writes_them(box: RunningSandbox, bland: Provider[Any]):
    org = box.state.bland.add_org(KEY.reveal())
    box.state.bland.add_number(org, NUMBER)
    await bland.assistants.check_link(bland.open(KEY, LIMIT), NUMBER)
    assert box.state.requests[-1].parameters["number"] == NUMBER, "%2B, not a plus that means a space"
