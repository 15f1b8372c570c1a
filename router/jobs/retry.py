"""When a failed job is tried again: exponential backoff with jitter, up to a number of attempts."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta


class Again(Exception):  # noqa: N818  not an error: the job is not done yet
    """Raised by a handler: run this job again later. It does not count as a failure."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self.seconds = seconds


class GiveUp(Exception):  # noqa: N818  a decision of the handler
    """Raised by a handler: another attempt would not help. `reason` is a word for the log, without secrets."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waits `first`, then `factor` times as long each time, `longest` at most; `attempts` counts all tries.

    Each wait is shortened by up to `jitter` of itself, so that jobs that failed together are not retried together.
    """

    first: timedelta = timedelta(seconds=5)
    factor: float = 3.0
    longest: timedelta = timedelta(hours=1)
    attempts: int = 8
    jitter: float = 0.25

    def wait(self, tried: int, chance: Callable[[], float] = random.random) -> timedelta | None:
        """How long to wait after the attempt number `tried` (the first is 1); None: that was the last one."""
        if tried >= self.attempts:
            return None
        seconds = self.first.total_seconds() * self.factor ** min(tried - 1, 60)
        shortened = min(seconds, self.longest.total_seconds()) * (1 - self.jitter * chance())
        return timedelta(seconds=shortened)
