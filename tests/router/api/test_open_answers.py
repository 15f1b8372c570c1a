"""What is still being sent ends with its token and its agency, on every replica."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from tests.support.local_http import local_client
from tests.support.world import ADMIN_TOKEN, World, open_world

pytestmark = pytest.mark.anyio

OPERATOR = {"authorization": f"Bearer {ADMIN_TOKEN}"}


@pytest.fixture
async def replicas(database_dsn, tmp_path):
    async with open_world(database_dsn, tmp_path, replicas=2) as world:
        yield world


async def new_agency(world: World) -> str:
    response = await world.http.post(f"{world.urls[0]}/v1/agencies", json={"name": "A"}, headers=OPERATOR)
    return f"/v1/agencies/{response.json()['id']}"


async def new_token(world: World, path: str, by: str = ADMIN_TOKEN, **fields: str) -> dict[str, str]:
    headers = {"authorization": f"Bearer {by}"}
    response = await world.http.post(f"{world.urls[0]}{path}/tokens", json={"name": "T", **fields}, headers=headers)
    token: dict[str, str] = response.json()
    return token


class Streams:
    """Event streams that are open."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    async def open(self, url: str, path: str, token: str) -> asyncio.Task[bytes]:
        """Ends when the stream does: with an error unless it ends in good order."""
        http = await self._stack.enter_async_context(local_client(base_url=url, timeout=30))
        headers = {"authorization": f"Bearer {token}"}
        response = await self._stack.enter_async_context(http.stream("GET", f"{path}/events", headers=headers))
        assert response.status_code == 200
        parts = response.aiter_bytes()
        assert await anext(parts)

        async def read_on() -> bytes:
            return b"".join([part async for part in parts])

        reading = asyncio.create_task(read_on())
        self._stack.callback(reading.cancel)
        return reading


@pytest.fixture
async def streams():
    async with AsyncExitStack() as stack:
        yield Streams(stack)


async def test_a_revoked_tokens_streams_end_and_the_others_go_on(replicas, streams):
    path = await new_agency(replicas)
    kept, lost = await new_token(replicas, path), await new_token(replicas, path)
    ending = [await streams.open(url, path, lost["token"]) for url in replicas.urls]
    going_on = [await streams.open(url, path, token) for url in replicas.urls for token in (kept["token"], ADMIN_TOKEN)]
    answer = await replicas.http.delete(f"{replicas.urls[0]}{path}/tokens/{lost['id']}", headers=OPERATOR)
    assert answer.status_code == 200
    async with asyncio.timeout(30):
        await asyncio.gather(*ending)
    assert not any(stream.done() for stream in going_on)


async def test_the_streams_of_tokens_that_it_made_end_with_it_if_wished(replicas, streams):
    path = await new_agency(replicas)
    maker = await new_token(replicas, path)
    made = await new_token(replicas, path, by=maker["token"])
    ending = [await streams.open(replicas.urls[1], path, token["token"]) for token in (maker, made)]
    await replicas.http.delete(f"{replicas.urls[0]}{path}/tokens/{maker['id']}?made=true", headers=OPERATOR)
    async with asyncio.timeout(30):
        await asyncio.gather(*ending)


async def test_a_deleted_agencys_streams_end_the_operators_too(replicas, streams):
    path, other = await new_agency(replicas), await new_agency(replicas)
    token = await new_token(replicas, path)
    ending = [await streams.open(url, path, who) for url in replicas.urls for who in (token["token"], ADMIN_TOKEN)]
    going_on = await streams.open(replicas.urls[0], other, ADMIN_TOKEN)
    assert (await replicas.http.delete(f"{replicas.urls[0]}{path}", headers=OPERATOR)).status_code == 204
    async with asyncio.timeout(30):
        await asyncio.gather(*ending)
    assert not going_on.done()


async def test_a_stream_ends_when_its_token_expires(replicas, streams):
    path = await new_agency(replicas)
    expires = (replicas.clock() + timedelta(seconds=2)).isoformat()
    token = await new_token(replicas, path, expires_at=expires)
    stream = await streams.open(replicas.urls[0], path, token["token"])
    async with asyncio.timeout(30):
        await stream
    assert replicas.clock().isoformat() >= expires
