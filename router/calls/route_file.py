"""The remembered routes on disk: one sealed file, replaced as a whole, shared by a machine's processes.

router.calls.memory decides what is remembered and when it is written.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from pydantic import TypeAdapter, ValidationError

from crypto import Keyring, OpenError
from router.routing.route import Route
from router.store.keys.proofs import SealedToken
from router.telemetry import emit

MOST_ROUTES: Final = 20_000
_CONTEXT: Final = "routes"

Number: TypeAlias = tuple[str, str]  # account SID, E.164


@dataclass(frozen=True, slots=True)
class KnownRoute:
    """`at`: when the database was asked for it, in seconds since the epoch."""

    at: float
    route: Route

    @property
    def number(self) -> Number:
        return self.route.account_sid, self.route.number


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """The tokens that sign an account's requests; `at` as above."""

    at: float
    tokens: tuple[SealedToken, ...]


@dataclass(frozen=True, slots=True)
class Remembered:
    """The oldest first. `gone` is not written: numbers, or accounts with the number "", that were deleted, and when."""

    routes: tuple[KnownRoute, ...] = ()
    accounts: dict[str, KnownAccount] = field(default_factory=dict)
    gone: dict[Number, float] = field(default_factory=dict)

    def stretches(self) -> Iterator[Remembered]:
        """Its routes and accounts in parts, each small enough to be worked on while live calls wait."""
        accounts = [*self.accounts.items()]
        for start in range(0, max(len(self.routes), len(accounts), 1), _STRETCH):
            end = start + _STRETCH
            yield Remembered(self.routes[start:end], dict(accounts[start:end]))


# The file has a line for each stretch. Reading or writing one holds the interpreter's lock, which live calls wait for, even
# in another thread: a stretch takes a few milliseconds, all routes would take hundreds.
_FORM: Final = TypeAdapter(Remembered)
_STRETCH: Final = 50
_NOTHING: Final = Remembered()


@dataclass(slots=True)
class RouteFile:
    """The file. Methods block: call them in a thread."""

    path: Path
    keyring: Keyring
    _seen: tuple[int, int] | None = field(default=None, init=False)  # the version that was read or written last

    def read(self) -> Remembered:
        """The file's content. A file that is missing or does not open has none."""
        try:
            sealed = self.path.read_text()
        except FileNotFoundError:
            return _NOTHING
        except (OSError, ValueError) as error:
            return self._give_up(error)
        self._seen = self._version()
        try:
            return _read_lines(zlib.decompress(self.keyring.open_bytes(sealed, _CONTEXT)))
        except (OpenError, ValidationError, zlib.error) as error:
            return self._give_up(error)

    def exchange(self, changes: Remembered | None) -> Remembered:
        """Write this process's changes, and return what others have written since the last time. Raises OSError."""
        if changes is None:
            return _NOTHING if self._version() == self._seen else self.read()
        with self._locked():
            others = self.read()
            data = zlib.compress(b"\n".join(map(_write_line, _merge(others, changes).stretches())), level=1)
            _replace(self.path, self.keyring.seal(data, _CONTEXT).encode())
            self._seen = self._version()
        return others

    def _version(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns

    def _give_up(self, error: Exception) -> Remembered:
        message = f"remembered routes cannot be read ({type(error).__name__})"
        emit("settings.warning", setting="CALLROUTER_DATA_DIR", message=message)
        return _NOTHING

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keeps other processes from writing it meanwhile."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _write_line(stretch: Remembered) -> bytes:
    return _FORM.dump_json(stretch, exclude_defaults=True)


def _read_lines(data: bytes) -> Remembered:
    """Raises ValidationError."""
    stretches = [_FORM.validate_json(line) for line in data.split(b"\n")]
    routes = tuple(route for stretch in stretches for route in stretch.routes)
    return Remembered(routes, {sid: known for stretch in stretches for sid, known in stretch.accounts.items()})


def _merge(others: Remembered, mine: Remembered) -> Remembered:
    """For each number and account, what was asked for last. Above the limit, others' routes are dropped first."""
    routes = {known.number: known for known in others.routes if mine.gone.get(known.number, 0.0) < known.at}
    for known in mine.routes:
        theirs = routes.pop(known.number, known)
        routes[known.number] = max(known, theirs, key=lambda each: each.at)
    accounts = {sid: known for sid, known in others.accounts.items() if mine.gone.get((sid, ""), 0.0) < known.at}
    for sid, account in mine.accounts.items():
        accounts[sid] = max(account, accounts.get(sid, account), key=lambda each: each.at)
    return Remembered(tuple(routes.values())[-MOST_ROUTES:], accounts)


def _replace(path: Path, data: bytes) -> None:
    """Replace the file atomically."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
