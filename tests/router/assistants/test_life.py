"""The life of clients' assistants against a plain model: whatever people, providers and workers did, in the end every
client with a definition has exactly one assistant, which says the latest, and nothing else of ours is left.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from router.jobs import Again, Job
from router.wanted import SYNC

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

STEPS = 30
FAULTS = ("429", "503", "reset", "late", "402", "422")


@dataclass
class Life:
    """An agency at one provider, and what its clients' assistants should say in the end (None: nothing of ours)."""

    bench: Any
    clock: Any
    agency: Any
    provider: str
    chance: random.Random
    wanted: dict[str, str | None] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    said: int = 0

    @property
    def clients(self) -> str:
        return f"{self.agency.path}/clients"

    async def step(self) -> None:
        actions = [self.create, self.change, self.empty, self.delete, self.link, self.unlink, self.trouble, self.calm]
        await self.chance.choice([*actions, self.work, self.work, self.die, self.save_key])()

    async def create(self) -> None:
        client = await self.bench.api.new_client(self.agency, assistant=self.definition())
        self.wanted[client["id"]] = f"Text {self.said}."

    async def change(self) -> None:
        if client_id := self.some_client():
            await self.bench.api.patch(f"{self.clients}/{client_id}", {"assistant": self.definition()})
            self.wanted[client_id] = f"Text {self.said}."

    async def empty(self) -> None:
        if client_id := self.some_client():
            await self.bench.api.patch(f"{self.clients}/{client_id}", {"assistant": None})
            self.wanted[client_id] = None

    async def delete(self) -> None:
        if client_id := self.some_client():
            await self.bench.api.delete(f"{self.clients}/{client_id}")
            del self.wanted[client_id]
            self.links.pop(client_id, None)

    async def link(self) -> None:
        client_id = self.some_client()
        if client_id is None or client_id in self.links:
            return
        side, org = getattr(self.bench.sandbox.state, self.provider), self.bench.org(self.provider)
        remote_id = side.add_assistant(org)
        path = f"{self.clients}/{client_id}/assistants/{self.provider}"
        answer = await self.bench.api.send("PUT", path, {"remote_id": remote_id})
        if answer.status_code == 200:
            self.links[client_id] = remote_id
        else:  # the provider is in trouble, or the agency deletes an assistant there
            (org.assistants if self.provider == "vapi" else org.agents).pop(remote_id)

    async def unlink(self) -> None:
        for client_id in list(self.links)[:1]:
            await self.bench.api.delete(f"{self.clients}/{client_id}/assistants/{self.provider}")
            del self.links[client_id]

    async def trouble(self) -> None:
        self.bench.fault(self.provider, self.chance.choice(FAULTS), times=self.chance.randint(1, 6), seconds=0.05)

    async def calm(self) -> None:
        self.bench.fault(self.provider, None)

    async def save_key(self) -> None:
        await self.bench.save_key(self.agency, self.provider)

    async def work(self) -> None:
        """A job's handful."""
        with suppress(Again):
            await self.bench.services.areas.sync_work.sync_assistants(self.job)

    async def die(self) -> None:
        """A worker that is stopped somewhere on its way."""
        working = asyncio.create_task(self.work())
        await asyncio.sleep(self.chance.uniform(0, 0.15))
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    async def settle(self) -> None:
        """No more trouble, and time for everything that waits."""
        await self.calm()
        await self.save_key()
        for _ in range(50):
            self.clock.advance(8 * 3600)
            try:
                await self.bench.services.areas.sync_work.sync_assistants(self.job)
            except Again:
                continue
            return
        pytest.fail("there is no end to it")

    @property
    def job(self) -> Job:
        return Job(SYNC, {"agency_id": self.agency.id, "provider": self.provider}, 1)

    def definition(self) -> dict[str, Any]:
        self.said += 1
        return {"prompt": f"Text {self.said}."}

    def some_client(self) -> str | None:
        return self.chance.choice(list(self.wanted)) if self.wanted else None

    def texts(self) -> list[str]:
        """The prompts of our assistants at the provider; those of others have none."""
        org = self.bench.org(self.provider)
        if self.provider == "vapi":
            prompts = [str(each.get("model")) for each in org.assistants.values()]
        else:
            prompts = [str(each) for each in org.llms.values()]
        return sorted(find_text(prompt) for prompt in prompts if "Text " in prompt)


def find_text(prompt: str) -> str:
    """The last one: an LLM keeps its versions."""
    return f"Text {prompt.rpartition('Text ')[2].partition('.')[0]}."


@pytest.mark.parametrize("provider", ["vapi", "retell"])
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
async def test_in_the_end_everybody_has_exactly_what_was_wanted_last(bench, clock, provider, seed):
    agency = await bench.agency(provider)
    life = Life(bench, clock, agency, provider, random.Random(seed))
    for _ in range(STEPS):
        await life.step()
    await life.settle()
    ours = {client_id: text for client_id, text in life.wanted.items() if text and client_id not in life.links}
    assert life.texts() == sorted(ours.values())
    for client_id, text in life.wanted.items():
        row = await bench.row(agency, {"id": client_id}, provider)
        expected = "linked" if client_id in life.links else "synced" if text else "missing"
        assert row["state"] == expected
    assert not await bench.services.database.settings.fetchval("SELECT count(*) FROM leftovers")
