"""A process may die between any two requests; whoever takes over leaves one assistant, or none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from adapters.portable import Copy, Knowledge
from adapters.provider import Provider
from adapters.sandbox.server import RunningSandbox
from tests.adapters.mortal import Died, MortalHttp
from tests.adapters.retell.conftest import ACME, WIRING, Account, open_account
from tests.support.adapters import retell_at

pytestmark = pytest.mark.anyio

LIMIT = 10.0
CHANGED = replace(ACME, prompt="You are kind.", knowledge=(Knowledge("Prices", "A visit is $90."),))


async def put(account: Account, assistant=ACME, copy: Copy | None = None, retell: Provider[Any] | None = None) -> Copy:
    retell = retell or account.retell
    return await retell.assistants.put_copy(retell.open(account.key, LIMIT), assistant, WIRING, copy, [])


async def deaths(
    box: RunningSandbox,
    http,
    prepare: Callable[[Account], Awaitable[Copy | None]],
    work: Callable[..., Awaitable[object]],
) -> AsyncIterator[tuple[Account, Copy | None]]:
    """An account each, in which the work was begun and broken off after one request, after two, and so on."""
    for requests in range(1, 99):
        account = open_account(box, http, f"key_{requests:04}")
        before = await prepare(account)
        mortal = MortalHttp(requests)
        try:
            await work(account, before, retell_at(mortal, account.url, "sip.example.com"))
        except Died:
            yield account, before
        else:
            assert requests > 3
            return
        finally:
            await mortal.aclose()
    raise AssertionError("the work never ends")


def assert_one(account: Account, prompt: str, texts: int) -> None:
    agent, llm = account.published
    assert (len(account.agents), len(account.llms), len(account.knowledge)) == (1, 1, 1)
    assert llm["general_prompt"] == prompt
    assert llm["knowledge_base_ids"] == list(account.org.knowledge_bases)
    assert len(account.knowledge[0]) == texts
    assert agent is account.agents[0][-1]  # no draft was left


async def nothing(_: Account) -> None:
    return None


async def test_a_creation_that_broke_off_anywhere_is_finished(box, http):
    async for account, _ in deaths(box, http, nothing, lambda account, _, retell: put(account, retell=retell)):
        await put(account)
        assert_one(account, ACME.prompt, 2)


async def test_a_worker_that_first_looks_for_a_copy_finishes_it_too(box, http):
    async for account, _ in deaths(box, http, nothing, lambda account, _, retell: put(account, retell=retell)):
        found = await account.retell.assistants.find_copy(account.retell.open(account.key, LIMIT), ACME.marker)
        await put(account, ACME, found)
        assert_one(account, ACME.prompt, 2)


async def test_a_definition_that_changed_meanwhile_leaves_nothing_of_the_old_one(box, http):
    async for account, _ in deaths(box, http, nothing, lambda account, _, retell: put(account, retell=retell)):
        await put(account, CHANGED)
        assert_one(account, "You are kind.", 1)


async def test_an_update_that_broke_off_anywhere_is_finished_and_answers_until_then(box, http):
    async def update(account: Account, copy: Copy | None, retell: Provider[Any]) -> None:
        await put(account, CHANGED, copy, retell)

    async for account, copy in deaths(box, http, put, update):
        agent, llm = account.published
        assert set(llm["knowledge_base_ids"]) <= set(account.org.knowledge_bases)
        assert agent["is_published"]
        await put(account, CHANGED, copy)
        assert_one(account, "You are kind.", 1)
        assert len(account.agents[0]) <= 3


async def test_a_creation_that_broke_off_anywhere_can_be_taken_away(box, http):
    async for account, _ in deaths(box, http, nothing, lambda account, _, retell: put(account, retell=retell)):
        found = await account.retell.assistants.find_copy(account.retell.open(account.key, LIMIT), ACME.marker)
        if found is not None:
            await account.retell.assistants.delete_copy(account.retell.open(account.key, LIMIT), found, [])
        assert (account.agents, account.llms, account.knowledge) == ([], [], [])


async def test_a_deletion_that_broke_off_anywhere_is_finished(box, http):
    async def delete(account: Account, copy: Copy | None, retell: Provider[Any]) -> None:
        assert copy is not None
        await retell.assistants.delete_copy(retell.open(account.key, LIMIT), copy, [])

    async for account, copy in deaths(box, http, put, delete):
        await delete(account, copy, account.retell)
        assert (account.agents, account.llms, account.knowledge) == ([], [], [])
