"""`callrouter move` and `callrouter adopt`, and how a running service answers until one of them was run."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlencode

import httpx
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from router.app import create_app
from router.health import ServiceHealth
from router.settings import env_name
from router.telemetry import metrics
from tests.router.cli.commands import APP
from tests.router.cli.test_doctor import Doctor, configure
from tests.support.log_capture import captured_events
from tests.support.serving import serve_app
from tests.support.signed_requests import SIGNATURE, VOICE, call_form, signature
from tests.support.waiting import wait_until
from tests.support.world import ADMIN_TOKEN

__all__ = ["captured_events"]

pytestmark = pytest.mark.anyio

NEW = "https://calls.new.example/router"


@pytest.fixture
async def client(world):
    """Its number leads to the address that the database has."""
    client = await world.add_client()
    await configure(world, client)
    return client


@asynccontextmanager
async def replica(world, public_url):
    """Another process on the same database."""
    settings = world.settings.model_copy(update={"public_url": public_url})
    health = ServiceHealth()
    async with serve_app(create_app(settings, health, jobs=False, clock=world.clock), lifespan=True) as url:
        yield url


@pytest.fixture
def run(world, monkeypatch):
    """A command with the service's settings, but the new address."""
    for name, value in (world.settings.model_dump(exclude_none=True) | world.settings.providers).items():
        monkeypatch.setenv(env_name(name), value.get_secret_value() if isinstance(value, SecretStr) else str(value))
    monkeypatch.setenv("CALLROUTER_PUBLIC_URL", NEW)

    async def run(*arguments):
        return await asyncio.to_thread(partial(CliRunner().invoke, APP, list(arguments)))

    return run


async def call(world, url, client, address):
    """The status of an inbound call that Twilio signed for this address."""
    form = call_form(client)
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        SIGNATURE: signature(client.auth_token, address + VOICE, form),
    }
    return (await world.http.post(url + VOICE, content=urlencode(form), headers=headers)).status_code


async def ready(world, url):
    return (await world.http.get(url + "/readyz")).json()


async def test_calls_are_answered_under_both_addresses_for_a_day(world, client):
    old = world.urls[0]
    async with replica(world, NEW) as url:
        await wait_until(partial(knows, world, old, client, NEW))
        for process in (url, old):
            assert [await call(world, process, client, address) for address in (old, NEW)] == [200, 200]
        world.clock.advance(23 * 3600)
        assert await call(world, url, client, old) == 200
        world.clock.advance(2 * 3600)
        assert [await call(world, url, client, address) for address in (old, NEW)] == [403, 200]
        assert [await call(world, old, client, address) for address in (old, NEW)] == [200, 403]
    async with replica(world, NEW) as url:  # a restart doesn't begin another day
        assert await call(world, url, client, old) == 403


async def knows(world, url, client, address):
    return await call(world, url, client, address) == 200


async def test_a_third_address_proves_nothing(world, client):
    async with replica(world, NEW) as url:
        assert await call(world, url, client, "https://calls.third.example") == 403


async def test_readiness_log_and_doctor_say_what_waits_and_what_to_do(world, monkeypatch, captured_events):
    told = []
    monkeypatch.setattr(metrics, "public_address_differs", told.append)
    async with replica(world, NEW) as url:
        assert True in told
        status = await ready(world, url)
        assert (status["status"], status["checks"]["public_address"]["status"]) == ("degraded", "unavailable")
        assert (await ready(world, world.urls[0]))["checks"]["public_address"]["status"] == "ok"
        (warning,) = captured_events.named("settings.warning")
    doctor = Doctor(world.settings.model_copy(update={"public_url": NEW}), monkeypatch)
    said = await doctor.find("problem", "CALLROUTER_PUBLIC_URL")
    for text in (status["checks"]["public_address"]["detail"], warning["message"], "".join(said)):
        assert "callrouter move" in text
        assert "callrouter adopt" in text
        assert "mail wait" in text
    assert world.urls[0] in "".join(said)


@pytest.mark.parametrize("change", [{}, {"phone_number": "+15005559999"}, {"voice_url": "https://elsewhere.example/"}])
async def test_the_doctor_never_advises_to_delete_a_number_meanwhile(world, client, monkeypatch, change):
    there = world.sandbox.state.twilio.accounts[client.account_sid]
    there.number_called(client.number).update(change)
    doctor = Doctor(world.settings.model_copy(update={"public_url": NEW}), monkeypatch)
    assert await doctor.find("problem", "CALLROUTER_PUBLIC_URL")
    assert "delete" not in doctor.last.stdout


async def test_move_leads_everything_to_the_new_address_once(world, client, run):
    moved = await run("move")
    assert (moved.exit_code, moved.stdout) == (
        0,
        f"Moved to {NEW}: 1 changed, 1 numbers and 0 assistants lead there.\n",
    )
    there = world.sandbox.state.twilio.accounts[client.account_sid].number_called(client.number)
    assert there["voice_url"] == f"{NEW}/webhooks/twilio/voice"
    assert there["voice_fallback_url"] == f"{NEW}/fallback/voice?t=sealed"
    again = await run("move")
    assert (again.exit_code, again.stdout) == (
        0, f"Nothing is left to move: 1 numbers and 0 assistants lead to {NEW}.\n",
    )  # fmt: skip


async def test_the_old_replicas_step_aside_after_a_move(world, client, run):
    await run("move")

    async def stepped_aside():
        return (await ready(world, world.urls[0]))["status"] == "degraded"

    await wait_until(stepped_aside)
    assert [await call(world, world.urls[0], client, address) for address in (world.urls[0], NEW)] == [200, 200]
    async with replica(world, NEW) as url:
        assert (await ready(world, url))["status"] == "ok"
        assert await call(world, url, client, world.urls[0]) == 200


async def test_what_cannot_be_moved_is_named_and_is_an_error(world, client, run):
    world.sandbox.state.twilio.accounts[client.account_sid].numbers.clear()
    moved = await run("move")
    assert moved.exit_code == 1
    assert f"{client.number} cannot be moved (gone)" in moved.stderr
    waiting = await run("move", "--patience", "0")
    assert waiting.exit_code == 1


async def test_adopt_asks_and_leaves_all_numbers_alone(world, client, run, monkeypatch):
    there = world.sandbox.state.twilio.accounts[client.account_sid].number_called(client.number)
    before = dict(there)
    assert (await run("adopt")).exit_code == 1  # there is no answer on an empty standard input
    adopted = await run("adopt", "--yes")
    assert adopted.exit_code == 0
    assert "stay with the original" in adopted.stdout
    assert "Nothing to adopt" in (await run("adopt", "--yes")).stdout
    assert await world.db.fetchval("SELECT state FROM numbers") == "elsewhere"
    async with replica(world, NEW) as url:
        assert (await ready(world, url))["status"] == "ok"
        path = f"{url}/v1/agencies/{client.agency_id}/numbers/{client.number.replace('+', '%2B')}"
        gone = await world.http.delete(path, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
        assert gone.status_code == httpx.codes.NO_CONTENT
    assert (await run("move")).exit_code == 0
    doctor = Doctor(world.settings.model_copy(update={"public_url": NEW}), monkeypatch)
    await doctor.run()
    assert there == before


@pytest.mark.parametrize("command", ["move", "adopt"])
async def test_both_need_an_address(run, monkeypatch, command):
    monkeypatch.delenv("CALLROUTER_PUBLIC_URL")
    refused = await run(command)
    assert refused.exit_code == 2
    assert refused.stderr.startswith("callrouter: CALLROUTER_PUBLIC_URL: not set")


@pytest.mark.parametrize("spelling", ["{0}/", "{0}//", "HTTP{1}", "{2}"])
async def test_another_spelling_of_the_address_is_no_other_address(world, run, monkeypatch, spelling):
    address = world.urls[0]
    monkeypatch.setenv("CALLROUTER_PUBLIC_URL", spelling.format(address, address.removeprefix("http"), address.upper()))
    assert (await run("adopt", "--yes")).stdout.startswith("Nothing to adopt")
