"""Routes of numbers seen lately, and what their accounts sign with: enough to place a call without a database.

Bounded, sealed keys only, and kept on the disk sealed as a whole, so that a service that starts while the database
is away answers what the last run remembered.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from crypto import Keyring, OpenError
from router.routing.route import Route
from router.store.calls import SealedToken, find_account_tokens, find_route
from router.store.guard import Guard
from router.store.pool import Database
from router.telemetry import emit

MOST_ROUTES: Final = 20_000
MOST_ACCOUNTS: Final = 10_000
_CONTEXT: Final = "routes"
_SAVE_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class _Seen:
    route: Route
    at: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class _Kept:
    """What stands in the file."""

    routes: tuple[_Seen, ...]
    accounts: dict[str, tuple[SealedToken, ...]]


_FORM: Final = TypeAdapter(_Kept)


class RouteMemory:
    """What one process remembers; several on one machine share a file, where the newer memory of a number wins."""

    def __init__(self, file: Path | None, keyring: Keyring, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._keyring = keyring
        self._clock = clock
        self._routes: OrderedDict[tuple[str, str], _Seen] = OrderedDict()
        self._accounts: OrderedDict[str, tuple[SealedToken, ...]] = OrderedDict()
        self._changed = False

    def __len__(self) -> int:
        return len(self._routes)

    def keep_route(self, route: Route) -> None:
        self._keep(_Seen(route, self._clock()))
        self._changed = True

    def forget_route(self, account_sid: str, number: str) -> None:
        """The database says that the number is not there any more."""
        if self._routes.pop((account_sid, number), None) is not None:
            self._changed = True

    def numbers_of(self, agency_id: str | None) -> list[tuple[str, str]]:
        """(account SID, number) of what is remembered for an agency; of all agencies for None."""
        return [name for name, seen in self._routes.items() if agency_id in (None, seen.route.agency_id)]

    def find_route(self, account_sid: str, number: str) -> Route | None:
        seen = self._routes.get((account_sid, number))
        return seen.route if seen else None

    def keep_tokens(self, account_sid: str, tokens: tuple[SealedToken, ...]) -> None:
        """An empty tuple forgets the account."""
        if self._accounts.get(account_sid) != tokens:
            self._changed = True
        if not tokens:
            self._accounts.pop(account_sid, None)
            return
        self._accounts[account_sid] = tokens
        self._accounts.move_to_end(account_sid)
        if len(self._accounts) > MOST_ACCOUNTS:
            self._accounts.popitem(last=False)

    def accounts_of(self, agency_id: str | None) -> list[str]:
        """The accounts whose tokens are remembered; of all agencies for None."""
        return [
            sid
            for sid, tokens in self._accounts.items()
            if agency_id is None or any(token.agency_id == agency_id for token in tokens)
        ]

    def find_tokens(self, account_sid: str) -> tuple[SealedToken, ...] | None:
        return self._accounts.get(account_sid)

    def load(self) -> None:
        """What the last run remembered. A file that is missing or does not open is none."""
        for kept in self._read():
            for seen in kept.routes:
                self._keep(seen)
            for account_sid, tokens in kept.accounts.items():
                self._accounts.setdefault(account_sid, tokens)

    def save(self) -> None:
        """Write the file if anything changed. Blocks: call it in a thread. Raises OSError."""
        if self._file is None or not self._changed:
            return
        self._changed = False
        merged = {_name(seen): seen for kept in self._read() for seen in kept.routes}
        for name, seen in tuple(self._routes.items()):
            if name not in merged or merged[name].at <= seen.at:
                merged[name] = seen
        newest = sorted(merged.values(), key=lambda seen: seen.at)[-MOST_ROUTES:]
        data = zlib.compress(_FORM.dump_json(_Kept(tuple(newest), dict(self._accounts)), exclude_defaults=True))
        _replace(self._file, self._keyring.seal(data, _CONTEXT).encode())

    def _keep(self, seen: _Seen) -> None:
        name = _name(seen)
        self._routes[name] = seen
        self._routes.move_to_end(name)
        if len(self._routes) > MOST_ROUTES:
            self._routes.popitem(last=False)

    def _read(self) -> Iterable[_Kept]:
        if self._file is None:
            return ()
        try:
            sealed = self._file.read_text()
        except FileNotFoundError:
            return ()
        try:
            return (_FORM.validate_json(zlib.decompress(self._keyring.open_bytes(sealed, _CONTEXT))),)
        except (OpenError, ValidationError, zlib.error, ValueError) as error:
            emit("settings.warning", setting="CALLROUTER_DATA_DIR", message=f"routes file: {type(error).__name__}")
            return ()


def _name(seen: _Seen) -> tuple[str, str]:
    return seen.route.account_sid, seen.route.number


def _replace(path: Path, data: bytes) -> None:
    """The new content or the old, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


class MemoryKeeper:
    """Keeps the memory true while the database answers, and on the disk."""

    def __init__(self, memory: RouteMemory, database: Database, guard: Guard) -> None:
        self._memory = memory
        self._database = database
        self._guard = guard

    async def refresh(self, agency_id: str | None) -> None:
        """The agency's settings changed (None: who knows whose): what is remembered of it is read again."""
        for account_sid, number in self._memory.numbers_of(agency_id):
            route = await self._guard.ask(partial(find_route, self._database.settings, account_sid, number))
            if route is None:
                self._memory.forget_route(account_sid, number)
            else:
                self._memory.keep_route(route)
        for account_sid in self._memory.accounts_of(agency_id):
            tokens = await self._guard.ask(
                partial(find_account_tokens, self._database.settings, account_sid, datetime.now(UTC))
            )
            self._memory.keep_tokens(account_sid, tokens)

    async def save_now_and_then(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_SAVE_SECONDS)
            await self.save()

    async def save(self) -> None:
        try:
            await asyncio.to_thread(self._memory.save)
        except OSError as error:
            emit("settings.warning", setting="CALLROUTER_DATA_DIR", message=f"cannot be written: {error.strerror}")
