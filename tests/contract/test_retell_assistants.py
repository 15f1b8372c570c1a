"""Retell's own types judge the assistants and numbers that we send, and its client reads back what stands there."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, get_args, get_type_hints

import pytest
from pydantic import TypeAdapter

from adapters.facets import NumberOrder
from adapters.http import Http
from adapters.portable import Copy
from adapters.provider import Provider
from adapters.retell.definition import LOCALES
from adapters.sandbox.api import Asked
from adapters.sandbox.retell.org import RetellOrg
from adapters.sandbox.server import RunningSandbox, running_sandbox
from crypto.secret import Secret
from tests.adapters.retell.conftest import ACME, WEBHOOK, WIRING
from tests.contract.sdks import retell_llm_params, retell_sdk, retell_types
from tests.support.adapters import retell_at

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

KEY = "key_contract0000000000000001"
LIMIT = 10.0
EVERY_VOICE_SETTING = {
    "voice_id": "11labs-Adrian",
    "fallback_voice_ids": ["openai-Alloy"],
    "voice_model": "eleven_v3",
    "voice_speed": 0.9,
    "voice_temperature": 0.5,
    "volume": 1.5,
    "enable_dynamic_voice_speed": True,
    "ambient_sound": "call-center",
    "ambient_sound_volume": 0.3,
    "responsiveness": 0.7,
    "interruption_sensitivity": 0.6,
    "enable_backchannel": True,
    "backchannel_frequency": 0.4,
    "backchannel_words": ["uh-huh"],
    "pronunciation_dictionary": [{"word": "Acme", "alphabet": "ipa", "phoneme": "ˈækmi"}],
}


@pytest.fixture
async def box() -> AsyncIterator[RunningSandbox]:
    async with running_sandbox() as running:
        yield running


@pytest.fixture
async def org(box: RunningSandbox) -> RetellOrg:
    return box.state.retell.add_org(KEY)


@pytest.fixture
async def ours(box: RunningSandbox, org: RetellOrg) -> AsyncIterator[Provider[Any]]:
    assert org.key == KEY
    http = Http()
    yield retell_at(http, f"{box.url}/retell", "sip.retellai.com")
    await http.aclose()


@pytest.fixture
async def theirs(box: RunningSandbox) -> AsyncIterator[retell_sdk.AsyncRetell]:
    async with retell_sdk.AsyncRetell(
        api_key=KEY, base_url=f"{box.url}/retell", max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


async def put(ours: Provider[Any], assistant=ACME, copy: Copy | None = None) -> Copy:
    return await ours.assistants.put_copy(ours.open(Secret(KEY), LIMIT), assistant, WIRING, copy, [])


def sent(box: RunningSandbox, start: str) -> list[Asked]:
    return [asked for asked in box.state.requests_to("retell") if asked.path.startswith(start)]


def judge(params: Any, body: dict[str, Any]) -> None:
    """As strictly as pydantic can; and no field that the type does not know."""
    read = TypeAdapter(params).validate_python(body, strict=True)
    for value in read.values():
        if not isinstance(value, str | list | dict | int | float | None):
            list(value)  # an Iterable is judged as it is read
    assert set(body) <= set(params.__annotations__)


async def test_every_body_is_one_of_the_sdk(box: RunningSandbox, ours: Provider[Any]):
    first = await put(ours, replace(ACME, voice=EVERY_VOICE_SETTING))
    await put(ours, replace(ACME, greeting=None, voice={}, voicemail_detection=False, knowledge=()), first)
    for path, params in {
        "/create-retell-llm": retell_types.LlmCreateParams,
        "/update-retell-llm": retell_types.LlmUpdateParams,
        "/create-agent": retell_types.AgentCreateParams,
        "/update-agent": retell_types.AgentUpdateParams,
        "/v2/list-agents": retell_types.AgentListParams,
    }.items():
        asked = [one for one in sent(box, path) if not one.path.startswith("/create-agent-version")]
        assert asked
        for one in asked:
            judge(params, one.json())


async def test_every_tool_is_one_of_the_sdk(box: RunningSandbox, ours: Provider[Any]):
    await put(ours)
    end, *others = sent(box, "/create-retell-llm")[0].json()["general_tools"]
    judge(retell_llm_params.GeneralToolEndCallTool, end)
    assert len(others) == 2
    for tool in others:
        judge(retell_llm_params.GeneralToolCustomTool, tool)
        assert set(tool["parameters"]) <= set(retell_llm_params.GeneralToolCustomToolParameters.__annotations__) | {
            "additionalProperties"
        }


def test_we_know_the_languages_of_the_sdk():
    one, _ = get_args(get_type_hints(retell_types.AgentCreateParams)["language"])
    assert set(LOCALES) == set(get_args(one))


async def test_a_knowledge_base_is_sent_as_the_sdk_sends_it(
    box: RunningSandbox, ours: Provider[Any], theirs: retell_sdk.AsyncRetell
):
    await put(ours)
    texts = [{"title": one.title, "text": one.text} for one in ACME.knowledge]
    name = next(
        part["content"] for part in sent(box, "/create-knowledge-base")[0].body if part["name"].endswith("name")
    )
    await theirs.knowledge_base.create(knowledge_base_name=name, knowledge_base_texts=texts)  # type: ignore[arg-type]
    mine, other = (
        {part["name"]: (part["filename"], part["content_type"], part["content"]) for part in asked.body}
        for asked in sent(box, "/create-knowledge-base")
    )
    assert mine == other
    assert json.loads(mine["knowledge_base_texts"][2]) == texts


async def test_the_sdk_reads_back_what_stands_there(ours: Provider[Any], theirs: retell_sdk.AsyncRetell):
    copy = await put(ours, ACME, await put(ours))
    agent_id = str(copy.remote_id)
    agent: Any = await theirs.agent.retrieve(agent_id, version="latest_published")
    llm = await theirs.llm.retrieve(agent.response_engine.llm_id, version=int(agent.response_engine.version))
    knowledge = await theirs.knowledge_base.retrieve(copy.parts["knowledge_base"])
    assert (agent.is_published, agent.version, copy.version) == (True, 1, "1")
    assert (agent.language, agent.timezone, agent.webhook_url) == (["en-GB", "es-419"], "Europe/London", WEBHOOK)
    assert agent.voicemail_option.action.type == "hangup"
    assert (llm.is_published, llm.version, llm.general_prompt) == (True, 1, ACME.prompt)
    assert [tool.name for tool in llm.general_tools or []] == ["end_call", "book", "callrouter_transfer"]
    assert llm.knowledge_base_ids == [knowledge.knowledge_base_id]
    assert [source.title for source in knowledge.knowledge_base_sources or []] == ["Prices", "Hours"]  # type: ignore[union-attr]
    assert [item.agent_name for item in (await theirs.agent.list()).items] == ["Acme Plumbing [client_7x3k9]"]
    assert [item.version for item in (await theirs.agent.list_versions(agent_id)).items] == [1, 0]
    assert [item.llm_id for item in (await theirs.llm.list()).items] == [llm.llm_id]


async def test_we_ask_nothing_that_the_sdk_could_not_ask(
    box: RunningSandbox, org: RetellOrg, ours: Provider[Any], theirs: retell_sdk.AsyncRetell
):
    first = await put(ours)
    await ours.assistants.delete_copy(ours.open(Secret(KEY), LIMIT), await put(ours, ACME, first), [])
    number = await ours.shop.buy(
        ours.open(Secret(KEY), LIMIT), NumberOrder("US", "415", "client_1", None, WIRING, None)
    )
    await ours.shop.assign(ours.open(Secret(KEY), LIMIT), number, None, WIRING, "+14155550100")
    await ours.shop.list_numbers(ours.open(Secret(KEY), LIMIT))
    await ours.shop.release(ours.open(Secret(KEY), LIMIT), number)
    linked = box.state.retell.add_assistant(org)
    await ours.assistants.manage_link(ours.open(Secret(KEY), LIMIT), linked, ["webhook", "transfer"], WIRING)
    asked = requests(box)
    box.state.requests.clear()
    await ask_everything(theirs)
    assert asked <= requests(box)


async def ask_everything(theirs: retell_sdk.AsyncRetell) -> None:
    llm = await theirs.llm.create(start_speaker="agent")
    await theirs.llm.update(llm.llm_id, version=0, general_prompt="You answer.")
    agent: Any = await theirs.agent.create(
        voice_id="11labs-Adrian", response_engine={"type": "retell-llm", "llm_id": llm.llm_id}
    )
    await theirs.agent.update(agent.agent_id, version=0, agent_name="Desk")
    await theirs.agent.publish(agent.agent_id, version=0)
    await theirs.agent.create_version(agent.agent_id, base_version=0)
    await theirs.agent.retrieve(agent.agent_id)
    await theirs.agent.retrieve(agent.agent_id, version=0)
    await theirs.agent.list(limit=100, filter_criteria={"query": "x"})
    await theirs.agent.list_versions(agent.agent_id, limit=100)
    await theirs.llm.retrieve(llm.llm_id)
    await theirs.llm.retrieve(llm.llm_id, version=0)
    await theirs.llm.list(limit=100)
    await theirs.agent.delete(agent.agent_id)
    await theirs.llm.delete(llm.llm_id)
    made = await theirs.knowledge_base.create(knowledge_base_name="x", knowledge_base_texts=[])
    await theirs.knowledge_base.list()
    await theirs.knowledge_base.retrieve(made.knowledge_base_id)
    await theirs.knowledge_base.delete(made.knowledge_base_id)
    number = await theirs.phone_number.create(area_code=415)
    await theirs.phone_number.update(number.phone_number, nickname="x")
    await theirs.phone_number.list(limit=100)
    await theirs.phone_number.delete(number.phone_number)


def requests(box: RunningSandbox) -> set[tuple[str, str, tuple[str, ...]]]:
    """Method, path and names in the query of each request so far, ids left out."""
    ids = r"(agent|llm|knowledge_base)_[0-9a-f]{10,}|\+[0-9]+"
    return {
        (asked.method, re.sub(ids, "{id}", asked.path), tuple(sorted(asked.query)))
        for asked in box.state.requests_to("retell")
    }


async def test_numbers_are_bought_and_assigned_as_the_sdk_would(
    box: RunningSandbox, ours: Provider[Any], theirs: retell_sdk.AsyncRetell
):
    copy = await put(ours)
    number = await ours.shop.buy(
        ours.open(Secret(KEY), LIMIT), NumberOrder("US", "415", "client_1", copy, WIRING, "+14155550100")
    )
    await ours.shop.assign(ours.open(Secret(KEY), LIMIT), number, None, WIRING, None)
    await ours.shop.assign(ours.open(Secret(KEY), LIMIT), number, copy, WIRING, "+14155550101")
    judge(retell_types.PhoneNumberCreateParams, sent(box, "/create-phone-number")[0].json())
    for asked in sent(box, "/update-phone-number"):
        judge(retell_types.PhoneNumberUpdateParams, asked.json())
    read = await theirs.phone_number.retrieve(number.e164)
    agents = [(agent.agent_id, agent.agent_version, agent.weight) for agent in read.inbound_agents or []]
    assert agents == [(copy.remote_id, "latest_published", 1)]
    assert (read.nickname, read.inbound_webhook_url, read.fallback_number) == ("client_1", WEBHOOK, "+14155550101")
    assert [item.phone_number for item in (await theirs.phone_number.list()).items] == [number.e164]


async def test_lines_are_those_that_the_sdk_reads(org: RetellOrg, ours: Provider[Any], theirs: retell_sdk.AsyncRetell):
    org.concurrency_used = 3
    lines, read = await ours.count_lines(ours.open(Secret(KEY), LIMIT)), await theirs.concurrency.retrieve()
    assert lines is not None
    assert (lines.limit, lines.used) == (read.concurrency_limit, read.current_concurrency)
