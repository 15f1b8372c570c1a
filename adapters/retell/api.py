"""Requests to Retell's API: its refusals in our words, and its lists page by page. What is asked is for others to say.

Retell docs: API references, whose refusals are all `{"status": "error", "message": …}`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.base import ErrorKind, ProviderError
from adapters.client import Client as BaseClient
from adapters.http import Part
from adapters.replies import CONCURRENCY, Reply, find, malformed

REFUSALS: Final = (CONCURRENCY,)
_GONE: Final = frozenset({404, 422})
"""Which of the two Retell answers for what it does not have differs from path to path."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_PAGE: Final = 100
_MAX_PAGES: Final = 500
_MAX_LIST_BYTES: Final = 32_000_000  # a hundred LLMs with their prompts in one reply


@dataclass(frozen=True, slots=True)
class Client(BaseClient):
    """Retell's API, opened. `pause` is what waiting for Retell's own work does, in seconds."""

    system = "retell"
    refusals = REFUSALS

    pause: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def ask(
        self,
        method: str,
        path: str,
        *wanted: str,
        json: object = None,
        form: Sequence[Part] | None = None,
        query: Mapping[str, str | int] | None = None,
    ) -> dict[str, Any]:
        """The thing that the reply describes; the `wanted` fields of it are ids that are fit for a path."""
        reply = await self.send(method, path, json=json, form=form, query=query, max_bytes=_MAX_LIST_BYTES)
        return self._read_ids(reply, wanted)

    async def look(
        self, path: str, *wanted: str, query: Mapping[str, str | int] | None = None
    ) -> dict[str, Any] | None:
        """As `ask`; None if it is not there."""
        reply = await self.send("GET", path, query=query, max_bytes=_MAX_LIST_BYTES)
        return None if reply.status in _GONE else self._read_ids(reply, wanted)

    async def tell(self, method: str, path: str, *, json: object = None) -> None:
        """A request whose 2xx has nothing to say."""
        reply = await self.send(method, path, json=json)
        if not reply.ok:
            raise self.refusal(reply)

    async def remove(self, path: str) -> None:
        """Also fine if it is gone already."""
        reply = await self.send("DELETE", path)
        if not reply.ok and reply.status not in _GONE:
            raise self.refusal(reply)

    async def list_whole(self, path: str, *wanted: str) -> list[dict[str, Any]]:
        """All that one reply lists."""
        reply = await self.send("GET", path, max_bytes=_MAX_LIST_BYTES)
        return _read_items(reply, self.read(reply), wanted)

    async def list_all(
        self, method: str, path: str, *wanted: str, json: object = None
    ) -> AsyncIterator[dict[str, Any]]:
        """Everything in a list that comes in pages (Retell docs: the v2 lists)."""
        query: dict[str, str | int] = {"limit": _PAGE}
        for _ in range(_MAX_PAGES):
            reply = await self.send(method, path, json=json, query=query, max_bytes=_MAX_LIST_BYTES)
            answer = self.read(reply)
            for item in _read_items(reply, find(answer, "items"), wanted):
                yield item
            following = find(answer, "pagination_key")
            if find(answer, "has_more") is not True:
                return
            if not isinstance(following, str) or following == query.get("pagination_key"):
                raise malformed(reply)
            query["pagination_key"] = following
        raise ProviderError(ErrorKind.MALFORMED_REPLY)  # no end

    def _read_ids(self, reply: Reply, wanted: Sequence[str]) -> dict[str, Any]:
        answer = self.read(reply)
        if not isinstance(answer, dict) or not all(is_id(answer.get(name)) for name in wanted):
            raise malformed(reply)
        return answer


def is_id(value: Any) -> bool:
    """Whether it can stand in a path, and be kept."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _read_items(reply: Reply, items: Any, wanted: Sequence[str]) -> list[dict[str, Any]]:
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise malformed(reply)
    if not all(is_id(item.get(name)) for item in items for name in wanted):
        raise malformed(reply)
    return items
