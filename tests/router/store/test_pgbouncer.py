"""Behind PgBouncer in transaction mode: each transaction may get another of the server's sessions."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.sandbox.carrier import Script
from router.store.connecting import goes_through_pooler
from router.store.pool import connect, make_database
from router.store.schema import SchemaError, migrate
from router.store.watch import PoolWatch
from tests.support.log_capture import CapturedEvents, captured_events
from tests.support.pgbouncer import PROGRAM, running_pgbouncer
from tests.support.signed_requests import VOICE, call_form, post_signed, verbs
from tests.support.world import open_world

__all__ = ["captured_events"]

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="PgBouncer is not installed (Debian: pgbouncer)"),
]


async def test_sixty_calls_at_once_reach_an_ai(database_dsn: str, tmp_path: Path):
    async with (
        running_pgbouncer(database_dsn) as bouncer,
        open_world(bouncer.dsn(), tmp_path, database_direct_url=SecretStr(database_dsn)) as world,
    ):
        client = await world.add_client(providers=("vapi", "retell"), fallback_providers=["retell"])
        forms = [call_form(client, From=f"+1415555{number:04d}") for number in range(60)]
        replies = await asyncio.gather(*(post_signed(world, VOICE, form, client.auth_token) for form in forms))
        answers = [verbs(reply) for reply in replies]
        assert all(answer in (["Connect"], ["Dial"]) for answer in answers), answers  # Vapi's AI, or Retell's
        whole = await world.find_ended_call(await world.call(client, Script(ai="answers")))
        assert whole["outcome"] == "ai"
        assert await world.db.fetchval("SELECT count(*) FROM calls") == 61
        assert (await world.http.get(f"{world.urls[0]}/readyz")).json()["status"] == "ok"


async def test_statements_of_all_pools_find_their_parameters_in_whatever_session_they_run(database_dsn: str):
    """With names, more than half of 200 at once failed: a name belongs to the session in which it was prepared."""
    async with (
        running_pgbouncer(database_dsn, sessions=3) as bouncer,
        make_database(bouncer.dsn()).opened() as database,
    ):
        answers = await asyncio.gather(
            *(pool.fetchval(f"SELECT $1::integer + {n % 7}", n) for n in range(100) for pool in database.pools)
        )
        assert answers == [n + n % 7 for n in range(100) for _ in database.pools]
        recorder = await connect(bouncer.dsn())
        await recorder.executemany("SELECT $1::jsonb", [({"n": n},) for n in range(3)])
        await recorder.close()


async def test_a_pooler_is_told_from_a_server(database_dsn: str):
    async with running_pgbouncer(database_dsn) as bouncer:
        assert await goes_through_pooler(bouncer.dsn(), 5)
        assert not await goes_through_pooler(database_dsn, 5)
        with pytest.raises(SchemaError, match="CALLROUTER_DATABASE_DIRECT_URL"):
            await migrate(bouncer.dsn())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"password": "another_canary"}, "password authentication failed"), ({"name": "elsewhere"}, "elsewhere")],
    ids=["password", "database"],
)
async def test_a_refusal_is_logged_once_with_the_words_of_the_pooler(
    database_dsn: str, captured_events: CapturedEvents, wrong: dict[str, str], said: str
):
    async with running_pgbouncer(database_dsn) as bouncer, make_database(bouncer.dsn(**wrong)).opened() as database:
        watch = PoolWatch(database.pools)
        for _ in range(3):
            await watch.look()
    assert said in captured_events.only("database.refused")["said"]
    assert "canary" not in str(captured_events.only("database.refused"))
