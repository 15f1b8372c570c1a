"""Numbers imported at Bland: the address that the import wrote is kept, sealed, and ours is written back."""

from __future__ import annotations

import contextlib
import json
from datetime import timedelta

import pytest

from adapters.portable import Copy
from adapters.sandbox.world import BLAND_KEY
from router.jobs import Again, Job
from router.store.numbers.numbers import delete_numbers, find_number
from router.store.sealed import registration_address_context
from router.wanted import SYNC
from tests.router.api.client import number_path
from tests.router.numbers.conftest import OWNER

pytestmark = pytest.mark.anyio

NUMBER, SECOND = "+14155550100", "+14155550101"
COPY = Copy(None)


class Desk:
    """An agency with numbers on its own account, and what Twilio and Bland have."""

    def __init__(self, market, account):
        self.market, self.account = market, account
        self.services = market.services
        self.pool = market.services.database.settings
        self.bland = market.sandbox.state.bland
        self.org = self.bland.orgs.of(BLAND_KEY)

    async def ensure(self, e164=NUMBER):
        number = await find_number(self.pool, self.market.agency.id, e164)
        await self.services.areas.registrations.ensure(number, "bland", COPY)

    async def register(self, mode=None, remote_id=NUMBER, status=200, e164=NUMBER):
        path = f"{number_path(self.market.agency, e164)}/registrations/bland"
        body = {"remote_id": remote_id} | ({"mode": mode} if mode else {})
        return await self.market.api.put(path, body, status)

    async def refused(self, mode, remote_id=NUMBER):
        path = f"{number_path(self.market.agency, NUMBER)}/registrations/bland"
        return await self.market.api.refusal("PUT", path, {"remote_id": remote_id, "mode": mode})

    async def explained(self):
        rungs = (await self.market.api.get(f"{self.market.agency.path}/explain", params={"to": NUMBER}))["rungs"]
        return next((rung["reason"], rung["notes"]) for rung in rungs if rung["provider"] == "bland")

    async def shown(self, e164=NUMBER):
        return await self.market.api.get(number_path(self.market.agency, e164))

    async def address(self, e164=NUMBER):
        """The kept one, opened."""
        sealed = await self.pool.fetchval("SELECT sealed_address FROM registrations WHERE e164 = $1", e164)
        context = registration_address_context(self.market.agency.id, e164, "bland")
        return sealed and self.services.keyring.open(sealed, *context).reveal()

    async def look(self):
        await self.services.areas.number_jobs.look_at_all_due()

    async def describe_client(self):
        path = f"{self.market.agency.path}/clients/{self.market.client['id']}"
        await self.market.api.patch(path, {"assistant": {"prompt": "You answer for Acme."}, "provider": "bland"})

    async def sync(self):
        job = Job(SYNC, {"agency_id": self.market.agency.id, "provider": "bland"}, 1)
        with contextlib.suppress(Again):
            await self.services.areas.sync_work.sync_assistants(job)

    async def tidy(self):
        await self.services.areas.number_jobs.tidy_registrations()

    def at_twilio(self, e164=NUMBER):
        return self.account.number_called(e164)

    async def delete_key(self):
        await self.market.api.delete(f"{self.market.agency.path}/keys/bland")

    async def save_key(self):
        await self.market.api.put(f"{self.market.agency.path}/keys/bland", {"key": BLAND_KEY})


@pytest.fixture
async def desk(market):
    desk = Desk(market, await market.use_own_account())
    await desk.save_key()
    for e164 in (NUMBER, SECOND):
        await market.buy(e164=e164)
    return desk


def drifts(events):
    return events.named("number.drifted")


async def test_the_address_of_the_import_is_kept_and_ours_is_written_back(desk, captured_events):
    await desk.ensure()
    (encrypted_key,) = desk.org.accounts
    address = await desk.address()
    assert address.startswith("https://server.aws.dc8.bland.ai/incoming?")
    assert encrypted_key in address
    shown = await desk.shown()
    assert shown["registrations"]["bland"] == {"remote_id": NUMBER, "mode": "redirect"}
    assert (shown["problems"], desk.at_twilio()["voice_url"]) == ([], shown["voice_url"])
    assert desk.at_twilio()["voice_fallback_url"] == shown["fallback_url"]
    assert drifts(captured_events) == []


async def test_an_address_that_comes_late_is_awaited_and_never_taken_for_ours(desk, captured_events):
    desk.bland.numbers.import_writes = "late"
    await desk.ensure()
    for _ in range(2):
        waiting = (await desk.shown())["registrations"]["bland"]["waits_for"]
        assert waiting.startswith(f"Bland has not written its address on {NUMBER} at Twilio yet")
        assert (await desk.shown())["problems"] == [waiting]
        assert await desk.address() is None
        await desk.look()
        desk.market.clock.move(seconds=61)
    desk.bland.numbers.write_late()
    assert desk.at_twilio()["voice_url"] != (await desk.shown())["voice_url"]
    await desk.look()
    assert "encrypted_key" in await desk.address()
    shown = await desk.shown()
    assert shown["registrations"]["bland"] == {"remote_id": NUMBER, "mode": "redirect"}
    assert (shown["drift"], shown["problems"]) == (None, [])
    assert desk.at_twilio()["voice_url"] == shown["voice_url"]
    assert drifts(captured_events) == []


async def test_an_address_that_never_comes_is_looked_for_every_minute_for_half_an_hour(desk):
    desk.bland.numbers.import_writes = "never"
    await desk.ensure()

    async def wait():
        await desk.look()
        return await desk.pool.fetchval("SELECT look_after FROM numbers WHERE e164 = $1", NUMBER) - desk.market.clock()

    assert await wait() <= timedelta(minutes=1)
    desk.market.clock.move(minutes=29)
    assert await wait() <= timedelta(minutes=1)
    desk.market.clock.move(minutes=2)
    assert await wait() > timedelta(minutes=9)
    assert "waits_for" in (await desk.shown())["registrations"]["bland"], "what it waits for stays visible"


async def test_an_address_that_an_import_by_hand_writes_replaces_the_former_one(desk, captured_events):
    await desk.ensure()
    former = await desk.address()
    del desk.org.numbers[NUMBER], desk.org.uploaded[NUMBER]
    written = desk.bland.import_number(desk.org, desk.account, NUMBER)
    desk.market.clock.move(minutes=11)
    await desk.look()
    assert await desk.address() == written != former
    assert desk.at_twilio()["voice_url"] == (await desk.shown())["voice_url"]
    assert drifts(captured_events) == []


async def test_a_number_that_bland_has_already_is_imported_again_for_its_address(desk):
    desk.bland.import_number(desk.org, desk.account, NUMBER)
    desk.at_twilio()["voice_url"] = (await desk.shown())["voice_url"]
    await desk.ensure()
    assert "encrypted_key" in await desk.address()
    assert desk.org.numbers[NUMBER]["fallback_number"] == OWNER


async def test_an_address_that_others_wrote_is_drift_and_not_kept(desk, captured_events):
    await desk.ensure()
    kept = await desk.address()
    desk.market.clock.move(minutes=11)
    desk.at_twilio()["voice_url"] = "https://bland.ai.example.com/incoming?encrypted_key=k"
    await desk.look()
    assert await desk.address() == kept
    assert [event["reason"] for event in drifts(captured_events)] == ["voice_url"]


async def test_a_number_attached_to_a_trunk_is_dialled_by_sip(desk):
    desk.bland.import_number(desk.org, desk.account, NUMBER)
    desk.bland.attach(desk.org, NUMBER)
    await desk.ensure()
    assert (await desk.shown())["registrations"]["bland"] == {"remote_id": NUMBER, "mode": "sip"}


async def test_explain_says_by_which_mode_calls_reach_it_and_what_is_awaited(desk):
    desk.bland.numbers.import_writes = "late"
    await desk.ensure()
    assert await desk.explained() == ("not_registered", ["by_redirect", "awaits_address"])
    desk.bland.numbers.write_late()
    await desk.look()
    assert await desk.explained() == ("ready", ["by_redirect"])


@pytest.mark.parametrize("mode", ["redirect", None])
async def test_by_hand_the_number_itself_is_redirected_once_its_address_is_seen(desk, mode):
    saved = await desk.register(mode)
    assert (saved["remote_id"], saved["mode"]) == (NUMBER, "redirect")
    assert "waits_for" in saved
    written = desk.bland.import_number(desk.org, desk.account, NUMBER)
    await desk.look()
    assert await desk.address() == written
    assert (await desk.shown())["registrations"]["bland"] == {"remote_id": NUMBER, "mode": "redirect"}
    again = await desk.register("redirect")
    assert await desk.address() == written
    assert again["mode"] == "redirect"


async def test_by_hand_sip_takes_the_number_itself_if_bland_has_it_attached(desk):
    problem = await desk.refused("sip")
    desk.bland.import_number(desk.org, desk.account, NUMBER)
    for _ in range(2):
        assert (problem.status, problem.fields) == (422, ("mode",))
        problem = await desk.refused("sip")
    desk.bland.attach(desk.org, NUMBER)
    assert await desk.register("sip") == {"remote_id": NUMBER, "mode": "sip"}


@pytest.mark.parametrize(
    ("mode", "remote_id"), [("number", NUMBER), ("number", SECOND), ("sip", SECOND), ("redirect", SECOND)]
)
async def test_by_hand_a_number_that_would_call_us_again_is_refused(desk, mode, remote_id):
    for e164 in (NUMBER, SECOND):
        desk.bland.import_number(desk.org, desk.account, e164)
        desk.bland.attach(desk.org, e164)
    problem = await desk.refused(mode, remote_id)
    assert (problem.status, problem.fields) == (422, ("remote_id",))


async def test_by_hand_the_mode_of_our_own_registration_changes_and_it_stays_ours(desk):
    await desk.ensure()
    desk.bland.attach(desk.org, NUMBER)
    await desk.register("sip")
    await desk.tidy()
    assert NUMBER in desk.org.numbers, "it is not deleted at Bland"
    assert await desk.pool.fetchval("SELECT ours FROM registrations WHERE e164 = $1", NUMBER)


async def test_the_account_is_forgotten_at_bland_with_the_last_number_that_needs_it(desk):
    for e164 in (NUMBER, SECOND):
        await desk.ensure(e164)
    await desk.market.api.delete(number_path(desk.market.agency, NUMBER))
    await desk.tidy()
    assert (list(desk.org.uploaded), len(desk.org.accounts)) == ([SECOND], 1)
    await desk.market.api.delete(number_path(desk.market.agency, SECOND))
    await desk.tidy()
    assert (desk.org.uploaded, desk.org.accounts) == ({}, {})


async def test_the_account_is_forgotten_at_bland_with_the_key(desk):
    await desk.ensure()
    assert len(desk.org.accounts) == 1
    await desk.delete_key()
    assert (desk.org.uploaded, desk.org.accounts) == ({}, {})


async def test_while_bland_is_away_the_account_waits_for_the_next_key(desk):
    await desk.ensure()
    desk.market.sandbox.state.faults.set("bland", {"fault": "503", "operation": "numbers"})
    await desk.delete_key()
    desk.market.sandbox.state.faults.clear()
    for _ in range(2):
        desk.market.clock.move(minutes=11)
        await desk.tidy()
        assert len(desk.org.accounts) == 1
    await desk.save_key()
    desk.market.clock.move(minutes=11)
    await desk.tidy()
    assert (desk.org.uploaded, desk.org.accounts) == ({}, {})
    assert await desk.pool.fetchval("SELECT count(*) FROM former_registrations") == 0


async def test_the_address_is_nowhere_in_plain(desk, captured_events):
    await desk.ensure()
    (encrypted_key,) = desk.org.accounts
    desk.market.clock.move(minutes=11)
    desk.at_twilio()["voice_url"] = await desk.address()
    await desk.look()
    rows = await desk.pool.fetch(
        "SELECT r::text AS whole FROM registrations r UNION ALL SELECT n::text FROM numbers n"
        " UNION ALL SELECT a::text FROM audit a UNION ALL SELECT q::text FROM pgqueuer q"
    )
    told = json.dumps([dict(row) for row in rows]) + captured_events.text()
    assert encrypted_key not in told + json.dumps(await desk.market.numbers())


# Numbers that the agency imported at Bland itself, before or after it took them over here


async def take_over(desk):
    """A number of the account that Bland's import points at itself; the address that it wrote."""
    number = await find_number(desk.pool, desk.market.agency.id, SECOND)
    await delete_numbers(desk.pool, desk.market.agency.id, [SECOND])
    written = desk.bland.import_number(desk.org, desk.account, SECOND)
    assert desk.at_twilio(SECOND)["voice_url"] == written
    body = {"e164": SECOND, "account": "agency", "client_id": number.client_id}
    taken = await desk.market.api.post(desk.market.path, body, 201)
    assert desk.at_twilio(SECOND)["voice_url"] == taken["voice_url"]
    assert (taken["registrations"], taken["problems"]) == ({}, [])
    return written


@pytest.mark.parametrize("between", ["nothing", "another client", "another key"])
async def test_the_address_on_a_number_that_is_taken_over_serves_a_registration_by_hand(desk, captured_events, between):
    written = await take_over(desk)
    if between == "another client":
        other = await desk.market.api.new_client(desk.market.agency)
        path = number_path(desk.market.agency, SECOND)
        await desk.market.api.send("PATCH", path, {"client_id": other["id"]})
    if between == "another key":
        await desk.delete_key()
        await desk.save_key()
    assert await desk.register(e164=SECOND, remote_id=SECOND) == {"remote_id": SECOND, "mode": "redirect"}
    assert await desk.address(SECOND) == written
    assert len(desk.org.accounts) == 1, "the agency's own connection is left alone"
    assert drifts(captured_events) == []


async def test_the_address_on_a_number_that_is_taken_over_serves_our_registration(desk):
    written = await take_over(desk)
    desk.org.numbers[SECOND].update(pathway_id="made by hand")
    await desk.ensure(SECOND)
    assert await desk.address(SECOND) == written
    assert (await desk.shown(SECOND))["registrations"]["bland"] == {"remote_id": SECOND, "mode": "redirect"}


async def test_an_address_that_an_import_writes_before_it_is_entered_here_is_kept_and_told(desk, captured_events):
    written = desk.bland.import_number(desk.org, desk.account, NUMBER)
    desk.market.clock.move(minutes=11)
    await desk.look()
    assert [event["reason"] for event in drifts(captured_events)] == ["voice_url"]
    assert await desk.register() == {"remote_id": NUMBER, "mode": "redirect"}
    assert await desk.address() == written


@pytest.mark.parametrize("mode", ["redirect", "sip"])
@pytest.mark.parametrize("comes", ["before", "after"])
async def test_the_assistant_reaches_a_number_that_was_imported_by_hand(desk, mode, comes):
    desk.bland.numbers.import_writes = "at once" if comes == "before" else "late"
    desk.bland.import_number(desk.org, desk.account, NUMBER)
    if mode == "sip":
        desk.bland.attach(desk.org, NUMBER)
    desk.market.clock.move(minutes=11)
    await desk.look()
    await desk.register(mode)
    await desk.describe_client()
    await desk.sync()
    if comes == "after":
        assert desk.org.numbers[NUMBER]["prompt"] == "", "nothing opens the number yet"
        desk.bland.numbers.write_late()
        desk.market.clock.move(minutes=11)
        await desk.look()
        await desk.sync()
    assert desk.org.numbers[NUMBER]["prompt"] == "You answer for Acme."
    assert (await desk.shown())["problems"] == []
    assert await desk.pool.fetchval("SELECT sealed_parts FROM registrations WHERE e164 = $1", NUMBER) is None


async def test_a_link_on_a_number_that_was_imported_by_hand_is_managed(desk):
    desk.bland.import_number(desk.org, desk.account, NUMBER)
    desk.org.numbers[NUMBER].update(prompt="Written by hand")
    desk.market.clock.move(minutes=11)
    await desk.look()
    await desk.register()
    path = f"{desk.market.agency.path}/clients/{desk.market.client['id']}/assistants/bland"
    await desk.market.api.put(path, {"remote_id": NUMBER, "manage": ["webhook", "transfer"]})
    assert "/webhooks/" in desk.org.numbers[NUMBER]["webhook"]


@pytest.mark.parametrize("chosen", ["sip", "redirect"])
async def test_the_mode_that_the_agency_chose_survives_another_key(desk, chosen):
    await desk.ensure()
    desk.bland.attach(desk.org, NUMBER)
    await desk.register(chosen)
    address = await desk.address()
    await desk.save_key()
    await desk.ensure()
    assert (await desk.shown())["registrations"]["bland"] == {"remote_id": NUMBER, "mode": chosen}
    assert await desk.address() == address


async def test_a_chosen_trunk_is_left_where_it_is_not_attached_under_another_key(desk):
    await desk.ensure()
    desk.bland.attach(desk.org, NUMBER)
    await desk.register("sip")
    del desk.org.numbers[NUMBER], desk.org.uploaded[NUMBER], desk.org.attached[NUMBER]
    other = desk.bland.add_org()
    await desk.market.api.put(f"{desk.market.agency.path}/keys/bland", {"key": other.key})
    await desk.ensure()
    assert (await desk.shown())["registrations"]["bland"] == {"remote_id": NUMBER, "mode": "redirect"}
    assert next(iter(other.accounts)) in await desk.address()
