"""Claiming a call's steps without a database, and while it still has to hear of what happened meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from crypto import Keyring, new_key_entry
from router.calls.answers import Answers
from router.calls.claims import Caps, Claims, Inbound, UnavailableError
from router.calls.fair_queue import FairQueue
from router.calls.memory import RouteMemory
from router.calls.own_steps import OwnSteps
from router.calls.recorder import Recorder
from router.calls.spool import Spool
from router.calls.state import Answer, CallState
from router.calls.steps import INBOUND, Step
from router.routing.deadline import Deadline
from router.routing.ladder import VOICEMAIL
from router.routing.route import Route
from router.store.guard import Guard
from router.store.keys.proofs import SealedToken
from router.store.pool import Database, connect, make_database
from tests.router.store.rows import ACCOUNT, NUMBER, insert, insert_client
from tests.support.database_proxy import DatabaseProxy, proxied
from tests.support.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.anyio

KEYRING = Keyring.parse(new_key_entry())
OWN = SealedToken("agency_1", "twilio", 1, "sealed")
CALL = Inbound(
    account_sid=ACCOUNT,
    call_sid="CA1",
    from_number="+14155550123",
    caller="+14155550123",
    to=NUMBER,
    forwarded_from=None,
    tokens=None,
)


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Process:
    """As much of one as claims calls."""

    claims: Claims
    answers: Answers
    memory: RouteMemory
    recorder: Recorder
    guard: Guard

    async def answer(self, state: CallState) -> str:
        served = replace(state, step=state.step.after("ai"))
        return await self.answers.keep(state, Answer("<Response/>", served), Deadline(PATIENCE))


def make_process(database: Database, dsn: str, folder: Path) -> Process:
    guard, memory = Guard(), RouteMemory()
    recorder = Recorder(partial(connect, dsn), guard, Spool(folder, KEYRING))
    own_steps = OwnSteps()
    answers = Answers(
        pool=database.calls,
        guard=guard,
        keyring=KEYRING,
        recorder=recorder,
        own_steps=own_steps,
        clock=now,
        answer_deadline=10,
    )
    claims = Claims(
        database=database,
        guard=guard,
        memory=memory,
        own_steps=own_steps,
        recorder=recorder,
        caps=Caps(of_caller=10, of_agency=100),
        queue=FairQueue(8),
        clock=now,
    )
    return Process(claims, answers, memory, recorder, guard)


@pytest.fixture
async def db(database_dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database_dsn)
    await insert_client(connection, "agency_1", "client_1")
    yield connection
    await connection.close()


@pytest.fixture
async def proxy(database_dsn: str) -> AsyncIterator[DatabaseProxy]:
    async with proxied(database_dsn) as proxy:
        yield proxy
        proxy.go_on()


@pytest.fixture
async def process(proxy: DatabaseProxy, db, tmp_path: Path) -> AsyncIterator[Process]:  # noqa: ARG001 - the number is there
    async with make_database(proxy.dsn).opened() as database:
        process = make_process(database, proxy.dsn, tmp_path / "spool")
        process.recorder.start()
        yield process
        proxy.go_on()
        await process.recorder.aclose()


def state_of(route: Route, step: Step = INBOUND) -> CallState:
    return CallState(
        call_id=CALL.call_id,
        account_sid=ACCOUNT,
        call_sid="CA1",
        from_number=CALL.from_number,
        caller=CALL.caller,
        route=route,
        rungs=(),
        started_at=now().timestamp(),
        step=step,
        rung=VOICEMAIL,
    )


async def steps_of(db: Any) -> list[tuple[str, bool]]:
    rows = await db.fetch("SELECT step, answer IS NOT NULL FROM call_steps ORDER BY claimed_at")
    return [tuple(row) for row in rows]


async def test_a_number_that_was_seen_is_claimed_from_memory_and_told_of_later(process: Process, proxy, db):
    seen = await process.claims.claim_call(replace(CALL, call_sid="CA0"))
    assert seen is not None
    await process.recorder.flush(PATIENCE)
    proxy.refuse()
    new = await process.claims.claim_call(CALL)
    assert new is not None
    claim = new.claim
    assert (claim.claimed, claim.route, claim.loop, claim.crowd) == (True, seen.state.route, None, None)
    await process.answer(new.state)
    assert await db.fetchval("SELECT count(*) FROM calls") == 1
    proxy.go_on()
    await wait_until(lambda: not process.recorder.spooling)
    call = await db.fetchrow(
        "SELECT id, agency_id, client_id, from_number, to_number FROM calls WHERE call_sid = 'CA1'"
    )
    assert tuple(call) == (CALL.call_id, "agency_1", "client_1", CALL.from_number, NUMBER)
    assert await steps_of(db) == [("inbound", False), ("inbound", True)]


async def test_a_number_that_was_not_seen_is_unavailable(process: Process, proxy):
    proxy.refuse()
    with pytest.raises(UnavailableError):
        await process.claims.claim_call(CALL)


@pytest.mark.parametrize(("agency", "taken"), [("agency_1", True), ("agency_2", False)])
async def test_an_agencys_own_account_answers_to_that_agencys_token_alone(process: Process, proxy, db, agency, taken):
    await insert(db, "keys", agency_id="agency_1", kind="twilio", account_sid=ACCOUNT, sealed=OWN.sealed)
    assert await process.claims.claim_call(replace(CALL, call_sid="CA0", tokens=(OWN,))) is not None
    proxy.refuse()
    call = replace(CALL, tokens=(replace(OWN, agency_id=agency),))
    if taken:
        assert await process.claims.claim_call(call) is not None
    else:
        with pytest.raises(UnavailableError):
            await process.claims.claim_call(call)


async def test_the_same_step_is_taken_on_once_before_during_and_after_an_outage(process: Process, proxy, db):
    await process.claims.claim_call(replace(CALL, call_sid="CA0"))
    proxy.refuse()
    claims = [await process.claims.claim_call(CALL) for _ in range(3)]
    proxy.go_on()
    await wait_until(lambda: not process.guard.away)
    claims += [await process.claims.claim_call(CALL) for _ in range(3)]
    await wait_until(lambda: not process.recorder.spooling)
    claims += [await process.claims.claim_call(CALL) for _ in range(3)]
    assert [new is not None and new.claim.claimed for new in claims] == [True] + [False] * 8
    assert await db.fetchval("SELECT count(*) FROM calls WHERE call_sid = 'CA1'") == 1


async def test_a_later_step_goes_on_from_its_state_and_knows_no_facts(process: Process, proxy, db):
    seen = await process.claims.claim_call(CALL)
    assert seen is not None
    await process.recorder.flush(PATIENCE)
    proxy.refuse()
    state = state_of(seen.state.route, Step("ai", 1))
    first, second = [await process.claims.claim_step(state) for _ in range(2)]
    assert (first.claimed, first.route, first.facts) == (True, seen.state.route, None)
    assert not second.claimed
    await process.answer(state)
    proxy.go_on()
    await wait_until(lambda: not process.recorder.spooling)
    assert await steps_of(db) == [("inbound", False), ("ai-1", True)]
    again = await process.claims.claim_step(state)
    assert (again.claimed, again.facts) == (False, ())


async def test_facts_are_unknown_to_a_process_without_a_record_of_them(
    process: Process, database: Database, database_dsn, proxy, db, tmp_path: Path
):
    """Its beginning is in another process's spool; this one has not even noticed that the database was away."""
    other = make_process(database, database_dsn, tmp_path / "other")
    other.recorder.start()
    seen = await process.claims.claim_call(replace(CALL, call_sid="CA0"))
    assert seen is not None
    proxy.refuse()
    await process.claims.claim_call(CALL)
    state = state_of(seen.state.route, Step("ai", 1))
    claim = await other.claims.claim_step(state)
    assert (claim.claimed, claim.facts) == (True, None)
    other.recorder.note(state.record)
    await other.recorder.flush(PATIENCE)
    assert (await other.claims.claim_step(state_of(seen.state.route, Step("ai", 2)))).facts == ()
    await other.recorder.aclose()
    proxy.go_on()
    await wait_until(lambda: not process.recorder.spooling)
    assert await db.fetchval("SELECT count(*) FROM calls WHERE call_sid = 'CA1'") == 1


async def test_what_the_database_took_but_lost_in_its_crash_is_in_the_spool(process: Process, proxy, db):
    """Claims do not wait for its disk: what stands behind them has to."""
    proxy.stall_behind(b'"store_answer"')
    new = await process.claims.claim_call(CALL)
    assert new is not None
    await process.answer(new.state)
    await db.execute("TRUNCATE calls, call_steps CASCADE")
    proxy.refuse()
    proxy.go_on()
    await wait_until(lambda: not process.recorder.spooling)
    assert await db.fetchval("SELECT count(*) FROM calls WHERE call_sid = 'CA1'") == 1
    assert await steps_of(db) == [("inbound", True)]
