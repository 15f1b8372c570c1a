"""Whatever Retell answers about assistants, it ends in one of our errors, within its time, and without the key."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adapters.base import ErrorKind
from adapters.http import Http
from adapters.portable import Copy
from adapters.provider import Provider
from tests.adapters.canary import assert_clean, shows
from tests.adapters.loopback import Asked, reply, serving
from tests.adapters.refusals import FAULTS, KEY, error_of, limit_for
from tests.adapters.retell.conftest import ACME, WIRING
from tests.support.adapters import retell_at

pytestmark = pytest.mark.anyio

COPY = Copy("agent_1", {"marker": ACME.marker, "llm": "llm_1", "knowledge_base": "kb_1"}, "0")
WORK: dict[str, Callable[[Provider[Any], float], Awaitable[object]]] = {
    "put": lambda retell, limit: retell.assistants.put_copy(retell.open(KEY, limit), ACME, WIRING, None, []),
    "find": lambda retell, limit: retell.assistants.find_copy(retell.open(KEY, limit), ACME.marker),
    "link": lambda retell, limit: retell.assistants.check_link(retell.open(KEY, limit), "agent_1"),
    "lines": lambda retell, limit: retell.count_lines(retell.open(KEY, limit)),
    "numbers": lambda retell, limit: retell.shop.list_numbers(retell.open(KEY, limit)),
}
SAMPLE = (
    "401",
    "403",
    "429",
    "500",
    "redirect",
    "empty",
    "a page with 200",
    "a text",
    "half an object",
    "endless depth",
)
SAMPLE += ("no HTTP", "reset", "silent", "echo in 401", "echo in 400", "echo in 500", "echo in 200")


@pytest.mark.parametrize("fault", SAMPLE)
@pytest.mark.parametrize("work", ["put", "find"])
async def test_every_failure_has_its_kind(http: Http, caplog: pytest.LogCaptureFixture, fault: str, work: str):
    caplog.set_level(logging.DEBUG)
    script, kind = FAULTS[fault]
    async with serving(script) as server:
        error = await error_of(WORK[work](retell_at(http, server.url, ""), limit_for(kind, fault)))
    assert (error.kind, len(server.asked)) == (kind, 1)
    assert_clean(error, frames=fault != "echo in 200")
    assert not shows(caplog.text)


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        {"items": None},
        {"items": [7], "has_more": False},
        {"items": [{"agent_id": "../delete-agent/x", "llm_id": "a/b", "phone_number": "1"}], "has_more": False},
        {"agent_id": "agent_1", "version": "first", "is_published": True, "items": [{"is_published": True}]},
        {"agent_id": "../x", "version": 0},
        {"concurrency_limit": None},
    ],
)
async def test_answers_of_another_shape_are_malformed(http: Http, work: str, answer: object):
    async with serving(reply(200, answer)) as server:
        error = await error_of(WORK[work](retell_at(http, server.url, ""), 5))
    assert error.kind in {ErrorKind.MALFORMED_REPLY, ErrorKind.BAD_REQUEST}
    assert_clean(error)
    assert all(".." not in asked.target and "a/b" not in asked.target for asked in server.asked)


async def test_a_list_without_end_ends(http: Http):
    async with serving(reply(200, {"items": [], "has_more": True, "pagination_key": "again"})) as server:
        retell = retell_at(http, server.url, "")
        error = await error_of(retell.shop.list_numbers(retell.open(KEY, 5)))
    assert error.kind is ErrorKind.MALFORMED_REPLY
    assert len(server.asked) == 2


@pytest.mark.parametrize("following", [None, 7, ""])
async def test_more_without_saying_where_is_malformed(http: Http, following: object):
    answer = {"items": [], "has_more": True, "pagination_key": following}
    async with serving(reply(200, answer)) as server:
        retell = retell_at(http, server.url, "")
        error = await error_of(retell.shop.list_numbers(retell.open(KEY, 5)))
    assert error.kind is ErrorKind.MALFORMED_REPLY


async def test_what_cannot_be_deleted_is_said(http: Http):
    async with serving(reply(500)) as server:
        retell = retell_at(http, server.url, "")
        error = await error_of(retell.assistants.delete_copy(retell.open(KEY, 5), Copy("agent_1"), []))
    assert error.kind is ErrorKind.PROVIDER_ERROR
    assert server.last.target == "/delete-agent/agent_1"


@pytest.mark.parametrize("status", [404, 422])
async def test_what_is_gone_is_as_good_as_deleted(http: Http, status: int):
    async def script(asked: Asked, writer: Any) -> None:
        answer = reply(200, []) if asked.target == "/list-knowledge-bases" else reply(status, {"message": "gone"})
        await answer(asked, writer)

    async with serving(script) as server:
        retell = retell_at(http, server.url, "")
        await retell.assistants.delete_copy(retell.open(KEY, 5), COPY, [])
    assert [(asked.method, asked.target) for asked in server.asked[1:]] == [
        ("DELETE", "/delete-agent/agent_1"),
        ("DELETE", "/delete-retell-llm/llm_1"),
        ("DELETE", "/delete-knowledge-base/kb_1"),
    ]


async def test_a_draft_without_an_llm_is_not_published(http: Http):
    """Should Retell answer a new draft without its engine, nothing is changed blindly."""
    agent = {"agent_id": "agent_1", "version": 0, "is_published": True}
    engine = {"type": "retell-llm", "llm_id": "llm_1", "version": 0}
    answers: dict[str, object] = {
        "/get-agent/agent_1": {**agent, "response_engine": engine},
        "/get-retell-llm/llm_1": {"llm_id": "llm_1"},
        "/list-knowledge-bases": [{"knowledge_base_id": "kb_9", "knowledge_base_name": "Somebody's"}],
        "/create-knowledge-base": {"knowledge_base_id": "kb_1"},
        "/create-agent-version/agent_1": {**agent, "version": 1},
    }

    async def script(asked: Asked, writer: Any) -> None:
        await reply(200, json.dumps(answers[asked.target.partition("?")[0]]).encode())(asked, writer)

    async with serving(script) as server:
        retell = retell_at(http, server.url, "")
        error = await error_of(retell.assistants.put_copy(retell.open(KEY, 5), ACME, WIRING, COPY, []))
    assert error.kind is ErrorKind.MALFORMED_REPLY
    assert server.last.target == "/create-agent-version/agent_1"
