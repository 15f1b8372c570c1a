"""ElevenLabs' own SDK judges what we send, what the stand-in answers, and which reports we believe."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.base import Target
from adapters.elevenlabs import definition
from adapters.elevenlabs.api import Client
from adapters.facets import Delivery
from adapters.http import Http
from adapters.provider import Provider
from adapters.registry import PROVIDERS
from adapters.sandbox.elevenlabs.org import ElevenLabsOrg
from adapters.sandbox.server import RunningSandbox, running_sandbox
from crypto.secret import Secret
from tests.adapters.canary import CANARY
from tests.adapters.elevenlabs.conftest import ACME, wiring
from tests.adapters.refusals import CALL, KEY
from tests.contract.sdks import elevenlabs_sdk, elevenlabs_types
from tests.support.adapters import elevenlabs_at
from tests.support.local_http import local_client
from tests.support.provider_samples import samples, sign_as_elevenlabs

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture
async def box() -> AsyncIterator[RunningSandbox]:
    async with running_sandbox() as running:
        yield running


@pytest.fixture
def org(box: RunningSandbox) -> ElevenLabsOrg:
    return box.state.elevenlabs.add_org(CANARY)


@pytest.fixture
async def ours(box: RunningSandbox) -> AsyncIterator[Provider[Any]]:
    http = Http()
    yield elevenlabs_at(http, f"{box.url}/elevenlabs")
    await http.aclose()


@pytest.fixture
async def theirs(box: RunningSandbox) -> AsyncIterator[Any]:
    async with local_client() as http:
        yield elevenlabs_sdk.AsyncElevenLabs(api_key=CANARY, base_url=f"{box.url}/elevenlabs", httpx_client=http)


def unknown_fields(model: Any, place: str = "") -> Iterator[str]:
    """Fields that the SDK's types don't have, at any depth: they let everything pass."""
    if isinstance(model, list):
        for one in model:
            yield from unknown_fields(one, place)
    elif isinstance(model, dict):
        for name, one in model.items():
            yield from unknown_fields(one, f"{place}.{name}")
    elif hasattr(model, "model_fields_set"):
        yield from (f"{place}.{name}" for name in model.model_extra or {})
        for name in type(model).model_fields:
            yield from unknown_fields(getattr(model, name), f"{place}.{name}")


async def test_our_requests_are_those_of_the_sdk_and_its_client_reads_the_stand_ins_answers(
    box: RunningSandbox, org: ElevenLabsOrg, ours: Provider[Any], theirs: Any
):
    client: Client = ours.open(KEY, 5)
    agent_id = box.state.elevenlabs.add_assistant(org)
    convai = theirs.conversational_ai

    await ours.calls.hand_off(client, CALL, Target(assistant_id=agent_id))
    document = await convai.twilio.register_call(
        agent_id=agent_id,
        from_number=CALL.caller,
        to_number=CALL.to,
        direction="inbound",
        conversation_initiation_client_data={"dynamic_variables": {**CALL.variables, **CALL.metadata}},
    )
    assert document.startswith("<?xml")
    await ours.calls.check_key(client)
    assert [one.agent_id for one in (await convai.agents.list(page_size=1)).agents] == [agent_id]
    assert (await theirs.user.subscription.get()).character_limit == 100_000
    for path in ("twilio/register-call", "agents", "subscription"):
        mine, yours = (essence(one) for one in box.state.requests if one.path.endswith(path))
        assert mine == yours


def essence(asked: Any) -> tuple[Any, ...]:
    return asked.method, asked.path, asked.query, asked.headers["xi-api-key"], asked.body


async def test_the_sdk_knows_every_field_of_our_copy_and_reads_it_back(
    org: ElevenLabsOrg, ours: Provider[Any], theirs: Any
):
    copy = await ours.assistants.put_copy(ours.open(KEY, 5), ACME, wiring(), None, ())
    convai = theirs.conversational_ai
    agent = await convai.agents.get(copy.remote_id)
    assert agent.conversation_config.tts.agent_output_audio_format == "ulaw_8000"
    assert agent.platform_settings.workspace_overrides.webhooks.events == list(definition.EVENTS)
    tools = (await convai.tools.list(page_size=100)).tools
    documents = (await convai.knowledge_base.list(page_size=100)).documents
    assert {one.id for one in tools} == set(org.tools)
    assert {one.id for one in documents} == set(org.documents)
    (webhook,) = (await theirs.webhooks.list(include_usages=True)).webhooks
    assert [usage.usage_type for usage in webhook.usage] == ["ConvAI Agent Settings"]
    assert list(unknown_fields([agent.conversation_config, agent.platform_settings, tools, documents, webhook])) == []


@pytest.mark.parametrize("age", [0, 1700, 1900])
def test_we_believe_the_reports_that_the_sdk_believes(age: int):
    body = '{"type": "post_call_transcription", "data": {"transcript": "Grüße"}}'
    now = int(time.time())
    header = sign_as_elevenlabs(body.encode(), "wsec_1", now - age)
    webhooks = next(one.webhooks for one in PROVIDERS if one.name == "elevenlabs")
    for secret in ("wsec_1", "wsec_2"):
        delivery = Delivery({"elevenlabs-signature": header}, body.encode(), datetime.fromtimestamp(now, UTC))
        assert webhooks.verify(delivery, [Secret(secret)]) is believes(body, header, secret)


def believes(body: str, header: str, secret: str) -> bool:
    client = elevenlabs_sdk.ElevenLabs(api_key="none")
    try:
        client.webhooks.construct_event(body, header, secret)
    except elevenlabs_sdk.BadRequestError:
        return False
    return True


def test_our_sample_of_a_report_is_a_conversation_of_the_sdk():
    report = samples("elevenlabs", "call_1", "CA1")[1]["data"]
    rest = dict.fromkeys(("has_audio", "has_user_audio", "has_response_audio", "has_auxiliary_audio"), False)
    conversation = elevenlabs_types.GetConversationResponseModel.model_validate(report | rest)
    assert list(unknown_fields(conversation.metadata)) == []
    assert conversation.metadata.cost_fiat == report["metadata"]["cost_fiat"]
