"""The console as the service has it: on every replica, with what happened to a session on record."""

from __future__ import annotations

import pytest

from tests.router.console.browsing import Browser
from tests.support.local_http import local_client
from tests.support.world import ADMIN_TOKEN, open_world

pytestmark = pytest.mark.anyio

COOKIE = "callrouter_console"


async def test_a_session_is_known_and_ended_on_every_replica(database_dsn, tmp_path):
    async with open_world(database_dsn, tmp_path, replicas=2) as world:
        first, second = world.urls
        async with local_client(base_url=first, timeout=30) as http:
            here = Browser(http)
            assert (await here.sign_in(ADMIN_TOKEN)).heading == "Agencies"
            cookies = {COOKIE: http.cookies[COOKIE]}
            async with local_client(base_url=second, cookies=cookies, timeout=30) as elsewhere:
                assert (await Browser(elsewhere).open("/console/agencies")).heading == "Agencies"
            await here.fill_in(await here.open("/console/agencies"), "/sign-out")
        async with local_client(base_url=second, cookies=cookies, timeout=30) as thief:
            assert (await Browser(thief).open("/console/agencies")).heading == "Sign in"
        assert await world.db.fetchval("SELECT count(*) FROM ended_sessions") == 1


async def test_the_bare_address_leads_to_the_console(database_dsn, tmp_path):
    async with (
        open_world(database_dsn, tmp_path) as world,
        local_client(base_url=world.urls[0], timeout=30) as http,
    ):
        page = await Browser(http).open("/")
        assert (page.path, page.heading) == ("/console/sign-in", "Sign in")
