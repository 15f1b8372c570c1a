"""Keeping opened keys out of memory after use, and memory out of core dumps and of other processes' sight.

glibc overwrites what is freed if it is told so at start, and Python's own allocator has to stand aside for that;
so the process starts itself once more with the settings that do it. Elsewhere than on Linux with glibc nothing
is changed, and `service.started` says so.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

MEMORY_IS_OVERWRITTEN: Final = {
    "PYTHONMALLOC": "malloc",
    "GLIBC_TUNABLES": "glibc.malloc.perturb=165:glibc.malloc.tcache_count=0",
}
"""The environment that makes it so."""

_PR_GET_DUMPABLE: Final = 3
_PR_SET_DUMPABLE: Final = 4


def is_memory_overwritten(environ: Mapping[str, str] | None = None) -> bool:
    """Whether this process was started so that freed memory is overwritten."""
    env = os.environ if environ is None else environ
    return _has_glibc() and all(env.get(name) == value for name, value in MEMORY_IS_OVERWRITTEN.items())


def restart_with_hygiene(restart: Callable[[str, list[str], dict[str, str]], Any] = os.execve) -> None:
    """Start this very command again with overwriting on, unless it is on or cannot be had here."""
    if is_memory_overwritten() or not _has_glibc():
        return
    sys.stdout.flush()
    sys.stderr.flush()
    restart(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **MEMORY_IS_OVERWRITTEN})


def forbid_core_dumps() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def hide_memory() -> None:
    """Let no other process of the same user read this one's memory; on Linux only. Does not outlive an exec.

    prctl(2), PR_SET_DUMPABLE. A debugger then needs CAP_SYS_PTRACE.
    """
    _prctl(_PR_SET_DUMPABLE, 0)


def is_memory_readable() -> bool:
    """Whether other processes of the same user may read this one's memory, as far as that is known."""
    return _prctl(_PR_GET_DUMPABLE, 0) != 0


def _prctl(option: int, argument: int) -> int | None:
    """None where there is no such thing."""
    if sys.platform != "linux":
        return None
    return int(ctypes.CDLL(None).prctl(option, argument, 0, 0, 0))


def _has_glibc() -> bool:
    return sys.platform == "linux" and platform.libc_ver()[0] == "glibc"
