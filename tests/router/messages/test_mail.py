"""Mail about messages: with the recording and what it says, once each, and never silently lost."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from adapters.carrier import RecordingPart
from adapters.sandbox.world import ACCOUNT_SID
from router.jobs import JobRunner, RetryPolicy
from router.mail import Letters, Mailer, read_smtp_url
from tests.router.api.test_calls import BEGAN, CALLER, file_call, file_voicemail
from tests.router.jobs.conftest import running
from tests.support.mail_server import running_mail_server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

RECORDING = "RE" + "1" * 32
OWNER = "owner@example.com"


@pytest.fixture
async def server():
    async with running_mail_server() as server:
        yield server


@pytest.fixture
def letters(server, services):
    return Letters(
        Mailer(read_smtp_url(f"smtp://127.0.0.1:{server.port}"), "calls@example.com"), services.database, 100
    )


@pytest.fixture
def runner(database_dsn, letters, services, monkeypatch):
    monkeypatch.setattr("router.mail.letters._POLICY", RetryPolicy(first=timedelta(0), attempts=3))
    return make_runner(database_dsn, letters, services)


def make_runner(dsn, letters, services):
    runner = JobRunner(dsn)
    letters.register(runner)
    services.areas.message_mail.register(runner, letters)
    return runner


async def leave_message(api, services, sandbox, *, notify_email=OWNER, routing=None, **fields):
    """A client with a message, and its recording at the carrier."""
    agency = await api.new_agency()
    body = {"name": "Acme Plumbing", "notify_email": notify_email, "routing": routing or {}}
    client = await api.post(f"{agency.path}/clients", body)
    await file_call(services, agency, "call_1", client_id=client["id"], ended_at=BEGAN)
    sandbox.state.twilio.add_recording(ACCOUNT_SID, "CA" + "1" * 32, RECORDING, 12)
    await file_voicemail(services, agency, "voicemail_1", RECORDING, client_id=client["id"], **fields)
    return agency


async def deliver(services, letters, runner):
    await services.areas.message_mail.post_due(letters)
    async with running(runner):
        await wait_until(lambda: is_empty(services.database))


async def is_empty(database):
    return (
        await database.settings.fetchval("SELECT (SELECT count(*) FROM pgqueuer) + (SELECT count(*) FROM letters)") == 0
    )


async def state(services):
    return await services.database.settings.fetchval("SELECT mail_state FROM voicemails")


async def told(services):
    return [row["event"] for row in await services.database.settings.fetch("SELECT event FROM call_events")]


async def test_the_client_gets_the_recording_and_what_it_says(
    api, services, sandbox, letters, runner, server, captured_events
):
    hours = {"timezone": "America/New_York", "open": [], "closed_mode": "voicemail"}
    await leave_message(api, services, sandbox, transcript="Please call me back.", routing={"hours": hours})
    await deliver(services, letters, runner)
    await services.areas.message_mail.post_due(letters)
    assert await is_empty(services.database)
    (mail,) = server.mails
    assert mail.recipients == [OWNER]
    assert mail.message["Subject"] == f"Message for Acme Plumbing from {CALLER}"
    text = mail.message.get_body(("plain",)).get_content()
    for part in (CALLER, "2026-03-02 04:00 (America/New_York)", "12 seconds", "Please call me back.", "attached"):
        assert part in text
    (attachment,) = mail.message.iter_attachments()
    assert (attachment.get_content_type(), attachment.get_filename()) == ("audio/mpeg", "voicemail_1.mp3")
    assert len(attachment.get_content()) > 1000
    assert (await state(services), await told(services)) == ("delivered", ["voicemail.delivered"])
    assert captured_events.only("voicemail.delivered")["voicemail_id"] == "voicemail_1"
    assert OWNER not in captured_events.text()


async def test_a_recording_that_never_ends_is_left_out_at_last(api, services, sandbox, clock, monkeypatch):
    """Bytes of it come again and again, each in good time."""
    monkeypatch.setattr("router.messages.mail._AUDIO_SECONDS", 0.05)

    async def trickle(*_):
        while True:
            yield RecordingPart(b"x")
            await asyncio.sleep(0)

    monkeypatch.setattr(type(services.carrier), "stream_recording", trickle)
    await leave_message(api, services, sandbox, at=clock(), mail_state="posted")
    with pytest.raises(TimeoutError):
        await services.areas.message_mail.write({"voicemail_id": "voicemail_1"})
    clock.move(hours=2)
    mail = await services.areas.message_mail.write({"voicemail_id": "voicemail_1"})
    assert "could not be fetched" in mail.text
    assert mail.attachments == ()


async def test_a_message_that_has_its_transcript_waits_no_longer(
    api, services, sandbox, letters, runner, server, clock
):
    """It may have come before the message. How long the message is, the carrier did not say."""
    due = clock() + timedelta(minutes=2)
    await leave_message(api, services, sandbox, transcript="Call me.", transcript_due=due, seconds=None)
    await deliver(services, letters, runner)
    text = server.mails[0].message.get_body(("plain",)).get_content()
    assert "Call me." in text
    assert "Length: unknown" in text


@pytest.mark.parametrize(
    ("caller", "named"),
    [("withheld", "a withheld number"), ("sip:a@b.example\r\nBcc: x", "a caller without a phone number")],
)
async def test_a_caller_without_a_number_is_named(api, services, sandbox, letters, caller, named):
    await leave_message(api, services, sandbox, from_number=caller)
    await services.areas.message_mail.post_due(letters)
    mail = await services.areas.message_mail.write({"voicemail_id": "voicemail_1"})
    assert mail.subject == f"Message for Acme Plumbing from {named}"
    assert f"From:   {named}\n" in mail.text


async def test_a_transcript_is_waited_for_but_not_for_long(api, services, sandbox, letters, runner, server, clock):
    await leave_message(api, services, sandbox, transcript_due=clock() + timedelta(minutes=2))
    await services.areas.message_mail.post_due(letters)
    assert (await is_empty(services.database), await state(services)) == (True, "new")
    clock.move(minutes=2)
    await deliver(services, letters, runner)
    assert len(server.mails) == 1


async def test_a_recording_that_is_too_large_stays_where_it_is(
    api, services, sandbox, letters, runner, server, monkeypatch
):
    monkeypatch.setattr("router.messages.mail._MOST_BYTES", 1000)
    await leave_message(api, services, sandbox)
    await deliver(services, letters, runner)
    (mail,) = server.mails
    assert list(mail.message.iter_attachments()) == []
    assert "too large" in mail.message.get_content()


async def test_a_recording_that_is_not_there_yet_is_waited_for_an_hour(api, services, sandbox, clock):
    await leave_message(api, services, sandbox, at=clock(), mail_state="posted")
    sandbox.state.twilio.accounts[ACCOUNT_SID].recordings.clear()
    with pytest.raises(Exception, match="404"):
        await services.areas.message_mail.write({"voicemail_id": "voicemail_1"})
    clock.move(hours=1)
    mail = await services.areas.message_mail.write({"voicemail_id": "voicemail_1"})
    assert mail is not None
    assert mail.attachments == ()
    assert "no longer there" in mail.text


async def test_a_mail_server_that_is_busy_gets_it_later(api, services, sandbox, letters, runner, server):
    server.refusals = ["451 later", "451 later"]
    await leave_message(api, services, sandbox)
    await deliver(services, letters, runner)
    assert (len(server.mails), await state(services)) == (1, "delivered")


@pytest.mark.parametrize("refusals", [["550 no such person"], ["451 later"] * 3])
async def test_mail_that_no_server_accepts_is_reported(
    api, services, sandbox, letters, runner, server, refusals, captured_events
):
    server.refusals = refusals
    await leave_message(api, services, sandbox)
    await deliver(services, letters, runner)
    assert (server.mails, await state(services)) == ([], "undelivered")
    assert await told(services) == ["voicemail.undelivered"]
    assert captured_events.only("voicemail.undelivered")["call_id"] == "call_1"


async def test_a_client_without_an_address_gets_none(api, services, sandbox, letters, runner, server):
    await leave_message(api, services, sandbox, notify_email=None)
    await deliver(services, letters, runner)
    assert (server.mails, await state(services)) == ([], "none")


async def test_without_a_mail_server_nothing_piles_up(api, services, sandbox, database_dsn):
    await leave_message(api, services, sandbox)
    letters = Letters(None, services.database, 100)
    await deliver(services, letters, make_runner(database_dsn, letters, services))
    assert (await state(services), await told(services)) == ("none", [])
