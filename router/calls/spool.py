"""Writes that wait on the local disk while the database is away: appended, synced, and replayed in order.

A file holds records of length, CRC-32 and payload; the payload is sealed, as it carries callers' numbers. A record
that was cut off by a crash, or changed, ends what is read of its file; such a file is kept aside and not deleted.
Every process appends to a file of its own, locked while it lives; files that a dead process left behind are replayed
by whoever comes first. Replaying twice does no harm: every write may be repeated (router.store.calls.calls.Write).
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
from dataclasses import dataclass
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Any, Final

from crypto import Keyring, OpenError
from router.store.calls.writes import Write
from router.telemetry import emit

MOST_BYTES: Final = 256 * 1024 * 1024
_HEAD: Final = struct.Struct(">II")
_LARGEST_RECORD: Final = 16 * 1024 * 1024
_CONTEXT: Final = "spool"
_SUFFIX: Final = ".spool"
_UNFINISHED: Final = ".new"  # a file that is being made, and not locked yet
_ASIDE: Final = ".spoilt"


class SpoolFullError(OSError):
    """The spool has reached its bound."""


@dataclass(slots=True)
class SpoolFile:
    """A file of the spool, locked by this process."""

    path: Path
    handle: FileIO
    spoilt: bool = False


class Spool:
    """The spool files of one folder, one of them this process's own.

    Methods block, so call them in a thread, one at a time; `read` and `finish` may run beside an `append`.
    """

    def __init__(self, folder: Path, keyring: Keyring, most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._keyring = keyring
        self._most_bytes = most_bytes
        self._own: SpoolFile | None = None  # what is appended to
        self._taken: list[SpoolFile] = []  # to be replayed by us
        self._hopeless: set[Path] = set()  # cannot be opened or deleted, and said so

    def append(self, writes: Sequence[Write]) -> None:
        """Durable when it returns. Raises OSError, of which SpoolFullError."""
        payload = self._keyring.seal(_dump(writes), _CONTEXT).encode()
        record = _HEAD.pack(len(payload), zlib.crc32(payload)) + payload
        if self.size() + len(record) > self._most_bytes:
            raise SpoolFullError("the spool is full")
        if self._own is None:
            self._own = self._create()
        handle = self._own.handle
        start = handle.tell()
        try:
            _write_durably(handle, record)
        except OSError:
            # No later record may stand behind a part of this one.
            self._taken.append(self._own)
            self._own = None
            handle.truncate(start)
            raise

    def size(self) -> int:
        """Bytes in all files of the folder."""
        return sum(_size(path) for path in self._paths())

    def take(self) -> SpoolFile | None:
        """The oldest file to be replayed, ours or one of a process that is gone; None if there is none."""
        self._adopt()
        if self._own is not None:
            self._taken.append(self._own)
            self._own = None
        return min(self._taken, key=lambda file: file.path.name, default=None)

    def read(self, file: SpoolFile) -> Iterator[list[Write]]:
        """The batches of a file in the order in which they were appended, up to one that was cut off or spoilt."""
        file.handle.seek(0)
        while head := file.handle.read(_HEAD.size):
            payload = _read_payload(file.handle, head)
            writes = self._open(payload) if payload is not None else None
            if writes is None:
                emit("recorder.failed", reason="spool_record_spoilt", count=1)
                file.spoilt = True
                return
            yield writes

    def finish(self, file: SpoolFile) -> None:
        """After its records are in the database: delete it, or keep aside what could not be read."""
        self._taken.remove(file)
        try:
            if file.spoilt:
                file.path.rename(file.path.with_suffix(_ASIDE))
            else:
                file.path.unlink(missing_ok=True)
            _sync_folder(self._folder)
        except OSError as error:
            self._give_up(file.path, error)
        file.handle.close()

    def close(self) -> None:
        """Let go of all files; what is in them is for the next process."""
        for file in (*self._taken, *([self._own] if self._own else ())):
            file.handle.close()
        self._taken, self._own = [], None

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{_SUFFIX}"))

    def _adopt(self) -> None:
        """Take the files that nobody holds."""
        for path in self._paths():
            if path in self._hopeless:
                continue
            try:
                handle = FileIO(path)
            except FileNotFoundError:
                continue  # another process was quicker
            except OSError as error:
                self._give_up(path, error)
                continue
            if _lock(handle) and path.exists():
                self._taken.append(SpoolFile(path, handle))
            else:
                handle.close()

    def _create(self) -> SpoolFile:
        """Under its own name only once it is locked, so that nobody takes it for one that was left behind."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / f"{time.time_ns():020d}-{secrets.token_hex(4)}{_SUFFIX}"
        draft = path.with_suffix(_UNFINISHED)
        handle = FileIO(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "r+")
        try:
            _lock(handle)
            draft.rename(path)
            _sync_folder(self._folder)
        except OSError:
            handle.close()
            raise
        return SpoolFile(path, handle)

    def _open(self, payload: bytes) -> list[Write] | None:
        try:
            return _load(self._keyring.open_bytes(payload.decode("ascii"), _CONTEXT))
        except (OpenError, ValueError, KeyError, TypeError, zlib.error):
            return None

    def _give_up(self, path: Path, error: OSError) -> None:
        """Said once; not tried again by this process."""
        self._hopeless.add(path)
        emit("recorder.failed", reason="spool_file_unusable", count=1, exception=error)


def _read_payload(file: FileIO, head: bytes) -> bytes | None:
    """None: the record was cut off or changed."""
    if len(head) < _HEAD.size:
        return None
    length, checksum = _HEAD.unpack(head)
    if length > _LARGEST_RECORD:
        return None
    payload = file.read(length)
    return payload if len(payload) == length and zlib.crc32(payload) == checksum else None


def _write_durably(handle: FileIO, record: bytes) -> None:
    if handle.write(record) != len(record):
        raise OSError("the disk is full")
    os.fsync(handle.fileno())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # another process has just replayed it
        return 0


def _lock(handle: FileIO) -> bool:
    """Until it is closed. False: somebody else has it, perhaps we ourselves."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


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
