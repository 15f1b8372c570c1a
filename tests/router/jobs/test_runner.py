"""The life of a job: done once, retried with pauses, given up, given back, never lost."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from functools import partial

import pytest
from pgqueuer.domain.settings import db_settings

from router.jobs import Again, GiveUp, JobRunner, RetryPolicy, enqueue, enqueue_fresh
from tests.router.jobs.conftest import running
from tests.support.database_proxy import proxied
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

CANARY = "canary-9f2c1e7b5a"
AT_ONCE = RetryPolicy(first=timedelta(0), attempts=4)


async def waiting(database):
    """How many jobs are in the queue, in whatever state."""
    return await database.settings.fetchval("SELECT count(*) FROM pgqueuer")


async def is_empty(database):
    return await waiting(database) == 0


def raiser(error):
    async def handler(_job):
        raise error

    return handler


async def test_a_job_is_done_by_its_handler_with_its_payload(database, runner):
    seen = []

    async def handler(job):
        seen.append(job)

    runner.handle("test.work", handler)
    async with running(runner):
        assert await enqueue(database.settings, "test.work", {"agency_id": "agency_1", "tries": 3, "nothing": None})
        await wait_until(lambda: is_empty(database))
    (job,) = seen
    assert (job.name, job.tried) == ("test.work", 1)
    assert job.payload == {"agency_id": "agency_1", "tries": 3, "nothing": None}


async def test_jobs_stay_in_the_queue_while_they_must_wait_and_count_no_failure(database, runner, monkeypatch):
    monkeypatch.setattr("router.jobs.runner._WAIT_SECONDS", 0)
    asked, done, wait = [], [], True

    async def must_wait():
        asked.append(True)
        return wait

    async def handler(job):
        done.append(job.tried)

    runner.must_wait = must_wait
    runner.handle("test.work", handler)
    async with running(runner):
        await enqueue(database.settings, "test.work", {})
        await wait_until(lambda: len(asked) > 1)
        assert (done, await waiting(database)) == ([], 1)
        wait = False
        await wait_until(lambda: done)
    assert done == [1]


async def test_scheduled_work_waits_too_unless_it_stays_inside(runner):
    done = []

    async def must_wait():
        return True

    async def work(name):
        done.append(name)

    runner.must_wait = must_wait
    runner.repeat("test.outside", "* * * * * *", partial(work, "outside"))
    runner.repeat("test.inside", "* * * * * *", partial(work, "inside"), inside=True)
    async with running(runner):
        await wait_until(lambda: len(done) > 1)
    assert set(done) == {"inside"}


async def test_variables_of_other_programs_do_not_rename_the_queue(database, runner, monkeypatch):
    done = []

    async def handler(_job):
        done.append(True)

    for name in ("CHANNEL", "QUEUE_TABLE", "SCHEDULES_TABLE", "PGQUEUER_PREFIX"):
        monkeypatch.setenv(name, "other_callers")
    db_settings.cache_clear()
    try:
        runner.handle("test.work", handler)
        async with running(runner):
            await enqueue(database.settings, "test.work", {})
            await wait_until(lambda: done)
    finally:
        monkeypatch.undo()
        db_settings.cache_clear()


async def test_a_job_of_a_transaction_that_fails_is_never_run(database):
    async with database.settings.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        assert await enqueue(connection, "test.work", {})
        await transaction.rollback()
    assert await is_empty(database)


async def test_the_same_work_waits_only_once_and_can_be_added_again_when_done(database, runner):
    done = []

    async def handler(job):
        done.append(job.payload["id"])

    runner.handle("test.work", handler)
    assert await enqueue(database.settings, "test.work", {"id": 1}, once="the same")
    assert not await enqueue(database.settings, "test.work", {"id": 2}, once="the same")
    assert await enqueue(database.settings, "test.work", {"id": 3}, once="another")
    async with running(runner):
        await wait_until(lambda: is_empty(database))
        assert await enqueue(database.settings, "test.work", {"id": 4}, once="the same")
        await wait_until(lambda: is_empty(database))
    assert sorted(done) == [1, 3, 4]


async def test_however_many_jobs_run_already_another_one_begins_after_the_change(database, runner):
    """A job that has looked, and whose end is not written down yet, will not see what is changed now."""
    begun, go_on = [], asyncio.Event()

    async def handler(job):
        begun.append(job.payload["id"])
        await go_on.wait()

    runner.handle("test.work", handler)
    async with running(runner):
        for change in range(1, 4):
            await enqueue_fresh(database.settings, "test.work", {"id": change}, once="the same")
            await wait_until(lambda change=change: len(begun) == change)
        go_on.set()
        await wait_until(lambda: is_empty(database))
    assert begun == [1, 2, 3]


async def test_one_waiting_job_is_enough_for_all_changes_and_becomes_due(database, runner):
    done = []

    async def handler(job):
        done.append(job.payload["id"])

    runner.handle("test.work", handler)
    await enqueue(database.settings, "test.work", {"id": "tomorrow's"}, after=timedelta(days=1), once="the same")
    for change in range(3):
        await enqueue_fresh(database.settings, "test.work", {"id": change}, once="the same")
    async with running(runner):
        await wait_until(lambda: is_empty(database))
    assert done == ["tomorrow's"]


async def test_a_job_for_later_waits_for_its_time(database, runner):
    done = []

    async def handler(job):
        done.append(job.payload["id"])

    runner.handle("test.work", handler)
    async with running(runner):
        await enqueue(database.settings, "test.work", {"id": "later"}, after=timedelta(seconds=1))
        await enqueue(database.settings, "test.work", {"id": "tomorrow"}, after=timedelta(days=1))
        await enqueue(database.settings, "test.work", {"id": "now"})
        await wait_until(lambda: len(done) == 2)
    assert done == ["now", "later"]
    assert await waiting(database) == 1


async def test_a_failed_job_is_retried_and_each_failure_is_logged(database, runner, captured_events):
    tried = []

    async def handler(job):
        tried.append(job.tried)
        if len(tried) < 3:
            raise RuntimeError(CANARY)

    runner.handle("test.work", handler, policy=AT_ONCE)
    await enqueue(database.settings, "test.work", {"agency_id": "agency_1"})
    async with running(runner):
        await wait_until(lambda: is_empty(database))
    assert tried == [1, 2, 3]
    told = captured_events.named("job.failed")
    assert [line["tried"] for line in told] == [1, 2]
    assert {(line["job"], line["reason"], line["agency_id"]) for line in told} == {
        ("test.work", "RuntimeError", "agency_1")
    }


async def test_after_the_last_attempt_a_job_is_given_up_and_its_owner_is_told(database, runner, captured_events):
    given_up = []

    async def hear(job):
        given_up.append(job)

    runner.handle("test.work", raiser(RuntimeError(CANARY)), policy=AT_ONCE, given_up=hear)
    await enqueue(database.settings, "test.work", {"id": 1})
    async with running(runner):
        await wait_until(lambda: is_empty(database))
    (job,) = given_up
    assert (job.payload, job.tried) == ({"id": 1}, 4)
    assert captured_events.only("job.given_up")["tried"] == 4


async def test_a_handler_can_give_up_at_once(database, runner, captured_events):
    runner.handle("test.work", raiser(GiveUp("no_client")))
    await enqueue(database.settings, "test.work", {})
    async with running(runner):
        await wait_until(lambda: is_empty(database))
    told = captured_events.only("job.given_up")
    assert (told["reason"], told["tried"]) == ("no_client", 1)
    assert captured_events.named("job.failed") == []


async def test_a_job_that_asks_to_run_again_has_not_failed(database, runner, captured_events):
    tried = []

    async def handler(job):
        tried.append(job.tried)
        if len(tried) == 3:
            raise RuntimeError
        if len(tried) < 20:
            raise Again

    runner.handle("test.work", handler, policy=AT_ONCE)
    await enqueue(database.settings, "test.work", {})
    async with running(runner):
        await wait_until(lambda: is_empty(database))
    assert tried == [1, 1, 1, 2, *[1] * 16]
    assert captured_events.only("job.failed")["tried"] == 1


async def test_a_job_that_runs_again_goes_to_the_end_of_the_queue(database, runner):
    """A big agency, in many portions, and a small one that came later; only one job at a time."""
    order = []

    async def handler(job):
        order.append(job.payload["agency"])
        if job.payload["agency"] == "big" and order.count("big") < 5:
            raise Again

    runner.handle("test.work", handler, at_once=1)
    await enqueue(database.settings, "test.work", {"agency": "big"}, once="big")
    await enqueue(database.settings, "test.work", {"agency": "small"}, once="small")
    async with running(runner):
        await wait_until(lambda: is_empty(database))
    assert order == ["big", "small", "big", "big", "big", "big"]


async def test_the_limit_of_jobs_at_once_holds_over_all_workers(database, database_dsn):
    at_once = most = done = 0
    go_on = asyncio.Event()

    async def handler(_job):
        nonlocal at_once, most, done
        at_once += 1
        most = max(most, at_once)
        await go_on.wait()
        at_once -= 1
        done += 1

    runners = [JobRunner(database_dsn), JobRunner(database_dsn)]
    for runner in runners:
        runner.handle("test.work", handler, at_once=2)
    for _ in range(8):
        await enqueue(database.settings, "test.work", {})
    async with running(runners[0]), running(runners[1]):
        await wait_until(lambda: at_once == 2)
        go_on.set()
        await wait_until(lambda: done == 8)
    assert most == 2


async def test_a_stopped_runner_finishes_short_jobs_and_begins_none(database, runner):
    begun, done, go_on = [], [], asyncio.Event()

    async def handler(job):
        begun.append(job.payload["id"])
        await go_on.wait()
        done.append(job.payload["id"])

    runner.handle("test.work", handler, at_once=1)
    for number in range(3):
        await enqueue(database.settings, "test.work", {"id": number})
    async with running(runner):
        await wait_until(lambda: begun)
        await runner.stop()
        for _ in range(10):  # round trips, in which a job that is not waited for would be broken off
            assert await waiting(database) == 3
        go_on.set()
    assert begun == done == [0]
    assert await waiting(database) == 2


async def test_a_stopped_runner_gives_back_long_jobs(database, database_dsn, monkeypatch, captured_events):
    monkeypatch.setattr("router.jobs.runner._STOP_SECONDS", 0.05)
    begun = asyncio.Event()

    async def hang(_job):
        begun.set()
        await asyncio.Event().wait()

    tried = []

    async def handler(job):
        tried.append(job.tried)

    first, second = JobRunner(database_dsn), JobRunner(database_dsn)
    first.handle("test.work", hang)
    second.handle("test.work", handler)
    await enqueue(database.settings, "test.work", {})
    async with running(first):
        await begun.wait()
    assert await database.settings.fetchval("SELECT status::text FROM pgqueuer") == "queued"
    async with running(second):
        await wait_until(lambda: is_empty(database))
    assert tried == [1]
    assert captured_events.named("job.failed") == []


async def test_a_runner_that_is_cancelled_loses_nothing(database, database_dsn):
    begun = asyncio.Event()
    ended = []

    async def hang(_job):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    runner = JobRunner(database_dsn, heartbeat=1.0)
    runner.handle("test.work", hang)
    await enqueue(database.settings, "test.work", {})
    task = asyncio.create_task(runner.run())
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert ended == [True]

    async def handler(_job):
        pass

    second = JobRunner(database_dsn, heartbeat=1.0)
    second.handle("test.work", handler)
    assert await waiting(database) == 1
    async with running(second):
        await wait_until(lambda: is_empty(database))


async def test_the_job_of_a_killed_worker_is_finished_by_another(database, database_dsn):
    await enqueue(database.settings, "test.work", {"id": 7}, once="only one")
    doomed = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.router.jobs.doomed", database_dsn, stdout=asyncio.subprocess.PIPE
    )
    assert await doomed.stdout.readline() == b"7\n"
    doomed.kill()
    await doomed.wait()
    assert not await enqueue(database.settings, "test.work", {"id": 8}, once="only one")
    done = []

    async def handler(job):
        done.append(job.payload["id"])

    runner = JobRunner(database_dsn, heartbeat=1.0)
    runner.handle("test.work", handler)
    async with running(runner):
        await wait_until(lambda: is_empty(database))
    assert done == [7]


async def test_the_text_of_an_exception_is_stored_nowhere(database, runner, captured_events):
    heard = []

    async def hear(_job):
        heard.append(True)
        if len(heard) == 1:
            raise RuntimeError(CANARY)

    async def tick():
        heard_ticks.append(True)
        raise RuntimeError(CANARY)

    heard_ticks = []
    runner.handle("test.work", raiser(RuntimeError(CANARY)), policy=AT_ONCE)
    runner.handle("test.untold", raiser(GiveUp("for_good")), given_up=hear)
    runner.repeat("test.tick", "* * * * * *", tick)
    for name in ("test.work", "test.untold"):
        await enqueue(database.settings, name, {})

    async def is_given_up():
        return len(captured_events.named("job.given_up")) >= 2 and await waiting(database) == 1

    async with running(runner):
        await wait_until(is_given_up)
        await wait_until(lambda: heard_ticks)
    rows = []
    for table in ("pgqueuer", "pgqueuer_log", "pgqueuer_schedules", "pgqueuer_statistics"):
        rows += await database.settings.fetch(f"SELECT * FROM {table}")  # noqa: S608  our own names
    assert rows
    assert CANARY not in str([dict(row) for row in rows])
    assert CANARY not in captured_events.text()
    assert "given up" not in captured_events.text()
    assert await database.settings.fetchval("SELECT count(*) FROM pgqueuer_log WHERE traceback IS NOT NULL") == 0


async def test_the_owner_of_a_job_given_up_is_told_in_the_end(database, runner, monkeypatch):
    monkeypatch.setattr("router.jobs.runner._UNTOLD", timedelta())
    heard = []

    async def hear(_job):
        heard.append(True)
        if len(heard) < 3:
            raise ConnectionResetError

    runner.handle("test.work", raiser(GiveUp("for_good")), given_up=hear)
    await enqueue(database.settings, "test.work", {})
    async with running(runner):
        await wait_until(lambda: is_empty(database))
    assert len(heard) == 3


async def test_work_goes_on_after_the_database_was_away(database, database_dsn, captured_events):
    done = []

    async def handler(job):
        done.append(job.payload["id"])

    async with proxied(database_dsn) as proxy:
        proxy.refuse()
        runner = JobRunner(proxy.dsn, heartbeat=1.0)
        runner.handle("test.work", handler)
        async with running(runner):
            await enqueue(database.settings, "test.work", {"id": "before"})
            await wait_until(lambda: proxy.accepted > 1)
            assert captured_events.all() == []
            proxy.go_on()
            await wait_until(lambda: done == ["before"])
            proxy.refuse()
            proxy.go_on()
            await enqueue(database.settings, "test.work", {"id": "after"})
            await wait_until(lambda: done == ["before", "after"])
            await wait_until(lambda: is_empty(database))
    assert captured_events.named("jobs.failed") == []


async def test_scheduled_work_whose_statement_is_refused_says_so(database, runner, captured_events):
    runner.repeat("test.tick", "* * * * * *", lambda: database.settings.execute("SELECT nothing"))
    async with running(runner):
        await wait_until(lambda: captured_events.named("job.failed"))
    assert captured_events.named("job.failed")[0]["reason"] == "UndefinedColumnError"


async def test_jobs_that_never_get_their_database_are_told_of_once(monkeypatch, captured_events):
    monkeypatch.setattr("router.jobs.runner._RECONNECT_SECONDS", 0.0)
    monkeypatch.setattr("router.jobs.runner._TOLD_AFTER", 2)
    tries = []

    def refuse(*_args: object) -> None:
        tries.append(1)
        raise ConnectionRefusedError

    monkeypatch.setattr("router.jobs.runner.open_plain_pool", refuse)
    runner = JobRunner("postgresql://nobody@127.0.0.1:1/none")
    running = asyncio.create_task(runner.run())
    await wait_until(lambda: len(tries) > 3)
    await runner.stop()
    await running
    assert captured_events.only("jobs.failed")["exception"]["type"] == "ConnectionRefusedError"


async def test_a_job_whose_end_cannot_be_recorded_runs_again(database, database_dsn):
    """At least once: the database went away while it was being done."""
    tried = []

    async with proxied(database_dsn) as proxy:

        async def handler(_job):
            tried.append(True)
            if len(tried) == 1:
                proxy.refuse()

        runner = JobRunner(proxy.dsn, heartbeat=1.0)
        runner.handle("test.work", handler)
        await enqueue(database.settings, "test.work", {})
        async with running(runner):
            await wait_until(lambda: tried)
            proxy.go_on()
            await wait_until(lambda: is_empty(database))
    assert len(tried) >= 1


async def test_a_tick_is_done_by_one_process_each_time(database_dsn, database):
    ticks = Counter()

    async def tick():
        second = await database.settings.fetchval(
            "SELECT extract(epoch FROM next_run)::text FROM pgqueuer_schedules WHERE entrypoint = 'test.tick'"
        )
        ticks[second] += 1

    runners = [JobRunner(database_dsn), JobRunner(database_dsn)]
    for runner in runners:
        runner.repeat("test.tick", "* * * * * *", tick)
    async with running(runners[0]), running(runners[1]):
        await wait_until(lambda: len(ticks) >= 3)
    assert set(ticks.values()) == {1}


async def test_the_queues_log_does_not_grow_for_ever(database, database_dsn, monkeypatch):
    monkeypatch.setattr("router.jobs.runner._CLEAN_UP_AT", "* * * * * *")

    async def handler(_job):
        pass

    runner = JobRunner(database_dsn)
    runner.handle("test.work", handler)
    await database.settings.execute(
        "INSERT INTO pgqueuer_log (created, job_id, status, priority, entrypoint) "
        "SELECT now() - interval '1 day', number, 'successful', 0, 'test.work' FROM generate_series(1, 50) AS number"
    )
    await enqueue(database.settings, "test.work", {})

    async def is_clean():
        return await database.settings.fetchval("SELECT count(*) FROM pgqueuer_log") == 0

    async with running(runner):
        await wait_until(lambda: is_empty(database))
        await wait_until(is_clean)
    assert await database.settings.fetchval("SELECT count(*) FROM pgqueuer_statistics") == 0


def test_a_process_that_does_no_jobs_does_not_load_their_library():
    look = "import sys, router.jobs; sys.exit('pgqueuer' in sys.modules)"
    subprocess.run([sys.executable, "-c", look], check=True)
