"""`callrouter doctor`: what it finds wrong with an installation, and that it says how to mend it."""

from __future__ import annotations

import asyncio
import json
from functools import partial

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from typer.testing import CliRunner

from crypto import new_key_entry
from router.cli.doctor import live
from router.settings import Settings, env_name
from tests.router.cli.commands import APP
from tests.support.provider_reports import report_end

pytestmark = pytest.mark.anyio


class Doctor:
    """Looks at the world's service with the settings that it runs with, unless a test says otherwise."""

    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        for name, value in (settings.model_dump(exclude_none=True) | settings.providers).items():
            self.set(name, value.get_secret_value() if isinstance(value, SecretStr) else str(value))

    def set(self, name: str, value: str | None) -> None:
        if value is None:
            self._monkeypatch.delenv(env_name(name), raising=False)
        else:
            self._monkeypatch.setenv(env_name(name), value)

    async def run(self, *arguments: str):
        return await asyncio.to_thread(partial(CliRunner().invoke, APP, ["doctor", *arguments]))

    async def find_live(self, level: str, subject: str) -> list[str]:
        return await self.find(level, subject, "--live-call")

    async def find(self, level: str, subject: str, *options: str) -> list[str]:
        """The messages of that level about that subject, each with its way to mend it."""
        result = await self.run("--json", *options)
        assert result.exit_code in (0, 1), result.output
        self.last = result
        return [
            f"{one['message']} → {one['mend']}"
            for one in json.loads(result.stdout)["findings"]
            if one["level"] == level and one["subject"].startswith(subject)
        ]


@pytest.fixture
def doctor(world, monkeypatch):
    return Doctor(world.settings, monkeypatch)


async def configure(world, client, **changes) -> None:
    """The number at Twilio and here, as the API would have left them."""
    urls = {
        "voice_url": f"{world.urls[0]}/webhooks/twilio/voice",
        "fallback_url": f"{world.urls[0]}/fallback/voice?t=sealed",
        "status_url": f"{world.urls[0]}/webhooks/twilio/status",
    }
    await world.db.execute(
        "UPDATE numbers SET voice_url = $2, fallback_url = $3, status_url = $4 WHERE e164 = $1",
        client.number,
        *urls.values(),
    )
    there = world.sandbox.state.twilio.accounts[client.account_sid].number_called(client.number)
    there |= {
        "voice_url": urls["voice_url"],
        "voice_fallback_url": urls["fallback_url"],
        "status_callback": urls["status_url"],
    } | changes


async def test_a_working_installation_is_reported_as_fine(world, doctor):
    await configure(world, await world.add_client())
    assert await doctor.find("fine", "numbers")
    assert await doctor.find("fine", "agencies")
    assert await doctor.find("fine", "CALLROUTER_PUBLIC_URL")
    assert await doctor.find("fine", "DATABASE_URL")
    assert len(await doctor.find("fine", "CALLROUTER_VAPI_URL")) == 1


async def test_a_public_address_that_twilio_cannot_use_is_named(doctor):
    problems = await doctor.find("problem", "CALLROUTER_PUBLIC_URL")
    assert any("not https" in each for each in problems)
    assert any("cannot reach from outside" in each for each in problems)
    assert doctor.last.exit_code == 1


@pytest.mark.parametrize("ops_port", [None, "9090"])
async def test_a_public_address_that_reaches_us_is_recognised_with_and_without_probes_there(doctor, ops_port):
    doctor.set("ops_port", ops_port)
    assert await doctor.find("fine", "CALLROUTER_PUBLIC_URL")


async def test_a_public_address_where_another_service_answers_is_named(world, doctor):
    doctor.set("public_url", f"{world.sandbox.url}/vapi")
    assert any("not as callrouter does" in each for each in await doctor.find("problem", "CALLROUTER_PUBLIC_URL"))


async def test_a_public_address_without_an_answer_is_named(doctor):
    doctor.set("public_url", "http://127.0.0.1:9")
    assert any("callrouter serve" in each for each in await doctor.find("problem", "CALLROUTER_PUBLIC_URL"))


async def test_a_missing_public_address_is_a_problem(doctor):
    doctor.set("public_url", None)
    assert any("not set" in each for each in await doctor.find("problem", "CALLROUTER_PUBLIC_URL"))


async def test_a_fallback_that_stops_with_the_service_is_a_hint(doctor):
    assert any("same host" in each for each in await doctor.find("hint", "CALLROUTER_FALLBACK_URL"))
    assert await doctor.find("fine", "CALLROUTER_FALLBACK_URL")


async def test_its_own_request_for_the_fallback_does_not_count_as_a_call(doctor):
    def served(step: str) -> float:
        labels = {"step": step, "sealed": "missing"}
        return REGISTRY.get_sample_value("callrouter_fallbacks_served_total", labels) or 0.0

    before = served("voice"), served("check")
    assert await doctor.find("fine", "CALLROUTER_FALLBACK_URL")
    assert (served("voice"), served("check")) == (before[0], before[1] + 1)


async def test_a_provider_that_cannot_be_reached_is_named(doctor):
    doctor.set("retell_url", "http://127.0.0.1:9")
    assert any("cannot be reached" in each for each in await doctor.find("problem", "CALLROUTER_RETELL_URL"))
    assert await doctor.find("fine", "CALLROUTER_VAPI_URL")


async def test_an_outdated_schema_is_named_with_the_command_that_migrates_it(world, doctor):
    await world.db.execute("UPDATE alembic_version SET version_num = '0000'")
    assert any("callrouter migrate" in each for each in await doctor.find("problem", "DATABASE_URL"))


async def test_a_database_that_is_down_is_named(doctor):
    doctor.set("database_url", "postgres://nobody@127.0.0.1:9/none")
    assert any("does not respond" in each for each in await doctor.find("problem", "DATABASE_URL"))


async def test_an_agency_without_a_voice_key_is_named(world, doctor):
    await world.add_client(providers=())
    assert any("no voice key" in each for each in await doctor.find("problem", "agency Agency"))


@pytest.mark.parametrize(("status", "words"), [("failing", "is rejected"), ("out_of_credit", "has no credit")])
async def test_a_key_that_stopped_working_is_named(world, doctor, status, words):
    await world.add_client()
    await world.db.execute("UPDATE keys SET status = $1, problem = 'it said so' WHERE kind = 'vapi'", status)
    [found] = await doctor.find("problem", "agency Agency")
    assert "vapi" in found
    assert words in found
    assert "it said so" in found


async def test_clients_that_could_not_be_synced_are_counted(world, doctor):
    await world.add_client()
    await world.db.execute("UPDATE assistants SET state = 'failed', error = 'the voice is unknown'")
    [found] = await doctor.find("problem", "agency Agency")
    assert "1 clients could not be synced to vapi (the voice is unknown)" in found


async def test_a_suspended_agent_and_a_deleted_assistant_are_named_with_what_to_do(world, doctor):
    suspended, gone = await world.add_client(providers=["retell"]), await world.add_client(providers=["vapi"])
    well = await world.add_client(providers=["vapi", "retell"])
    (agent,) = world.sandbox.state.retell.orgs.of(suspended.keys["retell"]).agents
    world.sandbox.state.retell.orgs.of(suspended.keys["retell"]).suspended.add(agent)
    world.sandbox.state.vapi.orgs.of(gone.keys["vapi"]).assistants.clear()
    world.sandbox.state.vapi.orgs.revoke(well.keys["vapi"])  # which the check of keys reports
    found = await doctor.find("problem", "client Acme Plumbing")
    assert len(found) == 2
    assert ["is suspended" in one for one in found] == [True, False]
    assert "Vapi has no assistant with this id" in found[1]
    assert "link another one, or unlink it" in found[1]


async def test_addresses_that_get_no_mail_are_named(world, doctor):
    await world.add_client()
    said = "the mail server refuses the address (550)"
    await world.db.execute("UPDATE clients SET notify_email = 'o@example.com', notify_email_problem = $1", said)
    await world.db.execute("UPDATE agencies SET alert_email = 'a@example.com', alert_email_problem = $1", said)
    clients, agencys = sorted(await doctor.find("problem", "agency Agency"), key=len, reverse=True)
    assert f"emails to o@example.com of its client Acme Plumbing are not delivered: {said}" in clients
    assert f"emails to a@example.com are not delivered: {said}" in agencys


async def test_values_that_cannot_be_opened_are_counted(world, doctor):
    await world.add_client()
    doctor.set("platform_keys", new_key_entry())
    assert any("cannot be opened" in each for each in await doctor.find("problem", "CALLROUTER_PLATFORM_KEYS"))


async def test_values_under_a_former_platform_key_are_a_hint_to_rotate(world, doctor):
    await world.add_client()
    assert world.settings.platform_keys is not None
    doctor.set("platform_keys", f"{new_key_entry()},{world.settings.platform_keys.get_secret_value()}")
    assert any("keys rotate" in each for each in await doctor.find("hint", "CALLROUTER_PLATFORM_KEYS"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"voice_url": "https://api.vapi.ai/twilio/inbound_call"}, "its calls go to api.vapi.ai"),
        ({"voice_fallback_url": ""}, "newest fallback"),
        ({"trunk_sid": "TK" + "0" * 32}, "SIP trunk"),
    ],
)
async def test_a_number_that_points_elsewhere_is_named(world, doctor, changes, words):
    client = await world.add_client()
    await configure(world, client, **changes)
    assert any(words in each for each in await doctor.find("problem", f"number {client.number}"))


async def test_a_number_that_is_gone_at_twilio_is_named(world, doctor):
    client = await world.add_client()
    world.sandbox.state.twilio.accounts[client.account_sid].numbers.clear()
    assert any("no longer in the account" in each for each in await doctor.find("problem", f"number {client.number}"))


async def test_a_number_whose_token_twilio_refuses_is_named(world, doctor):
    client = await world.add_client(own_account=True)
    world.sandbox.state.twilio.accounts[client.account_sid].auth_token = "another"
    assert any("rejects the token" in each for each in await doctor.find("problem", f"number {client.number}"))


async def test_a_number_that_was_set_up_under_another_public_address_is_a_hint(world, doctor):
    client = await world.add_client()
    former = "https://former.example.com/webhooks/twilio/voice"
    await configure(world, client, voice_url=former)
    await world.db.execute("UPDATE numbers SET voice_url = $1", former)
    (hint,) = await doctor.find("hint", f"number {client.number}")
    assert hint == "was set up with another public address → run `callrouter move`"


async def test_each_finding_is_one_line_without_secrets(world, doctor):
    client = await world.add_client(own_account=True)
    result = await doctor.run()
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert any(line.startswith("✓ DATABASE_URL") for line in lines)
    assert any(line.startswith("✗ CALLROUTER_PUBLIC_URL") for line in lines)
    settings = world.settings
    secrets = [client.auth_token, *client.keys.values(), world.auth_token]
    secrets += [value.get_secret_value() for value in (settings.platform_keys, settings.admin_token) if value]
    assert not [secret for secret in secrets if secret in result.output]


async def test_a_live_call_reports_what_happened(world, doctor):
    """Twilio's network is played by the simulated carrier: a call that is placed over the API comes in at our number."""
    client, other = await world.add_client(), await world.add_client(providers=())
    placed: list[asyncio.Task[None]] = []

    async def come_in(call) -> None:
        timeline = await world.call(client, from_=call.caller, during_ai=report)
        assert timeline.answered_by == "ai"

    async def report(timeline) -> None:
        await report_end(world, client, timeline.call_sid)

    world.sandbox.state.twilio.tell_of_calls(lambda _, call: placed.append(asyncio.create_task(come_in(call))))
    look = asyncio.create_task(doctor.run("--json", "--live-call"))
    result = await look
    await asyncio.gather(*placed)
    findings = [one for one in json.loads(result.stdout)["findings"] if one["subject"].startswith("live call")]
    said = {(one["subject"], one["level"]): one["message"] for one in findings}
    assert len(placed) == 1
    assert other.number in [
        asked.body["From"] for asked in world.sandbox.state.requests_to("twilio", operation="handoff")
    ]
    assert ("live call to vapi", "fine") in said
    assert any("the AI answered" in one["message"] for one in findings)
    assert any("the end was reported" in one["message"] for one in findings)
    assert any("Twilio requests the action" in one["message"] for one in findings)
    for other in ("retell", "bland by redirect", "bland by sip", "bland by number"):
        assert "none was placed" in said[f"live call to {other}", "hint"]


class OtherWays:
    """A client whose calls go to Vapi first, at Bland as well; what the doctor says of one of Bland's modes."""

    def __init__(self, world, doctor, monkeypatch):
        self.world, self.doctor = world, doctor
        monkeypatch.setattr(live.LiveCheck.__init__, "__defaults__", (0.4,))

    async def set_up(self, mode):
        self.client = await self.world.add_client(providers=["vapi", "bland"], bland_mode=mode)
        await self.world.add_client(providers=())
        bland = self.world.sandbox.state.bland
        self.org = bland.orgs.of(self.client.keys["bland"])
        # Twilio's network has no line to the service here: a call to a client's number is not answered by it.
        await self.world.db.execute("UPDATE numbers SET state = 'pending' WHERE e164 <> $1", self.client.number)

    async def said(self, mode):
        result = await self.doctor.run("--json", "--live-call")
        findings = json.loads(result.stdout)["findings"]
        self.output = result.output
        return next(
            (one["level"], one["message"]) for one in findings if one["subject"] == f"live call to bland by {mode}"
        )


@pytest.fixture
def other_ways(world, doctor, monkeypatch):
    return OtherWays(world, doctor, monkeypatch)


@pytest.mark.parametrize("mode", ["redirect", "sip", "number"])
async def test_a_way_that_no_calls_take_is_tried_without_changing_anything(world, other_ways, mode):
    await other_ways.set_up(mode)
    rows = "SELECT r::text FROM registrations r UNION ALL SELECT n::text FROM numbers n"
    before = await world.db.fetch(rows)
    level, message = await other_ways.said(mode)
    assert (level, "Bland takes calls to" in message) == ("fine", True), message
    assert await world.db.fetch(rows) == before
    asked = world.sandbox.state.requests_to("bland")
    assert not [each for each in asked if each.method != "GET" and each.path != "/v1/inbound/session"]
    assert not [key for key in other_ways.org.accounts if key in other_ways.output]


@pytest.mark.parametrize(
    ("mode", "trouble", "level", "said"),
    [
        ("sip", "not attached", "hint", "it has none of the numbers attached to a SIP trunk"),
        ("sip", "not enabled", "hint", "it has none of the numbers attached to a SIP trunk"),
        ("redirect", "account deleted", "problem", "it ended at once"),
        ("redirect", "no address", "hint", "no number has an address that an import wrote"),
        ("number", "no credit", "problem", "Bland takes no call this way"),
        ("redirect", "key rejected", "problem", "Bland takes no call this way"),
    ],
)
async def test_a_way_that_does_not_work_is_told_with_the_reason(world, other_ways, mode, trouble, level, said):
    await other_ways.set_up(mode)
    org = other_ways.org
    match trouble:
        case "not attached":
            org.attached.clear()
        case "not enabled":
            org.sip_enabled = False
        case "account deleted":
            org.accounts.clear()
        case "no address":
            await world.db.execute("UPDATE registrations SET sealed_address = NULL")
        case "no credit":
            world.sandbox.state.faults.set("bland", {"fault": "402", "operation": "handoff"})
        case _:
            world.sandbox.state.faults.set("bland", {"fault": "401", "operation": "all"})
    found, message = await other_ways.said(mode)
    assert (found, said in message) == (level, True), message


async def test_it_says_by_which_mode_numbers_are_reached_and_which_address_is_awaited(world, doctor):
    await world.add_client(providers=["bland"], bland_mode="number")
    by_number = "1 numbers are reached at bland by number"
    assert any(by_number in said for said in await doctor.find("fine", "agency Agency"))
    waiting = await world.add_client(providers=["bland"], bland_mode="redirect")
    await world.db.execute(
        "UPDATE registrations SET sealed_address = NULL, waits_for = 'It waits.' WHERE e164 = $1", waiting.number
    )
    awaited = f"bland has not written its address on {waiting.number} at Twilio"
    assert any(awaited in said for said in await doctor.find("problem", "agency Agency"))


async def test_a_live_call_that_does_not_arrive_is_a_problem(world, doctor, monkeypatch):
    await world.add_client()
    await world.add_client(providers=())
    monkeypatch.setattr(live.LiveCheck.__init__, "__defaults__", (0.1,))
    assert any("did not arrive" in each for each in await doctor.find_live("problem", "live call to vapi"))


async def test_a_live_call_that_twilio_refuses_is_a_problem(world, doctor):
    await world.add_client()
    await world.add_client(providers=())
    world.sandbox.state.faults.set("twilio", {"fault": "402", "operation": "handoff"})
    assert any("did not place it" in each for each in await doctor.find_live("problem", "live call to vapi"))


async def test_an_account_that_signs_with_an_unknown_shared_key_is_named_with_what_to_do(world, doctor):
    client = await world.add_client(own_account=True)
    await configure(world, client)
    await world.db.execute("UPDATE keys SET unproven_at = now() WHERE agency_id = $1", client.agency_id)
    (told,) = [each for each in await doctor.find("problem", "agency Agency") if client.account_sid in each]
    assert "shared key" in told
    assert "save the shared key's id and secret" in told


async def test_the_platforms_token_is_proven_by_a_real_request(world, doctor):
    assert world.account_sid in (await doctor.find("fine", "CALLROUTER_TWILIO_AUTH_TOKEN"))[0]
    assert world.sandbox.state.requests_to("twilio", f"/2010-04-01/Accounts/{world.account_sid}.json")


async def test_a_token_that_twilio_rejects_is_named_with_what_calls_get(world, doctor):
    doctor.set("twilio_auth_token", "0" * 32)
    (told,) = await doctor.find("problem", "CALLROUTER_TWILIO_AUTH_TOKEN")
    assert world.account_sid in told
    assert "403" in told
    assert doctor.last.exit_code == 1


async def test_a_platform_account_that_is_suspended_is_named(world, doctor):
    world.sandbox.state.twilio.accounts[world.account_sid].status = "suspended"
    (told,) = await doctor.find("problem", "CALLROUTER_TWILIO_AUTH_TOKEN")
    assert "suspended" in told
