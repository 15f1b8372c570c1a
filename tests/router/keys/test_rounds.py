"""Keys are looked at on a schedule; one that stopped working is believed, told once, and believed again."""

from __future__ import annotations

import asyncio

import pytest

from adapters.base import MOST_DOLLARS
from adapters.portable import MOST_LINES
from adapters.sandbox.world import RETELL_KEY, VAPI_KEY
from router.accounts import CARRIER
from router.store.keys.health import note_no_credit
from tests.router.api.test_calls import file_call
from tests.router.keys.conftest import KEYS

pytestmark = pytest.mark.anyio


def checks(sandbox, kind):
    return len(sandbox.state.requests_to(kind, operation="check"))


async def test_a_key_that_works_is_looked_at_again_and_again(look, show, sandbox, letters, captured_events):
    before = await show("vapi")
    for _ in range(3):
        seen = checks(sandbox, "vapi")
        await look("vapi")
        assert checks(sandbox, "vapi") > seen
    after = await show("vapi")
    assert after["checked_at"] > before["checked_at"]
    assert after | {"checked_at": None} == before | {"checked_at": None}
    assert await letters() == []
    assert captured_events.named("key.failing") == []


async def test_nothing_is_looked_at_before_its_time(look, sandbox):
    await look("vapi")
    seen = checks(sandbox, "vapi")
    await look("vapi", minutes=10)
    assert checks(sandbox, "vapi") == seen


async def test_a_key_is_failing_after_a_second_refusal_a_minute_later_and_is_reported_once(
    agency, look, show, sandbox, letters, captured_events
):
    await look("vapi")
    sandbox.state.vapi.orgs.revoke(VAPI_KEY)
    await look("vapi")
    assert (await show("vapi"))["status"] == "valid"
    await look("vapi", minutes=1.01)
    shown = await show("vapi")
    assert shown["status"] == "failing"
    assert shown["problem"]
    assert shown["failing_since"] == shown["checked_at"]
    for _ in range(3):
        await look("vapi")
    assert (await show("vapi"))["failing_since"] == shown["failing_since"]
    line = captured_events.only("key.failing")
    assert (line["agency_id"], line["kind"], line["reason"], line["key_version"]) == (
        agency.id,
        "vapi",
        "key_rejected",
        1,
    )
    assert await letters() == [("key_failing", "vapi")]
    assert {(await show(kind))["status"] for kind in ("retell", "bland")} == {"valid"}


async def test_one_refusal_among_good_answers_is_forgotten(look, show, sandbox, letters, captured_events):
    for _ in range(2):
        sandbox.state.faults.set("vapi", {"fault": "401", "operation": "check", "times": 1})
        await look("vapi")
        await look("vapi", minutes=1.01)
    assert (await show("vapi"))["status"] == "valid"
    assert captured_events.named("key.failing") == []
    assert await letters() == []


async def test_a_recovery_is_reported_and_so_is_a_new_failure_after_it(
    look, show, sandbox, letters, captured_events, services
):
    for _ in range(2):
        sandbox.state.faults.set("retell", {"fault": "401", "operation": "check"})
        await look("retell")
        await look("retell", minutes=1.01)
        assert (await show("retell"))["status"] == "failing"
        sandbox.state.faults.clear()
        await look("retell")
        shown = await show("retell")
        assert (shown["status"], shown["problem"], shown["failing_since"]) == ("valid", None, None)
        assert await letters() == [("key_failing", "retell")]
        await services.database.settings.execute("DELETE FROM letters")  # it was sent
    assert len(captured_events.named("key.failing")) == 2
    assert len(captured_events.named("key.recovered")) == 2


async def test_a_lack_of_credit_is_reported(look, show, sandbox, letters, captured_events):
    await look("bland")
    assert (await show("bland"))["balance"] == 25.0
    sandbox.state.bland.orgs.of(KEYS["bland"]).balance = -0.5
    await look("bland")
    await look("bland", minutes=1.01)
    shown = await show("bland")
    assert (shown["status"], shown["balance"]) == ("out_of_credit", -0.5)
    assert shown["problem"] == "the balance is -0.50 US dollars"
    assert captured_events.only("key.failing")["reason"] == "out_of_credit"
    assert await letters() == [("key_failing", "bland")]


async def refuse_for_credit(services, agency, kind, clock):
    """A live call to that provider got 402, while the check goes on answering 200, as Vapi's and Retell's do."""
    await note_no_credit(services.database.settings, agency.id, kind, 1, clock())


async def take_call(services, agency, kind, clock, call_id):
    await file_call(services, agency, call_id, started_at=clock())
    await services.database.settings.execute(
        "INSERT INTO call_events (id, call_id, at, event, step, provider) "
        "VALUES ($1, $1, $2, 'handoff.succeeded', 'ai', $3)",
        call_id,
        clock(),
        kind,
    )


@pytest.mark.parametrize("kind", ["vapi", "retell"])
async def test_a_lack_of_credit_that_only_calls_show_is_reported_until_a_call_is_taken_again(
    agency, look, show, services, clock, letters, captured_events, kind
):
    await look(kind)
    await take_call(services, agency, kind, clock, "call_before")
    await refuse_for_credit(services, agency, kind, clock)
    await look(kind)
    await look(kind, minutes=1.01)
    shown = await show(kind)
    assert (shown["status"], shown["problem"]) == ("out_of_credit", "it refused the last call for lack of credit")
    assert captured_events.only("key.failing")["reason"] == "out_of_credit"
    assert await letters() == [("key_failing", kind)]
    await look(kind)
    assert (await show(kind))["status"] == "out_of_credit"
    other = {"vapi": "retell", "retell": "vapi"}[kind]
    await take_call(services, agency, other, clock, "call_of_another_provider")
    await look(kind, minutes=4)
    assert (await show(kind))["status"] == "out_of_credit"
    await take_call(services, agency, kind, clock, "call_after")
    await look(kind, minutes=4)
    assert (await show(kind))["status"] == "valid"


async def test_a_call_that_a_provider_takes_and_ends_for_lack_of_credit_is_no_recovery(
    agency, look, show, services, clock
):
    for minute in range(4):
        await take_call(services, agency, "vapi", clock, f"call_{minute}")
        await refuse_for_credit(services, agency, "vapi", clock)
        await look("vapi", minutes=1.01 if minute else 20)
    assert (await show("vapi"))["status"] == "out_of_credit"


async def test_a_new_key_has_the_credit_of_its_own_account(api, agency, look, show, services, clock):
    await refuse_for_credit(services, agency, "vapi", clock)
    await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY})
    await look("vapi")
    await look("vapi", minutes=1.01)
    assert (await show("vapi"))["status"] == "valid"


async def test_a_balance_is_believed_more_than_the_last_call(agency, look, show, services, clock):
    await refuse_for_credit(services, agency, "bland", clock)
    await look("bland")
    await look("bland", minutes=1.01)
    assert (await show("bland"))["status"] == "valid"


@pytest.mark.parametrize("fault", ["503", "429", "reset", "garbage", "html"])
async def test_a_provider_that_does_not_answer_says_nothing_about_the_key(look, show, sandbox, letters, fault):
    await look("vapi")
    before = await show("vapi")
    sandbox.state.faults.set("vapi", {"fault": fault, "operation": "check"})
    for _ in range(4):
        await look("vapi")
    assert await show("vapi") == before
    assert await letters() == []
    sandbox.state.faults.clear()
    await look("vapi", minutes=6)
    assert (await show("vapi"))["checked_at"] > before["checked_at"]


async def test_a_provider_that_hangs_does_not_delay_checks_of_other_providers_keys(look, show, sandbox, monkeypatch):
    monkeypatch.setattr("router.keys.checks._SECONDS", 0.3)
    before = {kind: (await show(kind))["checked_at"] for kind in KEYS}
    sandbox.state.faults.set("vapi", {"fault": "hang", "operation": "check"})
    await asyncio.gather(look("vapi"), look("retell", minutes=0), look("bland", minutes=0))
    after = {kind: (await show(kind))["checked_at"] for kind in KEYS}
    assert after["vapi"] == before["vapi"]
    assert after["retell"] > before["retell"]
    assert after["bland"] > before["bland"]


async def test_how_many_lines_retell_gives(look, show, sandbox):
    org = sandbox.state.retell.orgs.of(RETELL_KEY)
    org.concurrency_limit, org.concurrency_used = 20, 7
    await look("retell")
    assert (await show("retell"))["lines"] == {"limit": 20, "used": 7}
    assert (await show("vapi"))["lines"] is None


@pytest.mark.parametrize(
    ("said", "balance", "status"),
    [(1e300, MOST_DOLLARS, "valid"), (-1e300, -MOST_DOLLARS, "out_of_credit")],
)
async def test_extreme_answers_are_kept_within_bounds(api, agency, look, show, sandbox, said, balance, status):
    sandbox.state.bland.orgs.of(KEYS["bland"]).balance = said
    sandbox.state.retell.orgs.of(RETELL_KEY).concurrency_limit = 10**30
    for _ in range(2):
        await look("bland", minutes=4)
        await look("retell")
    shown = await show("bland")
    assert (shown["balance"], shown["status"]) == (balance, status)
    assert (await show("retell"))["lines"]["limit"] == MOST_LINES
    saved = await api.put(f"{agency.path}/keys/bland", {"key": KEYS["bland"]})
    assert saved["balance"] == balance


async def test_a_carrier_account_is_looked_at_hourly(api, look, sandbox, letters):
    account = sandbox.state.twilio.add_account("AC" + "0e" * 16, "token-of-the-agencys-own-account")
    agency = await api.new_agency()
    body = {"account_sid": account.sid, "auth_token": account.auth_token}
    await api.put(f"{agency.path}/keys/twilio", body)
    await look(CARRIER)
    account.auth_token = "another"
    await look(CARRIER, minutes=40)
    assert (await api.get(f"{agency.path}/keys/twilio"))["status"] == "valid"
    await look(CARRIER, minutes=40)
    await look(CARRIER, minutes=1.01)
    assert (await api.get(f"{agency.path}/keys/twilio"))["status"] == "failing"
    assert await letters() == [("key_failing", "twilio")]


@pytest.mark.usefixtures("agency")
async def test_several_processes_look_at_each_key_once(services, sandbox, clock):
    seen = checks(sandbox, "bland")
    clock.move(minutes=20)
    await asyncio.gather(*(services.areas.key_rounds.check_due("bland") for _ in range(3)))
    assert checks(sandbox, "bland") == seen + 1


async def test_the_result_for_a_key_that_was_replaced_during_its_check_is_ignored(api, agency, look, show, sandbox):
    sandbox.state.faults.set("vapi", {"fault": "401", "operation": "check", "times": 2})
    await look("vapi")
    await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY}, status=422)
    await api.put(f"{agency.path}/keys/vapi", {"key": VAPI_KEY})
    await look("vapi", minutes=1.1)
    shown = await show("vapi")
    assert (shown["version"], shown["status"], shown["problem"]) == (2, "valid", None)


async def test_saving_a_key_leaves_nothing_of_how_the_one_before_it_was(api, agency, look, show, sandbox):
    sandbox.state.faults.set("retell", {"fault": "401", "operation": "check", "times": 2})
    sandbox.state.retell.orgs.of(RETELL_KEY).concurrency_limit = 20
    await look("retell", minutes=1.2)
    await look("retell", minutes=1.01)
    assert (await show("retell"))["status"] == "failing"
    saved = await api.put(f"{agency.path}/keys/retell", {"key": RETELL_KEY})
    assert (saved["status"], saved["problem"], saved["failing_since"], saved["lines"]) == ("valid", None, None, None)


async def test_the_key_itself_is_written_down_nowhere(look, sandbox, services, captured_events):
    sandbox.state.faults.set("vapi", {"fault": "echo-key", "operation": "check", "times": 1})
    await look("vapi")
    sandbox.state.vapi.orgs.revoke(VAPI_KEY)
    await look("vapi")
    await look("vapi", minutes=1.01)
    rows = [
        *await services.database.settings.fetch("SELECT * FROM keys"),
        *await services.database.settings.fetch("SELECT * FROM letters"),
        *await services.database.settings.fetch("SELECT *, convert_from(payload, 'UTF8') FROM pgqueuer"),
    ]
    assert rows
    assert VAPI_KEY not in str([dict(row) for row in rows])
    assert VAPI_KEY not in captured_events.text()
