from __future__ import annotations

from dataclasses import replace

import pytest
from starlette.applications import Starlette

from adapters.registry import PROVIDERS
from router.api.app import api_operations
from router.store.pool import make_database
from tests.router.api.client import ADMIN_TOKEN, Api, Problem
from tests.support.serving import serve_app

pytestmark = pytest.mark.anyio

ENDPOINTS = api_operations(PROVIDERS)
OPERATIONS = [(endpoint.method, endpoint.path) for endpoint in ENDPOINTS]
OF_AN_AGENCY = [(method, path) for method, path in OPERATIONS if "{agency}" in path]


def fill(path: str, agency_id: str) -> str:
    """The path with ids of nothing, but for the agency's."""
    filled = path.replace("{agency}", agency_id).replace("{e164}", "%2B15005550101")
    for name in ("client", "token", "call", "voicemail", "endpoint"):
        filled = filled.replace(f"{{{name}}}", f"{name}_nobody")
    return filled


async def test_a_request_without_a_valid_token_is_refused(api, clock):
    for method, path in OPERATIONS:
        clock.move(minutes=1)  # wrong tokens are limited
        for header in ({}, bearer("wrong"), {"authorization": f"Basic {ADMIN_TOKEN}"}):
            response = await api.http.request(method, fill(path, "agency_x"), headers=header)
            assert response.status_code == 401, (method, path)
            assert response.headers["www-authenticate"].startswith("Bearer")
            assert Problem.read(response).name == "unauthorized"


async def test_an_agencys_token_finds_nothing_under_another_agency(api):
    mine, theirs = await api.new_agency("Mine"), await api.new_agency("Theirs")
    for method, path in OF_AN_AGENCY:
        problem = await api.refusal(method, fill(path, theirs.id), token=mine.token)
        assert (problem.status, problem.name) == (404, "not-found"), (method, path)
        assert problem == await api.refusal(method, fill(path, "agency_nobody"), token=mine.token)


async def test_the_operator_finds_nothing_under_an_agency_that_there_is_not(api):
    for method, path in OF_AN_AGENCY:
        assert (await api.refusal(method, fill(path, "agency_nobody"))).status == 404


async def test_what_an_agency_does_not_have_is_not_found(api):
    agency = await api.new_agency()
    for endpoint in ENDPOINTS:
        if endpoint.method in ("GET", "DELETE") and endpoint.path.count("{") > 1:
            path = fill(endpoint.path, agency.id)
            assert (await api.refusal(endpoint.method, path, token=agency.token)).name == "not-found", path


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/agency", "/v1/agencies/", "/v1/agencies/a/keys/openai"])
async def test_an_address_that_there_is_not_is_a_problem_too(api, path):
    problem = await api.refusal("GET", path)
    assert (problem.status, problem.name) == (404, "not-found")


async def test_a_method_that_an_address_does_not_take_is_told_those_it_does(api):
    response = await api.send("PUT", "/v1/agencies", {})
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, POST"
    assert "GET, POST" in Problem.read(response).detail


async def test_ids_that_the_database_cannot_hold_are_not_found(api):
    for name in ("%00", "a%00b", "%F0%9F%98%80", "a%20b", "x" * 200):
        assert (await api.http.get(f"/v1/agencies/{name}", headers=bearer())).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"name"',
        b"\xff\xfe",
        b'{"name": "\\ud800"}',
        b'{"name": "a\\u0000b"}',
        b'{"name": NaN}',
        b'{"name": 1e999}',
        b'{"name": ' + b"9" * 5000 + b"}",
        b"[" * 2_000,
        b'{"name":' + b'{"a":' * 500 + b"1" + b"}" * 501,
    ],
)
async def test_an_unusable_body_is_refused_with_a_reason(api, body):
    response = await api.http.post("/v1/agencies", content=body, headers=bearer())
    problem = Problem.read(response)
    assert (problem.status, problem.name) == (422, "invalid")
    assert problem.detail


async def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(api):
    async def endless():
        for _ in range(40):
            yield b" " * 64 * 1024

    declared = await api.http.post("/v1/agencies", content=b" " * ((64 << 10) + 1), headers=bearer())
    undeclared = await api.http.post("/v1/agencies", content=endless(), headers=bearer())
    for response in (declared, undeclared):
        assert (Problem.read(response).status, Problem.read(response).name) == (413, "too-large")
    assert (await api.get("/v1/agencies"))["items"] == []


async def test_a_body_is_not_read_before_the_token_is_known(api):
    response = await api.http.post("/v1/agencies", content=b"x" * (2 << 20), headers=bearer("wrong"))
    assert response.status_code == 401


async def test_all_that_is_wrong_is_said_at_once(api):
    agency = await api.new_agency()
    body = {"personal_phone": "5550123", "caller_id": "me", "routing": {"ring_seconds": "15"}}
    problem = await api.refusal("POST", f"{agency.path}/clients", body)
    assert set(problem.fields) == {"name", "personal_phone", "caller_id", "routing.ring_seconds"}


async def test_answers_may_not_be_cached(api):
    assert (await api.send("GET", "/v1/agencies")).headers["cache-control"] == "no-store"


async def test_head_answers_as_get_does_without_a_body(api):
    response = await api.http.head("/v1/agencies", headers=bearer())
    assert response.status_code == 200
    assert response.content == b""


async def test_while_the_database_is_away_the_api_says_so(services):
    async with make_database("postgresql://nobody@127.0.0.1:1/nothing").opened() as nowhere:
        routes = replace(services, database=nowhere).api_routes()
        async with serve_app(Starlette(routes=routes)) as url, Api.connect(url, ADMIN_TOKEN) as client:
            for token in (ADMIN_TOKEN, "some-agency-token"):
                problem = await client.refusal("GET", "/v1/agencies", token=token)
                assert (problem.status, problem.name) == (503, "unavailable")


async def test_a_mistake_of_ours_is_noted_and_says_nothing_of_itself(services, api, captured_events):
    await services.database.settings.execute("ALTER TABLE clients RENAME COLUMN notify_email TO secret_column")
    agency = await api.new_agency()
    problem = await api.refusal("GET", f"{agency.path}/clients")
    assert problem.status == 500
    assert "secret_column" not in problem.text
    assert captured_events.only("request.failed")["route"] == "/v1/agencies/{agency}/clients"


async def test_every_request_is_logged_by_its_route_and_never_with_its_token(api, captured_events):
    agency = await api.new_agency()
    await api.get(agency.path, token=agency.token)
    last = captured_events.named("api.request")[-1]
    assert (last["method"], last["route"], last["status"]) == ("GET", "/v1/agencies/{agency}", 200)
    assert agency.token not in captured_events.text()
    assert ADMIN_TOKEN not in captured_events.text()


def bearer(token: str = ADMIN_TOKEN) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}
