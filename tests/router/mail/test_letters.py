"""Letters: written when they are sent, tried again while a server is away, and dropped where no mail is wanted."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from router.jobs import JobRunner, RetryPolicy
from router.mail import Letters, Mail, Mailer, post, read_smtp_url
from tests.router.jobs.conftest import running
from tests.router.store.rows import insert
from tests.support.log_capture import captured_events
from tests.support.mail_server import running_mail_server
from tests.support.waiting import wait_until

__all__ = ["captured_events"]

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server():
    async with running_mail_server() as server:
        yield server


@pytest.fixture(autouse=True)
async def agencies(database):
    for agency_id in ("agency_1", "agency_2"):
        await insert(database.settings, "agencies", id=agency_id, name=agency_id)
        for name in ("acme", "single", *(f"many{number}" for number in range(5))):
            address = {"notify_email": f"{name}@example.com", "notify_email_confirmed": True}
            await insert(
                database.settings, "clients", id=f"{agency_id}.{name}", agency_id=agency_id, name=name, **address
            )


@pytest.fixture
def runner(database, database_dsn, server, monkeypatch):
    monkeypatch.setattr("router.mail.letters._POLICY", RetryPolicy(first=timedelta(0), attempts=3))
    mailer = Mailer(read_smtp_url(f"smtp://127.0.0.1:{server.port}"), "calls@example.com")
    return runner_with(database, database_dsn, mailer)


def runner_with(database, dsn, mailer):
    letters = Letters(mailer, database, 100)

    async def write(ids):
        if ids["client_id"] == "gone":
            return None
        return Mail(f"greeting_{ids['client_id']}", f"{ids['client_id']}@example.com", "Hello", "…")

    letters.write("greeting", write)
    runner = JobRunner(dsn)
    letters.register(runner)
    return runner


async def is_empty(database):
    return (
        await database.settings.fetchval("SELECT (SELECT count(*) FROM pgqueuer) + (SELECT count(*) FROM letters)") == 0
    )


async def send(database, letter, client_id, once, agency_id="agency_1"):
    await post(database.settings, letter, {"agency_id": agency_id, "client_id": client_id}, once=once)


async def test_a_letter_is_written_and_sent(database, runner, server, captured_events):
    await send(database, "greeting", "acme", "acme")
    await send(database, "greeting", "acme", "acme")
    async with running(runner):
        await wait_until(lambda: is_empty(database))
    (taken,) = server.mails
    assert taken.recipients == ["acme@example.com"]
    assert captured_events.only("mail.sent")["agency_id"] == "agency_1"
    assert "example.com" not in captured_events.text()


async def test_what_has_become_untrue_is_not_sent(database, runner, server):
    await send(database, "greeting", "gone", "gone")
    async with running(runner):
        await wait_until(lambda: is_empty(database))
    assert server.mails == []


async def test_a_server_that_is_busy_gets_it_later(database, runner, server, captured_events):
    server.refusals = ["451 later", "451 later"]
    await send(database, "greeting", "acme", "acme")
    async with running(runner):
        await wait_until(lambda: is_empty(database))
    assert len(server.mails) == 1
    assert [line["reason"] for line in captured_events.named("job.failed")] == ["MailError", "MailError"]


async def test_an_address_that_does_not_exist_is_not_tried_again(database, runner, server, captured_events):
    server.refusals = ["550 no such person as acme@example.com"] * 3
    await send(database, "greeting", "acme", "acme")
    async with running(runner):
        await wait_until(lambda: is_empty(database))
    assert len(server.refusals) == 2
    assert captured_events.only("job.given_up")["reason"] == "recipient_refused"
    assert "acme@" not in captured_events.text()


async def test_a_letter_without_a_writer_is_given_up(database, runner, captured_events):
    await send(database, "of_another_version", "acme", "acme")
    async with running(runner):
        await wait_until(lambda: is_empty(database))
    assert captured_events.only("job.given_up")["reason"] == "unknown_letter"


async def test_without_a_mail_server_letters_are_dropped(database, database_dsn, server):
    await send(database, "greeting", "acme", "acme")
    async with running(runner_with(database, database_dsn, None)):
        await wait_until(lambda: is_empty(database))
    assert server.connections == 0


async def test_agencies_whose_recordings_hang_leave_places_to_the_others(database, database_dsn, server):
    hanging = [f"agency_{number}" for number in range(3, 8)]
    for agency_id in hanging:
        await insert(database.settings, "agencies", id=agency_id, name=agency_id)
    held, writing = asyncio.Event(), set()
    letters = Letters(Mailer(read_smtp_url(f"smtp://127.0.0.1:{server.port}"), "calls@example.com"), database, 100)

    async def write(ids):
        writing.add(ids["agency_id"])
        if ids["agency_id"] in hanging:
            await held.wait()
            return None
        return Mail("greeting", "single@example.com", "Hello", "…")

    letters.write("greeting", write)
    runner = JobRunner(database_dsn)
    letters.register(runner)
    for agency_id in hanging:
        await send(database, "greeting", "single", agency_id, agency_id=agency_id)
    async with running(runner):
        await wait_until(lambda: writing == set(hanging))
        await send(database, "greeting", "single", "single", agency_id="agency_2")
        await wait_until(lambda: server.mails)
        held.set()


async def test_an_agency_with_many_letters_lets_anothers_go_first(database, database_dsn, server, monkeypatch):
    """Each of the first agency's letters takes long to write: its recording is slow to fetch."""
    monkeypatch.setattr("router.jobs.turns._SECONDS", 0.0)
    held, writing, most = asyncio.Event(), Counter(), Counter()
    letters = Letters(Mailer(read_smtp_url(f"smtp://127.0.0.1:{server.port}"), "calls@example.com"), database, 100)

    async def write(ids):
        agency_id = ids["agency_id"]
        writing[agency_id] += 1
        most[agency_id] = max(most[agency_id], writing[agency_id])
        if agency_id == "agency_1":
            await held.wait()
        writing[agency_id] -= 1
        return Mail(f"greeting_{ids['client_id']}", f"{ids['client_id']}@example.com", "Hello", "…")

    letters.write("greeting", write)
    runner = JobRunner(database_dsn)
    letters.register(runner)
    for number in range(5):
        await send(database, "greeting", f"many{number}", f"{number}")
    await send(database, "greeting", "single", "single", agency_id="agency_2")
    async with running(runner):
        await wait_until(lambda: server.mails)
        assert [mail.recipients for mail in server.mails] == [["single@example.com"]]
        held.set()
        await wait_until(lambda: is_empty(database))
    assert len(server.mails) == 6
    assert most["agency_1"] == 1
