"""Alerts: what an agency is told when something begins to be wrong and when it is over, by email and by webhook."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.sandbox.world import VAPI_KEY
from router.addresses import Addresses
from router.jobs import Turns
from router.tenants.alert_posts import AlertPosts
from tests.router.api.client import PUBLIC_URL, Agency, Api
from tests.router.api.test_calls import file_call
from tests.support.api_service import Services
from tests.support.serving import serve_app

pytestmark = pytest.mark.anyio

CANARY = "T000-canary"


@dataclass
class Slack:
    url: str = ""
    status: int = 200
    texts: list[str] = field(default_factory=list)

    async def take(self, request: Request) -> Response:
        body = await request.json()
        assert body.keys() == {"text"}
        if self.status == 200:
            self.texts.append(body["text"])
        return Response("ok", self.status)


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    slack = Slack()
    async with serve_app(Starlette(routes=[Route(f"/{CANARY}", slack.take, methods=["POST"])])) as url:
        slack.url = f"{url}/{CANARY}"
        yield slack


@pytest.fixture
async def agency(api: Api, slack: Slack) -> Agency:
    agency = await api.new_agency()
    await api.patch(agency.path, {"alert_email": "ops@agency.test"})
    await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY})
    await api.patch(f"{agency.path}/alerts/settings", {"webhook_url": slack.url}, token=agency.token)
    return agency


@pytest.fixture
def posts(services: Services) -> AlertPosts:
    addresses = Addresses(PUBLIC_URL, PUBLIC_URL)
    turns = Turns(services.database, services.clock)
    return AlertPosts(services.database, services.keyring, services.receivers, addresses, turns, services.clock)


async def look(services: Services, posts: AlertPosts, agency: Agency) -> list[str]:
    """Look twice, post what waits and write the letters. Returns the letters' subjects."""
    watch = services.areas.alert_watch
    for _ in range(2):
        await watch.look()
    while await posts.post_next(agency.id):
        pass
    pool, subjects = services.database.settings, []
    for row in await pool.fetch("DELETE FROM letters WHERE kind = 'alert' RETURNING ids"):
        mail = await watch.write(row["ids"])
        if mail is not None:
            assert mail.to == "ops@agency.test"
            subjects.append(mail.subject)
            await watch.note_sent(row["ids"])
    return subjects


async def test_each_trouble_is_told_once_when_it_begins_and_once_when_it_is_over(
    services: Services, api: Api, agency: Agency, slack: Slack, posts: AlertPosts
):
    pool = services.database.settings
    assert await look(services, posts, agency) == []
    await pool.execute("UPDATE keys SET balance = 4.5")
    assert await look(services, posts, agency) == ["Vapi: something is wrong"]
    assert await look(services, posts, agency) == []
    (text,) = slack.texts
    assert "The balance at Vapi is low: $4.50 left." in text
    assert f"{PUBLIC_URL}/console/{agency.id}/health" in text
    (alert,) = (await api.get(f"{agency.path}/alerts", token=agency.token))["items"]
    assert (alert["kind"], alert["target"], alert["ended_at"]) == ("low_balance", "vapi", None)
    await pool.execute("UPDATE keys SET balance = 50")
    assert await look(services, posts, agency) == ["Vapi: over"]
    assert await look(services, posts, agency) == []
    assert [each.startswith("Over: ") for each in slack.texts] == [False, True]
    (alert,) = (await api.get(f"{agency.path}/alerts", token=agency.token))["items"]
    assert alert["ended_at"] == "2026-03-02T12:00:00Z"


async def test_keys_numbers_webhooks_and_calls_alert_as_the_agency_has_set(
    services: Services, api: Api, agency: Agency, slack: Slack, posts: AlertPosts
):
    pool, settings = services.database.settings, f"{agency.path}/alerts/settings"
    await api.post(f"{agency.path}/endpoints", {"url": f"http://127.0.0.1:9/{CANARY}"})
    await pool.execute("UPDATE keys SET status = 'failing', problem = 'it was <deleted>'")
    await pool.execute("UPDATE endpoints SET resting_until = now(), failures = 4")
    for place in range(6):
        began = services.clock() - timedelta(hours=1, minutes=place)
        outcome = "voicemail" if place < 3 else "ai"
        call = {"started_at": began, "ended_at": began, "outcome": outcome}
        await file_call(services, agency, f"call_{place}", **call)
        if place < 3:
            await pool.execute(
                "INSERT INTO call_events (id, call_id, agency_id, at, event, reason) "
                "VALUES ($1, $2, $3, $4, 'handoff.failed', 'timeout')",
                f"event_{place}",
                f"call_{place}",
                agency.id,
                began,
            )
    # A failing key has a letter of its own.
    assert await look(services, posts, agency) == ["Calls: something is wrong"]
    assert any("It was &lt;deleted&gt;" in text for text in slack.texts)
    assert any("No AI took 3 of the latest 6 calls" in text for text in slack.texts)
    await api.patch(settings, {"failures": 4, "missed_percent": 51}, token=agency.token)
    assert sorted(await look(services, posts, agency)) == ["Calls: over", "http://127.0.0.1: something is wrong"]
    kinds = [one["kind"] for one in (await api.get(f"{agency.path}/alerts"))["items"]]
    assert sorted(kinds) == ["calls_missed", "deliveries_failing", "key_failing"]
    await api.patch(settings, {"muted": ["key_failing"]}, token=agency.token)
    told = len(slack.texts)
    assert (await look(services, posts, agency), len(slack.texts)) == ([], told)
    assert CANARY not in str(slack.texts)


async def test_a_hundred_small_troubles_hide_no_number_that_nobody_can_reach(
    services: Services, agency: Agency, posts: AlertPosts
):
    pool = services.database.settings
    await pool.execute(
        """
        INSERT INTO clients (id, agency_id, name, caller_id, routing, notify_email, notify_email_confirmed, created_at)
        SELECT 'client_' || n, $1, 'Client', 'caller', '{}', 'owner@client.test', false, now()
          FROM generate_series(1, 150) n
        """,
        agency.id,
    )
    await pool.execute(
        """
        INSERT INTO numbers (account_sid, e164, agency_id, client_id, carrier, account, number_sid, voice_url, fallback_url,
                             status_url, state, fallback_state, drift, created_at)
        VALUES ('AC', $2, $1, 'client_1', 'twilio', 'agency', 'PN', '', '', '', 'active', 'ok', 'its URL differs', now())
        """,
        agency.id,
        "+15005550101",
    )
    assert await look(services, posts, agency) == ["+15005550101: something is wrong"]


async def test_a_post_that_fails_is_tried_again_and_what_is_over_by_then_is_not_told(
    services: Services, agency: Agency, slack: Slack, posts: AlertPosts
):
    pool, slack.status = services.database.settings, 503
    await pool.execute("UPDATE keys SET balance = 1")
    await look(services, posts, agency)
    services.clock.move(minutes=1)
    slack.status = 200
    await posts.post_next(agency.id)
    assert len(slack.texts) == 1
    slack.status = 503
    await pool.execute("UPDATE keys SET status = 'failing'")
    await look(services, posts, agency)
    await pool.execute("UPDATE keys SET status = 'valid', balance = 50")
    services.clock.move(minutes=2)
    slack.status = 200
    await look(services, posts, agency)
    assert sorted(each.partition(":")[0] for each in slack.texts) == ["Over", "Over", "Vapi"]


async def test_a_test_goes_where_alerts_go(
    services: Services, api: Api, agency: Agency, slack: Slack, captured_events: Any
):
    path = f"{agency.path}/alerts"
    tested = await api.post(f"{path}/test", None, 200, token=agency.token)
    assert tested == {"email": "ops@agency.test", "webhook": True, "webhook_error": None}
    assert "This is a test" in slack.texts[0]
    slack.status = 404
    assert (await api.post(f"{path}/test", None, 200))["webhook_error"] == "it answered 404"
    shown = await api.get(f"{path}/settings", token=agency.token)
    rows = [dict(row) for row in await services.database.settings.fetch("SELECT * FROM alert_settings")]
    for place in (str(shown), str(rows), captured_events.text(), str(await api.get(f"{agency.path}/audit"))):
        assert CANARY not in place
    other = await api.new_agency()
    assert (await api.refusal("POST", f"{other.path}/alerts/test", token=other.token)).status == 409


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"webhook_url": "ftp://x"}, "webhook_url"),
        ({"low_balance": -1}, "low_balance"),
        ({"low_balance": None}, "low_balance"),
        ({"missed_percent": 101}, "missed_percent"),
        ({"failures": 0}, "failures"),
        ({"muted": ["rain"]}, "muted.0"),
    ],
)
async def test_what_is_wrong_with_the_settings_is_named(api: Api, body: dict[str, Any], field: str):
    agency = await api.new_agency()
    assert (await api.refusal("PATCH", f"{agency.path}/alerts/settings", body)).fields == (field,)
