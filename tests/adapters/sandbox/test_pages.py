"""The demo's pages: the keys that the sandbox takes, providers that fail on request, webhooks that have arrived."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette

from adapters.registry import PROVIDERS
from adapters.sandbox.pages import DemoPages
from adapters.sandbox.state import Sandbox

pytestmark = pytest.mark.anyio


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox()


@pytest.fixture
async def visitor(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    pages = DemoPages.of(sandbox, {"vapi": "key-that-works"}, {"vapi": "key-without-credit"})
    transport = httpx.ASGITransport(Starlette(routes=pages.routes()))
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox", follow_redirects=True) as client:
        yield client


async def test_it_says_which_keys_it_takes(visitor: httpx.AsyncClient):
    page = (await visitor.get("/")).text
    assert "key-that-works" in page
    assert "key-without-credit" in page


async def test_providers_have_the_names_by_which_people_know_them(sandbox: Sandbox):
    keys = {one.name: "key" for one in PROVIDERS}
    pages = DemoPages.of(sandbox, keys, {})
    transport = httpx.ASGITransport(Starlette(routes=pages.routes()))
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        page = (await client.get("/")).text
    assert all(f"<th>{one.label}</th>" in page for one in PROVIDERS)


async def test_a_provider_is_made_to_fail_and_to_work_again(visitor: httpx.AsyncClient, sandbox: Sandbox):
    page = await visitor.post("/faults", data={"provider": "vapi", "fault": "503"})
    assert '<option value="503" selected>' in page.text
    assert [(provider, fault.name) for provider, fault in sandbox.faults] == [("vapi", "503")]
    await visitor.post("/faults", data={"provider": "vapi", "fault": ""})
    assert list(sandbox.faults) == []
    await visitor.post("/faults", data={"provider": "vapi", "fault": "no such fault"})
    assert list(sandbox.faults) == []


async def test_a_webhook_is_shown_as_it_arrived_and_nothing_of_it_becomes_markup(visitor: httpx.AsyncClient):
    assert "Nothing yet" in (await visitor.get(DemoPages.RECEIVER)).text
    headers = {"webhook-id": "event_1", "webhook-signature": "v1,abc"}
    sent = await visitor.post(DemoPages.RECEIVER, json={"type": "<b>call.ended</b>"}, headers=headers)
    assert sent.status_code == 204
    page = (await visitor.get(DemoPages.RECEIVER)).text
    assert "event_1" in page
    assert ", signed" in page
    assert "&lt;b&gt;call.ended" in page
    assert "<b>call.ended" not in page
