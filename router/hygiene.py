"""Keeps opened keys out of freed memory, out of core dumps and out of other processes' reach.

glibc overwrites freed memory if it is configured to at start and Python does not use its own allocator, so the process
restarts itself with these settings. On systems other than Linux with glibc nothing changes, and `service.started` says
so.
"""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

MEMORY_IS_OVERWRITTEN: Final = {
    "PYTHONMALLOC": "malloc",
    "GLIBC_TUNABLES": "glibc.malloc.perturb=165:glibc.malloc.tcache_count=0",
}
"""The environment that makes glibc overwrite freed memory."""

_YOUNG_OBJECTS: Final = 10_000  # before the collector looks at them; Python's own 700 cost a tenth of all time
_PR_GET_DUMPABLE: Final = 3
_PR_SET_DUMPABLE: Final = 4


def is_memory_overwritten(environ: Mapping[str, str] | None = None) -> bool:
    """Whether this process was started with these settings."""
    env = os.environ if environ is None else environ
    return _has_glibc() and all(env.get(name) == value for name, value in MEMORY_IS_OVERWRITTEN.items())


def restart_with_hygiene(restart: Callable[[str, list[str], dict[str, str]], Any] = os.execve) -> None:
    """Restart this command with these settings, unless they are set or have no effect here."""
    if is_memory_overwritten() or not _has_glibc():
        return
    sys.stdout.flush()
    sys.stderr.flush()
    restart(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **MEMORY_IS_OVERWRITTEN})


def protect_memory() -> None:
    """Forbid core dumps, and let no other process of the same user read this one's memory (on Linux only).

    prctl(2), PR_SET_DUMPABLE; it does not outlive an exec. A debugger then needs CAP_SYS_PTRACE.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0)


def is_memory_readable() -> bool:
    """Whether other processes of the same user can read this one's memory; True if unknown."""
    return _prctl(_PR_GET_DUMPABLE, 0) != 0


@contextmanager
def no_collections() -> Iterator[None]:
    """The collector does not run while the block does: it takes a twelfth of the time that importing the service takes,
    and finds little.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def settle_memory() -> None:
    """Once a process has started: the collector need not look again at what stays until the end, half a million objects.
    Looking at them all took a tenth of a second, in which callers waited. It also comes less often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)


def give_memory_back() -> None:
    """Return freed memory to the system, after a peak; with glibc only. It takes 10 ms and more."""
    if _has_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def _prctl(option: int, argument: int) -> int | None:
    """None where prctl does not exist."""
    if sys.platform != "linux":
        return None
    return int(ctypes.CDLL(None).prctl(option, argument, 0, 0, 0))


def _has_glibc() -> bool:
    return sys.platform == "linux" and platform.libc_ver()[0] == "glibc"
