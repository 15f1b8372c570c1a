"""Requests to ElevenLabs' API: its refusals in our words, and its lists page by page. Each request is made elsewhere.

ElevenLabs docs: Errors; help center, error codes 400, 401 and 429. A refusal is `{"detail": {"status", "message"}}`, a
failed validation `{"detail": [{"loc", "msg", "type"}]}`. How it refuses a call for lack of credit or of a free line is not
documented; the names that its other products use are expected.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from adapters.base import ErrorKind, ProviderError, bad_request
from adapters.client import LISTS
from adapters.client import Client as BaseClient
from adapters.replies import CONCURRENCY, Rule, find, is_id, malformed, read_objects

_PAGE: Final = 100
_MAX_PAGES: Final = 500


@dataclass(frozen=True, slots=True)
class Client(BaseClient):
    """ElevenLabs' API, opened."""

    system = "elevenlabs"
    scheme = "bare"
    key_header = "xi-api-key"
    refusals: ClassVar[tuple[Rule, ...]] = (
        CONCURRENCY,
        # The key is good, whatever the status says: 401 is documented for this.
        Rule(
            ErrorKind.OUT_OF_CREDIT,
            frozenset({400, 401, 402, 403, 429}),
            re.compile(r"quota|payment_|insufficient.{0,20}credit|out of credit", re.IGNORECASE),
        ),
        Rule(ErrorKind.PROVIDER_ERROR, frozenset({429}), re.compile(r"system_busy", re.IGNORECASE)),
    )

    async def list_all(
        self, path: str, name: str, *ids: str, search: str | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """Everything in a list that comes in pages, from the field `name` of each."""
        query: dict[str, str | int] = {"page_size": _PAGE, **({} if search is None else {"search": search})}
        for _ in range(_MAX_PAGES):
            reply = await self.send("GET", path, query=query, max_bytes=LISTS)
            answer = self.read(reply)
            for item in read_objects(reply, find(answer, name), ids):
                yield item
            following = find(answer, "next_cursor")
            if find(answer, "has_more") is not True:
                return
            if not isinstance(following, str) or following == query.get("cursor"):
                raise malformed(reply)
            query["cursor"] = following
        raise ProviderError(ErrorKind.MALFORMED_REPLY)  # no end

    async def remove_unused(self, path: str) -> None:
        """Delete something that others may use: then ElevenLabs refuses, and it stays."""
        try:
            await self.remove(path)
        except ProviderError as error:
            if error.kind is not ErrorKind.BAD_REQUEST:
                raise


def agent_path(agent_id: str) -> str:
    """Raises ProviderError(BAD_REQUEST) for an id that would lead elsewhere."""
    if not is_id(agent_id):
        raise bad_request("An id at ElevenLabs has letters, digits and underscores only.")
    return f"/v1/convai/agents/{agent_id}"
