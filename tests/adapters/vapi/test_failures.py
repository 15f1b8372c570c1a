"""What the keeping of assistants and numbers makes of every way in which Vapi can fail, and of replies with malice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from adapters.base import ErrorKind
from adapters.http import Http
from adapters.portable import Copy, Credentials, Registration
from adapters.provider import Provider
from crypto.secret import Secret
from tests.adapters.canary import CANARY, assert_clean
from tests.adapters.loopback import Asked, Script, reply, serving
from tests.adapters.refusals import FAULTS, error_of, limit_for
from tests.adapters.vapi.examples import ACME, KEY, LIMIT, PLAIN, WEBHOOK_SECRET, WIRING
from tests.support.adapters import vapi_at

pytestmark = pytest.mark.anyio

Asking: TypeAlias = Callable[[Provider[Any], float], Awaitable[object]]

ID = "0a1b2c3d"
NUMBER = "+15005550155"
TOKEN, API_SECRET = "t0ken-canary-93ab17c4de52f8", "s3cret-canary-7d20e95bc81f46"
CREDENTIALS = Credentials("AC" + "12" * 16, Secret(TOKEN), "SK" + "34" * 16, Secret(API_SECRET))

READING: dict[str, Asking] = {
    "find a copy": lambda vapi, limit: vapi.assistants.find_copy(vapi.open(KEY, limit), "client_1"),
    "find a registration": lambda vapi, limit: vapi.registrations.find(vapi.open(KEY, limit), NUMBER),
    "import a number": lambda vapi, limit: vapi.registrations.register(
        vapi.open(KEY, limit), NUMBER, CREDENTIALS, None, None
    ),
    "put knowledge": lambda vapi, limit: vapi.assistants.put_copy(vapi.open(KEY, limit), ACME, WIRING, None, ()),
    "create": lambda vapi, limit: vapi.assistants.put_copy(vapi.open(KEY, limit), PLAIN, WIRING, None, ()),
    "change": lambda vapi, limit: vapi.assistants.put_copy(vapi.open(KEY, limit), PLAIN, WIRING, Copy(ID), ()),
    "check a link": lambda vapi, limit: vapi.assistants.check_link(vapi.open(KEY, limit), ID),
    "manage a link": lambda vapi, limit: vapi.assistants.manage_link(vapi.open(KEY, limit), ID, ("webhook",), WIRING),
    "assign a registration": lambda vapi, limit: vapi.registrations.assign(
        vapi.open(KEY, limit), Registration(ID), Copy(ID), None
    ),
}
REMOVING: dict[str, Asking] = {
    "delete a copy": lambda vapi, limit: vapi.assistants.delete_copy(
        vapi.open(KEY, limit), Copy(ID, {"file_1": ID}), ()
    ),
    "unregister": lambda vapi, limit: vapi.registrations.unregister(vapi.open(KEY, limit), Registration(ID)),
}
THOROUGH = ("find a copy", "create")
"""One that reads a list and one that reads a thing; the others go the same ways."""

TELLING = ("401", "429", "503 with a page", "reset", "silent", "echo in 400")


def made(http: Http, url: str) -> Provider[Any]:
    return vapi_at(http, url)


@pytest.mark.parametrize(
    ("asking", "fault"),
    [(asking, fault) for asking in READING for fault in (FAULTS if asking in THOROUGH else TELLING)],
)
async def test_every_failure_is_told_by_its_kind_and_without_the_key(http: Http, asking: str, fault: str):
    script, kind = FAULTS[fault]
    async with serving(script) as server:
        error = await error_of(READING[asking](made(http, server.url), limit_for(kind, fault)))
    assert error.kind is kind
    assert_clean(error, frames=fault != "echo in 200")


@pytest.mark.parametrize("fault", [*TELLING, "no HTTP", "redirect"])
@pytest.mark.parametrize("asking", REMOVING)
async def test_what_could_not_be_taken_away_is_told(http: Http, asking: str, fault: str):
    script, kind = FAULTS[fault]
    async with serving(script) as server:
        error = await error_of(REMOVING[asking](made(http, server.url), limit_for(kind, fault)))
    assert error.kind is kind
    assert_clean(error)


@pytest.mark.parametrize("asking", REMOVING)
async def test_what_is_gone_already_is_fine(http: Http, asking: str):
    async with serving(FAULTS["404"][0]) as server:
        await REMOVING[asking](made(http, server.url), LIMIT)
    assert all(asked.method == "DELETE" for asked in server.asked)


def echo_body(status: int) -> Script:
    """A system that puts what it was sent into its answer."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        shown = [] if asked.method == "GET" else {"message": f"bad: {asked.body.decode()[-600:]}"}
        await reply(200 if asked.method == "GET" else status, shown)(asked, writer)

    return script


@pytest.mark.parametrize("status", [400, 500])
async def test_secrets_of_a_body_that_comes_back_are_covered(http: Http, status: int):
    async with serving(echo_body(status)) as server:
        for asking in ("import a number", "create"):
            error = await error_of(READING[asking](made(http, server.url), LIMIT))
            for secret in (TOKEN, API_SECRET, WEBHOOK_SECRET, CANARY):
                assert_clean(error, secret)


def paged(*pages: object) -> Script:
    """One page after the other, the last one for ever."""
    left = list(pages)

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await reply(200, left.pop(0) if len(left) > 1 else left[0])(asked, writer)

    return script


def page_of(*times: str, beginning: int = 0) -> list[dict[str, Any]]:
    return [{"id": f"id-{beginning + at}", "createdAt": time} for at, time in enumerate(times)]


@pytest.mark.parametrize(
    "page",
    [
        [{"id": "../../call"}],
        [{"id": "a/b"}],
        [{"id": 7}],
        [{"name": "no id"}],
        ["id"],
        {"id": "no list"},
        page_of(*["never"] * 100),
        page_of(*["9999-12-31T23:59:59.999Z"] * 100),
        [{"id": f"id-{at}"} for at in range(100)],
    ],
)
async def test_a_list_that_makes_no_sense_is_believed_in_nothing(http: Http, page: object):
    async with serving(paged(page)) as server:
        vapi = made(http, server.url)
        error = await error_of(vapi.assistants.find_copy(vapi.open(KEY, LIMIT), "client_1"))
    assert error.kind is ErrorKind.MALFORMED_REPLY
    assert len(server.asked) == 1


async def test_a_list_that_repeats_itself_ends(http: Http):
    async with serving(paged(page_of(*["2026-11-23T12:00:00.000Z"] * 100))) as server:
        vapi = made(http, server.url)
        assert await vapi.assistants.find_copy(vapi.open(KEY, LIMIT), "client_1") is None
    assert [asked.target for asked in server.asked] == [
        "/assistant?limit=100",
        "/assistant?limit=100&createdAtLt=2026-11-23T12:00:00.001Z",
    ]


async def test_a_list_that_never_ends_is_given_up(http: Http):
    made_up = 0

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal made_up
        made_up += 100
        await reply(200, page_of(*["2026-11-23T12:00:00Z"] * 100, beginning=made_up))(asked, writer)

    async with serving(script) as server:
        vapi = made(http, server.url)
        error = await error_of(vapi.assistants.find_copy(vapi.open(KEY, LIMIT), "client_1"))
    assert error.kind is ErrorKind.MALFORMED_REPLY
    assert len(server.asked) == 500


@pytest.mark.parametrize(
    "marked", [None, "client_1", ["client_1"], {"callrouter_marker": ["client_1"]}, {"other": "client_1"}]
)
async def test_metadata_of_any_shape_is_not_taken_for_our_marker(http: Http, marked: object):
    async with serving(reply(200, [{"id": ID, "createdAt": "2026-11-23T12:00:00Z", "metadata": marked}])) as server:
        vapi = made(http, server.url)
        assert await vapi.assistants.find_copy(vapi.open(KEY, LIMIT), "client_1") is None


@pytest.mark.parametrize(
    "model",
    [
        None,
        "gpt",
        {"tools": {"type": "query"}},
        {"tools": [None, {"type": "query"}, {"type": "query", "knowledgeBases": {"fileIds": ["x"]}}]},
        {"tools": [{"type": "query", "knowledgeBases": ["x", {"fileIds": "x"}, {"fileIds": ["../call", 7, None]}]}]},
    ],
)
async def test_a_copy_of_any_shape_has_no_parts_that_could_lead_elsewhere(http: Http, model: object):
    found = {
        "id": ID,
        "createdAt": "2026-11-23T12:00:00Z",
        "metadata": {"callrouter_marker": "client_1"},
        "model": model,
    }
    async with serving(reply(200, [found])) as server:
        vapi = made(http, server.url)
        assert await vapi.assistants.find_copy(vapi.open(KEY, LIMIT), "client_1") == Copy(ID)


async def test_parts_that_would_lead_elsewhere_are_not_followed(http: Http):
    async with serving(reply(200, {})) as server:
        vapi = made(http, server.url)
        error = await error_of(
            vapi.assistants.delete_copy(vapi.open(KEY, LIMIT), Copy(ID, {"file_1": "../call/1"}), ())
        )
    assert error.kind is ErrorKind.BAD_REQUEST
    assert all("call" not in asked.target for asked in server.asked)


async def test_a_link_whose_tools_are_of_any_shape_keeps_them_as_they_are(http: Http):
    odd = {"id": ID, "model": {"provider": "openai", "tools": ["x", None, {"function": "transfer"}]}}
    async with serving(reply(200, odd)) as server:
        vapi = made(http, server.url)
        await vapi.assistants.manage_link(vapi.open(KEY, LIMIT), ID, ("transfer", "webhook"), WIRING)
    assert server.last.json["model"]["tools"][:-1] == odd["model"]["tools"]
