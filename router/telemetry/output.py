"""Where log lines go: a stream, or standard output through a thread.

Without the thread, a full pipe (a log collector that does not read) would block the service in the middle of a call.
Lines beyond the limit are dropped and counted.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, TextIO

from router.telemetry import metrics

_MAX_WAITING_LINES: Final = 10_000
_GATHER_SECONDS: Final = 0.05  # for the lines that come after the first one: waking a thread costs more than a line
_CLOSE_SECONDS: Final = 1.0


def write_to(stream: TextIO) -> Callable[[str], None]:
    def write(line: str) -> None:
        stream.write(f"{line}\n")
        stream.flush()

    return write


def write_to_stderr(line: str) -> None:
    """Look sys.stderr up at each line: tests and commands replace it."""
    sys.stderr.write(f"{line}\n")


class BackgroundWriter:
    """Writes lines to a file descriptor, in order, and never blocks the code that logs.

    It bypasses sys.stdout: a thread that is blocked inside its buffer would break the exit.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque()
        self._wake = threading.Event()
        self._close = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        if len(self._lines) >= _MAX_WAITING_LINES:
            metrics.log_dropped("backlog")
            return
        self._lines.append(f"{line}\n".encode(errors="backslashreplace"))
        if not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Write the waiting lines; give up after a second if they are not read."""
        self._close.set()
        self._wake.set()
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        while not self._close.is_set() or self._lines:
            self._wake.wait()
            self._close.wait(_GATHER_SECONDS)
            self._wake.clear()
            while self._lines:
                self._write_out(self._take_chunk())

    def _take_chunk(self) -> bytes:
        """As many lines as a pipe takes atomically (POSIX: PIPE_BUF), so that several workers' lines do not mix."""
        chunk = self._lines.popleft()
        while self._lines and len(chunk) + len(self._lines[0]) <= select.PIPE_BUF:
            chunk += self._lines.popleft()
        return chunk

    def _write_out(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            metrics.log_dropped("unwritable", data.count(b"\n"))
