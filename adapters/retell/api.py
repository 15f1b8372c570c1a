"""Requests to Retell's API: its refusals in our words, and its lists page by page. Each request is made elsewhere.

Retell docs: API references, whose refusals are all `{"status": "error", "message": …}`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from adapters.base import ErrorKind, ProviderError
from adapters.client import LISTS
from adapters.client import Client as BaseClient
from adapters.replies import CONCURRENCY, find, malformed, read_objects

_PAGE: Final = 100
_MAX_PAGES: Final = 500


@dataclass(frozen=True, slots=True)
class Client(BaseClient):
    """Retell's API, opened. `pause` waits for work that Retell does, in seconds."""

    system = "retell"
    refusals = (CONCURRENCY,)
    gone = frozenset({404, 422})  # which of the two differs from path to path

    pause: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def list_all(self, method: str, path: str, *ids: str, json: object = None) -> AsyncIterator[dict[str, Any]]:
        """Everything in a list that comes in pages (Retell docs: the v2 lists)."""
        query: dict[str, str | int] = {"limit": _PAGE}
        for _ in range(_MAX_PAGES):
            reply = await self.send(method, path, json=json, query=query, max_bytes=LISTS)
            answer = self.read(reply)
            for item in read_objects(reply, find(answer, "items"), ids):
                yield item
            following = find(answer, "pagination_key")
            if find(answer, "has_more") is not True:
                return
            if not isinstance(following, str) or following == query.get("pagination_key"):
                raise malformed(reply)
            query["pagination_key"] = following
        raise ProviderError(ErrorKind.MALFORMED_REPLY)  # no end
