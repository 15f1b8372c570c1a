"""Requests to Vapi's API: its refusals in our words, and its lists page by page. What is asked is for others to say."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from adapters.base import ErrorKind, ProviderError
from adapters.client import Client as BaseClient
from adapters.http import Part
from adapters.replies import CONCURRENCY, Rule, find, malformed

REFUSALS: Final = (
    CONCURRENCY,
    # Vapi documents 402 for its chats only; for calls an empty wallet is known by the words alone.
    Rule(
        ErrorKind.OUT_OF_CREDIT,
        frozenset(range(400, 500)) - {401, 429},
        re.compile(r"\b(wallet|credits?|balance|billing|frozen|subscription)\b", re.IGNORECASE),
    ),
)
_NOT_FOUND: Final = 404
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PAGE: Final = 100  # Vapi's own default; what it takes at most is not documented
_MAX_PAGES: Final = 500
_MAX_ONE_BYTES: Final = 4_000_000  # the longest prompt, every character escaped, and fifty functions
_MAX_LIST_BYTES: Final = 32_000_000  # a hundred long prompts, or all of an org's files, in one reply


@dataclass(frozen=True, slots=True)
class Client(BaseClient):
    """Vapi's API, opened."""

    system = "vapi"
    refusals = REFUSALS

    async def ask(
        self, method: str, path: str, *, json: object = None, form: Sequence[Part] | None = None
    ) -> dict[str, Any]:
        """The thing that the reply describes; it has an id that is fit for a path."""
        reply = await self.send(method, path, json=json, form=form, max_bytes=_MAX_ONE_BYTES)
        answer = self.read(reply)
        if not isinstance(answer, dict) or not is_id(answer.get("id")):
            raise malformed(reply)
        return answer

    async def remove(self, path: str) -> None:
        """Also fine if it is gone already."""
        reply = await self.send("DELETE", path)
        if not reply.ok and reply.status != _NOT_FOUND:
            raise self.refusal(reply)

    async def list_whole(self, path: str, query: Mapping[str, str | int] | None = None) -> list[dict[str, Any]]:
        """All that one reply lists, of things with an id."""
        reply = await self.send("GET", path, query=query, max_bytes=_MAX_LIST_BYTES)
        answer = self.read(reply)
        if not isinstance(answer, list) or not all(is_id(find(item, "id")) for item in answer):
            raise malformed(reply)
        return answer

    async def list_all(self, path: str) -> AsyncIterator[dict[str, Any]]:
        """Everything in a list that comes in pages, newest first.

        A page is asked for by the time before which its things were made. Times are told in milliseconds and kept
        finer, so the next page begins a millisecond earlier than the last one ended, and what comes twice is left out.
        """
        seen: set[str] = set()
        query: dict[str, str | int] = {"limit": _PAGE}
        for _ in range(_MAX_PAGES):
            page = await self.list_whole(path, query)
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


def is_id(value: Any) -> bool:
    """Whether it can stand in a path, and be kept."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def path_of(shelf: Literal["assistant", "file", "phone-number"], thing_id: str) -> str:
    """Raises ProviderError(BAD_REQUEST) for an id that would lead elsewhere."""
    if not is_id(thing_id):
        raise ProviderError(ErrorKind.BAD_REQUEST, said="An id at Vapi has letters, digits and dashes only.")
    return f"/{shelf}/{thing_id}"


def is_gone(error: ProviderError) -> bool:
    return error.status == _NOT_FOUND


def _just_after(page: Sequence[dict[str, Any]]) -> str | None:
    """A millisecond after the oldest thing of a page was made; None if that cannot be told."""
    try:
        made = [datetime.fromisoformat(item["createdAt"]).astimezone(UTC) for item in page]
        after = min(made) + timedelta(milliseconds=1)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return after.isoformat(timespec="milliseconds").replace("+00:00", "Z")
