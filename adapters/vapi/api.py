"""Requests to Vapi's API: its refusals in our words, and its lists page by page. Each request is made elsewhere."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from adapters.base import ErrorKind, ProviderError, bad_request
from adapters.client import Client as BaseClient
from adapters.replies import CONCURRENCY, Rule, is_id

REFUSALS: Final = (
    CONCURRENCY,
    # Vapi documents 402 for its chats only; for calls an empty wallet is known by the words alone.
    Rule(
        ErrorKind.OUT_OF_CREDIT,
        frozenset(range(400, 500)) - {401, 429},
        re.compile(r"\b(wallet|credits?|balance|billing|frozen|subscription)\b", re.IGNORECASE),
    ),
)
_PAGE: Final = 100  # Vapi's own default; what it takes at most is not documented
_MAX_PAGES: Final = 500


@dataclass(frozen=True, slots=True)
class Client(BaseClient):
    """Vapi's API, opened."""

    system = "vapi"
    refusals = REFUSALS

    async def control(self, address: str, message: object) -> None:
        """A message to a live call, at its address. The key is not sent."""
        reply = await self.http.send(self.system, "POST", address, json=message, limit=self.limit)
        if not reply.ok:
            raise self.refusal(reply)

    async def list_all(self, path: str) -> AsyncIterator[dict[str, Any]]:
        """Everything in a list that comes in pages, newest first.

        A page is requested by the time before which its items were made. Times are shown in milliseconds but stored
        more exactly, so the next page begins a millisecond before the last one ended, and repeated items are left out.
        """
        seen: set[str] = set()
        query: dict[str, str | int] = {"limit": _PAGE}
        for _ in range(_MAX_PAGES):
            page = await self.list_whole(path, "id", query=query)
            fresh = [item for item in page if item["id"] not in seen]
            seen.update(item["id"] for item in fresh)
            for item in fresh:
                yield item
            if len(page) < _PAGE or not fresh:
                return
            before = _just_after(page)
            if before is None:
                break
            query["createdAtLt"] = before
        raise ProviderError(ErrorKind.MALFORMED_REPLY)  # no times to go by, or no end


def path_of(shelf: Literal["assistant", "file", "phone-number"], thing_id: str) -> str:
    """Raises ProviderError(BAD_REQUEST) for an id that would lead elsewhere."""
    if not is_id(thing_id):
        raise bad_request("An id at Vapi has letters, digits and dashes only.")
    return f"/{shelf}/{thing_id}"


def _just_after(page: Sequence[dict[str, Any]]) -> str | None:
    """A millisecond after the oldest item of a page was made; None if that cannot be told."""
    try:
        made = [datetime.fromisoformat(item["createdAt"]).astimezone(UTC) for item in page]
        after = min(made) + timedelta(milliseconds=1)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return after.isoformat(timespec="milliseconds").replace("+00:00", "Z")
