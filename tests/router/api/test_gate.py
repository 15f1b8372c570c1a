"""What holds before an operation sees a request: who asks, what is theirs, and how much may be sent."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from datetime import timedelta
from types import SimpleNamespace
from typing import Annotated, Any

import httpx
import pytest
from pydantic import Field
from starlette.responses import StreamingResponse
from starlette.routing import Router

from crypto import Secret
from router.api.app import make_app
from router.api.auth import Actor, Authentication
from router.api.gate import Gate
from router.api.limits import Uses
from router.api.open_answers import OpenAnswers
from router.api.route import LARGE_BODY_LIMIT, OperatorRoute, resource
from router.clock import utc_now
from router.errors import (
    ConflictError,
    CrowdedError,
    InvalidError,
    KeyRejectedError,
    NoKeyError,
    NotFoundError,
    NumberNotFoundError,
    UnreachableError,
)
from router.fields import Input, Query, QueryE164, WholeNumber
from router.peers import Proxies, WrongTokens
from tests.router.api.client import ADMIN_TOKEN, Problem
from tests.support.local_http import local_client
from tests.support.serving import serve_app

pytestmark = pytest.mark.anyio

PATH = "/v1/things/{thing}"
router, operators = resource("things"), resource("things", OperatorRoute)


class Thing(Input):
    name: Annotated[str, Field(min_length=1, max_length=3)] = "a"
    size: Annotated[int, WholeNumber(5, 60)] = 5
    kinds: Annotated[list[int], Field(default_factory=list)]
    on: bool = True


class Wanted(Query):
    caller: Annotated[QueryE164 | None, Field(alias="from")] = None


@router.get(PATH)
async def show(thing: str) -> dict[str, Any]:
    return {"id": thing}


@router.post(PATH)
async def change(thing: str, body: Thing) -> dict[str, Any]:
    return {"id": thing, "name": body.name}


@router.put(PATH, max_body_size=LARGE_BODY_LIMIT)
async def replace(thing: str, body: Thing) -> dict[str, Any]:
    return {"id": thing, "name": body.name}


@router.get("/v1/endless", response_class=StreamingResponse)
async def go_on() -> StreamingResponse:
    async def endless():
        while True:
            yield "more"

    return StreamingResponse(endless())


@router.get("/v1/errors/{name}")
async def fail(name: str) -> None:
    raise ERRORS[name]


@operators.get("/v1/operators")
async def show_operators() -> dict[str, Any]:
    return {}


@router.get("/v1/agencies/{agency}/download", response_class=StreamingResponse)
async def download(agency: str) -> StreamingResponse:
    async def endless():
        while True:
            yield b"more"
            await asyncio.sleep(0)

    return StreamingResponse(endless(), headers={"content-length": "1000000000"} if agency == "sized" else {})


ERRORS = {
    "not-found": NotFoundError("thing"),
    "invalid": InvalidError("size", "must be small"),
    "conflict": ConflictError("It is on."),
    "no-key": NoKeyError("There is none."),
    "key-rejected": KeyRejectedError("It was refused."),
    "provider-unreachable": UnreachableError("It is away.", retry_after=5),
    "number-not-found": NumberNotFoundError("It is not there."),
    "rate-limited": CrowdedError("Too many.", retry_after=10),
}
STATUS = dict(zip(ERRORS, (404, 422, 409, 422, 422, 503, 422, 429), strict=True))


class Reader:
    """Finds that its token is of an agency, and expires in a moment or never; or that the agency is gone."""

    def __init__(self) -> None:
        self.answers = OpenAnswers(SimpleNamespace(settings=self))
        self.clock = utc_now
        self.database = SimpleNamespace(settings=None)
        self.actor = Actor("token_1", "sized")
        self.uses = Uses()

    async def identify(self, headers: Any, address: str | None) -> Actor:
        del headers, address
        return self.actor

    async def fetch(self, *_: Any) -> list[tuple[str]]:
        return [("token_1",)]


@pytest.mark.parametrize("agency", ["sized", "streamed"])
@pytest.mark.parametrize("ends", ["revoked", "expired"])
async def test_a_download_breaks_off_with_its_token(captured_events, agency, ends):  # noqa: ARG001
    reader = Reader()
    expires = utc_now() + timedelta(seconds=0.5) if ends == "expired" else None
    reader.actor = Actor("token_1", agency, expires_at=expires)
    operations = [*router.routes]
    gate = Gate(make_app({}), operations, reader, Proxies(), reader.answers, reader.uses)  # type: ignore[arg-type]
    async with (
        serve_app(Router([gate])) as url,
        local_client(base_url=url, timeout=30) as client,
        client.stream("GET", f"/v1/agencies/{agency}/download") as response,
    ):
        parts = response.aiter_raw()
        assert await anext(parts)
        if ends == "revoked":
            await reader.answers.check("another")
            assert await anext(parts)
            await reader.answers.check(agency)
        with suppress(httpx.RemoteProtocolError) if agency == "streamed" else pytest.raises(httpx.RemoteProtocolError):
            async with asyncio.timeout(30):
                async for _ in parts:
                    pass


@pytest.fixture
async def things(captured_events):  # noqa: ARG001 - it watches the log
    """The operator's client of a small API behind the gate."""
    operations = [*router.routes, *operators.routes]
    nothing = SimpleNamespace(settings=None)
    authentication = Authentication(nothing, Secret(ADMIN_TOKEN), WrongTokens(utc_now), utc_now)
    gate = Gate(make_app({}), operations, authentication, Proxies(), OpenAnswers(nothing), Uses())
    headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(Router([gate])), base_url="http://api", headers=headers
    ) as client:
        yield client


def sized(length: int) -> bytes:
    return json.dumps({"name": "b"}).encode().ljust(length)


@pytest.mark.parametrize(("method", "limit"), [("POST", 64 << 10), ("PUT", 1 << 20)])
async def test_a_body_is_bounded_by_what_the_operation_takes(things, method, limit):
    assert (await things.request(method, "/v1/things/1", content=sized(limit))).json() == {"id": "1", "name": "b"}
    refused = Problem.read(await things.request(method, "/v1/things/1", content=sized(limit + 1)))
    assert (refused.status, refused.name) == (413, "too-large")
    assert f"{limit // 1024} kB" in refused.detail


MANY = {
    "unknown fields": b'{"f":1' + b',"f":1' * 10_000,
    "entries of a list": b'{"kinds":[1' + b",1" * 30_000,
    "empty lists": b'{"kinds":[' + b"[],[]," * 9_000,
    "empty objects": b'{"kinds":[' + b"{},{}," * 9_000,
    "lists in lists": b"[" * 60_000,
    "objects in objects": b'{"a":' * 12_000,
    "commas that are no JSON": b"," * 60_000,
}


@pytest.mark.parametrize("body", MANY.values(), ids=MANY)
async def test_a_body_of_too_many_parts_is_refused_before_it_is_parsed(things, body):
    """None of these is JSON, which is not noticed."""
    refused = Problem.read(await things.post("/v1/things/1", content=body))
    assert (refused.status, refused.name) == (413, "too-large")
    assert "2048 commas" in refused.detail


@pytest.mark.parametrize(
    "body", [{f"f{number}": 1 for number in range(2001)}, {"kinds": [[1] * 1000, {"a": [1] * 1000}]}]
)
async def test_fields_and_entries_are_counted_where_prose_may_have_many_commas(things, body):
    refused = Problem.read(await things.put("/v1/things/1", json=body))
    assert (refused.status, refused.name) == (413, "too-large")
    assert "2000 fields" in refused.detail


async def test_a_long_text_may_have_as_many_commas_as_texts_have(things):
    text = "You answer the phone, and you are kind, for a salon. " * 15_000
    assert Problem.read(await things.put("/v1/things/1", json={"name": text})).fields == ("name",)


async def test_the_reply_is_short_whatever_was_sent(things):
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(90):
        inner["x" * 600] = inner = {}
    inner["y"] = float("inf")
    for body in ({"x" * 300 + str(number): 1 for number in range(150)}, {"kinds": ["x"] * 1900}, deep):
        refused = await things.post("/v1/things/1", content=json.dumps(body))
        assert Problem.read(refused).name == "invalid"
        assert len(refused.content) < 8_000


async def test_a_body_is_json_whatever_it_is_called(things):
    for media in ("text/plain", "application/x-www-form-urlencoded", ""):
        response = await things.post("/v1/things/1", content=b'{"name": "b"}', headers={"content-type": media})
        assert response.status_code == 200


@pytest.mark.parametrize("path", ["/v1/things/1", "/v1/errors/not-found", "/v1/endless"])
async def test_a_query_parameter_that_there_is_not_is_named(things, path):
    problem = Problem.read(await things.get(path, params={"limit": "1", "nam": "x"}))
    assert (problem.status, problem.name, problem.fields) == (422, "invalid", ("limit", "nam"))
    assert "is not a parameter here" in problem.detail


async def test_a_query_parameter_with_nul_is_refused(things):
    problem = Problem.read(await things.get("/v1/things/1", params={"limit": "1\0"}))
    assert "limit: must not hold NUL characters" in problem.detail
    assert problem.status == 422


async def test_at_most_twenty_errors_are_named_and_the_others_counted(things):
    problem = Problem.read(await things.post("/v1/things/1", json={"kinds": ["x"] * 50}))
    assert len(problem.fields) == 20
    assert problem.detail.endswith("and 30 more")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"name": ""}, "name: must not be empty"),
        ({"name": "abcd"}, "name: must have at most 3 characters"),
        ({"name": 7}, "name: must be a string"),
        ({"size": 4}, "size: must be a whole number from 5 to 60"),
        ({"size": "10"}, "size: must be a whole number from 5 to 60"),
        ({"kinds": 1}, "kinds: must be a list"),
        ({"kinds": [1.5]}, "kinds.0: must be a whole number"),
        ({"on": "yes"}, "on: must be true or false"),
        ({"colour": "red"}, "colour: is not a field here; see /openapi.json for those that are"),
    ],
)
async def test_what_is_wrong_is_said_in_our_words(things, body, said):
    assert Problem.read(await things.post("/v1/things/1", json=body)).detail == said


async def test_a_whole_number_may_be_written_with_a_zero_fraction(things):
    assert (await things.post("/v1/things/1", json={"size": 10.0})).status_code == 200


async def test_a_value_that_was_sent_is_never_repeated(things, captured_events):
    for body in ({"name": "sk_live_of_somebody"}, {"size": "sk_live_of_somebody"}, {"on": ["sk_live_of_somebody"]}):
        assert "sk_live" not in (await things.post("/v1/things/1", json=body)).text
    assert "sk_live" not in captured_events.text()


@pytest.mark.parametrize("name", ERRORS)
async def test_an_error_of_the_domain_is_its_problem(things, name):
    response = await things.get(f"/v1/errors/{name}")
    problem = Problem.read(response)
    assert (problem.status, problem.name, problem.detail) == (STATUS[name], name, ERRORS[name].detail)
    wait = ERRORS[name].retry_after
    assert response.headers.get("retry-after") == (None if wait is None else str(wait))


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/things", "/v1/things/1/2", "/v1/things/1%0A", "/v1/operators%0A"])
async def test_an_address_that_there_is_not_is_a_problem_whatever_is_in_it(things, path):
    assert Problem.read(await things.get(path)).name == "not-found"


async def test_head_of_what_goes_on_and_on_ends(things):
    response = await things.head("/v1/endless")
    assert (response.status_code, response.content) == (200, b"")


async def test_a_method_that_an_address_does_not_take_is_told_those_it_does(things):
    response = await things.delete("/v1/things/1")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST, PUT")


async def test_the_operators_operations_are_there_for_the_operator(things):
    assert (await things.get("/v1/operators")).json() == {}
