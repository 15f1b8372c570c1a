"""How often the database is asked before the first provider is: once, and twice for an agency's account seen first."""

from __future__ import annotations

from typing import Any

import pytest

from router.store.guard import Guard
from tests.support.posting import PostedCall, only_document, taker_of
from tests.support.world import World

pytestmark = pytest.mark.anyio

BACKGROUND = ("MemoryKeeper", "Closer", "partial")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every question that is put to the database for a call, in order."""
    questions: list[str] = []
    ask = Guard.ask

    async def listen(guard: Guard, question: Any) -> Any:
        name = getattr(question, "__qualname__", type(question).__name__)
        if not name.startswith(BACKGROUND):
            questions.append(name)
        return await ask(guard, question)

    monkeypatch.setattr(Guard, "ask", listen)
    return questions


@pytest.mark.parametrize(("own_account", "first"), [(False, 1), (True, 2)])
async def test_one_round_trip_stands_before_the_provider(world: World, asked, own_account, first):
    client = await world.add_client(providers=["retell"], own_account=own_account)
    for expected in (first, 1):
        asked.clear()
        document = only_document([await PostedCall(world, client).ring()])
        assert taker_of(document) == "retell"
        assert len(asked) == expected, asked
