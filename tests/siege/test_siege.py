"""What `make siege` is made of: attackers that attack, and goals that can be missed. It takes minutes, and is not run here."""

from __future__ import annotations

import asyncio

import pytest

from tests.siege.attacks import ATTACKS, Aim, attack
from tests.siege.run import Result, Spell
from tests.siege.sink import Sink, open_sink
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("name", ATTACKS)
async def test_every_attack_reaches_its_aim(name: str):
    server = await open_sink()
    before = Sink.requests
    aim = Aim(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", 60)
    attacking = asyncio.create_task(attack(name, aim))
    try:
        await wait_until(lambda: Sink.requests >= before + 2)
    finally:
        attacking.cancel()
        await asyncio.gather(attacking, return_exceptions=True)
        server.close()


GOOD = {
    "quiet": [Spell([10.0] * 100)],
    "besieged": [Spell([12.0] * 100)],
    "before": 140.0,
    "most": 180.0,
    "after": 150.0,
}


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({}, []),
        ({"besieged": [Spell([12.0] * 97 + [50.0] * 3)]}, ["slower"]),
        ({"besieged": [Spell([12.0] * 100, ["<Record/>"])]}, ["no AI"]),
        ({"most": 200.0}, ["memory"]),
        ({"most": 1192.0, "after": 1192.0}, ["memory", "kept"]),
    ],
)
def test_a_goal_that_is_missed_is_named(change, missed):
    assert Result("headers", **(GOOD | change)).misses == missed
