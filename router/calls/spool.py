"""Writes that wait on the local disk while the database is away: appended, synced, and replayed in order.

A file holds records of length, CRC-32 and payload; the payload is sealed, as it carries callers' numbers. A record
that was cut off by a crash ends its file. Every process appends to a file of its own, locked while it lives; files
that a dead process left behind are replayed by whoever comes first. Replaying twice does no harm: every write is
one that may be repeated (router.store.calls.Write).
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from crypto import Keyring, OpenError
from router.store.calls import Write
from router.telemetry import emit

MOST_BYTES: Final = 256 * 1024 * 1024
_HEAD: Final = struct.Struct(">II")
_LARGEST_RECORD: Final = 16 * 1024 * 1024
_CONTEXT: Final = "spool"
_SUFFIX: Final = ".spool"


class SpoolFullError(OSError):
    """The spool has reached its bound."""


class Spool:
    """The spool files of one folder, one of them this process's own. Methods block: call them in a thread."""

    def __init__(self, folder: Path, keyring: Keyring, most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._keyring = keyring
        self._most_bytes = most_bytes
        self._own: BinaryIO | None = None

    def append(self, writes: Sequence[Write]) -> None:
        """Durable when it returns. Raises OSError, of which SpoolFullError."""
        payload = self._keyring.seal(_dump(writes), _CONTEXT).encode()
        if self.size() + _HEAD.size + len(payload) > self._most_bytes:
            raise SpoolFullError("the spool is full")
        file = self._own or self._open_own()
        start = file.tell()
        try:
            file.write(_HEAD.pack(len(payload), zlib.crc32(payload)) + payload)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            # What was written in part must not stand before later records.
            file.truncate(start)
            file.seek(start)
            raise

    def size(self) -> int:
        """Bytes in all files of the folder."""
        return sum(path.stat().st_size for path in self._files())

    def is_empty(self) -> bool:
        return not any(path.stat().st_size for path in self._files())

    def take_files(self) -> list[Path]:
        """The files that may be replayed now, oldest first: our own, closed, and those of processes that are gone."""
        self.close()
        return [path for path in self._files() if not _is_locked(path)]

    def read(self, path: Path) -> Iterator[list[Write]]:
        """The batches of a file in the order in which they were appended, up to one that was cut off or spoilt."""
        with path.open("rb") as file:
            while head := file.read(_HEAD.size):
                payload = _read_payload(file, head)
                writes = self._open(payload) if payload is not None else None
                if writes is None:
                    emit("recorder.failed", reason="spool_record_spoilt", count=1)
                    return
                yield writes

    def remove(self, path: Path) -> None:
        """After its records are in the database."""
        path.unlink(missing_ok=True)
        _sync_folder(self._folder)

    def close(self) -> None:
        own, self._own = self._own, None
        if own is not None:
            own.close()

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{_SUFFIX}"))

    def _open_own(self) -> BinaryIO:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / f"{time.time_ns():020d}-{secrets.token_hex(4)}{_SUFFIX}"
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "r+b")
        fcntl.flock(file, fcntl.LOCK_EX)
        _sync_folder(self._folder)
        self._own = file
        return file

    def _open(self, payload: bytes) -> list[Write] | None:
        try:
            return _load(self._keyring.open_bytes(payload.decode("ascii", "replace"), _CONTEXT))
        except (OpenError, ValueError, KeyError, TypeError):
            return None


def _read_payload(file: BinaryIO, head: bytes) -> bytes | None:
    """None: the record was cut off or changed."""
    if len(head) < _HEAD.size:
        return None
    length, checksum = _HEAD.unpack(head)
    if length > _LARGEST_RECORD:
        return None
    payload = file.read(length)
    return payload if len(payload) == length and zlib.crc32(payload) == checksum else None


def _is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _sync_folder(folder: Path) -> None:
    """A new or removed name is durable only with its folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _dump(writes: Sequence[Write]) -> bytes:
    rows = [[write.statement, [_plain(argument) for argument in write.arguments]] for write in writes]
    return zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), level=1)


def _load(packed: bytes) -> list[Write]:
    rows = json.loads(zlib.decompress(packed))
    return [Write(statement, tuple(_rich(argument) for argument in arguments)) for statement, arguments in rows]


def _plain(argument: Any) -> Any:
    return {"at": argument.isoformat()} if isinstance(argument, datetime) else argument


def _rich(argument: Any) -> Any:
    return datetime.fromisoformat(argument["at"]) if isinstance(argument, dict) else argument
