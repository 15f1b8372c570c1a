"""When a job that failed is tried again: exponential backoff with jitter, up to a number of attempts."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta


class Again(Exception):  # noqa: N818  not an error: the job is not done yet
    """Raised by a handler: come back to this job later. It does not count as a failure."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self.seconds = seconds


class GiveUp(Exception):  # noqa: N818  a decision, taken by the handler
    """Raised by a handler: no further attempt would help. `reason` is a word for the log, and holds no secret."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waits `first`, then `factor` times as long each time, `longest` at most; `attempts` counts all tries.

    Each wait is shortened by up to `jitter` of itself, so that what failed together does not come back together.
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
