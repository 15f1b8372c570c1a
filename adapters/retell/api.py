"""Requests to Retell's API: its refusals in our words, and its lists page by page. What is asked is for others to say.

Retell docs: API references, whose refusals are all `{"status": "error", "message": …}`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from adapters.base import ErrorKind, ProviderError
from adapters.http import MAX_BYTES, Auth, Http, Part
from adapters.replies import CONCURRENCY, Reply, find, malformed, read_answer, refusal
from crypto.secret import Secret

REFUSALS: Final = (CONCURRENCY,)
_GONE: Final = frozenset({404, 422})
"""Which of the two Retell answers for what it does not have differs from path to path."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_PAGE: Final = 100
_MAX_PAGES: Final = 500
_MAX_LIST_BYTES: Final = 32_000_000  # a hundred LLMs with their prompts in one reply


@dataclass(frozen=True, slots=True)
class Api:
    """One Retell API. `pause` is what waiting for Retell's own work does, in seconds."""

    http: Http
    base_url: str
    pause: Callable[[float], Awaitable[None]]

    def asker(self, key: Secret, limit: float, *hide: Secret) -> Asker:
        return Asker(self, key, limit, hide)


@dataclass(frozen=True, slots=True)
class Asker:
    """Whoever asks with a key; made for one piece of work and dropped with it. Every method raises ProviderError.

    `limit` is in seconds for each request. `hide`: what else is sent in confidence.
    """

    api: Api
    key: Secret
    limit: float
    hide: tuple[Secret, ...] = ()

    async def send(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        form: Sequence[Part] | None = None,
        query: Mapping[str, str | int] | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> Reply:
        url = f"{self.api.base_url}{path}" + (f"?{urlencode(query)}" if query else "")
        auth = Auth.bearer(self.key)
        return await self.api.http.send(
            "retell", method, url, auth=auth, json=json, form=form, limit=self.limit, max_bytes=max_bytes
        )

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
        return self._read(reply, wanted)

    async def look(
        self, path: str, *wanted: str, query: Mapping[str, str | int] | None = None
    ) -> dict[str, Any] | None:
        """As `ask`; None if it is not there."""
        reply = await self.send("GET", path, query=query, max_bytes=_MAX_LIST_BYTES)
        return None if reply.status in _GONE else self._read(reply, wanted)

    async def tell(self, method: str, path: str, *, json: object = None) -> None:
        """A request whose 2xx has nothing to say."""
        reply = await self.send(method, path, json=json)
        if not reply.ok:
            raise refusal(reply, REFUSALS, self.key, *self.hide)

    async def remove(self, path: str) -> None:
        """Also fine if it is gone already."""
        reply = await self.send("DELETE", path)
        if not reply.ok and reply.status not in _GONE:
            raise refusal(reply, REFUSALS, self.key, *self.hide)

    async def list_whole(self, path: str, *wanted: str) -> list[dict[str, Any]]:
        """All that one reply lists."""
        reply = await self.send("GET", path, max_bytes=_MAX_LIST_BYTES)
        return _read_items(reply, read_answer(reply, REFUSALS, self.key, *self.hide), wanted)

    async def list_all(
        self, method: str, path: str, *wanted: str, json: object = None
    ) -> AsyncIterator[dict[str, Any]]:
        """Everything in a list that comes in pages (Retell docs: the v2 lists)."""
        query: dict[str, str | int] = {"limit": _PAGE}
        for _ in range(_MAX_PAGES):
            reply = await self.send(method, path, json=json, query=query, max_bytes=_MAX_LIST_BYTES)
            answer = read_answer(reply, REFUSALS, self.key, *self.hide)
            for item in _read_items(reply, find(answer, "items"), wanted):
                yield item
            following = find(answer, "pagination_key")
            if find(answer, "has_more") is not True:
                return
            if not isinstance(following, str) or following == query.get("pagination_key"):
                raise malformed(reply)
            query["pagination_key"] = following
        raise ProviderError(ErrorKind.MALFORMED_REPLY)  # no end

    def _read(self, reply: Reply, wanted: Sequence[str]) -> dict[str, Any]:
        answer = read_answer(reply, REFUSALS, self.key, *self.hide)
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
