"""A provider takes one declaration: settings, API, calls, explain, console, doctor, metrics and OpenAPI follow it.

The one defined here has nothing but the facet of calls: its assistants are linked by hand, and it tells nothing of calls.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from adapters.base import Handoff, InboundCall, KeyCheck, Target
from adapters.client import Client as BaseClient
from adapters.facets import Missing
from adapters.features import FEATURES, About, Offer
from adapters.provider import Declaration, Setting
from adapters.registry import PROVIDERS
from adapters.replies import malformed
from adapters.sandbox.carrier import SandboxControl, Script, Timeline
from adapters.sandbox.legs import LegKind, LegVerdict
from adapters.twiml import read_twiml
from router.cli.doctor import examine
from tests.router.api.client import Api
from tests.router.console.browsing import Browser
from tests.support.databases import fresh_database
from tests.support.local_http import local_client
from tests.support.log_capture import captured_events
from tests.support.serving import serve_app
from tests.support.world import ADMIN_TOKEN, Client, World, open_world

__all__ = ["captured_events"]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("captured_events")]

KEY = "acme-key-5d0c1f7e2b9a"
BOT = "bot-1"
LINE = "sip:line-1@sip.acme.example"


@dataclass(frozen=True, slots=True)
class AcmeClient(BaseClient):
    system = "acme"


class Calls:
    """A call is posted; the answer is the document with which Acme takes it."""

    def missing(self, target: Target) -> Missing | None:
        return None if target.assistant_id else "assistant"

    async def hand_off(self, client: AcmeClient, call: InboundCall, target: Target) -> Handoff:
        body = {"bot": target.assistant_id, "caller": call.caller, **call.metadata}
        reply = await client.send("POST", "/calls", json=body)
        handoff = read_twiml(client.read(reply).get("twiml"))
        if handoff is None:
            raise malformed(reply)
        return replace(handoff, provider_call_id="line-1")

    async def check_key(self, client: AcmeClient) -> KeyCheck:
        return KeyCheck("valid", client.read(await client.send("GET", "/me"))["balance"])


ACME = Declaration(
    name="acme",
    offer=Offer(
        About("Acme", "It hangs on the board in the hall.", "A penny a call.", "One more provider."),
        dict.fromkeys(FEATURES, "no"),
        {},
    ),
    settings=(Setting("url", "Base address of the Acme API.", "https://api.acme.example", is_url=True),),
    client=AcmeClient,
    calls=Calls(),
    key_label="Acme token",
)


class Stand:
    """Acme's API."""

    def __init__(self) -> None:
        self.calls: list[dict[str, object]] = []

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/me", self._show), Route("/calls", self._take, methods=["POST"])])

    async def _show(self, request: Request) -> Response:
        return JSONResponse({"balance": 3.5}) if _is_let_in(request) else JSONResponse({"error": "who?"}, 401)

    async def _take(self, request: Request) -> Response:
        if not _is_let_in(request):
            return JSONResponse({"error": "who?"}, 401)
        self.calls.append(await request.json())
        return JSONResponse({"twiml": f"<Response><Dial><Sip>{LINE}</Sip></Dial></Response>"})


def _is_let_in(request: Request) -> bool:
    return request.headers["authorization"] == f"Bearer {KEY}"


class FarEnd(SandboxControl):
    """The stand-ins' lines, and Acme's."""

    async def leg(self, kind: LegKind, address: str, parameters: Mapping[str, str]) -> LegVerdict:
        if address == LINE:
            return LegVerdict("answered", provider="acme", provider_call_id="line-1")
        return await super().leg(kind, address, parameters)


@pytest.fixture(scope="module")
def acme() -> Stand:
    return Stand()


@pytest.fixture(scope="module")
async def world(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory, acme: Stand) -> AsyncIterator[World]:
    async with (
        fresh_database(postgres_dsn) as dsn,
        serve_app(acme.app()) as url,
        open_world(dsn, tmp_path_factory.mktemp("acme"), providers=(*PROVIDERS, ACME), acme_url=url) as world,
    ):
        yield world


@pytest.fixture(scope="module")
async def api(world: World) -> AsyncIterator[Api]:
    async with Api.connect(world.urls[0], ADMIN_TOKEN, has_own_document=True) as api:
        yield api


@pytest.fixture
async def client(world: World, api: Api) -> Client:
    """A client whose calls are Acme's: key and link were saved over the API."""
    client = await world.add_client(providers=())
    agency = f"/v1/agencies/{client.agency_id}"
    key = await api.put(f"{agency}/keys/acme", {"key": KEY})
    assert (key["last4"], key["balance"], key["active"], key["webhook_url"]) == (KEY[-4:], 3.5, True, None)
    await api.put(f"{agency}/clients/{client.client_id}/assistants/acme", {"remote_id": BOT})
    return client


async def call(world: World, client: Client) -> Timeline:
    carrier = world.carrier(client, far_end=FarEnd(world.sandbox.url, world.http))
    return await carrier.place_call(to=client.number, from_="+14155550100", script=Script(ai_talks=30))


async def test_a_call_is_handed_to_it(world: World, acme: Stand, client: Client):
    timeline = await call(world, client)
    assert (timeline.answered_by, timeline.provider) == ("ai", "acme")
    (taken,) = acme.calls
    assert (taken["bot"], taken["caller"], taken["twilio_call_sid"]) == (BOT, "+14155550100", timeline.call_sid)
    assert ("handoff.succeeded", "acme", None) in await world.events(timeline)
    metrics = (await world.http.get(f"{world.urls[0]}/metrics")).text
    assert 'callrouter_rungs_taken_total{provider="acme",step="ai"}' in metrics


async def test_a_key_that_it_refuses_is_not_saved(world: World, api: Api):
    agency = (await world.add_client(providers=())).agency_id
    problem = await api.refusal("PUT", f"/v1/agencies/{agency}/keys/acme", {"key": "another"})
    assert (problem.name, problem.detail) == (
        "key-rejected",
        "Acme refused the key. It said: who?. It hangs on the board in the hall.",
    )


async def test_explain_and_the_list_of_providers_know_it(api: Api, client: Client):
    explained = await api.get(f"/v1/agencies/{client.agency_id}/explain", params={"to": client.number})
    first = explained["rungs"][0]
    assert (first["provider"], first["would_take"], first["reason"]) == ("acme", True, "ready")
    offers = (await api.get("/v1/providers"))["items"]
    assert [one["name"] for one in offers] == ["vapi", "retell", "bland", "elevenlabs", "acme"]
    assert (offers[-1]["label"], offers[-1]["costs"], offers[-1]["sells_in"]) == ("Acme", "A penny a call.", [])


async def test_the_document_has_its_operations_and_no_others(api: Api):
    paths = {path.removeprefix("/v1/agencies/{agency}/") for path in api.document["paths"]}
    assert {path for path in paths if path.endswith("/acme")} == {"keys/acme", "clients/{client}/assistants/acme"}
    assert api.document["paths"]["/v1/agencies/{agency}/keys/acme"]["put"]["summary"] == "Save the Acme key"


async def test_it_has_no_webhooks(world: World, client: Client):
    for path in ("", "/transfer"):
        reply = await world.http.post(f"{world.urls[0]}/webhooks/acme/{client.agency_id}{path}", json={})
        assert reply.status_code == 404


async def test_the_console_has_a_card_for_it(world: World, client: Client):
    async with local_client(base_url=world.urls[0], timeout=30) as http:
        browser = Browser(http)
        await browser.sign_in(ADMIN_TOKEN)
        page = await browser.open(f"/console/{client.agency_id}/keys")
        card = page.tree.find("section", id="acme")
        assert [card.find("h2").text, "One more provider." in card.text, KEY[-4:] in card.text] == ["Acme", True, True]
        assert card.find("label", **{"for": "f-acme-key"}).text == "Acme token"
        other = await world.add_client(providers=())
        page = await browser.open(f"/console/{other.agency_id}/keys")
        assert "Save a key for Vapi, Retell, Bland, ElevenLabs or Acme" in page.words


async def test_doctor_looks_at_its_address(world: World, client: Client):  # noqa: ARG001 - the agency has a key
    await world.add_client(providers=())
    found = await examine(world.settings, providers=(*PROVIDERS, ACME))
    assert [one.level for one in found if one.subject == "CALLROUTER_ACME_URL"] == ["fine"]
    assert "save a key for Vapi, Retell, Bland, ElevenLabs or Acme" in [one.mend for one in found]
