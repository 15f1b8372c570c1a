"""`callrouter serve` as an operator meets it: what it refuses, and how it starts, stops and survives."""

from __future__ import annotations

import asyncio
import platform
import signal
import socket
from contextlib import closing

import httpx
import psutil
import pytest

from router.cli.demo import provision
from tests.router.cli.commands import PATIENCE, Commands, get, is_over, mistakes
from tests.router.cli.conftest import execute
from tests.router.cli.service import ADMIN_TOKEN, place_call, providers, url_of
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # a dozen processes, on a machine that may be busy


def test_an_empty_database_has_to_be_migrated_first(external: Commands):
    external.is_forked = False
    refused = external.run("serve")
    assert refused.end() == 1
    (line,) = mistakes(refused)
    assert line.startswith("DATABASE_URL: the database is empty")
    assert "callrouter migrate" in line
    migrated = external.run("migrate")
    assert (migrated.end(), migrated.stderr) == (0, "")
    assert "newest schema" in migrated.stdout
    serving = external.start("serve")
    assert get(f"{serving.url()}/readyz").json()["status"] == "ok"
    (started,) = serving.events("service.started")
    assert started["database"] == "external"
    assert get(f"{started['console']}/sign-in").status_code == 200
    assert started["memory_hygiene"] == (platform.libc_ver()[0] == "glibc")
    serving.tell(signal.SIGTERM)
    assert (serving.end(), serving.stderr) == (0, "")


def test_a_database_of_another_version_is_refused(external: Commands):
    assert external.invoke("migrate").exit_code == 0
    asyncio.run(execute(external.environ["DATABASE_URL"], "UPDATE alembic_version SET version_num = '0000'"))
    older = external.run("serve")
    assert older.end() == 1
    (line,) = mistakes(older)
    assert "0000" in line
    assert "callrouter migrate" in line
    asyncio.run(execute(external.environ["DATABASE_URL"], "UPDATE alembic_version SET version_num = '9999'"))
    newer = external.invoke("migrate")
    assert newer.exit_code == 1
    (line,) = mistakes(newer)
    assert "newer version" in line


def test_a_database_that_is_down_or_refuses_us_is_one_line(external: Commands):
    there = external.environ["DATABASE_URL"]
    name = there.partition("?")[0].rpartition("/")[2]
    away = "postgres://somebody:hunter2@127.0.0.1:1/calls"
    serve = external.run("serve", DATABASE_URL=there.replace(name, "nowhere"))
    assert serve.end() == 1
    (line,) = mistakes(serve)
    assert line.startswith("DATABASE_URL: ")
    assert 'database "nowhere" does not exist' in line
    given = [
        ("migrate", away, 1, "does not respond"),
        ("keys rotate", away, 1, "does not respond"),
        ("migrate", "postgres://somebody:hunter2@127.0.0.1:http/calls", 2, "cannot read this address"),
    ]
    for command, dsn, code, said in given:
        refused = external.invoke(*command.split(), DATABASE_URL=dsn)
        assert refused.exit_code == code
        (line,) = mistakes(refused)
        assert line.startswith("DATABASE_URL: ")
        assert said in line
        assert "hunter2" not in line


def test_the_service_starts_while_the_database_is_down(external: Commands):
    serving = external.start("serve", DATABASE_URL="postgres://somebody:hunter2@127.0.0.1:1/calls")
    probe = get(f"{serving.url()}/readyz")
    assert probe.json()["checks"]["database"]["status"] == "unavailable"
    assert get(f"{serving.url()}/livez").status_code == 200
    serving.tell(signal.SIGTERM)
    assert serving.end() == 0
    assert "hunter2" not in serving.stdout + serving.stderr


def test_a_port_in_use_is_named(migrated: Commands):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        refused = migrated.run("serve", "--port", str(port))
    assert refused.end() == 1
    (line,) = mistakes(refused)
    assert line.startswith("CALLROUTER_HOST, CALLROUTER_PORT: ")
    assert f":{port} " in line


def test_a_stop_signal_during_the_start_exits_with_code_0(external: Commands):
    with closing(socket.create_server(("127.0.0.1", 0))) as database:
        # It takes connections and says nothing.
        starting = external.start("serve", DATABASE_URL=f"postgres://127.0.0.1:{database.getsockname()[1]}/calls")
        connection, _ = database.accept()
        with closing(connection):
            starting.tell(signal.SIGTERM)
            assert (starting.end(), starting.stderr) == (0, "")


@pytest.mark.anyio
async def test_a_call_in_flight_is_answered_before_the_end(migrated: Commands):
    async with providers(migrated) as (sandbox, world):
        serving = migrated.start("serve", CALLROUTER_DRAIN_DELAY="3", CALLROUTER_HANDOFF_TIMEOUT="2")
        url = await url_of(serving)
        await provision(url, ADMIN_TOKEN, world)
        sandbox.state.faults.set("bland", {"fault": "hang", "operation": "handoff"})
        calling = asyncio.create_task(place_call(url, world))
        await wait_until(lambda: sandbox.state.requests_to("bland", operation="handoff"))
        serving.tell(signal.SIGTERM)
        await asyncio.to_thread(serving.wait_for_events, "service.draining")
        probe = await asyncio.to_thread(get, f"{url}/readyz")
        assert probe.status_code == 503
        assert probe.json()["checks"]["service"]["detail"] == "draining"
        timeline = await calling
        assert timeline.requests[0].status == 200
        assert timeline.documents, timeline
        assert await asyncio.to_thread(serving.end) == 0
        assert serving.events("handoff.failed")[0]["reason"] == "timeout"
        assert serving.stderr == ""


@pytest.mark.anyio
async def test_workers_share_a_port_a_database_and_their_numbers_and_end_with_their_parent(commands: Commands):
    commands.environ |= {"CALLROUTER_WORKERS": "2", "CALLROUTER_OPS_PORT": "0", "CALLROUTER_ADMIN_TOKEN": ADMIN_TOKEN}
    async with providers(commands) as (_, world):
        serving = commands.start("serve")
        (started, _) = await asyncio.to_thread(serving.wait_for_events, "service.started", 2)
        url = await url_of(serving)
        await provision(url, ADMIN_TOKEN, world)
        timelines = await asyncio.gather(*(place_call(url, world, f"+141555501{each:02d}") for each in range(6)))
        assert {timeline.answered_by for timeline in timelines} == {"ai"}
        metrics = (await asyncio.to_thread(get, f"http://127.0.0.1:{started['ops_port']}/metrics")).text
        assert "callrouter_calls_received_total 6.0" in metrics

        victim, other = serving.workers()
        victim.kill()
        (died,) = await asyncio.to_thread(serving.wait_for_events, "worker.died")
        assert died["exit_code"] == -signal.SIGKILL
        await asyncio.to_thread(serving.wait_for_events, "service.started", 3)
        assert other in serving.workers()
        assert (await place_call(url, world)).answered_by == "ai"

        workers = serving.workers()
        serving.tell(signal.SIGKILL)
        assert await asyncio.to_thread(serving.end) == -signal.SIGKILL
        gone, alive = await asyncio.to_thread(psutil.wait_procs, workers, timeout=PATIENCE)
        assert (len(gone), alive) == (2, [])
        with pytest.raises(httpx.ConnectError):
            get(url)
        # What the killed one left behind is in nobody's way.
        again = commands.start("serve")
        assert (await place_call(await url_of(again), world)).answered_by == "ai"
    postgres = commands.postgres()
    again.tell(signal.SIGINT)
    assert await asyncio.to_thread(again.end) == 0
    assert is_over(postgres)
    assert (len(serving.events("worker.died")), again.events("worker.died"), again.stderr) == (1, [], "")
