"""What a live call reads from the database: every step is claimed once, and no agency gets another one's route."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from adapters.base import Target
from router.routing.route import Access, Hours, OpenSpan
from router.store.calls import calls, records
from router.store.calls.calls import CallClaim, claim_call, claim_step
from router.store.calls.records import Record, write_records
from router.store.calls.sweeps import carry_out_early_ends
from router.store.keys import proofs
from router.store.pool import Database
from tests.router.store.rows import ACCOUNT, AT, NUMBER, insert, insert_client
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

OTHER_ACCOUNT = "AC" + "b" * 32
CALLER = "+14155550123"
PHONE = "+15005550123"


@pytest.fixture
async def db(database_dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database_dsn)
    yield connection
    await connection.close()


async def ring(database: Database, call_sid: str = "CA1", **changes: Any) -> CallClaim | None:
    values = {
        "account_sid": ACCOUNT,
        "to": NUMBER,
        "call_id": f"call_{call_sid}",
        "call_sid": call_sid,
        "from_number": CALLER,
        "now": AT,
        "forwarded_from": None,
        "tokens": None,
        "most_of_caller": 100,
        "most_of_agency": 100,
    }
    return await claim_call(database.calls, **{**values, **changes})


async def write(db: Any, *writes: Record) -> None:
    await write_records(db, *writes)


async def go_on(database: Database, step: str, call_sid: str = "CA1", **changes: Any) -> calls.StepClaim:
    values = {
        "account_sid": ACCOUNT,
        "number": NUMBER,
        "call_sid": call_sid,
        "step": step,
        "call_id": f"call_{call_sid}",
        "now": AT,
    }
    return await claim_step(database.calls, **{**values, **changes})


async def test_a_call_to_an_unknown_number_leaves_no_trace(database: Database, db):
    assert await ring(database) is None
    assert await db.fetchval("SELECT (SELECT count(*) FROM calls) + (SELECT count(*) FROM call_steps)") == 0


async def test_of_twenty_requests_at_once_one_claims_the_call(database: Database, db):
    await insert_client(db, "agency_1", "client_1")
    claims = await asyncio.gather(*(ring(database) for _ in range(20)))
    assert sorted(claim is not None and claim.claimed for claim in claims) == [False] * 19 + [True]
    assert len({claim.route.client_id for claim in claims if claim}) == 1
    assert await db.fetchval("SELECT count(*) FROM calls") == 1


async def test_of_twenty_requests_at_once_one_claims_the_step(database: Database, db):
    await insert_client(db, "agency_1", "client_1")
    await ring(database)
    claims = await asyncio.gather(*(go_on(database, "ai-1") for _ in range(20)))
    assert sorted(claim.claimed for claim in claims) == [False] * 19 + [True]
    assert (await go_on(database, "ai-2")).claimed


async def test_a_call_replayed_from_a_spool_and_repeated_by_twilio_is_claimed_once(
    database: Database, db, database_dsn
):
    """Both insert the call first and its step second: in any other order each could wait for the other."""
    await insert_client(db, "agency_1", "client_1")
    call = records.InsertCall(
        "call_CA1",
        account_sid=ACCOUNT,
        call_sid="CA1",
        agency_id="agency_1",
        client_id="client_1",
        from_number=CALLER,
        to_number=NUMBER,
        started_at=AT,
    )
    replay = db.transaction()
    await replay.start()
    await write(db, call)
    repeated = asyncio.create_task(ring(database))
    onlooker = await asyncpg.connect(database_dsn)
    await wait_until(
        lambda: onlooker.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
    )
    await onlooker.close()
    await write(db, records.InsertStep(ACCOUNT, "CA1", "inbound", "call_CA1", AT))
    await replay.commit()
    claim = await repeated
    assert claim is not None
    assert not claim.claimed


async def test_calls_and_accounts_are_kept_apart(database: Database, db):
    await insert_client(db, "agency_1", "client_1")
    await insert_client(db, "agency_2", "client_2", account_sid=OTHER_ACCOUNT)
    here, again, there = await asyncio.gather(
        ring(database), ring(database, "CA2"), ring(database, call_id="call_there", account_sid=OTHER_ACCOUNT)
    )
    assert here is not None
    assert again is not None
    assert there is not None
    assert (here.claimed, again.claimed, there.claimed) == (True, True, True)
    assert (here.route.client_id, there.route.client_id) == ("client_1", "client_2")
    assert (here.route.account_sid, there.route.account_sid) == (ACCOUNT, OTHER_ACCOUNT)


async def test_a_route_has_everything_a_call_needs(database: Database, db):
    await insert(
        db,
        "agencies",
        id="agency_1",
        active_provider="vapi",
        former_provider="bland",
        fallback_providers=["retell"],
    )
    routing = {
        "mode": "owner_first",
        "on_failure": "ring_through",
        "ring_seconds": 20,
        "screen": False,
        "voicemail_greeting": "Hello",
        "voicemail_seconds": 30,
        "hours": {
            "timezone": "Europe/Berlin",
            "open": [{"days": ["tue", "mon"], "from": "09:00", "to": "24:00"}],
            "closed_mode": "ring_through",
        },
    }
    await insert_client(
        db,
        "agency_1",
        "client_1",
        name="Acme",
        personal_phone=PHONE,
        provider="retell",
        routing=routing,
        assistant={"prompt": "…", "languages": ["de-DE", "en-US"], "max_seconds": 900},
    )
    for kind in ("vapi", "retell"):
        await insert(db, "keys", agency_id="agency_1", kind=kind, sealed=f"old-{kind}", retired_at=AT)
        await insert(db, "keys", agency_id="agency_1", kind=kind, sealed=f"sealed-{kind}", version=2)
    await insert(db, "keys", agency_id="agency_1", kind="twilio", sealed="sealed-twilio", account_sid=ACCOUNT)
    await insert(db, "assistants", client_id="client_1", provider="vapi", remote_id="a1", usable=True)
    await insert(db, "assistants", client_id="client_1", provider="retell", remote_id="a2", usable=False)
    await insert(db, "registrations", agency_id="agency_1", e164=NUMBER, provider="vapi", remote_id="p1", mode="sip")
    claim = await ring(database)
    assert claim is not None
    route = claim.route
    assert {access.provider: access for access in route.accesses} == {
        "vapi": Access("vapi", Target("a1", "p1", "sip"), "sealed-vapi", 2),
        "retell": Access("retell", Target(), "sealed-retell", 2, gone=True),
    }
    assert (route.client_provider, route.active_provider, route.former_provider) == ("retell", "vapi", "bland")
    assert (route.fallback_providers, route.language, route.max_seconds) == (("retell",), "de-DE", 900)
    assert (route.personal_phone, route.caller_id, route.client_name) == (PHONE, "caller", "Acme")
    assert route.routing.hours == Hours("Europe/Berlin", (OpenSpan((0, 1), 540, 1440),), "ring_through")
    assert (route.routing.mode, route.routing.screen, route.routing.voicemail_seconds) == ("owner_first", False, 30)
    assert (await go_on(database, "ai-1")).route == route == await calls.find_route(database.calls, ACCOUNT, NUMBER)


async def test_a_client_with_only_a_name_has_a_route(database: Database, db):
    await insert_client(db, "agency_1", "client_1")
    claim = await ring(database)
    assert claim is not None
    assert (claim.route.accesses, claim.route.language, claim.route.max_seconds) == ((), "en-US", None)
    assert (claim.route.fallback_providers, claim.loop, claim.crowd) == (None, None, None)


async def test_no_list_of_fallbacks_differs_from_an_empty_one(database: Database, db):
    await insert(db, "agencies", id="agency_1", fallback_providers=[])
    await insert_client(db, "agency_1", "client_1")
    claim = await ring(database)
    assert claim is not None
    assert claim.route.fallback_providers == ()


async def test_keys_of_another_agency_are_on_no_route(database: Database, db):
    await insert_client(db, "agency_1", "client_1")
    await insert_client(db, "agency_2", "client_2", "+15005550002")
    await insert(db, "keys", agency_id="agency_2", kind="vapi", sealed="theirs")
    await insert(db, "assistants", client_id="client_2", provider="vapi")
    await insert(db, "registrations", agency_id="agency_2", e164="+15005550002", provider="vapi")
    claim = await ring(database)
    assert claim is not None
    assert claim.route.accesses == ()


@pytest.mark.parametrize(
    ("tokens", "found"),
    [
        (["sealed-1"], True),
        (["sealed-1-before"], True),
        (["sealed-2", "sealed-1"], True),
        (["sealed-2"], False),  # another agency's, that holds the same account
        (["sealed-elsewhere"], False),
        ([], False),
        (None, True),  # the platform's own account
    ],
)
async def test_a_number_answers_only_to_its_agencys_own_token(database: Database, db, tokens, found: bool):
    await insert_client(db, "agency_1", "client_1")
    await insert(db, "agencies", id="agency_2")
    kind = {"kind": "twilio", "account_sid": ACCOUNT}
    await insert(db, "keys", agency_id="agency_1", sealed="sealed-1-before", retired_at=AT, **kind)
    await insert(db, "keys", agency_id="agency_1", sealed="sealed-1", version=2, **kind)
    await insert(db, "keys", agency_id="agency_2", sealed="sealed-2", **kind)
    elsewhere = {"kind": "twilio", "account_sid": OTHER_ACCOUNT}
    await insert(db, "keys", agency_id="agency_1", sealed="sealed-elsewhere", version=3, retired_at=AT, **elsewhere)
    assert (await ring(database, tokens=tokens) is not None) is found
    assert await db.fetchval("SELECT count(*) FROM calls") == int(found)


async def test_tokens_of_an_account_are_the_saved_ones_and_for_a_day_the_former(database: Database, db):
    await insert(db, "agencies", id="agency_1")
    await insert(db, "agencies", id="agency_2")
    kind = {"kind": "twilio", "account_sid": ACCOUNT}
    for version, hours_ago in ((1, 25), (2, 23), (3, None)):
        retired = None if hours_ago is None else AT - timedelta(hours=hours_ago)
        await insert(
            db, "keys", agency_id="agency_1", sealed=f"one-{version}", version=version, retired_at=retired, **kind
        )
    await insert(db, "keys", agency_id="agency_2", sealed="two-1", saved_at=AT - timedelta(hours=1), **kind)
    found = await proofs.find_account_tokens(database.calls, ACCOUNT, AT)
    assert [token.sealed for token in found] == ["one-3", "two-1", "one-2"]
    assert await proofs.find_account_tokens(database.calls, OTHER_ACCOUNT, AT) == ()


async def test_a_call_that_the_rung_phone_forwards_is_a_loop(database: Database, db):
    await insert_client(db, "agency_1", "client_1")
    await ring(database)
    await write(db, records.SetRinging("call_CA1", PHONE, CALLER, AT + timedelta(seconds=25)))
    forwarded = await ring(database, "CA2", forwarded_from=PHONE)
    by_its_end = await ring(database, "CA3", forwarded_from="5550123")
    by_another = await ring(database, "CA4", forwarded_from="+15005550199")
    other_by_another = await ring(database, "CA8", forwarded_from="+15005550199", from_number="+14155550199")
    same_caller = await ring(database, "CA5")
    other_caller = await ring(database, "CA6", from_number="+14155550199")
    too_late = await ring(database, "CA7", now=AT + timedelta(seconds=26), forwarded_from=PHONE)
    assert [claim and claim.loop for claim in (forwarded, by_its_end)] == ["forwarded", "forwarded"]
    assert [claim and claim.loop for claim in (by_another, same_caller)] == ["suspected", "suspected"]
    assert [claim and claim.loop for claim in (other_by_another, other_caller, too_late)] == [None, None, None]


async def test_a_call_is_not_a_loop_of_itself_or_of_a_finished_call(database: Database, db):
    await insert_client(db, "agency_1", "client_1")
    await ring(database)
    until = AT + timedelta(seconds=25)
    await write(db, records.SetRinging("call_CA1", PHONE, CALLER, until))
    repeat = await ring(database, forwarded_from=PHONE)
    await write(db, records.ClearRinging("call_CA1"))
    afterwards = await ring(database, "CA2", forwarded_from=PHONE)
    await write(db, records.SetRinging("call_CA1", PHONE, CALLER, until))
    await write(db, records.EndCall("call_CA1", "event_end", AT, "abandoned", 3))
    after_its_end = await ring(database, "CA3", forwarded_from=PHONE)
    assert [claim and claim.loop for claim in (repeat, afterwards, after_its_end)] == [None, None, None]


async def test_a_phone_that_rings_for_another_client_is_not_a_loop(database: Database, db):
    await insert_client(db, "agency_1", "client_1")
    await insert_client(db, "agency_2", "client_2", "+15005550002")
    await ring(database)
    await write(db, records.SetRinging("call_CA1", PHONE, CALLER, AT + timedelta(seconds=25)))
    claim = await ring(database, "CA2", to="+15005550002", forwarded_from=PHONE)
    assert claim is not None
    assert claim.loop is None


async def test_too_many_calls_at_once_are_counted_by_caller_and_by_agency(database: Database, db):
    await insert_client(db, "agency_1", "client_1")
    for number in range(3):
        await ring(database, f"CA{number}")
    caps = {"most_of_caller": 3, "most_of_agency": 3}
    caller = await ring(database, "CA3", **caps)
    other = await ring(database, "CA4", from_number="+14155550199", **caps)
    assert [claim and claim.crowd for claim in (caller, other)] == ["caller", "agency"]
    await write(db, *(records.EndCall(f"call_CA{number}", f"event_{number}", AT, "ai", 3) for number in range(5)))
    after = await ring(database, "CA5", **caps)
    assert after is not None
    assert after.crowd is None


async def test_a_later_step_learns_what_happened_before(database: Database, db):
    await insert_client(db, "agency_1", "client_1")
    await ring(database)
    noted = records.InsertEvent("event_1", "call_CA1", AT, "call.answered", step="ai-1", provider="vapi", reason="ai")
    await write(
        db,
        noted,
        noted,
        records.InsertEvent("event_2", "call_CA1", AT, "call.answered", step="ai-1", provider="vapi"),
    )
    claim = await go_on(database, "ai-1")
    assert claim.facts == await calls.find_facts(database.calls, "call_CA1")
    assert claim.facts == (calls.Fact("call.answered", "ai-1", "vapi", "ai", AT.timestamp()),)


async def test_a_number_removed_meanwhile_has_no_route(database: Database, db):
    await insert_client(db, "agency_1", "client_1")
    await ring(database)
    await db.execute("DELETE FROM numbers")
    claim = await go_on(database, "ai-1")
    assert (claim.claimed, claim.route, claim.facts) == (True, None, ())


async def test_events_of_a_deleted_call_are_dropped_without_losing_others(db):
    await write(
        db,
        records.InsertEvent("event_1", "call_gone", AT, "call.received"),
        records.SetOutcome("call_gone", "ai"),
        records.InsertCall(
            "call_2",
            account_sid=ACCOUNT,
            call_sid="CA2",
            agency_id="agency_gone",
            client_id="client_1",
            from_number=CALLER,
            to_number=NUMBER,
            started_at=AT,
        ),
    )
    assert await db.fetchval("SELECT (SELECT count(*) FROM call_events) + (SELECT count(*) FROM calls)") == 0


@pytest.mark.parametrize(
    ("agencies", "ends"),
    [(("agency_1",), True), (("agency_2", "agency_1"), True), (("",), True), (("agency_2",), False), ((), False)],
)
async def test_an_end_before_its_call_counts_for_the_agencies_whose_tokens_proved_it(
    database: Database, db, agencies: tuple[str, ...], ends: bool
):
    await insert_client(db, "agency_1", "client_1")
    await write(db, *(records.EndCallLater("call_1", "event_1", AT, 9, agency) for agency in agencies))
    await insert(db, "calls", id="call_1", call_sid="CA1", agency_id="agency_1", client_id="client_1")
    carried_out = await carry_out_early_ends(database.settings, AT)
    assert [(end.call_id, end.seconds) for end in carried_out] == ([("call_1", 9)] if ends else [])
    assert (await db.fetchval("SELECT ended_at FROM calls") is not None) is ends
    assert not await db.fetchval("SELECT EXISTS (SELECT FROM early_ends)")


async def test_the_answer_of_a_step_is_stored_once(database: Database, db):
    await insert_client(db, "agency_1", "client_1")
    await ring(database)
    await write(
        db,
        records.StoreAnswer(ACCOUNT, "CA1", "inbound", AT, "first"),
        records.StoreAnswer(ACCOUNT, "CA1", "inbound", AT + timedelta(seconds=1), "second"),
        records.StoreAnswer(ACCOUNT, "CA1", "ai-9", AT, "of no step"),
    )
    stored = await calls.find_step(database.calls, ACCOUNT, "CA1", "inbound")
    assert stored is not None
    assert (stored.answer, stored.answered_at, stored.passed) == ("first", AT, False)
    assert await calls.find_step(database.calls, OTHER_ACCOUNT, "CA1", "inbound") is None


async def test_a_step_is_passed_once_a_later_one_is_claimed(database: Database, db):
    await insert_client(db, "agency_1", "client_1")
    await ring(database)
    await go_on(database, "ai-1", now=AT + timedelta(seconds=9))
    await write(
        db,
        records.StoreAnswer(ACCOUNT, "CA1", "inbound", AT, "first"),
        records.StoreAnswer(ACCOUNT, "CA1", "ai-1", AT + timedelta(seconds=9), "second"),
    )
    first = await calls.find_step(database.calls, ACCOUNT, "CA1", "inbound")
    last = await calls.find_step(database.calls, ACCOUNT, "CA1", "ai-1")
    assert first is not None
    assert last is not None
    assert (first.passed, last.passed) == (True, False)
    assert await calls.find_latest_answer(database.calls, ACCOUNT, "CA1") == ("ai-1", "second")


async def test_of_twenty_requests_at_once_one_closes_the_call(database: Database, db):
    await insert_client(db, "agency_1", "client_1")
    await ring(database)
    closed = await asyncio.gather(
        *(
            records.write_together(database.settings, [records.EndCall("call_CA1", f"event_{n}", AT, "abandoned", 7)])
            for n in range(20)
        )
    )
    assert sorted(closed, key=len) == [{}] * 19 + [{"call_CA1": "abandoned"}]
    assert [fact.event for fact in await calls.find_facts(database.calls, "call_CA1")] == ["call.ended"]


async def test_only_a_message_replaces_the_outcome_of_a_caller_who_seemed_gone(db):
    await insert(db, "agencies", id="agency_1")
    for call_id, outcomes, expected in (
        ("call_1", ["abandoned", "voicemail", "abandoned"], "voicemail"),
        ("call_2", ["ai", "voicemail"], "ai"),
    ):
        await insert(db, "calls", id=call_id, call_sid=call_id, agency_id="agency_1", client_id="client_1")
        await write(db, *(records.SetOutcome(call_id, outcome) for outcome in outcomes))
        assert await db.fetchval("SELECT outcome FROM calls WHERE id = $1", call_id) == expected


async def test_a_recording_is_filed_once(db):
    await insert(db, "agencies", id="agency_1")
    await insert(db, "calls", id="call_1", call_sid="CA1", agency_id="agency_1", client_id="client_1")
    place = {
        "account_sid": ACCOUNT,
        "recording_sid": "RE1",
        "call_id": "call_1",
        "agency_id": "agency_1",
        "client_id": "client_1",
        "from_number": CALLER,
        "at": AT,
        "seconds": 9,
    }
    message = records.InsertVoicemail("voicemail_0", **place)
    again = [replace(message, voicemail_id=f"voicemail_{number}") for number in range(3)]
    assert [await records.insert_voicemail(db, each) for each in again] == [True, False, False]
    assert await db.fetchval("SELECT array_agg(id) FROM voicemails") == ["voicemail_0"]
    of_a_gone_call = replace(message, voicemail_id="voicemail_9", call_id="gone", recording_sid="RE2")
    with pytest.raises(records.UnrecordedCallError):
        await records.insert_voicemail(db, of_a_gone_call)


async def test_a_call_is_found_only_by_its_account_and_its_agency(database: Database, db):
    await insert_client(db, "agency_1", "client_1")
    await ring(database)
    found = await calls.find_call(database.calls, ACCOUNT, "CA1")
    assert found is not None
    assert (found.id, found.agency_id, found.from_number, found.ended_at) == ("call_CA1", "agency_1", CALLER, None)
    assert await calls.find_call(database.calls, OTHER_ACCOUNT, "CA1") is None
    assert await calls.find_agency_call(database.calls, "agency_1", "call_CA1") == found
    assert await calls.find_agency_call(database.calls, "agency_2", "call_CA1") is None


@pytest.mark.parametrize("hostile", ["'; DROP TABLE calls; --", "' OR '1'='1", "\\", "%", "$1"])
async def test_values_of_a_request_are_never_part_of_a_statement(database: Database, db, hostile: str):
    await insert_client(db, "agency_1", "client_1")
    assert await ring(database, to=hostile) is None
    assert await ring(database, account_sid=hostile) is None
    assert await ring(database, tokens=[hostile]) is None
    claim = await ring(database, hostile, from_number=hostile, forwarded_from=hostile)
    assert claim is not None
    assert await db.fetchval("SELECT from_number FROM calls") == hostile
    assert await calls.find_step(database.calls, hostile, hostile, hostile) is None


async def wal_writes(connection: Any) -> int:
    """How often this connection's process has waited for the write-ahead log to be written."""
    await connection.execute("SELECT pg_stat_force_next_flush()")
    statement = "SELECT sum(writes) FROM pg_stat_get_backend_io(pg_backend_pid()) WHERE object = 'wal'"
    return int(await connection.fetchval(statement) or 0)


async def test_a_claim_does_not_wait_for_the_disk_and_what_comes_after_it_does(database: Database, db):
    await insert_client(db, "agency_1", "client_1")
    async with database.calls.acquire() as connection:
        lane = replace(database, calls=connection)  # type: ignore[arg-type]
        written = []
        for turn in range(5):  # when buffers are full, any process writes them, but hardly in every turn
            before = await wal_writes(connection)
            for number in range(turn * 4, turn * 4 + 4):
                await ring(lane, f"CA{number}")
                await go_on(lane, "ai-1", f"CA{number}")
            written.append(await wal_writes(connection) - before)
        assert 0 in written
        before = await wal_writes(connection)
        assert await connection.fetchval("SHOW synchronous_commit") == "on"
        for number in range(20):  # unless another process has just written this one's, too
            await write(connection, records.SetSeconds("call_CA1", number))
        assert await wal_writes(connection) > before


def rows_read(plan: dict[str, Any], table: str) -> float:
    own = plan["Actual Rows"] * plan["Actual Loops"] if plan.get("Relation Name") == table else 0.0
    return own + sum(rows_read(child, table) for child in plan.get("Plans", ()))


async def test_calls_in_progress_are_not_counted_one_by_one(database: Database, db):
    """Neither those of the agency nor those at a provider of which the lines are known."""
    await insert_client(db, "agency_1", "client_1")
    await insert(db, "keys", agency_id="agency_1", kind="vapi", sealed="sealed", lines_limit=1000)
    for number in range(300):
        await ring(database, f"CA{number}", most_of_agency=1000, most_of_caller=1000)
    await write(db, *(records.SetProvider(f"call_CA{number}", "vapi", AT) for number in range(300)))
    claim = await ring(database, "CA-next", most_of_agency=1000, most_of_caller=1000)
    assert claim is not None
    assert claim.route.access("vapi").lines_free == 700
    arguments = (ACCOUNT, NUMBER, "call_x", "CA-x", CALLER, AT, None, None, 1000, 1000)
    explained = await db.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {calls.CLAIM_CALL}", *arguments)
    assert rows_read(json.loads(explained)[0]["Plan"], "calls") <= 1
