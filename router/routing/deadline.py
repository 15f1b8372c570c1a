"""How long one request may take, and how much of that is reserved for the reply."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

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


async def is_done_within(task: asyncio.Future[Any], seconds: float) -> bool:
    """`asyncio.wait` takes three times as long. The task goes on if it is not done, or if waiting for it is cancelled."""
    waiter = asyncio.get_running_loop().create_future()
    wake = partial(_wake, waiter)
    task.add_done_callback(wake)
    timer = asyncio.get_running_loop().call_later(seconds, wake)
    try:
        await waiter
    finally:
        timer.cancel()
        task.remove_done_callback(wake)
    return task.done()


def _wake(waiter: asyncio.Future[None], _: object = None) -> None:
    if not waiter.done():
        waiter.set_result(None)
