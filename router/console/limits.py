"""How often somebody may be wrong about a token."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from cachetools import FIFOCache

_FAILURES: Final = 10
_WITHIN: Final = timedelta(minutes=1)
_ADDRESSES: Final = 10_000


class SignInLimit:
    """Ten failures a minute from one address, in this process. Tokens are far too long to be guessed even without it;
    behind a proxy all visitors share its address, so who is signed in already must not depend on this.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._failures: FIFOCache[str, deque[datetime]] = FIFOCache(_ADDRESSES)

    def is_reached(self, address: str) -> bool:
        failures = self._failures.get(address)
        if failures is None:
            return False
        while failures and failures[0] <= self._clock() - _WITHIN:
            failures.popleft()
        if not failures:
            del self._failures[address]
        return len(failures) >= _FAILURES

    def note_failure(self, address: str) -> None:
        failures = self._failures.get(address, deque[datetime](maxlen=_FAILURES))
        failures.append(self._clock())
        self._failures[address] = failures
