"""`callrouter worker`: jobs without calls, and `callrouter serve`, with and without them."""

from __future__ import annotations

import asyncio
import signal

import asyncpg
import pytest

from tests.router.cli.commands import Commands, get, wait_for

pytestmark = pytest.mark.timeout(300)  # some processes, on a machine that may be busy


def count_listeners(dsn: str) -> int:
    """Processes that wait for jobs: each has a connection of its own for that."""

    async def count() -> int:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name = 'callrouter-jobs' AND query ILIKE 'listen%'"
            )
        finally:
            await connection.close()

    return asyncio.run(count())


def test_jobs_run_in_the_service_or_in_a_worker_which_serves_probes_and_metrics(migrated: Commands):
    dsn = migrated.environ["DATABASE_URL"]
    without = migrated.start("serve", "--no-jobs")
    without.wait_for_events("service.started")
    assert count_listeners(dsn) == 0
    worker = migrated.start("worker", CALLROUTER_OPS_PORT="0")
    (started,) = worker.wait_for_events("jobs.started")
    wait_for(lambda: count_listeners(dsn) == 1, "the worker")
    url = f"http://127.0.0.1:{started['port']}"
    assert get(f"{url}/livez").status_code == 200
    wait_for(lambda: get(f"{url}/readyz").json()["status"] == "ok", "the database")
    assert 'callrouter_jobs_total{name="assistants.sync",result="done"} 0.0' in get(f"{url}/metrics").text
    assert get(f"{url}/v1/agencies").status_code == 404, "it is no service"
    serving = migrated.start("serve")
    wait_for(lambda: count_listeners(dsn) == 2, "the service's own jobs")
    for command in (worker, serving, without):
        command.tell(signal.SIGTERM)
        assert (command.end(), command.stderr) == (0, "")
    assert worker.events("jobs.stopping")
    assert count_listeners(dsn) == 0


def test_a_worker_waits_for_the_database_and_stops_on_a_signal(external: Commands):
    worker = external.start("worker", DATABASE_URL="postgres://somebody:hunter2@127.0.0.1:1/calls")
    worker.wait_for_events("jobs.started")
    worker.tell(signal.SIGTERM)
    assert (worker.end(), worker.stderr) == (0, "")
    assert "hunter2" not in worker.stdout


def test_a_worker_refuses_a_database_of_another_version(external: Commands):
    refused = external.run("worker")
    assert refused.end() == 1
    assert "callrouter migrate" in refused.stderr
