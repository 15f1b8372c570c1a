"""An AI is asked for a person: the live call is moved there by us, whatever Twilio does about what its papers leave open."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from adapters.base import ROUTER_CALL_ID
from adapters.sandbox.carrier import Quirks, Script, Timeline
from adapters.sandbox.carrier.script import EACH_QUIRK
from tests.support.posting import PostedCall
from tests.support.provider_reports import report_end
from tests.support.provider_samples import as_sent, proof
from tests.support.world import CALLER, OWNER, PROVIDERS, Client, World

pytestmark = pytest.mark.anyio

PERSON = "+14155550199"
ASSISTANT = {"prompt": "You answer the phone.", "transfer_to": PERSON}


@pytest.fixture
def world(shared_world: World) -> World:
    return shared_world


def function_call_by_own_id(provider: str, provider_call_id: str) -> dict[str, Any]:
    """The same, from an assistant whose calls lost our id, and whose caller is unknown."""
    body = function_call(provider, None, caller="anonymous")
    match provider:
        case "vapi":
            body["message"]["call"] = {"id": provider_call_id, "customer": {"number": "anonymous"}}
        case "retell":
            body["call"] = {"call_id": provider_call_id}
        case "elevenlabs":
            del body[ROUTER_CALL_ID]
            body["conversation_id"] = provider_call_id
        case _:
            del body[ROUTER_CALL_ID]
            body["call_id"] = provider_call_id
    return body


def function_call(provider: str, call_id: str | None, caller: str = "+14155550123") -> dict[str, Any]:
    """The provider's own form of the assistant's function call (Vapi docs: Server events; Retell docs: Custom function;
    Bland: the body of our own tool).
    """
    metadata = {ROUTER_CALL_ID: call_id}
    match provider:
        case "vapi":
            tool = {"id": "tool-1", "type": "function", "function": {"name": "transfer", "arguments": "{}"}}
            call = {"id": "vapi-call-1", "assistantOverrides": {"metadata": metadata}, "customer": {"number": caller}}
            return {"message": {"type": "tool-calls", "toolCallList": [tool], "call": call}}
        case "retell":
            return {"name": "callrouter_transfer", "call": {"call_id": "r-1", "metadata": metadata}, "args": {}}
        case _:
            unfilled = "{{" + ROUTER_CALL_ID + "}}"
            return {"call_id": "b-1", "from": caller, "to": "+1", ROUTER_CALL_ID: call_id or unfilled}


class Assistant:
    """Asks for a person once it talks, and keeps what it was told."""

    def __init__(self, world: World, client: Client, *, times: int = 1, by_caller: bool = False) -> None:
        self._world = world
        self._client = client
        self._times = times
        self._by_caller = by_caller
        self.told: list[str] = []

    async def __call__(self, timeline: Timeline) -> None:
        call = await self._world.db.fetchrow("SELECT id, provider FROM calls WHERE call_sid = $1", timeline.call_sid)
        for _ in range(self._times):
            answer = await self.ask(call["provider"], None if self._by_caller else call["id"])
            self.told.append(answer)

    async def ask(self, provider: str, call_id: str | None, agency_id: str | None = None) -> str:
        response = await self.post(provider, call_id, agency_id)
        assert response.status_code == 200, response.text
        answer = response.json()
        if provider == "vapi":
            [result] = answer["results"]
            assert result["toolCallId"] == "tool-1"
            return result["result"]
        return answer["result"]

    async def post(self, provider: str, call_id: str | None, agency_id: str | None = None, token: str | None = None):
        agency = agency_id or self._client.agency_id
        return await self._world.http.post(
            f"{self._world.urls[0]}/webhooks/{provider}/{agency}/transfer",
            params={"token": token or f"token-{agency}"},
            content=json.dumps(function_call(provider, call_id)),
        )


async def events_of(world: World, timeline: Timeline) -> list[str]:
    return [event for event, _, _ in await world.events(timeline)]


def each_quirk() -> list[Any]:
    """Those of a REST update with every provider's way to take a call, the others with one in turn."""
    cells = []
    for number, (name, quirks) in enumerate(EACH_QUIRK.items()):
        providers = PROVIDERS if "redirect" in name else (PROVIDERS[number % len(PROVIDERS)],)
        cells += [pytest.param(provider, quirks, id=f"{provider}-{name}") for provider in providers]
    return cells


@pytest.mark.parametrize(("provider", "quirks"), each_quirk())
async def test_the_caller_reaches_the_person_whatever_twilio_does(world: World, provider, quirks: Quirks):
    client = await world.add_client(providers=[provider], assistant=ASSISTANT)
    assistant = Assistant(world, client)
    timeline = await world.call(client, Script(ai_acts_after=60), quirks=quirks, during_ai=assistant)
    assert ["being put through" in told for told in assistant.told] == [True]
    assert [(leg.who, leg.status) for leg in timeline.legs] == [("ai", "answered"), ("owner", "answered")]
    assert timeline.recordings == []
    call = await world.find_ended_call(timeline)
    assert (call["outcome"], call["ended_at"] is not None) == ("owner", True)
    events = await events_of(world, timeline)
    assert events.index("call.transferring") < events.index("owner.accepted")
    assert events.count("owner.ringing") <= 1  # none where Twilio asked for the end of the AI's leg instead


@pytest.mark.parametrize("name", ["book", "check_calendar", "", None])
async def test_another_function_of_the_same_agent_moves_no_call(world: World, name):
    """Retell signs them all with the agency's key, and whoever is asked by one may post it here."""
    client = await world.add_client(providers=["retell"], assistant=ASSISTANT)
    answers: list[int] = []

    async def ask(timeline: Timeline) -> None:
        call_id = (await world.find_call(timeline))["id"]
        body = as_sent(function_call("retell", call_id) | {"name": name})
        response = await world.http.post(
            f"{world.urls[0]}/webhooks/retell/{client.agency_id}/transfer",
            content=body,
            headers=proof(world, "retell", client, body),
        )
        answers.append(response.status_code)

    timeline = await world.call(client, during_ai=ask)
    assert answers == [400]
    assert [leg.who for leg in timeline.legs] == ["ai"]


@pytest.mark.parametrize(
    ("name", "has_token", "status"),
    [
        ("transfer", False, 400),  # the agency's own, posted here
        ("transfer_2", False, 400),
        ("transfer", True, 200),  # made by hand in a linked agent, with our address
        ("callrouter_transfer", False, 200),
        ("callrouter_transfer_2", True, 200),
        ("callrouter_transfers", True, 400),
    ],
)
async def test_a_function_of_the_same_name_moves_no_call(world: World, name, has_token, status):
    client = await world.add_client(providers=["retell"], assistant=ASSISTANT)
    answers: list[int] = []

    async def ask(timeline: Timeline) -> None:
        call_id = (await world.find_call(timeline))["id"]
        body = as_sent(function_call("retell", call_id) | {"name": name})
        response = await world.http.post(
            f"{world.urls[0]}/webhooks/retell/{client.agency_id}/transfer",
            params={"token": f"token-{client.agency_id}"} if has_token else {},
            content=body,
            headers=proof(world, "retell", client, body),
        )
        answers.append(response.status_code)

    timeline = await world.call(client, during_ai=ask)
    assert answers == [status]
    assert [leg.who for leg in timeline.legs][1:] == (["owner"] if status == 200 else [])


async def test_the_person_in_the_definition_is_rung(world: World):
    client = await world.add_client(assistant=ASSISTANT)
    timeline = await world.call(client, during_ai=Assistant(world, client))
    assert PERSON in str(timeline)
    assert OWNER not in str(timeline)


async def test_without_such_a_person_the_owner_is_rung(world: World):
    client = await world.add_client()
    timeline = await world.call(client, during_ai=Assistant(world, client))
    assert timeline.legs[-1].who == "owner"


@pytest.mark.parametrize("owner", ["ignores", "declines", "busy", "no-answer", "fails", "mailbox"])
@pytest.mark.parametrize("executed", ["not asked", "executed"])
async def test_a_person_who_does_not_take_the_call_is_followed_by_a_message(world: World, owner, executed):
    client = await world.add_client(assistant=ASSISTANT)
    timeline = await world.call(
        client,
        Script(owner=owner),
        quirks=Quirks(action_after_redirect=executed),
        during_ai=Assistant(world, client),
    )
    assert len(timeline.recordings) == 1
    assert (await world.find_call(timeline))["outcome"] == "voicemail"


async def test_without_a_person_to_transfer_to_the_assistant_is_told_and_goes_on(world: World):
    client = await world.add_client(personal_phone=None)
    assistant = Assistant(world, client)
    timeline = await world.call(client, during_ai=assistant)
    assert ["Nobody is available" in told for told in assistant.told] == [True]
    assert [leg.who for leg in timeline.legs] == ["ai"]
    assert (await world.find_call(timeline))["outcome"] == "ai"


async def test_if_twilio_refuses_the_assistant_is_told_and_goes_on(world: World):
    client = await world.add_client(assistant=ASSISTANT, own_account=True)
    assistant = Assistant(world, client)

    async def ask_while_twilio_is_down(timeline: Timeline) -> None:
        world.sandbox.state.faults.set("twilio", {"fault": "503", "operation": "all"})
        await assistant(timeline)
        world.sandbox.state.faults.clear()

    timeline = await world.call(client, during_ai=ask_while_twilio_is_down)
    assert ["Nobody is available" in told for told in assistant.told] == [True]
    assert [leg.who for leg in timeline.legs] == ["ai"]
    assert "call.transfer_failed" in await events_of(world, timeline)
    assert (await world.find_call(timeline))["outcome"] == "ai"


async def test_after_a_refusal_the_assistant_may_ask_again(world: World):
    client = await world.add_client(assistant=ASSISTANT, own_account=True)
    assistant = Assistant(world, client)

    async def ask_twice(timeline: Timeline) -> None:
        world.sandbox.state.faults.set("twilio", {"fault": "503", "operation": "all"})
        await assistant(timeline)
        world.sandbox.state.faults.clear()
        await assistant(timeline)

    timeline = await world.call(client, during_ai=ask_twice)
    assert ["being put through" in told for told in assistant.told] == [False, True]
    assert timeline.legs[-1].who == "owner"


async def test_a_function_call_that_is_repeated_moves_the_call_once(world: World):
    client = await world.add_client(assistant=ASSISTANT)
    assistant = Assistant(world, client, times=3)
    timeline = await world.call(client, during_ai=assistant)
    assert ["being put through" in told for told in assistant.told] == [True, True, True]
    assert [leg.who for leg in timeline.legs] == ["ai", "owner"]


async def test_a_bland_call_without_our_id_is_known_by_its_caller(world: World):
    client = await world.add_client(providers=["bland"], assistant=ASSISTANT, bland_mode="number")
    assistant = Assistant(world, client, by_caller=True)
    timeline = await world.call(client, from_="+14155550123", during_ai=assistant)
    assert ["being put through" in told for told in assistant.told] == [True]
    assert timeline.legs[-1].who == "owner"


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_call_without_our_id_is_known_by_the_providers(world: World, provider):
    """Also beside another call, and not by another agency."""
    client, other = [await world.add_client(providers=[provider], assistant=ASSISTANT) for _ in range(2)]
    told: list[bool] = []

    async def ask(timeline: Timeline) -> None:
        own = f"its-own-{timeline.call_sid}"
        await world.db.execute("UPDATE calls SET provider_call_id = $2 WHERE call_sid = $1", timeline.call_sid, own)
        for agency in (other, client):
            response = await world.http.post(
                f"{world.urls[0]}/webhooks/{provider}/{agency.agency_id}/transfer",
                params={"token": f"token-{agency.agency_id}"},
                content=json.dumps(function_call_by_own_id(provider, own)),
            )
            told.append("being put through" in response.text)

    await PostedCall(world, client).ring()
    timeline = await world.call(client, during_ai=ask)
    assert told == [False, True]
    assert [leg.who for leg in timeline.legs] == ["ai", "owner"]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_leg_that_we_ended_counts_against_no_provider(world: World, provider):
    client = await world.add_client(providers=[provider], assistant=ASSISTANT)
    assistant = Assistant(world, client)

    async def ask_and_blame(timeline: Timeline) -> None:
        await assistant(timeline)
        await report_end(world, client, timeline.call_sid, fault=True)

    timeline = await world.call(client, during_ai=ask_and_blame)
    assert timeline.legs[-1].who == "owner"
    assert "ai.failed" not in await events_of(world, timeline)


async def test_a_stream_that_ends_because_of_a_transfer_counts_against_no_provider(world: World):
    client = await world.add_client(assistant=ASSISTANT)
    call = PostedCall(world, client)
    connect = ET.fromstring((await call.ring()).body).find("Connect")  # noqa: S314 - our own
    kept = world.sandbox.state.twilio.keep_call(client.account_sid, call.call_sid, CALLER, client.number, None)
    kept.status = "in-progress"
    call_id = await world.db.fetchval("SELECT id FROM calls WHERE call_sid = $1", call.call_sid)
    assert "being put through" in await Assistant(world, client).ask("vapi", call_id)
    reply = await call.post(connect.find("Stream").get("statusCallback"), StreamEvent="stream-error")
    assert reply.status == 200
    events = await world.db.fetch("SELECT event FROM call_events WHERE call_id = $1", call_id)
    assert "handoff.failed" not in {row["event"] for row in events}


async def test_another_agency_moves_nothing(world: World):
    client, stranger = await world.add_client(assistant=ASSISTANT), await world.add_client(assistant=ASSISTANT)
    assistant = Assistant(world, client)

    async def ask_as_a_stranger(timeline: Timeline) -> None:
        call = await world.find_call(timeline)
        assistant.told.append(await assistant.ask("vapi", call["id"], stranger.agency_id))
        wrong = await assistant.post("vapi", call["id"], token="token-of-nobody")
        assert wrong.status_code == 401
        nobody = await assistant.post("vapi", call["id"], "agency_nobody")
        assert nobody.status_code == 404

    timeline = await world.call(client, during_ai=ask_as_a_stranger)
    assert ["Nobody is available" in told for told in assistant.told] == [True]
    assert [leg.who for leg in timeline.legs] == ["ai"]


async def test_a_call_that_is_over_is_left_alone(world: World):
    client = await world.add_client(assistant=ASSISTANT)
    timeline = await world.call(client)
    call = await world.find_call(timeline)
    assert "Nobody is available" in await Assistant(world, client).ask("vapi", call["id"])


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"message":{"type":"tool-calls","toolCallList":[{}]}}', b"\xff"])
async def test_what_is_no_function_call_is_refused_as_unreadable(world: World, body):
    client = await world.add_client(providers=PROVIDERS)
    for provider in PROVIDERS:
        response = await world.http.post(
            f"{world.urls[0]}/webhooks/{provider}/{client.agency_id}/transfer",
            params={"token": f"token-{client.agency_id}"},
            content=body,
        )
        assert response.status_code == 400
