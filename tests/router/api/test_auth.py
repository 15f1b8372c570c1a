"""Wrong tokens at every door: limited by the client's address, counted in the audit log, and in nobody else's way."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network

import pytest

from tests.router.api.client import ADMIN_TOKEN
from tests.router.console.browsing import Browser
from tests.support.local_http import local_client
from tests.support.waiting import wait_until
from tests.support.world import ADMIN_TOKEN as OPERATOR
from tests.support.world import open_world

pytestmark = pytest.mark.anyio

WRONG = ("callrouter_" + "x" * 43, "wrong", "callrouter_" + "x" * 5000, "\u00fc")
DOORS = ("/v1/token", "/v1/agencies", "/v1/agencies/agency_x/calls", "/v1/nothing")


def bearer(token: str) -> dict[str, str | bytes]:
    return {"authorization": f"Bearer {token}".encode()}


@pytest.fixture
async def anybody(api):
    async with local_client(base_url=api.http.base_url, timeout=30) as client:
        yield client


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("wrong", WRONG)
async def test_a_right_token_passes_however_many_wrong_ones_came_from_its_address(api, anybody, door, wrong):
    agency = await api.new_agency()
    statuses = [(await anybody.get(door, headers=bearer(wrong))).status_code for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    for token in (agency.token, ADMIN_TOKEN):
        assert (await anybody.get("/v1/token", headers=bearer(token))).status_code == 200


async def test_many_wrong_tokens_at_once_are_as_limited_as_one_after_the_other(api, anybody):
    agency = await api.new_agency()
    right = asyncio.create_task(anybody.get("/v1/token", headers=bearer(agency.token)))
    answers = await asyncio.gather(*(anybody.get("/v1/token", headers=bearer(WRONG[0])) for _ in range(60)))
    assert sorted(answer.status_code for answer in answers) == [401] * 10 + [429] * 50
    assert (await right).status_code == 200


async def test_a_refusal_says_when_to_come_back(api):
    for _ in range(10):
        await api.refusal("GET", "/v1/token", token=WRONG[0])
    refused = await api.send("GET", "/v1/token", token=WRONG[0])
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    assert refused.json()["type"] == "/problems/rate-limited"


async def test_no_token_at_all_is_not_counted(api, anybody):
    statuses = {(await anybody.get("/v1/token")).status_code for _ in range(20)}
    assert statuses == {401}
    assert (await api.refusal("GET", "/v1/token", token=WRONG[0])).status == 401


class TestBehindAProxy:
    @pytest.fixture
    def world_settings(self):
        return {"trusted_proxies": (ip_network("127.0.0.0/8"),)}

    async def test_each_client_of_the_proxy_has_a_limit_of_its_own(self, database_dsn, tmp_path, world_settings):
        async with open_world(database_dsn, tmp_path, **world_settings) as world:

            async def ask(forwarded: str, token: str = WRONG[0]) -> int:
                headers = bearer(token) | {"x-forwarded-for": forwarded}
                return (await world.http.get(f"{world.urls[0]}/v1/token", headers=headers)).status_code

            assert [await ask("6.6.6.6, 203.0.113.9") for _ in range(11)] == [401] * 10 + [429]
            assert await ask("6.6.6.6, 203.0.113.10") == 401
            assert [await ask(f"2001:db8::{n}") for n in range(11)] == [401] * 10 + [429]
            assert await ask("203.0.113.9", OPERATOR) == 200

    async def test_changes_sign_ins_and_refusals_show_the_clients_address(self, database_dsn, tmp_path, world_settings):
        async with open_world(database_dsn, tmp_path, **world_settings) as world:
            forwarded = {"x-forwarded-for": "6.6.6.6, 203.0.113.9"}
            async with local_client(base_url=world.urls[0], headers=forwarded, timeout=30) as http:
                operator = bearer(OPERATOR)
                agency = (await http.post("/v1/agencies", json={"name": "A"}, headers=operator)).json()
                path = f"/v1/agencies/{agency['id']}"
                token = (await http.post(f"{path}/tokens", json={"name": "T"}, headers=operator)).json()
                assert (await Browser(http).sign_in(token["token"])).heading == "API keys"
                for _ in range(13):
                    await http.get("/v1/token", headers=bearer(WRONG[0]))
                own = (await http.get(f"{path}/audit", headers=operator)).json()["items"]
                assert {entry["action"] for entry in own} == {"agency.created", "token.created", "console.signed_in"}
                assert {entry["address"] for entry in own} == {"203.0.113.9"}
                [signed_in] = [entry for entry in own if entry["action"] == "console.signed_in"]
                assert signed_in["actor"] == token["id"]

                async def refusals():
                    entries = (await http.get("/v1/audit", headers=operator)).json()["items"]
                    found = [entry for entry in entries if entry["action"] == "token.refused"]
                    return found if sum(entry["count"] for entry in found) == 13 else None

                counted = await wait_until(refusals)
                assert {entry["address"] for entry in counted} == {"203.0.113.9"}
                assert len(counted) <= 2  # two if the hour ended meanwhile
                assert all(entry["agency_id"] is None for entry in counted)


async def test_a_header_of_a_stranger_changes_nothing(api):
    statuses = [
        (await api.send("GET", "/v1/token", token=WRONG[0], headers={"x-forwarded-for": f"203.0.113.{n}"})).status_code
        for n in range(11)
    ]
    assert statuses == [401] * 10 + [429]
