"""What a call costs, in counts that do not depend on the machine. One more of anything fails here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.sandbox.carrier.requests import Reply
from router.app import service
from router.store import watch
from router.store.calls.calls import CLAIM_CALL, CLAIM_STEP, FIND_CALL
from router.store.calls.records import WRITE_RECORDS
from tests.support.database_proxy import proxied
from tests.support.database_talk import Talk
from tests.support.log_capture import CapturedEvents, captured_events
from tests.support.posting import PostedCall, only_document, taker_of
from tests.support.signed_requests import STATUS
from tests.support.world import open_world

__all__ = ["captured_events"]

pytestmark = pytest.mark.anyio

NAMES = {
    CLAIM_CALL: "claim_call",
    CLAIM_STEP: "claim_step",
    FIND_CALL: "find_call",
    WRITE_RECORDS: "write_records",
}
TALKED = {"CallStatus": "completed", "DialCallStatus": "completed", "DialCallDuration": "30", "DialBridged": "true"}
OVER = {"CallStatus": "completed", "CallDuration": "30"}
SELDOM = 3600.0  # seconds


@pytest.fixture(autouse=True)
def _calls_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the service does every few seconds would count as a cost of the request that it coincides with."""
    for name in ("MEMORY", "ADDRESS", "EARLY_ENDS", "KEY_NOTES", "REFUSALS"):
        monkeypatch.setattr(service, f"{name}_SECONDS", SELDOM)
    monkeypatch.setattr(watch, "_LOOK_SECONDS", SELDOM)


class Tasks:
    """The tasks that the event loop starts, by what they run."""

    def __init__(self) -> None:
        self.started: list[str] = []

    def __call__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **more: Any) -> Any:
        self.started.append(work.__qualname__)
        return asyncio.Task(work, loop=loop, **more)


@dataclass(frozen=True, slots=True)
class Costs:
    """Of one request of the carrier's. `asked`: statements by what they are for; a round trip and a commit for each."""

    asked: list[str]
    lines: list[str]
    tasks: list[str]


@dataclass(slots=True)
class Meter:
    """Counts what a request costs; `talks` are the connections that handle calls, of all that the service has."""

    talks: list[Talk]
    events: CapturedEvents

    async def measure(self, request: Awaitable[Reply]) -> tuple[str, Costs]:
        """The document, and what it cost."""
        tasks, said, loop = Tasks(), len(self.events.names()), asyncio.get_running_loop()
        for talk in self.talks:
            talk.clear()
        loop.set_task_factory(tasks)
        try:
            document = only_document([await request])
        finally:
            loop.set_task_factory(None)
        asked = [NAMES.get(statement, statement) for talk in self.talks for statement in talk.statements]
        assert {talk.round_trips for talk in self.talks if talk.statements} == {1}
        assert {talk.transactions for talk in self.talks if talk.statements} == {1}
        return document, Costs(sorted(asked), self.events.names()[said:], tasks.started)


async def test_a_call_its_next_rung_and_its_end_cost_so_many_statements_commits_log_lines_and_tasks(
    database_dsn: str, tmp_path: Path, captured_events: CapturedEvents
):
    async with (
        proxied(database_dsn) as proxy,
        open_world(database_dsn, tmp_path, database_url=SecretStr(proxy.dsn)) as world,
    ):
        client = await world.add_client(providers=["retell"])
        for _ in range(2):  # connections are opened, and statements prepared
            call = PostedCall(world, client)
            only_document([await call.go_on(only_document([await call.ring()]))])
            only_document([await call.post(STATUS, **OVER)])
        meter = Meter([talk for talk in proxy.talks if NAMES.keys() & set(talk.statements)], captured_events)
        call = PostedCall(world, client)
        document, costs = await meter.measure(call.ring())
        assert taker_of(document) == "retell"
        assert costs == Costs(
            asked=["claim_call", "write_records"],
            lines=["call.received", "handoff.requested", "handoff.succeeded"],
            tasks=[
                "RequestResponseCycle.run_asgi",
                "claim_call",  # in time, or not at all
                "Calls.hand_off",
                "ClientRequest.write_bytes",
                "RequestResponseCycle.run_asgi",  # the sandbox's
            ],
        )
        document, costs = await meter.measure(call.go_on(document))
        assert taker_of(document) == "voicemail"
        assert costs == Costs(
            asked=["claim_step", "write_records"],
            lines=["handoff.failed", "call.fell_back", "call.answered"],
            tasks=["RequestResponseCycle.run_asgi", "claim_step"],
        )
        call = PostedCall(world, client)
        document = only_document([await call.ring()])
        _, costs = await meter.measure(call.go_on(document, **TALKED))
        assert costs == Costs(
            asked=["claim_step", "write_records"],
            lines=["call.answered", "call.ended"],
            tasks=["RequestResponseCycle.run_asgi", "claim_step"],
        )
        _, costs = await meter.measure(call.post(STATUS, **OVER))
        assert costs == Costs(
            asked=["find_call", "write_records"],
            lines=[],
            tasks=["RequestResponseCycle.run_asgi", "Closer._close"],
        )
