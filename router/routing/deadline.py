"""How long one request may take, and how much of that is reserved for the reply."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

REPLY_SECONDS: Final = 0.4  # to make an answer durable and to send it
_SENDING_SECONDS: Final = 0.1  # to send a document that needs no work


class Deadline:
    """A moment on the monotonic clock."""

    __slots__ = ("_at", "_clock")

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock() + seconds

    def left(self) -> float:
        """Seconds until then; negative afterwards."""
        return self._at - self._clock()

    def left_for_work(self, replies: float = 1.0) -> float:
        """Seconds that may be spent before the reply, or before `replies` of them, one after the other."""
        return self.left() - replies * REPLY_SECONDS

    def left_before_rescue(self) -> float:
        """Seconds until the last moment for a document that needs no work."""
        return self.left() - _SENDING_SECONDS
