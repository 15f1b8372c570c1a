"""Records that wait on the local disk while the database is away: appended, synced, and replayed in order.

A file holds frames of length, CRC-32 and payload. A payload is a batch of records, each with its kind and its fields by
name, compressed and sealed, as it carries callers' numbers. Every process appends to a file of its own, locked while
it lives; files that a dead process left behind are replayed by the first process to find them. Replaying twice does no
harm: every record may be written again (router.store.calls.records).

What cannot be replayed:
- A frame that was cut off by a crash, or changed, ends what is read of its file. A record of a known kind that lacks a
  field, or has a wrong value in one, is skipped. Such a file is kept aside and not deleted.
- A record of a kind that this version does not know was written by a newer one. It stays in the spool, in a file that
  holds nothing else, for a process that knows it; the records behind it are replayed. Why these do not need it is said
  in router.store.calls.records.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Any, Final, TypeAlias

from pydantic import TypeAdapter

from crypto import Keyring, OpenError
from router.store.calls.records import KINDS, Record, read_record
from router.telemetry import emit

MOST_BYTES: Final = 256 * 1024 * 1024
_HEAD: Final = struct.Struct(">II")
_LARGEST_FRAME: Final = 16 * 1024 * 1024
_CONTEXT: Final = "spool"
_SUFFIX: Final = ".spool"
_UNFINISHED: Final = ".new"  # a file that is being made
_ASIDE: Final = ".spoilt"

_Row: TypeAlias = tuple[str, dict[str, Any]]
"""A record as it stands in a file: its kind and its fields."""

_ROWS: Final = TypeAdapter(list[_Row])


class SpoolFullError(OSError):
    """The spool has reached its bound."""


@dataclass(slots=True)
class SpoolFile:
    """A file of the spool, locked by this process, and what came up when it was read."""

    path: Path
    handle: FileIO
    spoilt: int = 0
    newer: Counter[str] = field(default_factory=Counter)  # records of kinds that this version does not know
    rest: FileIO | None = None  # where these are put

    def rewind(self) -> None:
        self.handle.seek(0)
        self.spoilt = 0
        self.newer.clear()
        self._close_rest()

    def close(self) -> None:
        self.handle.close()
        self._close_rest()

    def _close_rest(self) -> None:
        if self.rest is not None:
            self.rest.close()
            self.rest = None


@dataclass(slots=True)
class Spool:
    """The spool files of one folder, one of them this process's own.

    Methods block, so call them in a thread, one at a time; `read` and `finish` may run beside an `append`. A thread
    whose caller was cancelled may come after `close`: it then gets nothing, and leaves nothing open.
    """

    folder: Path
    keyring: Keyring
    most_bytes: int = MOST_BYTES
    _own: SpoolFile | None = field(default=None, init=False)  # what is appended to
    _taken: list[SpoolFile] = field(default_factory=list, init=False)  # to be replayed by this process
    _left: set[Path] = field(default_factory=set, init=False)  # unusable files, and those of unknown kinds only
    _told: set[str] = field(default_factory=set, init=False)  # unknown kinds that have been logged
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _closed: bool = field(default=False, init=False)

    def append(self, records: Sequence[Record]) -> None:
        """Durable when it returns. Raises OSError, of which SpoolFullError."""
        frames = self._frames([(record.kind, record.fields) for record in records])
        if self.size() + len(frames) > self.most_bytes:
            raise SpoolFullError("the spool is full")
        with self._lock:
            if self._closed:
                raise OSError("the spool is closed")
            self._append(frames)

    def size(self) -> int:
        """Bytes in all files of the folder that are to be replayed, or are being made."""
        return sum(_size(path) for suffix in (_SUFFIX, _UNFINISHED) for path in self.folder.glob(f"*{suffix}"))

    def take(self) -> SpoolFile | None:
        """The oldest file to be replayed, ours or one of a process that is gone; None if there is none."""
        with self._lock:
            if self._closed:
                return None
            self._adopt()
            if self._own is not None:
                self._taken.append(self._own)
                self._own = None
            return min(self._taken, key=lambda file: file.path.name, default=None)

    def read(self, file: SpoolFile) -> Iterator[list[Record]]:
        """The batches of a file in the order in which they were appended, up to a frame that was cut off or changed."""
        file.rewind()
        while head := file.handle.read(_HEAD.size):
            payload = _read_payload(file.handle, head)
            rows = self._open(payload) if payload is not None else None
            if rows is None:
                file.spoilt += 1
                return
            if batch := self._read_rows(file, rows):
                yield batch

    def finish(self, file: SpoolFile) -> None:
        """After its records are in the database: delete it, and keep what could not be read or is for a newer version."""
        self._taken.remove(file)
        self._report(file)
        try:
            self._put_away(file)
            _sync_folder(self.folder)
        except OSError as error:
            self._give_up(file.path, error)
        file.close()

    def close(self) -> None:
        """Let go of all files; what is in them is for the next process."""
        with self._lock:
            self._closed = True
            for file in (*self._taken, *([self._own] if self._own else ())):
                file.close()
            self._taken, self._own = [], None

    def _append(self, frames: bytes) -> None:
        if self._own is None:
            self._own = self._create()
        handle = self._own.handle
        start = handle.tell()
        try:
            _write_whole(handle, frames)
            os.fsync(handle.fileno())
        except OSError:
            # No later frame may stand behind a part of this one.
            self._taken.append(self._own)
            self._own = None
            handle.truncate(start)
            raise

    def _adopt(self) -> None:
        """Take the files that no process holds."""
        for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
            if path in self._left:
                continue
            try:
                handle = FileIO(path)
            except FileNotFoundError:
                continue  # another process was quicker
            except OSError as error:
                self._give_up(path, error)
                continue
            if _lock(handle) and _is_at(path, handle):
                self._taken.append(SpoolFile(path, handle))
            else:
                handle.close()

    def _create(self) -> SpoolFile:
        """Renamed to its final name once it is locked, so that no other process takes it for an abandoned one."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / f"{time.time_ns():020d}-{secrets.token_hex(4)}{_SUFFIX}"
        draft = path.with_suffix(_UNFINISHED)
        handle = _make(draft)
        try:
            _lock(handle)
            draft.rename(path)
            _sync_folder(self.folder)
        except OSError:
            handle.close()
            raise
        return SpoolFile(path, handle)

    def _frames(self, rows: Sequence[_Row]) -> bytes:
        """Several, where one would be too large to be read back."""
        frame = self._frame(rows)
        if len(frame) <= _HEAD.size + _LARGEST_FRAME or len(rows) == 1:
            return frame
        half = len(rows) // 2
        return self._frames(rows[:half]) + self._frames(rows[half:])

    def _frame(self, rows: Sequence[_Row]) -> bytes:
        packed = zlib.compress(json.dumps(rows, separators=(",", ":"), default=_plain).encode(), level=1)
        payload = self.keyring.seal(packed, _CONTEXT).encode()
        return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload

    def _open(self, payload: bytes) -> list[_Row] | None:
        try:
            packed = self.keyring.open_bytes(payload.decode("ascii"), _CONTEXT)
            return _ROWS.validate_python(json.loads(zlib.decompress(packed)))
        except (OpenError, ValueError, zlib.error):
            return None

    def _read_rows(self, file: SpoolFile, rows: Sequence[_Row]) -> list[Record]:
        """The records that this version knows; the others are put by and counted."""
        records, newer = [], []
        for kind, fields in rows:
            if kind not in KINDS:
                newer.append((kind, fields))
                continue
            try:
                records.append(read_record(kind, fields))
            except ValueError:
                file.spoilt += 1
        if newer:
            file.newer.update(kind for kind, _ in newer)
            self._put_by(file, newer)
        return records

    def _put_by(self, file: SpoolFile, rows: Sequence[_Row]) -> None:
        """Keep them for a version that knows them. If they cannot be written, the whole file stays as it is."""
        if file.path in self._left:
            return
        try:
            if file.rest is None:
                file.rest = _make(file.path.with_suffix(_UNFINISHED))
            _write_whole(file.rest, self._frames(rows))
        except OSError as error:
            self._give_up(file.path, error)

    def _put_away(self, file: SpoolFile) -> None:
        if file.path in self._left:
            return
        if file.rest is not None:
            os.fsync(file.rest.fileno())
        if file.spoilt:
            file.path.rename(file.path.with_suffix(_ASIDE))
        if file.rest is not None:
            self._left.add(file.path)
            file.path.with_suffix(_UNFINISHED).rename(file.path)
        elif not file.spoilt:
            file.path.unlink(missing_ok=True)

    def _report(self, file: SpoolFile) -> None:
        if file.spoilt:
            emit("recorder.failed", reason="spool_record_spoilt", count=file.spoilt)
        for kind, count in file.newer.items():
            if kind not in self._told:
                self._told.add(kind)
                emit("recorder.failed", reason="unknown_kind", kind=kind, count=count)

    def _give_up(self, path: Path, error: OSError) -> None:
        """Log it once. This process does not try the file again."""
        self._left.add(path)
        emit("recorder.failed", reason="spool_file_unusable", count=1, exception=error)


def _read_payload(file: FileIO, head: bytes) -> bytes | None:
    """None: the frame was cut off or changed."""
    if len(head) < _HEAD.size:
        return None
    length, checksum = _HEAD.unpack(head)
    if length > _LARGEST_FRAME:
        return None
    payload = file.read(length)
    return payload if len(payload) == length and zlib.crc32(payload) == checksum else None


def _make(path: Path) -> FileIO:
    """Overwrites what an earlier attempt left there."""
    return FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "r+")


def _write_whole(handle: FileIO, frame: bytes) -> None:
    if handle.write(frame) != len(frame):
        raise OSError("the disk is full")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # another process has just replayed it
        return 0


def _lock(handle: FileIO) -> bool:
    """Until the file is closed. False: this process or another one holds it."""
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


def _is_at(path: Path, handle: FileIO) -> bool:
    """Whether the file is still the one at that path: another process may have replayed it meanwhile."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle.fileno()))
    except FileNotFoundError:
        return False


def _plain(value: object) -> str:
    """What JSON has no form for."""
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")
