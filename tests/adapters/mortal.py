"""An HTTP client that ends its process in the middle of some work."""

from __future__ import annotations

from typing import Any

from adapters.http import Http
from adapters.replies import Reply


class Died(BaseException):
    """Ends a process: no code catches it."""


class MortalHttp(Http):
    """The process ends right after so many requests: what they asked for is done, but the replies are never read."""

    def __init__(self, requests: int) -> None:
        super().__init__()
        self._left = requests

    async def send(self, *args: Any, **kwargs: Any) -> Reply:
        reply = await super().send(*args, **kwargs)
        self._left -= 1
        if self._left == 0:
            raise Died
        return reply
