"""Answers that are still being sent, such as event streams and recordings: they end with their token and their agency."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from router.api.auth import Actor
from router.store.pool import Database
from router.store.tenants.tokens import find_gone


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    agency_id: str
    token_id: str | None
    end: Callable[[], None]


class OpenAnswers:
    """Those of this process. `looks`: how often it was checked whose tokens are gone."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._open: set[_Answer] = set()
        self.looks = 0

    @contextmanager
    def sending(self, actor: Actor, agency_id: str | None, end: Callable[[], None]) -> Iterator[None]:
        """While an answer about this agency is sent. `end` is called if the token or the agency is deleted meanwhile."""
        concerned = agency_id or actor.agency_id
        if concerned is None:
            yield
            return
        answer = _Answer(concerned, None if actor.is_admin else actor.name, end)
        self._open.add(answer)
        try:
            yield
        finally:
            self._open.discard(answer)

    async def check(self, agency_id: str | None) -> None:
        """Something of this agency changed; None: of any. Raises the database's errors."""
        self.looks += 1
        concerned = [one for one in self._open if agency_id in (None, one.agency_id)]
        if not concerned:
            return
        gone = await find_gone(
            self._database.settings,
            {one.agency_id for one in concerned},
            {one.token_id for one in concerned if one.token_id is not None},
        )
        for answer in concerned:
            if answer.agency_id in gone or answer.token_id in gone:
                answer.end()
