"""Vapi's own client judges how we keep assistants and numbers: the same requests, written with its models; and it reads
back from the stand-in what we made.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, get_args
from urllib.parse import parse_qs, urlsplit

import pytest

from adapters.http import Http
from adapters.portable import Copy, Credentials, Registration
from adapters.provider import Provider
from adapters.sandbox.api import read_body
from adapters.sandbox.server import RunningSandbox, running_sandbox
from adapters.vapi.languages import SINGLE
from crypto.secret import Secret
from tests.adapters.canary import CANARY
from tests.adapters.loopback import Asked, Script, reply, serving
from tests.adapters.vapi.examples import ACME, FUNCTION, KEY, LIMIT, PLAIN, WEBHOOK_SECRET, WIRING
from tests.contract.sdks import vapi_phone_numbers, vapi_sdk, vapi_types
from tests.support.adapters import vapi_at
from tests.support.local_http import local_client

pytestmark = [
    pytest.mark.slow,
    pytest.mark.anyio,
    # The SDK takes the kind of a backoff for an object, where Vapi's docs and API say "exponential".
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),
]

MADE = {
    "id": "0a1b2c3d",
    "orgId": "org",
    "createdAt": "2026-11-23T12:00:00.000Z",
    "updatedAt": "2026-11-23T12:00:00.000Z",
    "provider": "twilio",
    "number": "+15005550155",
    "twilioAccountSid": "AC1",
}
CREDENTIALS = Credentials("AC" + "12" * 16, Secret("a-token"), "SK" + "34" * 16, Secret("a-secret"))


def answering() -> Script:
    """Lists are empty, and everything else is one and the same thing."""

    async def script(asked: Asked, writer: Any) -> None:
        listed = asked.method == "GET" and asked.target.partition("?")[0] in ("/assistant", "/file", "/phone-number")
        await reply(200 if asked.method == "GET" else 201, [] if listed else MADE)(asked, writer)

    return script


async def both(
    ours: Callable[[Provider[Any]], Awaitable[object]], theirs: Callable[[vapi_sdk.AsyncVapi], Awaitable[object]]
) -> tuple[Asked, Asked]:
    """The last request of each."""
    http = Http()
    async with serving(answering()) as server:
        await ours(vapi_at(http, server.url))
        await http.aclose()
        mine = server.last
        async with local_client() as client:
            await theirs(vapi_sdk.AsyncVapi(token=CANARY, base_url=server.url, httpx_client=client))
        assert server.last is not mine
        return mine, server.last


def address(asked: Asked) -> tuple[str, str, str]:
    return asked.method, asked.target, asked.headers["authorization"]


def server(url: str, seconds: int, *, ours: bool = True, again: bool = False) -> vapi_types.Server:
    settings: dict[str, Any] = {}
    if ours:
        settings["headers"] = {"x-vapi-secret": WEBHOOK_SECRET}
    if again:
        plan = vapi_types.BackoffPlan.model_construct(type="exponential", maxRetries=5, baseDelaySeconds=2)
        settings["backoff_plan"] = plan
    return vapi_types.Server(url=url, timeout_seconds=seconds, **settings)


def function_tool(
    name: str, description: str, parameters: dict[str, Any], at: vapi_types.Server
) -> vapi_types.OpenAiModelToolsItem_Function:
    schema = vapi_types.OpenAiFunctionParameters.model_construct(**parameters)
    return vapi_types.OpenAiModelToolsItem_Function(
        function=vapi_types.OpenAiFunction(name=name, description=description, parameters=schema), server=at
    )


def whole(system: str, transfer: dict[str, Any]) -> dict[str, Any]:
    """The assistant of the examples, in the SDK's words. What is prose is taken from ours."""
    return {
        "name": "Acme Plumbing",
        "first_message": "Acme Plumbing, how can I help?",
        "first_message_mode": "assistant-speaks-first",
        "model": vapi_types.CreateAssistantDtoModel_Openai(
            provider="openai",
            model="gpt-4.1",
            messages=[vapi_types.OpenAiMessage(role="system", content=system)],
            tools=[
                vapi_types.OpenAiModelToolsItem_EndCall(),
                function_tool(
                    FUNCTION.name,
                    FUNCTION.description,
                    dict(FUNCTION.parameters),
                    server(FUNCTION.url, 20, ours=False),
                ),
                function_tool(**transfer, at=server(WIRING.transfer_url, 10)),
                vapi_types.OpenAiModelToolsItem_Query(
                    knowledge_bases=[
                        vapi_types.KnowledgeBase(
                            name="knowledge",
                            description="What the business says of itself: Prices",
                            provider="google",
                            file_ids=["0a1b2c3d"],
                        )
                    ]
                ),
            ],
        ),
        "voice": vapi_types.CreateAssistantDtoVoice_11Labs(voice_id="burt", speed=1.1),
        "transcriber": vapi_types.CreateAssistantDtoTranscriber_Deepgram(
            provider="deepgram", model="nova-3", language="multi"
        ),
        "voicemail_detection": vapi_types.VapiVoicemailDetectionPlan(provider="vapi"),
        "max_duration_seconds": 900,
        "server": server(WIRING.webhook_url, 10, again=True),
        "server_messages": ["status-update", "end-of-call-report", "tool-calls"],
        "metadata": {"callrouter_marker": "client_1"},
    }


@pytest.mark.parametrize("copy", [None, Copy("0a1b2c3d")])
async def test_an_assistant_is_one_of_the_sdk(copy: Copy | None):
    prose: dict[str, Any] = {}

    async def ours(vapi: Provider[Any]) -> None:
        await vapi.assistants.put_copy(vapi.open(KEY, LIMIT), ACME, WIRING, copy, ())

    async def theirs(vapi: vapi_sdk.AsyncVapi) -> None:
        fields = whole(prose["system"], prose["transfer"])
        await (vapi.assistants.create(**fields) if copy is None else vapi.assistants.update("0a1b2c3d", **fields))

    http = Http()
    async with serving(answering()) as listening:
        await ours(vapi_at(http, listening.url))
        await http.aclose()
        mine = listening.last
        model = mine.json["model"]
        prose["system"] = model["messages"][0]["content"]
        prose["transfer"] = model["tools"][2]["function"]
        async with local_client() as client:
            await theirs(vapi_sdk.AsyncVapi(token=CANARY, base_url=listening.url, httpx_client=client))
    assert address(mine) == address(listening.last)
    assert mine.json == listening.last.json


async def test_a_plain_assistant_is_one_of_the_sdk():
    mine, theirs = await both(
        lambda vapi: vapi.assistants.put_copy(vapi.open(KEY, LIMIT), PLAIN, WIRING, None, ()),
        lambda vapi: vapi.assistants.create(
            name="Acme Plumbing",
            first_message_mode="assistant-speaks-first-with-model-generated-message",
            model=vapi_types.CreateAssistantDtoModel_Openai(
                provider="openai",
                model="gpt-4.1",
                messages=[vapi_types.OpenAiMessage(role="system", content=PLAIN.prompt)],
                tools=[vapi_types.OpenAiModelToolsItem_EndCall()],
            ),
            voice=vapi_types.CreateAssistantDtoVoice_Vapi(provider="vapi", voice_id="Elliot"),
            transcriber=vapi_types.CreateAssistantDtoTranscriber_Deepgram(
                provider="deepgram", model="nova-3", language="en-US"
            ),
            voicemail_detection="off",
            max_duration_seconds=3600,
            server=server(WIRING.webhook_url, 10, again=True),
            server_messages=["status-update", "end-of-call-report", "tool-calls"],
            metadata={"callrouter_marker": "client_1"},
        ),
    )
    assert address(mine) == address(theirs)
    assert mine.json == theirs.json


async def test_a_file_is_uploaded_as_the_sdk_does():
    text = "Prices\n\nA visit is $80.\n"
    http = Http()
    async with serving(answering()) as listening:
        vapi = vapi_at(http, listening.url)
        await vapi.assistants.put_copy(vapi.open(KEY, LIMIT), ACME, WIRING, None, ())
        await http.aclose()
        mine = next(asked for asked in listening.asked if asked.method == "POST")
        [part] = read_body(mine.headers["content-type"], mine.body)
        async with local_client() as client:
            sdk = vapi_sdk.AsyncVapi(token=CANARY, base_url=listening.url, httpx_client=client)
            await sdk.files.create(file=(part["filename"], text, "text/plain"))
        theirs = listening.last
    assert address(mine) == address(theirs)
    assert [part] == read_body(theirs.headers["content-type"], theirs.body)
    assert len(part["filename"]) <= 40


async def test_a_number_is_imported_as_the_sdk_does():
    mine, theirs = await both(
        lambda vapi: vapi.registrations.register(
            vapi.open(KEY, LIMIT), "+15005550155", CREDENTIALS, Copy("0a1b2c3d"), "+14155550123"
        ),
        lambda vapi: vapi.phone_numbers.create(
            request=vapi_phone_numbers.CreatePhoneNumbersRequest_Twilio(
                number="+15005550155",
                name="callrouter +15005550155",
                sms_enabled=False,
                twilio_account_sid="AC" + "12" * 16,
                twilio_api_key="SK" + "34" * 16,
                twilio_api_secret="a-secret",
                assistant_id="0a1b2c3d",
                fallback_destination=vapi_types.CreateTwilioPhoneNumberDtoFallbackDestination_Number(
                    type="number", number="+14155550123"
                ),
            )
        ),
    )
    assert address(mine) == address(theirs)
    assert mine.json == theirs.json


async def test_a_number_is_assigned_as_the_sdk_does():
    mine, theirs = await both(
        lambda vapi: vapi.registrations.assign(
            vapi.open(KEY, LIMIT), Registration("0a1b2c3d"), Copy("0f9e8d7c"), "+14155550123"
        ),
        lambda vapi: vapi.phone_numbers.update(
            "0a1b2c3d",
            request=vapi_types.UpdateTwilioPhoneNumberDto(
                assistant_id="0f9e8d7c",
                fallback_destination=vapi_types.UpdateTwilioPhoneNumberDtoFallbackDestination_Number(
                    type="number", number="+14155550123"
                ),
            ),
        ),
    )
    assert address(mine) == address(theirs)
    assert mine.json == theirs.json


async def test_things_are_read_and_deleted_as_the_sdk_does():
    async def delete_all(vapi: vapi_sdk.AsyncVapi) -> None:
        await vapi.assistants.delete("0a1b2c3d")
        await vapi.files.delete("0f9e8d7c")

    for ours, theirs in (
        (
            lambda vapi: vapi.assistants.check_link(vapi.open(KEY, LIMIT), "0a1b2c3d"),
            lambda vapi: vapi.assistants.get("0a1b2c3d"),
        ),
        (
            lambda vapi: vapi.assistants.delete_copy(
                vapi.open(KEY, LIMIT), Copy("0a1b2c3d", {"file_1": "0f9e8d7c"}), ()
            ),
            delete_all,
        ),
        (
            lambda vapi: vapi.registrations.unregister(vapi.open(KEY, LIMIT), Registration("0a1b2c3d")),
            lambda vapi: vapi.phone_numbers.delete("0a1b2c3d"),
        ),
        (
            lambda vapi: vapi.assistants.find_copy(vapi.open(KEY, LIMIT), "client_1"),
            lambda vapi: vapi.assistants.list(limit=100),
        ),
        (
            lambda vapi: vapi.registrations.find(vapi.open(KEY, LIMIT), "+1"),
            lambda vapi: vapi.phone_numbers.list(limit=100),
        ),
    ):
        mine, sdks = await both(ours, theirs)
        assert address(mine) == address(sdks)


async def test_the_next_page_is_asked_for_as_the_sdk_does():
    page = [{"id": f"id-{each}", "createdAt": "2026-11-23T12:00:00.123Z"} for each in range(100)]
    http = Http()
    async with serving(reply(200, page)) as listening:
        vapi = vapi_at(http, listening.url)
        await vapi.assistants.find_copy(vapi.open(KEY, LIMIT), "client_1")
        await http.aclose()
        mine = listening.last
        async with local_client() as client:
            sdk = vapi_sdk.AsyncVapi(token=CANARY, base_url=listening.url, httpx_client=client)
            await sdk.assistants.list(limit=100, created_at_lt=datetime.fromisoformat("2026-11-23T12:00:00.124Z"))
        theirs = listening.last
    queries = [parse_qs(urlsplit(asked.target).query) for asked in (mine, theirs)]
    times = [datetime.fromisoformat(query.pop("createdAtLt")[0]) for query in queries]
    assert queries[0] == queries[1]
    assert times[0] == times[1]


def literals(union: Any) -> set[str]:
    return {value for member in get_args(union) for value in get_args(member)}


def test_what_we_choose_is_what_vapis_schema_lists():
    assert {*SINGLE, "multi"} <= literals(vapi_types.DeepgramTranscriberLanguage)
    assert "gpt-4.1" in literals(vapi_types.OpenAiModelModel)
    assert (
        vapi_types.CreateAssistantDtoVoice_Azure(provider="azure", voice_id="multilingual-auto").voice_id
        == "multilingual-auto"
    )


@pytest.fixture
async def box() -> AsyncIterator[RunningSandbox]:
    async with running_sandbox() as running:
        yield running


@pytest.fixture
async def host(box: RunningSandbox) -> AsyncIterator[Provider[Any]]:
    box.state.vapi.add_org(CANARY)
    http = Http()
    yield vapi_at(http, f"{box.url}/vapi")
    await http.aclose()


@pytest.fixture
async def sdk(box: RunningSandbox) -> AsyncIterator[vapi_sdk.AsyncVapi]:
    async with local_client() as client:
        yield vapi_sdk.AsyncVapi(token=CANARY, base_url=f"{box.url}/vapi", httpx_client=client)


async def test_the_sdk_reads_back_the_assistant_that_we_made(host: Provider[Any], sdk: vapi_sdk.AsyncVapi):
    copy = await host.assistants.put_copy(host.open(KEY, LIMIT), ACME, WIRING, None, ())

    [listed] = await sdk.assistants.list()
    read = await sdk.assistants.get(str(copy.remote_id))
    [file] = await sdk.files.list()
    assert listed.id == read.id == copy.remote_id
    assert (read.name, read.max_duration_seconds) == ("Acme Plumbing", 900)
    assert read.metadata == {"callrouter_marker": "client_1"}
    assert read.server is not None
    assert read.server.url == WIRING.webhook_url
    # The SDK takes the first of many models that fits; what is in them is the same.
    model: Any = read.model
    assert (model.provider, model.model) == ("openai", "gpt-4.1")
    assert [tool.type for tool in model.tools] == ["endCall", "function", "function", "query"]
    assert [read.transcriber.provider, read.voice.provider] == ["deepgram", "11labs"]  # type: ignore[union-attr]
    assert {file.id} == set(copy.parts.values())

    await host.assistants.put_copy(
        host.open(KEY, LIMIT), replace(ACME, knowledge=(), prompt="You are the night desk."), WIRING, copy, ()
    )
    changed: Any = await sdk.assistants.get(str(copy.remote_id))
    assert changed.model.messages[0].content.startswith("You are the night desk.")
    assert await sdk.files.list() == []
    await host.assistants.delete_copy(host.open(KEY, LIMIT), copy, ())
    assert await sdk.assistants.list() == []


async def test_the_sdk_reads_back_the_number_that_we_imported(
    host: Provider[Any], sdk: vapi_sdk.AsyncVapi, box: RunningSandbox
):
    account = box.state.twilio.add_account()
    box.state.twilio.add_number(account, "+15005550155")
    credentials = Credentials(account.sid, Secret(account.auth_token))
    registration = await host.registrations.register(
        host.open(KEY, LIMIT), "+15005550155", credentials, None, "+14155550123"
    )

    read: Any = await sdk.phone_numbers.get(registration.remote_id)
    assert (read.provider, read.number, read.name) == ("twilio", "+15005550155", "callrouter +15005550155")
    assert (read.fallback_destination.number, read.sms_enabled) == ("+14155550123", False)
    await host.registrations.unregister(host.open(KEY, LIMIT), registration)
    assert await sdk.phone_numbers.list() == []
