"""Every cell ends at an AI, the owner or a recorder, in time, with one request per attempt and no key in any sink.

A few cells in the suite; all of them with `make matrix`, which writes docs/reliability.md.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from adapters.base import ErrorKind
from adapters.sandbox.carrier import Script, Timeline
from router.routing.circuit import Circuits, Usage
from tests.matrix.cells import BLAND_MODES, CIRCUITS, DATABASES, FAULTS, LADDER, POSITIONS, Cell, all_cells, few_cells
from tests.support.database_proxy import DatabaseProxy, proxied
from tests.support.log_capture import CapturedEvents, captured_events
from tests.support.serving import listen
from tests.support.waiting import wait_until
from tests.support.world import PROVIDERS, Client, World, open_world

__all__ = ["captured_events"]

pytestmark = pytest.mark.anyio

DEADLINE = 4.0
WHOLE = os.environ.get("CALLROUTER_MATRIX") == "whole"
RESULTS = os.environ.get("CALLROUTER_MATRIX_RESULTS")  # a folder for what make matrix puts together
CELLS = all_cells() if WHOLE else few_cells()
SCRIPT = Script(caller="hangs-up-during-ai")
AFFECTED = {"first": LADDER[:1], "second": LADDER[1:2], "all": LADDER}
SLOW_SECONDS = 0.05  # for each piece that goes through, either way


class Bench:
    """A service, its sandbox and its database, all of which can be put into a cell's state."""

    def __init__(self, world: World, proxy: DatabaseProxy, circuits: Circuits, logged: CapturedEvents) -> None:
        self.world = world
        self.proxy = proxy
        self.circuits = circuits
        self.logged = logged
        self.ahead = 0.0

    async def prepare(self, cell: Cell) -> Client:
        """A client of its own, whose number the service has seen before."""
        self.world.sandbox.state.faults.clear()
        self.ahead += 3600
        client = await self.world.add_client(
            providers=LADDER,
            fallback_providers=list(LADDER[1:]),
            routing={"on_failure": "ring_through"},
            bland_mode=cell.bland,
        )
        if cell.database != "up":
            await self.world.call(client, SCRIPT)
        return client

    def set_circuits(self, cell: Cell, client: Client) -> None:
        """As if all providers had been well an hour later, and then the affected ones had failed."""
        self.ahead += 3600
        for provider in PROVIDERS:
            self.circuits.report(self.circuits.admit(Usage(client.agency_id, provider, 1)), None)
        if cell.circuit == "closed":
            return
        for provider in AFFECTED[cell.position]:
            usage = Usage(client.agency_id, provider, 1)
            for _ in range(5):
                self.circuits.report(self.circuits.admit(usage), ErrorKind.TIMEOUT)
        if cell.circuit == "half-open":
            self.ahead += 16

    def set_fault(self, cell: Cell) -> None:
        self.world.sandbox.state.faults.clear()
        if FAULTS[cell.fault] is not None:
            for provider in AFFECTED[cell.position]:
                self.world.sandbox.state.faults.set(provider, FAULTS[cell.fault])

    async def call(self, cell: Cell, client: Client) -> Timeline:
        self.set_circuits(cell, client)
        self.set_fault(cell)
        before = {provider: self.asked(client, provider) for provider in PROVIDERS}
        timeline = await self.world.call(client, SCRIPT, fallback_url=self.world.fallback_url(client))
        attempts = {provider: self.asked(client, provider) - before[provider] for provider in PROVIDERS}
        try:
            check(cell, timeline, attempts)
            assert_no_key(client, "\n".join(timeline.documents))
        except AssertionError as error:
            error.add_note(str(cell))
            raise
        return timeline

    def address_keys(self, client: Client) -> list[str]:
        """The secrets in the address to which Bland's calls are redirected, the only ones that a document may have."""
        orgs = self.world.sandbox.state.bland.orgs
        return [key for org in orgs if org.key == client.keys["bland"] for key in org.accounts]

    def asked(self, client: Client, provider: str) -> int:
        return self.world.asked_with(client, provider)


def check(cell: Cell, timeline: Timeline, attempts: dict[str, int]) -> None:
    affected = AFFECTED[cell.position]
    assert timeline.violations == []
    assert timeline.failures == []
    if cell.position == "all":
        assert timeline.answered_by in ("owner", "voicemail")
    else:
        expected = LADDER[1] if cell.position == "first" else LADDER[0]
        assert (timeline.answered_by, timeline.provider) == ("ai", expected)
    assert max(attempts.values()) <= 1, "a provider was asked twice"
    if cell.circuit == "open":
        assert not any(attempts[provider] for provider in affected), "asked in spite of an open circuit"
    elif FAULTS[cell.fault] is not None and cell.position != "second":
        assert attempts[affected[0]] == 1
    slowest = max(request.ms for request in timeline.requests)
    assert slowest < DEADLINE * 1000, "the answer came after the deadline"


def assert_no_key(client: Client, text: str) -> None:
    for key in client.keys.values():
        for form in (key, key.encode().hex(), base64.b64encode(key.encode()).decode().rstrip("=")[:-1]):
            assert form not in text


@contextlib.asynccontextmanager
async def open_bench(
    dsn: str, folder: Path, monkeypatch: pytest.MonkeyPatch, logged: CapturedEvents, **overrides: Any
) -> AsyncIterator[Bench]:
    made: list[Circuits] = []
    bench: Bench | None = None

    def make_circuits(tell: Any) -> Circuits:
        made.append(Circuits(tell, clock=lambda: time.monotonic() + (bench.ahead if bench else 0.0)))
        return made[0]

    monkeypatch.setattr("router.app.outside.Circuits", make_circuits)
    async with proxied(dsn) as proxy:
        settings = {"answer_deadline": DEADLINE, "handoff_timeout": 1, "database_url": SecretStr(proxy.dsn)}
        async with open_world(dsn, folder, **settings, **overrides) as world:
            bench = Bench(world, proxy, made[0], logged)
            yield bench


@contextlib.contextmanager
def bad_address(fault: str) -> Any:
    """A provider's address under which it cannot be reached; None if the fault is none of the network's."""
    with contextlib.ExitStack() as stack:
        if fault == "DNS fails":
            yield "http://nobody.invalid"
        elif fault == "refused":
            with listen() as closed:
                port = closed.getsockname()[1]
            yield f"http://127.0.0.1:{port}"
        elif fault == "SYN lost":
            yield f"http://127.0.0.1:{_full_port(stack)}"
        elif fault == "TLS fails":
            plain = stack.enter_context(listen())
            yield f"https://127.0.0.1:{plain.getsockname()[1]}"
        else:
            yield None


def _full_port(stack: contextlib.ExitStack) -> int:
    """A port whose backlog is full, so that the kernel lets further SYNs go unanswered."""
    full = stack.enter_context(socket.socket())
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    for _ in range(8):
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(full.getsockname())
    port: int = full.getsockname()[1]
    return port


def group_of(cell: Cell) -> str:
    """Cells that share a service. In the suite those of all faults do that need no other address of a provider."""
    needs_its_own = WHOLE or FAULTS[cell.fault] is None
    return f"{cell.fault if needs_its_own else 'its answer'}-{cell.position}"


@pytest.mark.parametrize("group", sorted({group_of(cell) for cell in CELLS}))
async def test_every_cell_ends_well(database_dsn, tmp_path, monkeypatch, captured_events: CapturedEvents, group):
    cells = [cell for cell in CELLS if group_of(cell) == group]
    with bad_address(cells[0].fault) as address:
        elsewhere = {} if address is None else {f"{each}_url": address for each in AFFECTED[cells[0].position]}
        async with open_bench(database_dsn, tmp_path, monkeypatch, captured_events, **elsewhere) as bench:
            results = await run_cells(bench, cells)
    if RESULTS:
        lines = [json.dumps(result | {"answered_by": who}) for result, who in results]
        (Path(RESULTS) / f"{group}.jsonl").write_text("\n".join(lines))


async def run_cells(bench: Bench, cells: list[Cell]) -> list[tuple[dict[str, str], str]]:
    """With the database up, slow, and away last; then what was recorded while it was away."""
    clients = {cell: await bench.prepare(cell) for cell in cells}
    timelines: dict[Cell, Timeline] = {}
    for database in DATABASES:
        here = [cell for cell in cells if cell.database == database]
        if here:
            await _set_database(bench, database)
        for cell in here:
            timelines[cell] = await bench.call(cell, clients[cell])
    bench.proxy.go_on()
    for cell, timeline in timelines.items():
        await wait_until(partial(_is_recorded, bench.world, timeline))
        for text in (bench.logged.text(), await _rows_of(bench.world, timeline)):
            assert_no_key(clients[cell], text)
            assert not any(key in text for key in bench.address_keys(clients[cell]))
    return [(asdict(cell), _who(timeline)) for cell, timeline in timelines.items()]


async def _set_database(bench: Bench, database: str) -> None:
    bench.proxy.slow_down(SLOW_SECONDS if database == "slow" else 0)
    if database == "away":
        bench.proxy.refuse()
        await wait_until(partial(_is_database_lost, bench.world))


async def _is_database_lost(world: World) -> bool:
    reply = await world.http.get(f"{world.urls[0]}/readyz")
    return reply.status_code == httpx.codes.OK and reply.json()["status"] == "degraded"


async def _is_recorded(world: World, timeline: Timeline) -> bool:
    call = await world.find_call(timeline)
    return call is not None and call["ended_at"] is not None and call["outcome"] is not None


async def _rows_of(world: World, timeline: Timeline) -> str:
    call = await world.find_call(timeline)
    events = await world.db.fetch("SELECT * FROM call_events WHERE call_id = $1", call["id"])
    steps = await world.db.fetch("SELECT * FROM call_steps WHERE call_id = $1", call["id"])
    return repr([tuple(row) for row in (call, *events, *steps)])


def _who(timeline: Timeline) -> str:
    return f"AI ({timeline.provider})" if timeline.answered_by == "ai" else timeline.answered_by


def test_the_few_have_every_fault_and_every_pair_of_the_rest():
    cells = len(FAULTS) * len(POSITIONS) * len(CIRCUITS) * len(DATABASES) * len(BLAND_MODES)
    assert len(all_cells()) == cells - 2 * len(CIRCUITS) * len(DATABASES)  # without those that cannot happen
    few = few_cells()
    assert [cell.fault for cell in few] == sorted(FAULTS)
    assert {(cell.position, cell.circuit) for cell in few} == set(product(POSITIONS, CIRCUITS))
    assert {(cell.position, cell.database) for cell in few} == set(product(POSITIONS, DATABASES))
    assert {(cell.circuit, cell.database) for cell in few} == set(product(CIRCUITS, DATABASES))
    assert {(cell.position, cell.bland) for cell in few} == set(product(POSITIONS, BLAND_MODES))
    assert all(cell.can_happen for cell in few)
