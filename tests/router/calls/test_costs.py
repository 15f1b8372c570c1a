"""What a call costs, in counts that do not depend on the machine. One more of anything fails here."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from router.store.calls.calls import CLAIM_CALL
from router.store.calls.records import WRITE_RECORDS
from tests.support.database_proxy import DatabaseProxy, proxied
from tests.support.log_capture import CapturedEvents, captured_events
from tests.support.posting import PostedCall, only_document, taker_of
from tests.support.world import open_world

__all__ = ["captured_events"]

pytestmark = pytest.mark.anyio

TASKS_OF_A_CALL = [
    "RequestResponseCycle.run_asgi",
    "claim_call",  # in time, or not at all
    "PoolConnectionHolder.release",
    "Calls.hand_off",
    "ClientRequest.write_bytes",
    "RequestResponseCycle.run_asgi",  # the sandbox's
]


NAMES = {CLAIM_CALL: "claim_call", WRITE_RECORDS: "write_records"}


class Tasks:
    """The tasks that the event loop starts, by what they run."""

    def __init__(self) -> None:
        self.started: list[str] = []

    def __call__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **more: Any) -> Any:
        self.started.append(work.__qualname__)
        return asyncio.Task(work, loop=loop, **more)


def of_calls(proxy: DatabaseProxy) -> list[Any]:
    """The connections that handle calls, of all that the service has."""
    return [talk for talk in proxy.talks if NAMES.keys() & set(talk.statements)]


async def test_a_call_costs_so_many_round_trips_commits_log_lines_and_tasks(
    database_dsn: str, tmp_path: Path, captured_events: CapturedEvents
):
    tasks = Tasks()
    async with (
        proxied(database_dsn) as proxy,
        open_world(database_dsn, tmp_path, database_url=SecretStr(proxy.dsn)) as world,
    ):
        client = await world.add_client(providers=["retell"])
        for _ in range(2):  # connections are opened, and statements prepared
            only_document([await PostedCall(world, client).ring()])
        talks = of_calls(proxy)
        for talk in talks:
            talk.clear()
        said = len(captured_events.names())
        asyncio.get_running_loop().set_task_factory(tasks)
        try:
            document = only_document([await PostedCall(world, client).ring()])
        finally:
            asyncio.get_running_loop().set_task_factory(None)
        lines = captured_events.names()[said:]
        statements = [statement for talk in talks for statement in talk.statements]
    assert taker_of(document) == "retell"
    assert [NAMES.get(statement, statement) for statement in statements] == [
        "write_records",
        "claim_call",
    ]  # by connection
    assert [sum(talk.round_trips for talk in talks), sum(talk.transactions for talk in talks)] == [2, 2]
    assert lines == ["call.received", "handoff.requested", "handoff.succeeded"]
    assert tasks.started == TASKS_OF_A_CALL
