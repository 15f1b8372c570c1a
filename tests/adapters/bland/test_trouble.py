"""Whatever Bland answers about assistants and numbers, an error says what kind it is and holds no secret of anybody's."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import ErrorKind, ProviderError
from adapters.bland.settings import is_made_by_hand, marker_on
from adapters.facets import NumberOrder
from adapters.http import Http
from adapters.portable import Copy, Credentials, NativeNumber, Registration
from adapters.provider import Provider
from crypto.secret import Secret
from tests.adapters.bland.conftest import SIP
from tests.adapters.bland.examples import ACME, LIMIT, PLAIN, TOKEN, WIRING, on
from tests.adapters.canary import CANARY, assert_clean, shows
from tests.adapters.loopback import Asked, Script, reply, serving
from tests.adapters.refusals import FAULTS, KEY, error_of, limit_for
from tests.support.adapters import bland_at

pytestmark = pytest.mark.anyio

NUMBER = "+14155550101"
ENCRYPTED = "encrypted-canary-c41f0b7d92e86a53"
AUTH_TOKEN = "tw1l10-canary-77ab29d4e0c6513f"
SECRETS = (CANARY, ENCRYPTED, AUTH_TOKEN, TOKEN)
UPLOADED = Registration(NUMBER, "sip", {"encrypted_key": ENCRYPTED})
NATIVE = NativeNumber(NUMBER, NUMBER)
COPY = Copy(None, {"marker": "client_1", "tool:book_x": "TL-1", "knowledge:Acme_x": "kb_1"})
CREDENTIALS = Credentials("AC" + "0" * 32, Secret(AUTH_TOKEN))
CONNECTED = Credentials("AC" + "0" * 32, Secret(AUTH_TOKEN), connection={"encrypted_key": ENCRYPTED})

Operation = Callable[[Provider[Any], float], Awaitable[object]]
OPERATIONS: dict[str, Operation] = {
    "find an assistant": lambda bland, limit: bland.assistants.find_copy(bland.open(KEY, limit), "client_1"),
    "put an assistant": lambda bland, limit: bland.assistants.put_copy(
        bland.open(KEY, limit), ACME, WIRING, COPY, [UPLOADED]
    ),
    "delete an assistant": lambda bland, limit: bland.assistants.delete_copy(bland.open(KEY, limit), COPY, [UPLOADED]),
    "check a link": lambda bland, limit: bland.assistants.check_link(bland.open(KEY, limit), NUMBER),
    "manage a link": lambda bland, limit: bland.assistants.manage_link(
        bland.open(KEY, limit), NUMBER, ["webhook", "transfer"], WIRING
    ),
    "find a registration": lambda bland, limit: bland.registrations.find(bland.open(KEY, limit), NUMBER),
    "connect and register": lambda bland, limit: bland.registrations.register(
        bland.open(KEY, limit), NUMBER, CREDENTIALS, COPY, None
    ),
    "register": lambda bland, limit: bland.registrations.register(
        bland.open(KEY, limit), NUMBER, CONNECTED, COPY, None
    ),
    "assign a registration": lambda bland, limit: bland.registrations.assign(
        bland.open(KEY, limit), UPLOADED, None, None
    ),
    "unregister": lambda bland, limit: bland.registrations.unregister(bland.open(KEY, limit), UPLOADED),
    "list numbers": lambda bland, limit: bland.shop.list_numbers(bland.open(KEY, limit)),
    "buy a number": lambda bland, limit: bland.shop.buy(
        bland.open(KEY, limit), NumberOrder("US", "415", "us", COPY, WIRING, None)
    ),
    "assign a number": lambda bland, limit: bland.shop.assign(bland.open(KEY, limit), NATIVE, None, WIRING, None),
    "release a number": lambda bland, limit: bland.shop.release(bland.open(KEY, limit), NATIVE),
}
FINE_WHEN_GONE = {"find a registration", "delete an assistant", "unregister", "release a number"}
VAGUE = {"404", "422", "an empty object", "echo in 400"}  # what these mean depends on what was asked


def assert_keeps_secrets(error: ProviderError, *, frames: bool = True) -> None:
    for secret in SECRETS:
        assert_clean(error, secret, frames=frames)


@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - VAGUE))
async def test_every_failure_has_its_kind_and_is_not_repeated(http: Http, caplog: pytest.LogCaptureFixture, fault: str):
    caplog.set_level(logging.DEBUG)
    script, kind = FAULTS[fault]

    async def fail(name: str) -> None:
        async with serving(script) as server:
            error = await error_of(OPERATIONS[name](bland_at(http, server.url, SIP), limit_for(kind, fault)))
        assert error.kind is kind, name
        assert error.retry_after == (3 if fault == "429" else None), name
        # aiohttp itself asks once more where a connection broke and asking changes nothing.
        assert sum(asked.method == "POST" for asked in server.asked) <= 1, name
        # A parsed 2xx stands in a frame of the adapter until the error is dropped; the key that it echoes with it.
        assert_keeps_secrets(error, frames=fault != "echo in 200")

    await asyncio.gather(*map(fail, OPERATIONS))
    assert not any(shows(caplog.text, secret) for secret in SECRETS)


@pytest.mark.parametrize("name", OPERATIONS)
async def test_what_is_not_there(http: Http, name: str):
    async with serving(reply(404, {"data": None, "errors": [{"message": "Inbound number not found"}]})) as server:
        done = OPERATIONS[name](bland_at(http, server.url, SIP), LIMIT)
        if name == "find a registration":
            assert await done is None
        elif name in {"unregister", "release a number"}:
            await done
        else:
            assert (await error_of(done)).kind is ErrorKind.BAD_REQUEST


@pytest.mark.parametrize("status", [200, 400, 422, 500])
@pytest.mark.parametrize("form", ["status", "errors"])
async def test_what_bland_repeats_of_a_request_is_shown_without_its_secrets(http: Http, status: int, form: str):
    async def tell_all(asked: Asked, writer: asyncio.StreamWriter) -> None:
        sent = f"{asked.body.decode()} {json.dumps(dict(asked.headers))}"
        said = "; ".join(secret for secret in SECRETS if secret in sent)
        body = {"status": "error", "message": said} if form == "status" else {"errors": [{"message": said}]}
        await reply(status, body)(asked, writer)

    for name, operation in OPERATIONS.items():
        async with serving(tell_all) as server:
            error = await error_of(operation(bland_at(http, server.url, SIP), LIMIT))
        assert error.kind is (ErrorKind.PROVIDER_ERROR if status == 500 else ErrorKind.BAD_REQUEST), name
        assert error.said, name
        assert_keeps_secrets(error, frames=status != 200)


@pytest.mark.parametrize("name", ["put an assistant", "manage a link", "assign a registration", "assign a number"])
async def test_nor_when_settings_are_written(http: Http, name: str):
    async def tell_all(asked: Asked, writer: asyncio.StreamWriter) -> None:
        sent = f"{asked.body.decode()} {json.dumps(dict(asked.headers))}"
        refused = reply(400, {"message": "; ".join(secret for secret in SECRETS if secret in sent)})
        await (refused if asked.method == "POST" and asked.target == AT_NUMBER else by_path(NOTHING))(asked, writer)

    async with serving(tell_all) as server:
        error = await error_of(OPERATIONS[name](bland_at(http, server.url, SIP), LIMIT))
    assert "[key]" in error.said
    assert_keeps_secrets(error)


async def test_an_error_under_a_success_is_told_in_blands_words(http: Http):
    async with serving(reply(200, {"status": "error", "message": "Number is ported out"})) as server:
        bland = bland_at(http, server.url, SIP)
        error = await error_of(bland.registrations.unregister(bland.open(KEY, LIMIT), UPLOADED))
    assert (error.kind, error.said) == (ErrorKind.BAD_REQUEST, "Number is ported out")


def by_path(answers: dict[str, object]) -> Script:
    """Each path its answer; the rest is a success that says nothing."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        path = asked.target.partition("?")[0]
        await reply(200, answers.get(f"{asked.method} {path}", answers.get(path, {})))(asked, writer)

    return script


AT_NUMBER = "/v1/inbound/%2B14155550101"
NOTHING: dict[str, object] = {
    "GET /v1/tools": {"tools": []},
    "/v1/knowledge": {"data": {"kbs": [], "total": 0}},
    AT_NUMBER: {"prompt": "x", "tools": []},
    "POST /v1/tools": {"tool_id": "TL-1"},
    "/v1/knowledge/learn": {"data": {"id": "kb_1"}},
}


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("POST /v1/tools", {"tool_id": "../inbound"}),
        ("POST /v1/tools", {"tool_id": 7}),
        ("POST /v1/tools", {"status": "success"}),
        ("/v1/knowledge/learn", {"data": {"id": "kb/../../me"}}),
        ("/v1/knowledge/learn", {"data": None}),
        ("GET /v1/tools", {"tools": {"a": 1}}),
        ("GET /v1/tools", {"status": "success"}),
        ("/v1/knowledge", {"data": {"kbs": None}}),
    ],
)
async def test_an_answer_that_fits_nothing_is_malformed(http: Http, path: str, answer: object):
    async with serving(by_path({**NOTHING, path: answer})) as server:
        bland = bland_at(http, server.url, SIP)
        error = await error_of(bland.assistants.put_copy(bland.open(KEY, LIMIT), ACME, WIRING, None, on(NUMBER)))
    assert error.kind is ErrorKind.MALFORMED_REPLY
    assert {asked.target.partition("?")[0] for asked in server.asked} <= {
        "/v1/tools",
        "/v1/knowledge",
        "/v1/knowledge/learn",
    }


async def test_odd_entries_of_lists_are_passed_over(http: Http):
    odd: list[Any] = [None, 7, {}, {"tool_id": "TL-9", "tool": None}, {"tool_id": None, "tool": {"name": "x"}}]
    odd_numbers: list[Any] = [
        None,
        {"phone_number": 1},
        {"phone_number": "../x"},
        {"phone_number": NUMBER, "metadata": 1},
    ]
    answers = {
        "GET /v1/tools": {"data": {"tools": odd}},
        "/v1/knowledge": {"data": {"kbs": [None, {"id": "../x", "name": "y"}]}},
        "/v1/inbound": {"inbound_numbers": odd_numbers},
    }
    async with serving(by_path(answers)) as server:
        bland = bland_at(http, server.url, SIP)
        assert await bland.assistants.find_copy(bland.open(KEY, LIMIT), "client_1") is None
        assert await bland.shop.list_numbers(bland.open(KEY, LIMIT)) == [NATIVE]


async def test_lists_without_an_end_are_read_to_some_end(http: Http):
    page = {"data": {"kbs": [{"id": f"kb_{each}", "name": "Theirs"} for each in range(100)], "total": 10**9}}
    async with serving(by_path({**NOTHING, "/v1/knowledge": page})) as server:
        bland = bland_at(http, server.url, SIP)
        await bland.assistants.put_copy(bland.open(KEY, LIMIT), ACME, WIRING, None, [])
    assert sum(asked.target.startswith("/v1/knowledge?") for asked in server.asked) == 100


async def test_settings_that_bland_says_it_did_not_take_are_named(http: Http):
    answer = {"status": "success", "failed_updates": {"voice": "unknown voice", "theirs": 1}}
    async with serving(by_path({**NOTHING, f"POST {AT_NUMBER}": answer})) as server:
        bland = bland_at(http, server.url, SIP)
        error = await error_of(bland.assistants.put_copy(bland.open(KEY, LIMIT), ACME, WIRING, None, on(NUMBER)))
    assert (error.kind, error.said) == (ErrorKind.BAD_REQUEST, f"Bland did not take voice for {NUMBER}")


@pytest.mark.parametrize("encrypted_key", [None, 7, "", "a b", "x\r\nx-evil: 1", "é", "x" * 5000])
async def test_a_key_for_the_account_that_no_header_can_hold_is_malformed(http: Http, encrypted_key: object):
    async with serving(by_path({"/v1/accounts": {"encrypted_key": encrypted_key}})) as server:
        bland = bland_at(http, server.url, SIP)
        error = await error_of(bland.registrations.register(bland.open(KEY, LIMIT), NUMBER, CREDENTIALS, None, None))
    assert (error.kind, len(server.asked)) == (ErrorKind.MALFORMED_REPLY, 1)


@pytest.mark.parametrize("e164", [None, 7, "12", "+1415555x101", {"a": 1}])
async def test_a_purchase_that_names_no_number_is_malformed_and_not_repeated(http: Http, e164: object):
    async with serving(reply(200, {"phone_number": e164})) as server:
        bland = bland_at(http, server.url, SIP)
        error = await error_of(
            bland.shop.buy(bland.open(KEY, LIMIT), NumberOrder("US", None, "us", None, WIRING, None))
        )
    assert (error.kind, len(server.asked)) == (ErrorKind.MALFORMED_REPLY, 1)


async def test_only_the_number_on_that_account_is_asked_about_with_its_key(http: Http):
    async with serving(by_path(NOTHING)) as server:
        bland = bland_at(http, server.url, SIP)
        await bland.assistants.put_copy(
            bland.open(KEY, LIMIT), PLAIN, WIRING, Copy(None), [UPLOADED, *on("+14155550102")]
        )
    held = {asked.target for asked in server.asked if "encrypted_key" in asked.headers}
    assert held == {AT_NUMBER}
    assert {asked.headers["authorization"] for asked in server.asked} == {CANARY}


ODD = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))


@given(st.dictionaries(st.sampled_from(["metadata", "pathway_id", "persona_id"]), ODD))
def test_odd_settings_are_nobodys(settings: dict[str, object]):
    assert marker_on(settings) is None
    assert is_made_by_hand(settings) == any(settings.get(name) for name in ("pathway_id", "persona_id"))
