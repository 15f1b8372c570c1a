"""Traces as a collector gets them, from real calls and jobs; and what they must never hold, cost or hold up."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from adapters.sandbox.carrier import Script
from router.app.tracing import answer_traced, tracing
from router.jobs import Job, JobRunner
from router.jobs.enqueue import enqueue
from router.jobs.retry import RetryPolicy
from router.settings import load_settings
from router.store.pool import Database
from router.telemetry import configure_logging, log, traces
from router.telemetry.exporting import OtlpTracing
from tests.router.jobs.conftest import runner, running
from tests.support.collector import Collector, Exported, running_collector
from tests.support.databases import fresh_database
from tests.support.log_capture import CapturedEvents, captured_events, validate_line
from tests.support.waiting import wait_until
from tests.support.world import ADMIN_TOKEN, CALLER, OWNER, Client, World, open_world

__all__ = ["captured_events", "runner"]

pytestmark = pytest.mark.anyio

TOLD = "0af7651916cd43dd8448eb211c80319c"  # a trace of a client's own
TRACEPARENT = f"00-{TOLD}-b7ad6b7169203331-01"
COLLECTORS_KEY = f"canary-{secrets.token_hex(12)}"
COLLECTORS_HEADER = f"authorization=Bearer%20{COLLECTORS_KEY}"


@dataclass(frozen=True, slots=True)
class Traced:
    """A service was traced from its start to its end."""

    collector: Collector
    spans: list[Exported]
    lines: list[dict[str, Any]]
    world: World
    client: Client
    call_sid: str
    call_id: str

    def trace_of_call(self) -> dict[str, Exported]:
        """The first request of the call, by name."""
        (server,) = self.named("POST /webhooks/twilio/voice")
        return {span.name: span for span in self.spans if span.trace_id == server.trace_id}

    def named(self, name: str) -> list[Exported]:
        return [span for span in self.spans if span.name == name]


@pytest.fixture(scope="module")
async def traced(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Traced]:
    """A call that Vapi failed and Retell took, and requests of API clients that trace."""
    folder: Path = tmp_path_factory.mktemp("traced")
    with captured_log() as captured, running_collector() as collector:
        async with (
            fresh_database(postgres_dsn) as dsn,
            open_world(
                dsn, folder, otel_exporter_otlp_endpoint=collector.url, otel_exporter_otlp_headers=COLLECTORS_HEADER
            ) as world,
        ):
            client = await world.add_client(providers=("vapi", "retell"), fallback_providers=["retell"])
            world.sandbox.state.faults.set("vapi", "500")
            timeline = await world.call(client, Script(caller="hangs-up-during-ai"))
            call = await world.find_ended_call(timeline)
            for token in (ADMIN_TOKEN, "wrong"):
                headers = {"authorization": f"Bearer {token}", "traceparent": TRACEPARENT}
                await world.http.get(f"{world.urls[0]}/v1/agencies?q={COLLECTORS_KEY}", headers=headers)
            await world.http.get(f"{world.urls[0]}/livez")
        lines = captured.all()
        yield Traced(collector, collector.spans(), lines, world, client, timeline.call_sid, call["id"])


@contextlib.contextmanager
def captured_log() -> Iterator[CapturedEvents]:
    before, captured = log._pipeline.logger, CapturedEvents()
    configure_logging("debug", "json", strict=True, stream=captured.stream)
    try:
        yield captured
    finally:
        log._pipeline.logger = before


async def test_a_call_is_one_trace_from_the_webhook_to_the_reply(traced: Traced) -> None:
    trace = traced.trace_of_call()
    server = trace["POST /webhooks/twilio/voice"]
    assert (server.kind, server.parent_id, server.failed) == ("server", "", False)
    stations = ["verify", "claim", "handoff vapi", "handoff retell", "records", "reply"]
    assert [name for name in trace if name in stations] == stations
    assert {trace[name].parent_id for name in stations} == {server.span_id}


async def test_a_failed_handoff_says_who_failed_and_why(traced: Traced) -> None:
    trace = traced.trace_of_call()
    vapi, retell = trace["handoff vapi"], trace["handoff retell"]
    assert (vapi.failed, vapi.attributes["error.type"]) == (True, "provider_error")
    assert vapi.events == ("handoff.requested", "handoff.failed")
    assert not retell.failed
    requests = {name: trace[f"request {name}"] for name in ("vapi", "retell")}
    assert [(each.kind, each.failed) for each in requests.values()] == [("client", True), ("client", False)]
    assert requests["retell"].parent_id == retell.span_id
    assert requests["vapi"].attributes["error.type"] == "5xx"


async def test_a_trace_carries_the_ids_of_the_carrier_the_provider_and_the_call(traced: Traced) -> None:
    trace = traced.trace_of_call()
    server, claim = trace["POST /webhooks/twilio/voice"], trace["claim"]
    assert server.attributes["twilio.call_sid"] == traced.call_sid
    assert server.attributes["twilio.account_sid"] == traced.client.account_sid
    assert server.attributes["http.response.status_code"] == 200
    assert claim.attributes["callrouter.call_id"] == traced.call_id
    assert claim.attributes["callrouter.agency_id"] == traced.client.agency_id
    assert trace["handoff retell"].attributes["callrouter.provider_call_id"].startswith("call_")


async def test_records_are_written_for_many_calls_at_once_and_linked_to_each(traced: Traced) -> None:
    written = traced.trace_of_call()["records written"]
    assert written.trace_id in written.links
    assert written.attributes["callrouter.durable"] is True
    assert written.attributes["callrouter.count"] > 1


async def test_log_lines_lead_to_the_trace_the_request_and_the_replica(traced: Traced) -> None:
    for line in traced.lines:
        validate_line(line)
        assert line["replica"] == traces.REPLICA
    spans = {span.span_id: span for span in traced.spans}
    (received,) = [line for line in traced.lines if line["event"] == "call.received"]
    (failed,) = [line for line in traced.lines if line["event"] == "handoff.failed"]
    assert spans[failed["span_id"]].name == "handoff vapi"
    assert failed["trace_id"] == received["trace_id"] == traced.trace_of_call()["claim"].trace_id
    assert failed["request_id"] == received["request_id"]
    (ended,) = [line for line in traced.lines if line["event"] == "call.ended"]
    assert ended["request_id"] != received["request_id"]


async def test_an_api_client_s_trace_is_linked_once_its_token_is_known(traced: Traced) -> None:
    served, refused = traced.named("GET /v1/agencies")
    assert (served.links, refused.links) == ({TOLD}, frozenset())
    assert TOLD not in {span.trace_id for span in traced.spans}


async def test_probes_are_not_traced(traced: Traced) -> None:
    assert not [span for span in traced.spans if "livez" in span.name or not span.name]


async def test_the_collector_gets_no_key_no_number_and_no_address(traced: Traced) -> None:
    exported = b"".join(traced.collector.bodies)
    hidden = [*traced.client.keys.values(), traced.client.auth_token, ADMIN_TOKEN, COLLECTORS_KEY]
    hidden += [number.removeprefix("+") for number in (CALLER, OWNER, traced.client.number)]
    assert exported
    assert [each for each in hidden if each.encode() in exported] == []
    assert b"state=" not in exported


async def test_the_collector_learns_who_sends(traced: Traced) -> None:
    resource = traced.collector.resource()
    assert (resource["service.name"], resource["service.instance.id"]) == ("callrouter", traces.REPLICA)
    assert set(traced.collector.paths) == {"/v1/traces"}
    assert traced.collector.headers[0]["authorization"] == f"Bearer {COLLECTORS_KEY}"


async def test_a_job_is_a_trace_linked_to_the_request_that_made_it_necessary(
    runner: JobRunner, database: Database
) -> None:
    done: list[Job] = []

    async def work(job: Job) -> None:
        done.append(job)
        if job.tried == 1:
            raise ValueError(COLLECTORS_KEY)

    runner.handle("greet", work, policy=RetryPolicy(first=timedelta()))
    with running_collector() as collector:
        async with tracing(load_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})):
            with traces.serving("PUT"):
                await enqueue(database.settings, "greet", {"agency_id": "agency_1"})
            async with running(runner):
                await wait_until(lambda: len(done) == 2)
        (request,) = [span for span in collector.spans() if span.kind == "server"]
        jobs = [span for span in collector.spans() if span.kind == "consumer"]
    assert [job.payload for job in done] == [{"agency_id": "agency_1"}] * 2
    assert [job.name for job in jobs] == ["job greet"] * 2
    assert [job.attributes["callrouter.result"] for job in jobs] == ["failed", "done"]
    assert jobs[0].attributes["error.type"] == "ValueError"
    assert all(job.links == {request.trace_id} and job.attributes["callrouter.agency_id"] == "agency_1" for job in jobs)
    assert COLLECTORS_KEY.encode() not in b"".join(collector.bodies)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as collector:
        yield collector


@pytest.fixture
def exporting(collector: Collector) -> Iterator[OtlpTracing]:
    tracing = OtlpTracing(f"{collector.url}/v1/traces", "", "callrouter", "1", "always_on", 1.0)
    yield tracing
    collector.released.set()
    tracing.shut_down(5)


def send_span(tracing: OtlpTracing) -> None:
    with tracing.start("claim", {}):
        pass
    tracing._provider.force_flush()


def test_that_a_collector_refuses_traces_is_logged_once(
    collector: Collector, exporting: OtlpTracing, captured_events: CapturedEvents
) -> None:
    collector.status = 401
    send_span(exporting)
    send_span(exporting)
    collector.status = 200
    send_span(exporting)
    send_span(exporting)
    assert captured_events.names() == ["traces.failed", "traces.resumed"]
    assert captured_events.only("traces.resumed")["count"] == 2


def test_a_collector_that_never_answers_holds_nothing_up(collector: Collector, exporting: OtlpTracing) -> None:
    collector.silent = True
    with exporting.start("claim", {}):
        pass
    exporting.shut_down(0.05)
    assert not collector.bodies
    assert not collector.released.is_set()


def test_numbers_in_ids_from_outside_are_masked_and_texts_of_exceptions_left_out(
    collector: Collector, exporting: OtlpTracing
) -> None:
    with contextlib.suppress(ValueError), exporting.start("handoff vapi", {"provider_call_id": f"{CALLER}@vapi"}):
        raise ValueError(COLLECTORS_KEY)
    exporting._provider.force_flush()
    (span,) = collector.spans()
    assert span.attributes == {"callrouter.provider_call_id": "+*******0123@vapi", "error.type": "ValueError"}
    assert span.failed
    assert COLLECTORS_KEY.encode() not in collector.bodies[0]


@pytest.mark.parametrize(
    ("sampler", "ratio", "sent"),
    [("always_off", 1.0, 0), ("parentbased_traceidratio", 0.0, 0), ("traceidratio", 1.0, 1)],
)
def test_the_sampler_decides_what_is_recorded(collector: Collector, sampler: str, ratio: float, sent: int) -> None:
    tracing = OtlpTracing(f"{collector.url}/v1/traces", "", "callrouter", "1", sampler, ratio)
    with tracing.start_server("POST", {}):
        pass
    tracing.shut_down(5)
    assert len(collector.spans()) == sent


@pytest.mark.parametrize("told", ["", "00-x", f"00-{'0' * 32}-{'1' * 16}-01", f"{TRACEPARENT}\r\nx: y"])
def test_a_malformed_traceparent_is_no_link(collector: Collector, exporting: OtlpTracing, told: str) -> None:
    with exporting.start_server("GET", {}):
        exporting.link(told)
    exporting._provider.force_flush()
    assert collector.spans()[0].links == frozenset()


async def test_what_a_page_asks_of_the_api_within_its_request_does_not_name_it(
    collector: Collector, exporting: OtlpTracing
) -> None:
    async def show_page(scope: Scope, _: Receive, send: Send) -> None:
        traces.name_request(scope, "GET", "/page")
        traces.name_request({"type": "http"}, "GET", "/v1/agencies")
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b""})

    async def ignore(_: Message) -> None:
        pass

    async def receive() -> Message:
        return {"type": "http.request"}

    traces.use(exporting)
    try:
        await answer_traced(show_page, {"type": "http", "method": "GET"}, receive, ignore)
    finally:
        traces.use(None)
    exporting._provider.force_flush()
    assert [span.name for span in collector.spans()] == ["reply", "GET /page"]


def test_without_tracing_every_span_is_the_same_object_that_does_nothing() -> None:
    assert not traces.is_on()
    one = traces.span("claim", call_id="call_1")
    assert one is traces.serving("POST") is traces.working("greet", 1) is traces.together("records", [None])
    with one as entered:
        entered.set(status=200)
        entered.fail("timeout")
    assert traces.carried() == {}
    assert traces.origin() is None
