"""The official SDKs' clients read what the sandbox answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from adapters.sandbox.server import RunningSandbox, running_sandbox
from adapters.sandbox.world import NUMBERS, DemoWorld, demo_world
from tests.contract.sdks import (
    retell_sdk,
    retell_types,
    vapi_api_error,
    vapi_errors,
    vapi_sdk,
    vapi_serialization,
    vapi_types,
)
from tests.support.local_http import local_client
from tests.support.scripted_twilio import Detour

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CALL_SID = "CA" + "1" * 32
RECORDING_SID = "RE" + "1" * 32


@pytest.fixture
async def box() -> AsyncIterator[RunningSandbox]:
    async with running_sandbox() as running:
        yield running


@pytest.fixture
def world(box: RunningSandbox) -> DemoWorld:
    return demo_world(box.state)


@pytest.fixture
async def vapi(box: RunningSandbox, world: DemoWorld) -> AsyncIterator[vapi_sdk.AsyncVapi]:
    async with local_client() as http:
        yield vapi_sdk.AsyncVapi(token=world.vapi.key, base_url=f"{box.url}/vapi", httpx_client=http)


@pytest.fixture
async def retell(box: RunningSandbox, world: DemoWorld) -> AsyncIterator[retell_sdk.AsyncRetell]:
    async with retell_sdk.AsyncRetell(
        api_key=world.retell.key,
        base_url=f"{box.url}/retell",
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        yield client


@pytest.fixture
def twilio(box: RunningSandbox, world: DemoWorld) -> Client:
    return Client(world.account_sid, world.auth_token, http_client=Detour(f"{box.url}/twilio"))


def _renamed(record: dict[str, Any], model: type) -> Any:
    """Vapi's models want their own names for fields; its client lets what is missing pass, they do not."""
    return vapi_serialization.convert_and_respect_annotation_metadata(
        object_=record, annotation=model, direction="read"
    )


async def test_vapis_client_reads_assistants(vapi: vapi_sdk.AsyncVapi, world: DemoWorld) -> None:
    assert [assistant.id for assistant in await vapi.assistants.list(limit=1)] == [world.vapi.assistant_id]
    model = {"provider": "openai", "model": "gpt-4.1", "messages": [{"role": "system", "content": "You answer."}]}
    created = await vapi.assistants.create(name="Night desk", first_message="Good evening", model=model)  # type: ignore[arg-type]
    read = await vapi.assistants.get(created.id)
    assert (read.name, read.first_message, read.org_id) == ("Night desk", "Good evening", created.org_id)
    assert (await vapi.assistants.update(created.id, name="Day desk")).name == "Day desk"
    await vapi.assistants.delete(created.id)
    with pytest.raises(vapi_api_error.ApiError) as gone:
        await vapi.assistants.get(created.id)
    assert gone.value.status_code == 404


async def test_vapis_models_take_our_records_strictly(box: RunningSandbox, world: DemoWorld) -> None:
    org = box.state.vapi.orgs.of(world.vapi.key)
    assistant = vapi_types.Assistant.model_validate(
        _renamed(org.assistants[str(world.vapi.assistant_id)], vapi_types.Assistant)
    )
    number = vapi_types.TwilioPhoneNumber.model_validate(
        _renamed(org.phone_numbers[str(world.vapi.registration)], vapi_types.TwilioPhoneNumber)
    )
    assert assistant.created_at.tzinfo is not None
    assert (number.number, number.status) == (NUMBERS[0], "active")


async def test_vapis_client_reads_phone_numbers_and_gives_the_twilio_token_back(
    vapi: vapi_sdk.AsyncVapi, box: RunningSandbox
) -> None:
    account = box.state.twilio.add_account()
    box.state.twilio.add_number(account, "+15005550155")
    created = await vapi.phone_numbers.create(
        request={  # type: ignore[arg-type]
            "provider": "twilio",
            "number": "+15005550155",
            "twilioAccountSid": account.sid,
            "twilioAuthToken": account.auth_token,
        }
    )
    read = await vapi.phone_numbers.get(created.id)
    assert (read.provider, read.twilio_auth_token) == ("twilio", account.auth_token)  # type: ignore[union-attr]
    assert len(await vapi.phone_numbers.list()) == 2


async def test_vapis_client_reads_a_bypass_call(vapi: vapi_sdk.AsyncVapi, world: DemoWorld) -> None:
    created = await vapi.calls.create(
        assistant_id=world.vapi.assistant_id,
        phone_number_id=world.vapi.registration,
        customer={"number": "+15550001111"},  # type: ignore[arg-type]
        request_options={"additional_body_parameters": {"phoneCallProviderBypassEnabled": True}},
    )
    call = vapi_types.Call.model_validate(created.model_dump())
    assert (call.type, call.status) == ("inboundPhoneCall", "queued")
    assert call.phoneCallProviderDetails["twiml"].startswith("<?xml")  # type: ignore[attr-defined]
    read = await vapi.calls.get(call.id)
    assert (read.id, read.monitor is not None) == (call.id, True)
    assert (await vapi.calls.delete(call.id)).status == "ended"


async def test_vapis_client_understands_that_an_assistant_is_pinned(
    vapi: vapi_sdk.AsyncVapi, box: RunningSandbox, world: DemoWorld
) -> None:
    box.state.vapi.orgs.of(world.vapi.key).pinned.add(str(world.vapi.assistant_id))
    with pytest.raises(vapi_errors.ConflictError) as kept:
        await vapi.assistants.delete(str(world.vapi.assistant_id))
    assert vapi_types.AssistantPinnedConflictResponseDto.model_validate(kept.value.body).error == "assistant_pinned"


async def test_vapis_client_understands_a_refused_key(box: RunningSandbox) -> None:
    async with local_client() as http:
        stranger = vapi_sdk.AsyncVapi(token="nobody", base_url=f"{box.url}/vapi", httpx_client=http)
        with pytest.raises(vapi_api_error.ApiError) as refused:
            await stranger.assistants.list()
    assert refused.value.status_code == 401
    assert refused.value.body["message"].startswith("Invalid Key.")


async def test_retells_client_registers_and_stops_a_call(retell: retell_sdk.AsyncRetell, world: DemoWorld) -> None:
    call = await retell.call.register_phone_call(
        agent_id=str(world.retell.assistant_id),
        agent_version="latest_published",
        direction="inbound",
        from_number="+15550001111",
        to_number=NUMBERS[1],
        metadata={"call_id": "call_1"},
        retell_llm_dynamic_variables={"business": "Acme"},
    )
    assert isinstance(call, retell_types.PhoneCallResponse)
    assert (call.call_status, call.agent_version, call.metadata) == ("registered", 0, {"call_id": "call_1"})
    await retell.call.stop(call.call_id)


async def test_retells_client_reads_the_key_and_the_lines(retell: retell_sdk.AsyncRetell) -> None:
    assert (await retell.identity.retrieve()).org_name == "Demo agency"
    assert (await retell.concurrency.retrieve()).concurrency_limit == 10


async def test_retells_client_makes_and_publishes_an_agent(retell: retell_sdk.AsyncRetell) -> None:
    llm = await retell.llm.create(start_speaker="agent", general_prompt="You answer.")
    assert isinstance(llm, retell_types.LlmResponse)
    agent = await retell.agent.create(
        voice_id="11labs-Adrian", response_engine={"type": "retell-llm", "llm_id": llm.llm_id}, agent_name="Night desk"
    )
    assert isinstance(agent, retell_types.AgentResponse)
    assert (await retell.agent.retrieve(agent.agent_id)).is_published is False
    await retell.agent.publish(agent.agent_id, version=agent.version)
    assert (await retell.agent.retrieve(agent.agent_id, version="latest_published")).agent_name == "Night desk"
    draft = await retell.agent.create_version(agent.agent_id, base_version=0)
    assert draft.version == 1
    assert (await retell.agent.update(agent.agent_id, agent_name="Day desk")).agent_name == "Day desk"
    assert (await retell.llm.update(llm.llm_id, begin_message="Hello")).begin_message == "Hello"
    assert (await retell.llm.retrieve(llm.llm_id)).begin_message == "Hello"


async def test_retells_client_understands_a_refused_key(box: RunningSandbox) -> None:
    async with retell_sdk.AsyncRetell(api_key="key_nobody", base_url=f"{box.url}/retell", max_retries=0) as stranger:
        with pytest.raises(retell_sdk.AuthenticationError):
            await stranger.identity.retrieve()


async def test_twilios_client_reads_the_account(twilio: Client, world: DemoWorld) -> None:
    account = await asyncio.to_thread(twilio.api.accounts(world.account_sid).fetch)
    balance = await asyncio.to_thread(twilio.balance.fetch)
    assert (account.status, account.type, account.owner_account_sid) == ("active", "Full", world.account_sid)
    assert account.date_created is not None
    assert balance.currency == "USD"


async def test_twilios_client_finds_buys_and_changes_numbers(twilio: Client) -> None:
    numbers = await asyncio.to_thread(twilio.incoming_phone_numbers.list, page_size=2)
    assert [number.phone_number for number in numbers] == list(NUMBERS)
    (found,) = await asyncio.to_thread(twilio.incoming_phone_numbers.list, phone_number=NUMBERS[2])
    assert found.date_created is not None
    changed = await asyncio.to_thread(found.update, voice_url="https://router.example/voice", voice_method="POST")
    assert changed.voice_url == "https://router.example/voice"
    bought = await asyncio.to_thread(twilio.incoming_phone_numbers.create, phone_number="+14155550144")
    assert (await asyncio.to_thread(twilio.incoming_phone_numbers(bought.sid).fetch)).phone_number == "+14155550144"
    assert await asyncio.to_thread(bought.delete)


async def test_twilios_client_moves_a_live_call_and_deletes_a_recording(
    twilio: Client, box: RunningSandbox, world: DemoWorld
) -> None:
    call = box.state.twilio.keep_call(world.account_sid, CALL_SID, "+14155550123", NUMBERS[0], None)
    call.stands("in-progress", 2, 1)
    moved = await asyncio.to_thread(twilio.calls(CALL_SID).update, url="https://router.example/transfer")
    assert (moved.sid, moved.status) == (CALL_SID, "in-progress")
    assert call.updates == [{"Url": "https://router.example/transfer"}]
    call.stands("completed", 62, 60)
    (listed,) = await asyncio.to_thread(twilio.calls.list, to=NUMBERS[0], start_time_after=date(2026, 1, 1))
    assert (listed.sid, listed.status, listed.duration) == (CALL_SID, "completed", "60")
    assert (listed.end_time - listed.start_time).total_seconds() == 62
    with pytest.raises(TwilioRestException) as over:
        await asyncio.to_thread(twilio.calls(CALL_SID).update, twiml="<Response/>")
    assert over.value.code == 21220
    box.state.twilio.add_recording(world.account_sid, CALL_SID, RECORDING_SID, seconds=3)
    recording = await asyncio.to_thread(twilio.recordings(RECORDING_SID).fetch)
    assert (recording.duration, recording.status) == ("3", "completed")
    assert await asyncio.to_thread(recording.delete)


async def test_twilios_client_understands_refusals(box: RunningSandbox, twilio: Client, world: DemoWorld) -> None:
    stranger = Client(world.account_sid, "wrong", http_client=Detour(f"{box.url}/twilio"))
    with pytest.raises(TwilioRestException) as refused:
        await asyncio.to_thread(stranger.api.accounts(world.account_sid).fetch)
    assert (refused.value.status, refused.value.code) == (401, 20003)
    with pytest.raises(TwilioRestException) as missing:
        await asyncio.to_thread(twilio.incoming_phone_numbers("PN" + "0" * 32).fetch)
    assert (missing.value.status, missing.value.code) == (404, 20404)
