"""What a process remembers of routes: the newest, bounded, and on the disk sealed, for the next run and its neighbours."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from adapters.base import Target
from crypto import Keyring, new_key_entry
from router.calls import memory as module
from router.calls import route_file
from router.calls.memory import MemoryKeeper, RouteMemory
from router.calls.route_file import Remembered, RouteFile
from router.routing.route import Access, Hours, OpenSpan, Route, Routing
from router.store.guard import DatabaseAwayError, Guard
from router.store.keys.proofs import SealedToken
from router.store.pool import Database
from tests.router.store.rows import ACCOUNT, NUMBER, insert, insert_client
from tests.support.log_capture import CapturedEvents, captured_events

__all__ = ["captured_events"]

pytestmark = pytest.mark.anyio

KEYRING = Keyring.parse(new_key_entry())
TOKENS = (SealedToken("agency_1", "twilio", 2, "sealed token"),)


class Clock:
    """Seconds that pass with each look."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def route(last: int = 1, **changes: Any) -> Route:
    usual = Route(
        agency_id="agency_1",
        client_id="client_1",
        client_name="Acme Plumbing",
        account_sid=ACCOUNT,
        number=f"+1500555{last:04d}",
        personal_phone="+15005550123",
        fallback_providers=("bland",),
        accesses=(Access("vapi", Target("assistant-1", "registration-1", None), "sealed key", 3),),
        routing=Routing(
            mode="owner_first",
            voicemail_greeting="¡Hola!",
            hours=Hours("Europe/London", (OpenSpan((0, 4), 540, 1020),), "voicemail"),
        ),
    )
    return replace(usual, **changes)


@pytest.fixture
def memory() -> RouteMemory:
    return RouteMemory(Clock())


def remember(memory: RouteMemory, *routes: Route) -> None:
    for each in routes:
        memory.keep_route(each, memory.now())


def changes(memory: RouteMemory) -> Remembered:
    """Fails unless there are some."""
    found = memory.changes()
    assert found is not None
    return found


def names(remembered: Remembered) -> list[str]:
    return [known.route.number for known in remembered.routes]


def test_a_number_is_remembered_on_its_own_account_alone(memory: RouteMemory):
    remember(memory, route())
    assert memory.find_route(ACCOUNT, route().number) == route()
    assert memory.find_route("AC" + "b" * 32, route().number) is None
    assert len(memory) == 1


def test_the_newest_are_kept(monkeypatch):
    monkeypatch.setattr(module, "MOST_ROUTES", 3)
    monkeypatch.setattr(module, "MOST_ACCOUNTS", 2)
    memory = RouteMemory(Clock())
    remember(memory, route(1), route(2), route(3), route(1), route(4))
    known = [number for number in range(1, 5) if memory.find_route(ACCOUNT, route(number).number) is not None]
    assert known == [1, 3, 4]
    for sid in ("AC1", "AC2", "AC3"):
        memory.keep_tokens(sid, TOKENS, memory.now())
    assert memory.accounts_of(None) == ["AC2", "AC3"]


def test_an_answer_that_was_overtaken_is_not_believed(memory: RouteMemory):
    """A call's route that was read before a key changed, and arrives after the changed one."""
    before, after = memory.now(), memory.now()
    memory.keep_route(route(client_name="after"), after)
    memory.keep_route(route(client_name="before"), before)
    memory.keep_tokens("AC1", (), after)
    memory.keep_tokens("AC1", TOKENS, before)
    found = memory.find_route(ACCOUNT, route().number)
    assert found is not None
    assert found.client_name == "after"
    assert memory.find_tokens("AC1") is None
    memory.forget_route(ACCOUNT, route().number, before)
    assert memory.find_route(ACCOUNT, route().number) is not None
    gone = memory.now()
    memory.forget_route(ACCOUNT, route().number, gone)
    memory.keep_route(route(), after)
    assert memory.find_route(ACCOUNT, route().number) is None
    memory.keep_route(route(), memory.now())
    assert memory.find_route(ACCOUNT, route().number) == route()


def test_only_what_changed_is_to_be_written(memory: RouteMemory):
    assert memory.changes() is None
    remember(memory, route())
    assert names(changes(memory)) == [route().number]
    remember(memory, route())
    assert memory.changes() is None
    memory.keep_tokens("AC1", TOKENS, memory.now())
    assert changes(memory).accounts["AC1"].tokens == TOKENS
    memory.keep_tokens("AC1", TOKENS, memory.now())
    assert memory.changes() is None
    memory.forget_route(ACCOUNT, route().number, memory.now())
    assert names(changes(memory)) == []
    memory.change_again()
    assert memory.changes() is not None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "routes.sealed"


def test_the_next_run_remembers_all_of_it(memory: RouteMemory, path: Path):
    remember(memory, route(1), route(2))
    memory.keep_tokens("AC1", TOKENS, memory.now())
    RouteFile(path, KEYRING).exchange(memory.changes())
    again = RouteMemory(Clock())
    again.adopt(RouteFile(path, KEYRING).read())
    for number in (1, 2):
        assert again.find_route(ACCOUNT, route(number).number) == route(number)
    assert again.find_tokens("AC1") == TOKENS
    assert again.changes() is None


def test_the_file_is_sealed_private_and_whole(memory: RouteMemory, path: Path):
    remember(memory, *(route(number) for number in range(50)))
    RouteFile(path, KEYRING).exchange(memory.changes())
    content = path.read_bytes()
    assert b"sealed key" not in content
    assert b"5550123" not in content
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(each.name for each in path.parent.iterdir()) == ["routes.lock", "routes.sealed"]


@pytest.mark.parametrize(
    "content", [b"", b"1.x.AAAA", os.urandom(300), KEYRING.seal(b"{}", "state").encode()], ids=range(4)
)
def test_a_file_that_does_not_open_is_none_and_is_said(path: Path, content, captured_events: CapturedEvents):
    path.write_bytes(content)
    assert RouteFile(path, KEYRING).read() == Remembered()
    assert captured_events.only("settings.warning")["setting"] == "CALLROUTER_DATA_DIR"


def test_a_file_that_is_not_there_is_none(path: Path):
    assert RouteFile(path, KEYRING).read() == Remembered()


def test_processes_of_a_machine_learn_from_each_other(path: Path):
    clock = Clock()
    one, other = RouteMemory(clock), RouteMemory(clock)
    files = RouteFile(path, KEYRING), RouteFile(path, KEYRING)
    remember(one, route(1), route(2))
    one.adopt(files[0].exchange(one.changes()))
    remember(other, route(2, client_name="newer"), route(3))
    assert other.adopt(files[1].exchange(other.changes())) == [(ACCOUNT, route(1).number)]
    assert one.adopt(files[0].exchange(None)) == [(ACCOUNT, route(number).number) for number in (2, 3)]
    for memory in (one, other):
        found = memory.find_route(ACCOUNT, route(2).number)
        assert found is not None
        assert found.client_name == "newer"
        assert len(memory) == 3
        assert memory.changes() is None
    # Nothing new: nothing is read.
    assert files[0].exchange(None) == Remembered()


def test_what_is_gone_leaves_the_file_and_does_not_come_back_from_it(path: Path):
    clock = Clock()
    one, other = RouteMemory(clock), RouteMemory(clock)
    files = RouteFile(path, KEYRING), RouteFile(path, KEYRING)
    remember(one, route(1), route(2))
    one.keep_tokens("AC1", TOKENS, one.now())
    one.adopt(files[0].exchange(one.changes()))
    other.adopt(files[1].read())
    for memory in (one, other):
        memory.forget_route(ACCOUNT, route(1).number, clock())
        memory.keep_tokens("AC1", (), clock())
    one.adopt(files[0].exchange(one.changes()))
    assert names(files[1].read()) == [route(2).number]
    assert files[1].read().accounts == {}
    other.adopt(files[1].exchange(other.changes()))
    assert names(files[0].read()) == [route(2).number]
    assert one.find_route(ACCOUNT, route(1).number) is None


def test_a_full_file_keeps_its_writers_newest(path: Path, monkeypatch):
    monkeypatch.setattr(route_file, "MOST_ROUTES", 3)
    clock = Clock()
    for numbers in ((1, 2, 3), (4, 5)):
        memory = RouteMemory(clock)
        remember(memory, *(route(number) for number in numbers))
        RouteFile(path, KEYRING).exchange(memory.changes())
    assert names(RouteFile(path, KEYRING).read()) == [route(number).number for number in (3, 4, 5)]


@pytest.fixture
async def db(database_dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database_dsn)
    yield connection
    await connection.close()


@pytest.fixture
def keeper(memory: RouteMemory, database: Database, path: Path) -> MemoryKeeper:
    return MemoryKeeper(memory, RouteFile(path, KEYRING), database, Guard())


async def test_only_the_changed_agencys_routes_are_read_again(
    keeper: MemoryKeeper, memory: RouteMemory, db, monkeypatch
):
    monkeypatch.setattr(module, "_AT_ONCE", 2)
    numbers = [f"+1500555000{number}" for number in range(5)]
    for number, e164 in enumerate(numbers):
        await insert_client(db, "agency_1", f"client_{number}", e164)
    await insert_client(db, "agency_2", "client_9", "+15005550009")
    await insert(db, "keys", agency_id="agency_1", kind="twilio", version=3, sealed="new token", account_sid="AC1")
    for e164 in numbers:
        memory.keep_route(route(client_name="old", number=e164), memory.now())
    others = route(client_name="old", number="+15005550009", agency_id="agency_2")
    memory.keep_route(others, memory.now())
    memory.keep_tokens("AC1", TOKENS, memory.now())
    await db.execute("DELETE FROM numbers WHERE e164 = $1", numbers[3])
    await keeper.refresh("agency_1")
    found = [memory.find_route(ACCOUNT, e164) for e164 in numbers]
    assert [each.client_name if each else None for each in found] == ["Acme", "Acme", "Acme", None, "Acme"]
    assert memory.find_route(ACCOUNT, "+15005550009") == others
    assert [token.sealed for token in memory.find_tokens("AC1") or ()] == ["new token"]
    await keeper.refresh(None)
    refreshed = memory.find_route(ACCOUNT, "+15005550009")
    assert refreshed is not None
    assert refreshed.client_name == "Acme"


async def test_a_deleted_key_is_forgotten(keeper: MemoryKeeper, memory: RouteMemory, path: Path, db):
    await insert_client(db, "agency_1", "client_1")
    memory.keep_route(route(number=NUMBER), memory.now())
    memory.keep_tokens("AC1", TOKENS, memory.now())
    await keeper.save()
    await keeper.refresh("agency_1")
    await keeper.save()
    found = memory.find_route(ACCOUNT, NUMBER)
    assert found is not None
    assert found.accesses == ()
    assert memory.find_tokens("AC1") is None
    kept = RouteFile(path, KEYRING).read()
    assert [known.route.accesses for known in kept.routes] == [()]
    assert kept.accounts == {}


async def test_while_the_database_is_away_what_is_remembered_stays(memory: RouteMemory, database: Database, path: Path):
    guard = Guard()
    keeper = MemoryKeeper(memory, RouteFile(path, KEYRING), database, guard)
    remember(memory, route())
    guard.lost("test")
    with pytest.raises(DatabaseAwayError):
        await keeper.refresh(None)
    assert memory.find_route(ACCOUNT, route().number) == route()


async def test_what_a_neighbour_wrote_is_asked_for_again(keeper: MemoryKeeper, memory: RouteMemory, path: Path, db):
    """The neighbour may have died before it heard of a change."""
    await insert_client(db, "agency_1", "client_1")
    neighbour = RouteMemory(Clock())
    remember(neighbour, route(number=NUMBER, client_name="old"), route(number="+15005550002"))
    RouteFile(path, KEYRING).exchange(neighbour.changes())
    memory._clock.now = 100  # type: ignore[attr-defined]
    await keeper.exchange()
    found = memory.find_route(ACCOUNT, NUMBER)
    assert found is not None
    assert found.client_name == "Acme"
    assert len(memory) == 1
    await keeper.exchange()
    assert names(RouteFile(path, KEYRING).read()) == [NUMBER]


async def test_a_disk_that_cannot_be_written_is_said_and_tried_again(
    memory: RouteMemory, database: Database, tmp_path: Path, captured_events: CapturedEvents
):
    folder = tmp_path / "data"
    folder.write_text("a file where the folder should be")
    keeper = MemoryKeeper(memory, RouteFile(folder / "routes.sealed", KEYRING), database, Guard())
    remember(memory, route())
    await keeper.save()
    assert captured_events.only("settings.warning")["setting"] == "CALLROUTER_DATA_DIR"
    folder.unlink()
    await keeper.save()
    assert names(RouteFile(folder / "routes.sealed", KEYRING).read()) == [route().number]
