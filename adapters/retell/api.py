"""Requests to Retell's API: its refusals in our words, and its lists page by page. Each request is made elsewhere.

Retell docs: API references, whose refusals are all `{"status": "error", "message": …}`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from adapters.base import ErrorKind, ProviderError
from adapters.client import LISTS
from adapters.client import Client as BaseClient
from adapters.replies import CONCURRENCY, Rule, find, malformed, read_objects

FORBIDDEN: Final = 403
_PAGE: Final = 100
_MAX_PAGES: Final = 500


@dataclass(frozen=True, slots=True)
class Client(BaseClient):
    """Retell's API, opened. `pause` waits for work that Retell does, in seconds."""

    system = "retell"
    refusals: ClassVar[tuple[Rule, ...]] = (CONCURRENCY,)
    gone = frozenset({404, 422})  # which of the two differs from path to path

    pause: Callable[[float], Awaitable[None]] = asyncio.sleep

    def about_agent(self) -> Client:
        """The same client, for requests that name an agent."""
        return _AgentClient(self.http, self.settings, self.key, self.limit, self.hidden, self.headers, self.pause)

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


@dataclass(frozen=True, slots=True)
class _AgentClient(Client):
    """A 403 is as often about one agent, suspended for a violation of Retell's terms, as about the key."""

    refusals = (CONCURRENCY, Rule(ErrorKind.BAD_REQUEST, frozenset({FORBIDDEN}), re.compile("")))
