"""Our copies at ElevenLabs: what callers get, what an update leaves behind, and what a process that died leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from adapters.base import ErrorKind, ProviderError
from adapters.elevenlabs import definition
from adapters.elevenlabs.api import Client
from adapters.elevenlabs.tools import keep_tools
from adapters.http import Http
from adapters.portable import Assistant, Copy, Function, Knowledge
from adapters.provider import Provider
from adapters.sandbox.elevenlabs.org import ElevenLabsOrg
from adapters.sandbox.server import RunningSandbox
from crypto.secret import Secret
from tests.adapters.canary import CANARY
from tests.adapters.elevenlabs.conftest import ACME, TOKEN, WEBHOOK, wiring
from tests.adapters.mortal import Died, MortalHttp
from tests.adapters.refusals import error_of
from tests.support.adapters import elevenlabs_at

pytestmark = pytest.mark.anyio

PLAIN = Assistant(marker="client_1", name="Bright Dental", prompt="You answer.")


async def put(
    elevenlabs: Provider[Any], client: Client, assistant: Assistant, copy: Copy | None = None, token: str = TOKEN
) -> Copy:
    copied: Copy = await elevenlabs.assistants.put_copy(client, assistant, wiring(token), copy, ())
    return copied


def tools_of(org: ElevenLabsOrg) -> dict[str, Any]:
    return {tool["tool_config"]["name"]: tool["tool_config"] for tool in org.tools.values()}


def counts(org: ElevenLabsOrg) -> tuple[int, int, int, int]:
    return len(org.agents), len(org.tools), len(org.documents), len(org.webhooks)


async def test_callers_get_what_the_definition_says(elevenlabs: Provider[Any], client: Client, org: ElevenLabsOrg):
    copy = await put(elevenlabs, client, ACME)
    (agent,) = org.agents.values()
    config, settings = agent["conversation_config"], agent["platform_settings"]
    assert (copy.remote_id, agent["name"]) == (agent["agent_id"], "Acme Plumbing [client_7x3k9]")
    assert config["tts"]["agent_output_audio_format"] == config["asr"]["user_input_audio_format"] == "ulaw_8000"
    assert (config["tts"]["voice_id"], config["tts"]["speed"]) == ("JBFqnCBsd6RMkjVDRZzb", 1.1)
    assert config["conversation"]["max_duration_seconds"] == 900
    assert (config["agent"]["language"], list(config["language_presets"])) == ("en", ["es", "pt-br"])
    assert config["agent"]["first_message"] == "Acme, how can I help?"
    prompt = config["agent"]["prompt"]
    assert (prompt["prompt"], prompt["timezone"]) == (ACME.prompt, "Europe/London")
    assert prompt["tool_ids"] == list(org.tools)
    assert all(prompt["built_in_tools"][name] for name in ("end_call", "language_detection", "voicemail_detection"))
    assert [one["id"] for one in prompt["knowledge_base"]] == list(org.documents)
    assert list(org.texts.values()) == ["Prices\n\nA visit is $80.\n", "Hours\n\nNine to five.\n"]
    assert settings["queueing_config"] == {"enabled": False}
    (webhook,) = org.webhooks.values()
    assert webhook["webhook_url"] == f"{WEBHOOK}?token={TOKEN}"
    reporting = settings["workspace_overrides"]["webhooks"]
    assert (reporting["post_call_webhook_id"], "transcript" in reporting["events"]) == (webhook["webhook_id"], True)


async def test_the_transfer_tool_leads_to_us_and_names_the_call(
    elevenlabs: Provider[Any], client: Client, org: ElevenLabsOrg
):
    await put(elevenlabs, client, ACME)
    transfer = tools_of(org)["transfer"]["api_schema"]
    assert transfer["url"] == f"{WEBHOOK}/transfer?token={TOKEN}"
    properties = transfer["request_body_schema"]["properties"]
    assert properties["router_call_id"]["dynamic_variable"] == "router_call_id"
    assert properties["conversation_id"]["dynamic_variable"] == "system__conversation_id"


async def test_every_variable_of_the_texts_has_a_value(elevenlabs: Provider[Any], client: Client, org: ElevenLabsOrg):
    """A conversation that lacks one would break off at once."""
    await put(elevenlabs, client, ACME)
    (agent,) = org.agents.values()
    placeholders = agent["conversation_config"]["agent"]["dynamic_variables"]["dynamic_variable_placeholders"]
    assert placeholders.keys() == {"client_name", "visitor", "router_call_id", "twilio_call_sid", "caller_number"}


@pytest.mark.parametrize(
    ("languages", "greeting", "model"),
    [
        (("en-US",), "Bright Dental, how can I help you?", "eleven_flash_v2"),
        (("de-AT",), "Bright Dental.", "eleven_flash_v2_5"),
    ],
)
def test_without_a_greeting_the_assistant_names_the_business(languages: tuple[str, ...], greeting: str, model: str):
    """An agent without one waits for the caller to speak first."""
    body = definition.agent_body(replace(PLAIN, languages=languages), "w", (), (), searched=False)
    config = body["conversation_config"]
    assert (config["agent"]["first_message"], config["tts"]["model_id"]) == (greeting, model)


@pytest.mark.parametrize(
    ("languages", "chosen"),
    [
        (("pt-PT", "pt-BR"), ["pt", "pt-br"]),
        (("nb-NO",), ["no"]),
        (("zh-Hant-TW", "zh-CN"), ["zh"]),
        (("cy-GB",), ["en"]),
    ],
)
def test_languages_are_elevenlabs_own(languages: tuple[str, ...], chosen: list[str]):
    assert definition.choose_languages(languages) == chosen
    assert ("languages" in definition.lost_features(replace(PLAIN, languages=languages))) == (languages == ("cy-GB",))


async def test_an_update_replaces_what_is_superseded(elevenlabs: Provider[Any], client: Client, org: ElevenLabsOrg):
    copy = await put(elevenlabs, client, ACME)
    other = await put(elevenlabs, client, PLAIN)
    changed = replace(ACME, functions=(), knowledge=(Knowledge("Hours", "Ten to six."),), languages=("de",), voice={})
    assert (await put(elevenlabs, client, changed, copy)).remote_id == copy.remote_id
    agent = org.agents[str(copy.remote_id)]["conversation_config"]
    assert (agent["agent"]["language"], agent["language_presets"]) == ("de", {})
    assert agent["agent"]["prompt"]["built_in_tools"]["language_detection"] is None
    assert agent["tts"]["voice_id"] == "cjVigY5qzO86Huf0OWal"
    assert (list(tools_of(org)), list(org.texts.values())) == (["transfer"], ["Hours\n\nTen to six.\n"])
    assert (len(org.agents), len(org.webhooks)) == (2, 1)
    await elevenlabs.assistants.delete_copy(client, other, ())
    assert counts(org) == (1, 1, 1, 1)
    for _ in range(2):
        await elevenlabs.assistants.delete_copy(client, other, ())


async def test_the_last_one_takes_everything_with_it(elevenlabs: Provider[Any], client: Client, org: ElevenLabsOrg):
    await elevenlabs.assistants.delete_copy(client, await put(elevenlabs, client, ACME), ())
    assert counts(org) == (0, 0, 0, 0)


async def test_one_that_was_deleted_there_is_created_again(
    elevenlabs: Provider[Any], client: Client, org: ElevenLabsOrg
):
    copy = await put(elevenlabs, client, ACME)
    org.agents.clear()
    org.tools.clear()
    again = await put(elevenlabs, client, ACME, copy)
    assert again.remote_id != copy.remote_id
    assert counts(org) == (1, 2, 2, 1)


async def test_a_new_address_makes_another_webhook(elevenlabs: Provider[Any], client: Client, org: ElevenLabsOrg):
    """The former one goes once no assistant reports to it."""
    first, second = await put(elevenlabs, client, ACME), await put(elevenlabs, client, PLAIN)
    await put(elevenlabs, client, ACME, first, "token-2")
    assert len(org.webhooks) == 2
    await put(elevenlabs, client, PLAIN, second, "token-2")
    (webhook,) = org.webhooks.values()
    assert webhook["webhook_url"] == f"{WEBHOOK}?token=token-2"


@pytest.mark.parametrize("field", ["is_disabled", "is_auto_disabled"])
async def test_a_webhook_that_was_disabled_is_replaced(
    elevenlabs: Provider[Any], client: Client, org: ElevenLabsOrg, field: str
):
    copy = await put(elevenlabs, client, PLAIN)
    (former,) = org.webhooks.values()
    former[field] = True
    again = await put(elevenlabs, client, PLAIN, copy)
    assert again.parts["webhook"] != former["webhook_id"]


async def test_a_key_that_may_not_create_webhooks_says_so(
    box: RunningSandbox, elevenlabs: Provider[Any], client: Client, org: ElevenLabsOrg
):
    """It is good for calls: it must not count as refused."""
    box.state.faults.set(
        "elevenlabs",
        [
            {"fault": "late", "seconds": 0, "operation": "assistants", "times": 2},
            {"fault": "403", "operation": "assistants"},
        ],
    )
    error = await error_of(put(elevenlabs, client, PLAIN))
    assert (error.kind, "may not create a webhook" in error.said) == (ErrorKind.BAD_REQUEST, True)
    assert counts(org) == (0, 0, 0, 0)


async def test_work_that_died_is_finished_and_nothing_is_there_twice(box: RunningSandbox, http: Http):
    """After one request, after two, and so on."""
    for requests in range(1, 99):
        key = Secret(f"{CANARY}{requests}")
        org = box.state.elevenlabs.add_org(key.reveal())
        if await put_and_die(f"{box.url}/elevenlabs", key, requests):
            assert requests > 10
            return
        elevenlabs = elevenlabs_at(http, f"{box.url}/elevenlabs")
        client = elevenlabs.open(key, 5)
        found = await elevenlabs.assistants.find_copy(client, ACME.marker)
        copy = await put(elevenlabs, client, ACME, found)
        assert counts(org) == (1, 2, 2, 1), requests
        assert (await elevenlabs.assistants.find_copy(client, ACME.marker)).remote_id == copy.remote_id
    raise AssertionError("the work never ends")


async def put_and_die(url: str, key: Secret, requests: int) -> bool:
    """Whether so many requests were enough."""
    http = MortalHttp(requests)
    elevenlabs = elevenlabs_at(http, url)
    try:
        await elevenlabs.assistants.put_copy(elevenlabs.open(key, 5), ACME, wiring(), None, ())
    except Died:
        return False
    finally:
        await http.aclose()
    return True


async def test_more_than_a_page_is_read(elevenlabs: Provider[Any], client: Client, org: ElevenLabsOrg):
    functions = tuple(Function(f"f_{n}", "Does it", {"type": "object"}, "https://acme.example/f") for n in range(120))
    copy = await put(elevenlabs, client, replace(PLAIN, functions=functions))
    await elevenlabs.assistants.delete_copy(client, copy, ())
    assert org.tools == {}


async def test_a_functions_parameters_take_elevenlabs_form(client: Client, org: ElevenLabsOrg):
    schema = {
        "type": "object",
        "properties": {
            "day": {"type": "string", "description": "Which day", "enum": ["mon", "tue"], "format": "date"},
            "people": {"type": ["integer", "null"]},
            "sizes": {"type": "array", "items": {"type": "number"}},
            "address": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city", "street"]},
            "odd": {"$ref": "#/x"},
        },
        "required": ["day", "gone"],
        "additionalProperties": False,
    }
    function = Function("book", "", schema, "https://acme.example/book")
    await keep_tools(client, replace(PLAIN, functions=(function,)), wiring())
    tool = tools_of(org)["book"]
    body = tool["api_schema"]["request_body_schema"]
    assert (tool["description"], body["required"]) == ("book", ["day"])
    assert body["properties"] == {
        "day": {"type": "string", "description": "Which day", "enum": ["mon", "tue"]},
        "people": {"type": "string", "description": "people"},
        "sizes": {"type": "array", "items": {"type": "number", "description": "sizes"}, "description": "sizes"},
        "address": {
            "type": "object",
            "required": ["city"],
            "properties": {"city": {"type": "string", "description": "city"}},
            "description": "address",
        },
        "odd": {"type": "string", "description": "odd"},
    }


async def test_a_function_with_the_name_of_ours_is_refused(elevenlabs: Provider[Any], client: Client):
    taken = replace(ACME, functions=(replace(ACME.functions[0], name="transfer"),))
    assert "must not be called transfer" in (await error_of(put(elevenlabs, client, taken))).said


async def test_much_knowledge_is_searched_instead_of_standing_in_every_prompt(
    elevenlabs: Provider[Any], client: Client, org: ElevenLabsOrg
):
    await put(elevenlabs, client, replace(PLAIN, knowledge=(Knowledge("All", "Much to know. " * 2000),)))
    (agent,) = org.agents.values()
    prompt = agent["conversation_config"]["agent"]["prompt"]
    assert (prompt["rag"], prompt["knowledge_base"][0]["usage_mode"]) == ({"enabled": True}, "auto")


async def test_what_others_use_stays(elevenlabs: Provider[Any], client: Client, org: ElevenLabsOrg):
    copy = await put(elevenlabs, client, replace(ACME, knowledge=()))
    prompt = {"tool_ids": list(org.tools)}
    box_agent = {"name": "Theirs", "conversation_config": {"agent": {"prompt": prompt}}}
    await client.ask("POST", "/v1/convai/agents/create", json=box_agent)
    await elevenlabs.assistants.delete_copy(client, copy, ())
    assert (len(org.agents), len(org.tools)) == (1, 2)


async def test_another_failure_of_a_deletion_is_told(box: RunningSandbox, elevenlabs: Provider[Any], client: Client):
    copy = await put(elevenlabs, client, ACME)
    box.state.faults.set("elevenlabs", {"fault": "503", "operation": "assistants"})
    with pytest.raises(ProviderError) as caught:
        await elevenlabs.assistants.delete_copy(client, copy, ())
    assert caught.value.kind is ErrorKind.PROVIDER_ERROR
