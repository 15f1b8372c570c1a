"""Registering webhook endpoints, and events on their way there: over the API, a real queue, and a real receiver."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.receivers import Receivers
from router.clock import utc_now
from router.events import deliveries as module
from router.events import endpoints
from router.events.deliveries import Deliveries
from router.events.sending import Sender
from router.jobs import JobRunner, RetryPolicy, Turns
from router.store.calls.records import InsertEvent, write_records
from tests.router.api.client import Agency, Api
from tests.router.store.rows import AT, insert
from tests.support.api_service import Services
from tests.support.serving import serve_app
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio


class Receiver:
    """An agency's program, which fails a given number of times before it accepts a delivery."""

    def __init__(self) -> None:
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.says = ""
        self.refused = 0
        self.failing = 0
        self.status = 503
        self.held: asyncio.Event | None = None
        self.at_once = self.most_at_once = 0

    async def take(self, request: Request) -> Response:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.held is not None:
                await self.held.wait()
            return await self._answer(request)
        finally:
            self.at_once -= 1

    async def _answer(self, request: Request) -> Response:
        body = await request.body()
        if self.failing:
            self.failing -= 1
            self.refused += 1
            return Response(self.says, self.status)
        self.taken.append((dict(request.headers), body))
        return Response(status_code=204)

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.taken]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def url(receiver: Receiver) -> AsyncIterator[str]:
    async with serve_app(Starlette(routes=[Route("/hook", receiver.take, methods=["POST"])])) as url:
        yield f"{url}/hook"


@pytest.fixture
async def others(api: Api, services: Services) -> AsyncIterator[tuple[Agency, Receiver, dict[str, Any]]]:
    """Another agency, with an endpoint of its own that is fine."""
    agency, receiver = await new_agency(api, services, "call_2"), Receiver()
    async with serve_app(Starlette(routes=[Route("/hook", receiver.take, methods=["POST"])])) as url:
        yield agency, receiver, await register(api, agency, f"{url}/hook")


@pytest.fixture
async def agency(api: Api, services: Services) -> Agency:
    return await new_agency(api, services, "call_1")


async def new_agency(api: Api, services: Services, call_id: str) -> Agency:
    agency = await api.new_agency()
    client = await api.new_client(agency)
    pool = services.database.settings
    await insert(pool, "calls", id=call_id, call_sid=f"CA{call_id}", agency_id=agency.id, client_id=client["id"])
    return agency


@pytest.fixture
async def deliveries(services: Services, database_dsn: str, monkeypatch) -> AsyncIterator[Deliveries]:
    """With a queue that works them off, quickly."""
    monkeypatch.setattr(module, "POLICY", RetryPolicy(first=timedelta(milliseconds=50), factor=1, attempts=6))
    monkeypatch.setattr(module, "_SHORT_REST", timedelta())
    monkeypatch.setattr(module, "_REST", timedelta())
    sender = Sender(services.keyring, services.receivers, utc_now)
    deliveries = Deliveries(services.database, sender, utc_now, Turns(services.database, utc_now))
    runner = JobRunner(database_dsn)
    deliveries.register(runner)
    running = asyncio.create_task(runner.run())
    yield deliveries
    await runner.stop()
    await running


async def note(
    services: Services, event_id: str, event: str = "call.answered", call_id: str = "call_1", at: datetime = AT
) -> None:
    write = InsertEvent(event_id, call_id, at, event, step=event_id, provider="vapi")
    await write_records(services.database.settings, write)


async def register(api: Api, agency: Agency, url: str, **fields: Any) -> dict[str, Any]:
    return await api.post(f"{agency.path}/endpoints", {"url": url, **fields}, token=agency.token)


async def states(api: Api, agency: Agency, endpoint: dict[str, Any]) -> Counter[str]:
    found = await api.get(f"{agency.path}/endpoints/{endpoint['id']}/deliveries", token=agency.token)
    return Counter(item["state"] for item in found["items"])


async def wait_for_states(api: Api, agency: Agency, endpoint: dict[str, Any], **wanted: int) -> None:
    async def there() -> bool:
        return await states(api, agency, endpoint) == Counter(wanted)

    async with asyncio.timeout(60):
        while not await there():  # noqa: ASYNC110  (it is asked over HTTP)
            await asyncio.sleep(0.05)


async def test_an_event_arrives_signed_with_its_call(api, services, agency, deliveries, receiver, url):
    endpoint = await register(api, agency, url)
    await note(services, "e1")
    await deliveries.fan_out([agency.id])
    await wait_for_states(api, agency, endpoint, delivered=1)
    [(headers, body)] = receiver.taken
    event = Webhook(endpoint["secret"]).verify(body, headers)
    assert headers["content-type"] == endpoint["content_type"] == "application/json"
    assert (event["specversion"], event["id"], event["type"]) == ("1.0", "e1", "call.answered")
    assert event["source"] == agency.path
    assert event["subject"] == event["data"]["event"]["call_id"] == event["data"]["call"]["id"] == "call_1"
    assert event["data"]["call"]["from"] == "+14155550123"


CLOUDEVENTS = "application/cloudevents+json"


async def test_the_content_type_is_the_endpoint_s_and_the_body_the_same(
    api, services, agency, deliveries, receiver, url
):
    """n8n and Express read application/json only."""
    endpoint = await register(api, agency, url, content_type=CLOUDEVENTS)
    path = f"{agency.path}/endpoints/{endpoint['id']}"
    await note(services, "e1")
    await deliveries.fan_out([agency.id])
    await wait_for_states(api, agency, endpoint, delivered=1)
    for body in ({"content_type": "application/json"}, {"paused": False}, {}):
        changed = await api.patch(path, body, token=agency.token)
        assert (changed["content_type"], changed["paused"]) == ("application/json", False)
    await replay(api, agency, endpoint)
    await wait_for_states(api, agency, endpoint, delivered=1)
    [(first, body), (second, again)] = receiver.taken
    assert (first["content-type"], second["content-type"]) == (CLOUDEVENTS, "application/json")
    assert body == again
    assert [Webhook(endpoint["secret"]).verify(body, headers)["id"] for headers in (first, second)] == ["e1", "e1"]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/json; charset=utf-8", "", None, ["application/json"]]
)
async def test_no_other_content_type_is_taken(api, agency, url, content_type):
    endpoint = await register(api, agency, url)
    for method, path, body in (
        ("POST", f"{agency.path}/endpoints", {"url": url}),
        ("PATCH", f"{agency.path}/endpoints/{endpoint['id']}", {}),
    ):
        problem = await api.refusal(method, path, body | {"content_type": content_type}, token=agency.token)
        assert (problem.status, [field.partition(".")[0] for field in problem.fields]) == (422, ["content_type"])
    shown = await api.get(f"{agency.path}/endpoints", token=agency.token)
    assert [one["content_type"] for one in shown["items"]] == ["application/json"]


async def test_the_secret_is_shown_once_and_stored_sealed(api, services, agency, url, captured_events):
    endpoint = await register(api, agency, url)
    assert endpoint["secret"].startswith("whsec_")
    listed = await api.get(f"{agency.path}/endpoints", token=agency.token)
    rows = await services.database.settings.fetch("SELECT * FROM endpoints")
    for place in (json.dumps(listed), str([dict(row) for row in rows]), str(captured_events)):
        assert endpoint["secret"] not in place


async def test_a_rotated_secret_signs_beside_the_one_before_for_a_day(api, clock, agency, receiver, url):
    """And a leaked one signs nothing more."""
    endpoint = await register(api, agency, url)
    path = f"{agency.path}/endpoints/{endpoint['id']}"

    async def who_verifies(*secrets: str) -> list[bool]:
        assert (await api.post(f"{path}/test", None, status=200, token=agency.token))["error"] is None
        headers, body = receiver.taken[-1]
        given = headers["webhook-signature"].split(" ")
        at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), tz=UTC)
        return [Webhook(secret).sign(headers["webhook-id"], at, body.decode()) in given for secret in secrets]

    second = await api.post(f"{path}/rotate-secret", None, status=200, token=agency.token)
    assert second["former_until"] == "2026-03-03T12:00:00Z"
    assert await who_verifies(endpoint["secret"], second["secret"]) == [True, True]
    clock.move(days=1)
    assert await who_verifies(endpoint["secret"], second["secret"]) == [False, True]
    third = await api.post(f"{path}/rotate-secret", {"compromised": True}, status=200, token=agency.token)
    assert await who_verifies(endpoint["secret"], second["secret"], third["secret"]) == [False, False, True]
    assert third["secret"] not in str(await api.get(f"{agency.path}/endpoints", token=agency.token))
    audit = [one["action"] for one in (await api.get(f"{agency.path}/audit"))["items"]]
    assert audit.count("endpoint.secret_rotated") == 2


async def test_a_test_event_tells_what_the_receiver_said(api, agency, receiver, url, monkeypatch):
    endpoint = await register(api, agency, url)
    path = f"{agency.path}/endpoints/{endpoint['id']}/test"
    receiver.failing, receiver.status, receiver.says = 1, 418, "a teapot\x00" + "x" * 9000
    refused = await api.post(path, {"event": "call.ended"}, status=200, token=agency.token)
    assert (refused["status"], refused["error"]) == (418, "it answered 418")
    assert refused["response"].startswith("a teapot\N{REPLACEMENT CHARACTER}xxx")
    assert len(refused["response"]) == 2000
    taken = await api.post(path, None, status=200, token=agency.token)
    [(headers, body)] = receiver.taken
    assert (taken["error"], taken["status"], taken["request"]) == (None, 204, body.decode())
    event = json.loads(body)
    assert (event["type"], event["test"], headers["webhook-id"]) == ("endpoint.test", True, event["id"])
    assert (await api.refusal("POST", path, {"event": "call.began"}, token=agency.token)).fields == ("event",)
    monkeypatch.setattr(endpoints, "MOST_TESTS", 2)
    assert (await api.refusal("POST", path, token=agency.token)).status == 429


async def test_a_delivery_shows_what_was_sent_and_answered_and_is_made_again(
    api, services, agency, deliveries, receiver, url, monkeypatch
):
    monkeypatch.setattr(module, "POLICY", RetryPolicy(attempts=1))
    endpoint = await register(api, agency, url)
    path = f"{agency.path}/endpoints/{endpoint['id']}/deliveries"
    receiver.failing, receiver.says = 1, "no such table: calls"
    await note(services, "e1")
    await deliveries.fan_out([agency.id])
    await wait_for_states(api, agency, endpoint, dead=1)
    [dead] = (await api.get(path, params={"state": "dead"}, token=agency.token))["items"]
    assert (await api.get(path, params={"state": "delivered"}, token=agency.token))["items"] == []
    assert (await api.refusal("GET", path, params={"state": "lost"}, token=agency.token)).fields == ("state",)
    shown = await api.get(f"{path}/{dead['id']}", token=agency.token)
    assert shown["attempt"]["response"] == "no such table: calls"
    assert json.loads(shown["attempt"]["request"])["id"] == "e1"
    assert (await api.post(f"{path}/{dead['id']}/resend", None, status=200, token=agency.token))["state"] == "waiting"
    await wait_for_states(api, agency, endpoint, delivered=1)
    assert receiver.ids == ["e1"]
    other = await api.new_agency()
    for method, beyond in (("GET", ""), ("POST", "/resend")):
        foreign = f"{other.path}/endpoints/{endpoint['id']}/deliveries/{dead['id']}{beyond}"
        assert (await api.refusal(method, foreign, token=other.token)).status == 404
    late = Deliveries(services.database, deliveries.sender, lambda: utc_now() + timedelta(days=8), deliveries.turns)
    await late.erase_exchanges()
    assert (await api.get(f"{path}/{dead['id']}", token=agency.token))["attempt"] is None
    await api.patch(path.removesuffix("/deliveries"), {"paused": True}, token=agency.token)
    assert (await api.refusal("POST", f"{path}/{dead['id']}/resend", token=agency.token)).status == 409


async def test_an_endpoint_gets_the_events_it_chose_and_none_from_before_it_was_made(
    api, services, agency, deliveries, receiver, url
):
    await note(services, "before", "voicemail.received")
    endpoint = await register(api, agency, url, events=["voicemail.received"])
    await note(services, "e1", "call.answered")
    await note(services, "e2", "voicemail.received")
    await deliveries.fan_out([agency.id])
    await wait_for_states(api, agency, endpoint, delivered=1)
    assert receiver.ids == ["e2"]


async def test_a_receiver_that_fails_for_a_while_gets_every_event_once_by_id(
    api, services, agency, deliveries, receiver, url
):
    endpoint = await register(api, agency, url)
    receiver.failing = 7
    events = [f"e{number}" for number in range(5)]
    for event_id in events:
        await note(services, event_id)
    await asyncio.gather(*(deliveries.fan_out([agency.id]) for _ in range(3)))
    await wait_for_states(api, agency, endpoint, delivered=5)
    assert receiver.refused == 7
    assert sorted(receiver.ids) == events


async def test_a_delivery_that_is_never_accepted_is_dead_and_a_replay_revives_it(
    api, services, agency, deliveries, receiver, url
):
    endpoint = await register(api, agency, url)
    receiver.failing = 6
    await note(services, "e1")
    await deliveries.fan_out([agency.id])
    await wait_for_states(api, agency, endpoint, dead=1)
    answer = await api.post(
        f"{agency.path}/endpoints/{endpoint['id']}/replay", {"since": AT.isoformat()}, 200, token=agency.token
    )
    assert answer == {"deliveries": 1}
    await wait_for_states(api, agency, endpoint, delivered=1)
    assert receiver.ids == ["e1"]


async def test_replay_repeats_what_was_delivered_and_brings_what_was_before(
    api, services, agency, deliveries, receiver, url
):
    await note(services, "before")
    endpoint = await register(api, agency, url)
    await note(services, "e1")
    await deliveries.fan_out([agency.id])
    await wait_for_states(api, agency, endpoint, delivered=1)
    await api.post(
        f"{agency.path}/endpoints/{endpoint['id']}/replay", {"since": AT.isoformat()}, 200, token=agency.token
    )
    await wait_until(lambda: len(receiver.taken) == 3)
    assert sorted(receiver.ids) == ["before", "e1", "e1"]


async def test_an_address_inside_is_refused_at_saving(api, services, agency, monkeypatch):
    monkeypatch.setattr(services.receivers, "_private", False)
    for address in ("https://127.0.0.1/x", "https://[::1]/x", "https://169.254.169.254/latest", "http://example.com"):
        problem = await api.refusal("POST", f"{agency.path}/endpoints", {"url": address}, token=agency.token)
        assert (problem.status, problem.fields) == (422, ("url",))


@pytest.mark.parametrize(
    "host",
    ["hooks..example.com", f"{'a' * 64}.example.com", "a." * 130 + "com", "-.example.com", "xn--a", "[::1", "127.1"],
)
async def test_an_address_whose_host_cannot_exist_is_refused_at_saving(api, agency, host):
    body = {"url": f"https://{host}/"}
    problem = await api.refusal("POST", f"{agency.path}/endpoints", body, token=agency.token)
    assert (problem.status, problem.fields) == (422, ("url",))


async def test_an_address_that_leads_inside_later_is_refused_at_delivery(
    api, services, agency, database_dsn, url, monkeypatch
):
    monkeypatch.setattr(module, "POLICY", RetryPolicy(attempts=1))
    endpoint = await register(api, agency, url)
    await note(services, "e1")
    strict = Receivers()
    sender = Sender(services.keyring, strict, utc_now)
    strict_deliveries = Deliveries(services.database, sender, utc_now, Turns(services.database, utc_now))
    await strict_deliveries.fan_out([agency.id])
    runner = JobRunner(database_dsn)
    strict_deliveries.register(runner)
    running = asyncio.create_task(runner.run())
    await wait_for_states(api, agency, endpoint, dead=1)
    await runner.stop()
    await running
    await strict.aclose()
    [item] = (await api.get(f"{agency.path}/endpoints/{endpoint['id']}/deliveries", token=agency.token))["items"]
    assert "this address is not allowed" in item["error"]


async def test_names_of_events_that_there_are_not_are_refused(api, agency, url):
    problem = await api.refusal("POST", f"{agency.path}/endpoints", {"url": url, "events": ["call.danced"]})
    assert (problem.status, problem.fields) == (422, ("events",))


async def test_another_agencys_endpoint_does_not_exist(api, agency, url):
    endpoint = await register(api, agency, url)
    other = await api.new_agency("Other")
    path = f"{other.path}/endpoints/{endpoint['id']}"
    for method, address in (("DELETE", path), ("GET", f"{path}/deliveries")):
        assert (await api.refusal(method, address, token=other.token)).status == 404
    assert (await api.refusal("PATCH", path, {"url": url}, token=other.token)).status == 404
    since = {"since": AT.isoformat()}
    assert (await api.refusal("POST", f"{path}/replay", since, token=other.token)).status == 404


async def test_a_removed_endpoint_gets_nothing_more(api, services, agency, deliveries, receiver, url):
    endpoint = await register(api, agency, url)
    await note(services, "e1")
    await api.delete(f"{agency.path}/endpoints/{endpoint['id']}", token=agency.token)
    await api.delete(f"{agency.path}/endpoints/{endpoint['id']}", 404, token=agency.token)
    await deliveries.fan_out([agency.id])
    assert receiver.taken == []


async def replay(api: Api, agency: Agency, endpoint: dict[str, Any]) -> int:
    path, body = f"{agency.path}/endpoints/{endpoint['id']}/replay", {"since": AT.isoformat()}
    return (await api.post(path, body, 200, token=agency.token))["deliveries"]


async def test_endpoints_that_hang_do_not_delay_another_agencys_events(
    api, services, agency, deliveries, receiver, url, others
):
    """Every endpoint that an agency may have is silent, and each has many events."""
    other, taking, endpoint = others
    receiver.held = asyncio.Event()
    for _ in range(20):
        await register(api, agency, url)
    for number in range(30):
        await note(services, f"e{number}")
    await deliveries.fan_out([agency.id])
    await wait_until(lambda: receiver.at_once)
    await note(services, "f1", call_id="call_2")
    await deliveries.fan_out([other.id])
    await wait_for_states(api, other, endpoint, delivered=1)
    assert taking.ids == ["f1"]
    assert receiver.taken == []
    assert receiver.most_at_once <= module._OF_AGENCY
    receiver.held.set()


async def test_an_endpoint_that_answers_slowly_gets_one_event_at_a_time(
    api, services, agency, deliveries, receiver, url, monkeypatch
):
    monkeypatch.setattr(module, "_SLOW_MS", 0)
    endpoint = await register(api, agency, url)
    await note(services, "e0")
    await deliveries.fan_out([agency.id])
    await wait_for_states(api, agency, endpoint, delivered=1)
    for number in range(1, 9):
        await note(services, f"e{number}")
    await deliveries.fan_out([agency.id])
    await wait_for_states(api, agency, endpoint, delivered=9)
    assert receiver.most_at_once == 1
    monkeypatch.setattr(module, "_SLOW_MS", 60000)
    await note(services, "e9")
    await deliveries.fan_out([agency.id])
    await wait_for_states(api, agency, endpoint, delivered=10)
    assert await services.database.settings.fetchval("SELECT slow FROM endpoints") is False


async def test_replayed_events_go_out_some_a_second_and_after_new_ones(
    api, services, agency, deliveries, receiver, url, monkeypatch
):
    monkeypatch.setattr("router.events.endpoints.REPLAYED_A_SECOND", 0.001)
    services.clock.now = utc_now()
    for number in range(5):
        await note(services, f"e{number}", at=AT + timedelta(seconds=number))
    endpoint, second = await register(api, agency, url), await register(api, agency, url, events=["call.ended"])
    assert await replay(api, agency, endpoint) == 5
    await note(services, "new")
    await deliveries.fan_out([agency.id])
    await wait_for_states(api, agency, endpoint, delivered=2, waiting=4)
    assert sorted(receiver.ids) == ["e0", "new"]
    await note(services, "ended", "call.ended", at=AT + timedelta(minutes=1))
    await services.database.settings.execute(
        "UPDATE endpoints SET events = '{call.answered}' WHERE id = $1", second["id"]
    )
    assert await replay(api, agency, second) == 6
    first, later = await services.database.settings.fetchrow(
        "SELECT max(due_at) FILTER (WHERE endpoint_id = $1), min(due_at) FILTER (WHERE endpoint_id = $2)"
        "  FROM deliveries WHERE state = 'waiting'",
        endpoint["id"],
        second["id"],
    )
    assert later - first == timedelta(seconds=1000)


async def test_replays_are_refused_while_too_many_events_wait(api, services, agency, url, monkeypatch):
    monkeypatch.setattr("router.events.endpoints.MOST_REPLAYED", 3)
    for number in range(5):
        await note(services, f"e{number}")
    endpoint, second = await register(api, agency, url), await register(api, agency, url)
    assert await replay(api, agency, endpoint) == 3
    path = f"{agency.path}/endpoints/{second['id']}/replay"
    problem = await api.refusal("POST", path, {"since": AT.isoformat()}, token=agency.token)
    assert problem.status == 409
    assert await states(api, agency, second) == {}


async def test_an_endpoint_that_is_gone_gets_nothing_until_it_is_resumed(
    api, services, agency, deliveries, receiver, url, captured_events
):
    endpoint = await register(api, agency, url)
    path = f"{agency.path}/endpoints/{endpoint['id']}"
    receiver.failing, receiver.status = 100, 410
    for number in range(6):
        await note(services, f"e{number}")
    await deliveries.fan_out([agency.id])
    await wait_for_states(api, agency, endpoint, dead=6)
    [found] = (await api.get(f"{agency.path}/endpoints", token=agency.token))["items"]
    assert found["paused"] is True
    assert found["gone_at"]
    refused = receiver.refused
    assert refused <= module._OF_ENDPOINT
    await note(services, "missed")
    await deliveries.catch_up()
    assert (await states(api, agency, endpoint)).total() == 6
    assert (await api.refusal("POST", f"{path}/replay", {"since": AT.isoformat()}, token=agency.token)).status == 409
    receiver.failing = 0
    resumed = await api.patch(path, {"paused": False}, token=agency.token)
    assert (resumed["paused"], resumed["gone_at"]) == (False, None)
    await note(services, "after")
    await deliveries.fan_out([agency.id])
    await wait_for_states(api, agency, endpoint, dead=6, delivered=1)
    assert receiver.ids == ["after"]
    assert receiver.refused == refused
    assert captured_events.named("endpoint.gone")[0]["endpoint_id"] == endpoint["id"]


async def test_what_waits_goes_to_a_changed_address_at_once(api, services, agency, deliveries, receiver, url):
    endpoint = await register(api, agency, f"{url}/wrong", description="CRM")
    assert endpoint["description"] == "CRM"
    path = f"{agency.path}/endpoints/{endpoint['id']}"
    pool = services.database.settings
    await note(services, "e1")
    await deliveries.fan_out([agency.id])
    await wait_until(lambda: pool.fetchval("SELECT bool_and(tried > 0) FROM deliveries"))
    await pool.execute("UPDATE endpoints SET resting_until = now() + interval '1 day'")
    await pool.execute("UPDATE deliveries SET due_at = created_at")
    changed = await api.patch(path, {"url": url, "events": ["call.ended"]}, token=agency.token)
    assert (changed["url"], changed["events"], changed["description"]) == (url, ["call.ended"], "CRM")
    assert (changed["resting_until"], changed["paused"]) == (None, False)
    await wait_for_states(api, agency, endpoint, delivered=1)
    [(headers, body)] = receiver.taken
    assert Webhook(endpoint["secret"]).verify(body, headers)["id"] == "e1"
    await note(services, "e2")
    await deliveries.fan_out([agency.id])
    assert await states(api, agency, endpoint) == {"delivered": 1}, "it is a call.answered"
    assert (await api.patch(path, {"description": None}, token=agency.token))["description"] is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "http://example.com"}, "url"),
        ({"url": "https://169.254.169.254/x"}, "url"),
        ({"url": "https://hooks..example.com/"}, "url"),
        ({"url": "https://example.com/" + "x" * 2000}, "url"),
        ({"url": None}, "url"),
        ({"events": []}, "events"),
        ({"events": ["call.danced"]}, "events"),
        ({"events": None}, "events"),
        ({"description": "a\nb"}, "description"),
        ({"description": "x" * 101}, "description"),
    ],
)
async def test_a_change_is_judged_as_a_new_endpoint_is(api, services, agency, url, monkeypatch, change, field):
    endpoint = await register(api, agency, url)
    monkeypatch.setattr(services.receivers, "_private", False)
    for method, path, body in (
        ("POST", f"{agency.path}/endpoints", {"url": url} | change),
        ("PATCH", f"{agency.path}/endpoints/{endpoint['id']}", change),
    ):
        problem = await api.refusal(method, path, body, token=agency.token)
        assert problem.status == 422
        assert problem.fields[0].partition(".")[0] == field
    [shown] = (await api.get(f"{agency.path}/endpoints", token=agency.token))["items"]
    assert shown == {name: value for name, value in endpoint.items() if name != "secret"}


async def test_an_agency_pauses_an_endpoint(api, services, agency, deliveries, url):
    endpoint = await register(api, agency, url)
    path = f"{agency.path}/endpoints/{endpoint['id']}"
    for _ in range(2):
        paused = await api.patch(path, {"paused": True}, token=agency.token)
        assert (paused["paused"], paused["gone_at"]) == (True, None)
    await note(services, "e1")
    await deliveries.fan_out([agency.id])
    for _ in range(2):
        assert (await api.patch(path, {"paused": False}, token=agency.token))["paused"] is False
    await deliveries.fan_out([agency.id])
    assert await states(api, agency, endpoint) == {}
    assert await replay(api, agency, endpoint) == 1
    await wait_for_states(api, agency, endpoint, delivered=1)
    audit = [entry["action"] for entry in (await api.get(f"{agency.path}/audit", token=agency.token))["items"]]
    assert (audit.count("endpoint.paused"), audit.count("endpoint.resumed")) == (1, 1)


async def test_deliveries_whose_job_was_lost_are_found(api, services, agency, deliveries, receiver, url):
    endpoint = await register(api, agency, url)
    await note(services, "e1")
    await deliveries.fan_out([agency.id])
    await wait_for_states(api, agency, endpoint, delivered=1)
    await services.database.settings.execute("UPDATE deliveries SET state = 'waiting', due_at = created_at")
    await deliveries.catch_up()
    await wait_for_states(api, agency, endpoint, delivered=1)
    assert receiver.ids == ["e1", "e1"]
