"""How Retell is asked: a request with the key, and the JSON of its answer.

Retell docs: API references, whose refusals are all `{"status": "error", "message": …}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from adapters.http import MAX_BYTES, Auth, Http
from adapters.replies import CONCURRENCY, Reply, read_answer, refusal
from crypto.secret import Secret

REFUSALS: Final = (CONCURRENCY,)


class RetellApi:
    """What the parts of the adapter have in common."""

    def __init__(self, http: Http, base_url: str) -> None:
        self._http = http
        self._base_url = base_url.rstrip("/")

    async def _send(
        self,
        method: str,
        path: str,
        key: Secret,
        limit: float,
        *,
        json: object = None,
        query: Mapping[str, str | int] | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> Reply:
        url = f"{self._base_url}{path}" + (f"?{urlencode(query)}" if query else "")
        return await self._http.send(
            "retell", method, url, auth=Auth.bearer(key), json=json, limit=limit, max_bytes=max_bytes
        )

    async def _ask(
        self,
        method: str,
        path: str,
        key: Secret,
        limit: float,
        *,
        json: object = None,
        query: Mapping[str, str | int] | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> Any:
        """The JSON of a 2xx reply. Raises ProviderError."""
        reply = await self._send(method, path, key, limit, json=json, query=query, max_bytes=max_bytes)
        return read_answer(reply, REFUSALS, key)

    async def _tell(self, method: str, path: str, key: Secret, limit: float, *, json: object = None) -> None:
        """A request whose 2xx has nothing to say. Raises ProviderError."""
        reply = await self._send(method, path, key, limit, json=json)
        if not reply.ok:
            raise refusal(reply, REFUSALS, key)
