"""How much of the API each agency may use: requests a second, and answers at once of each kind.

Everything is counted in this process, before anything is awaited: of requests that come at the same moment, too, only
as many pass as there are places. The operator is not limited, and an agency's limits do not concern the operator.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from starlette.types import ASGIApp, Receive, Scope, Send

from router.errors import CrowdedError

Share: TypeAlias = Literal["requests", "streams", "downloads", "figures"]
"""What is counted by itself."""

LONGEST_SECONDS: Final[Mapping[Share, float]] = {"streams": 630.0, "downloads": 600.0}
"""How long an answer may take from its beginning. Others end before their client has read them."""

_WINDOW_SECONDS: Final = 1
_PATIENCE: Final[Mapping[Share, float]] = {"figures": 5.0}  # seconds to wait for a place; for others, none
_RETRY_AFTER: Final[Mapping[Share, int]] = {"requests": 1, "streams": 10, "downloads": 10, "figures": 5}
_PAGE: Final = "callrouter.page"


@dataclass(frozen=True, slots=True)
class AgencyLimits:
    """Of one agency, in each process. `all_downloads`: of all agencies together."""

    requests_a_second: int = 50
    requests: int = 20
    streams: int = 20
    downloads: int = 10
    all_downloads: int = 100
    figures: int = 2

    def places(self, share: Share) -> int:
        return int(getattr(self, share))


@dataclass(slots=True)
class _Page:
    is_counted: bool = False


class Use:
    """What one agency uses."""

    def __init__(self, limits: AgencyLimits, clock: Callable[[], float], all_held: Counter[Share]) -> None:
        self._limits = limits
        self._all_held = all_held  # by all agencies together
        self._held: Counter[Share] = Counter()
        self._clock = clock
        self._window = clock()
        self._counted = 0
        self._places: dict[Share, asyncio.Semaphore] = {}

    def count(self, scope: Scope) -> None:
        """Count a request. Raises CrowdedError if there were too many in this second."""
        page: _Page = scope.get(_PAGE) or _Page()
        if page.is_counted:
            return
        page.is_counted = True
        if self._remaining() == 0:
            most = self._limits.requests_a_second
            raise CrowdedError(f"This agency may send {most} requests a second.", retry_after=_WINDOW_SECONDS)
        self._counted += 1

    def refuse_again(self, scope: Scope, share: Share) -> None:
        """Raises CrowdedError if `count` or `place` would, at once. Otherwise nothing is counted."""
        places = self._places.get(share)
        is_full = places is not None and places.locked() and share not in _PATIENCE
        if _PAGE not in scope and (is_full or self._remaining() == 0):
            self.count(scope)
            raise self._crowded(share)

    def describe(self) -> list[tuple[bytes, bytes]]:
        """The headers of draft-ietf-httpapi-ratelimit-headers-10."""
        policy = f'"agency";q={self._limits.requests_a_second};w={_WINDOW_SECONDS}'
        now = f'"agency";r={self._remaining()};t={_WINDOW_SECONDS}'
        return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", now.encode())]

    @asynccontextmanager
    async def place(self, share: Share) -> AsyncIterator[None]:
        """One of the agency's places for such answers, until the block ends. Raises CrowdedError if all are taken."""
        places = self._places.setdefault(share, asyncio.Semaphore(self._limits.places(share)))
        patience = _PATIENCE.get(share, 0.0)
        if places.locked() and not patience:
            raise self._crowded(share)
        if share == "downloads" and self._held[share] >= self._limits.all_downloads - self._all_held[share]:
            # No agency has more than are free: so the greedy ones leave places to the others.
            detail = "Too many recordings are being listened to at the moment. Wait until some have ended."
            raise CrowdedError(detail, retry_after=_RETRY_AFTER[share])
        try:
            async with asyncio.timeout(patience or None):
                await places.acquire()  # at once, if there is one
        except TimeoutError:
            raise self._crowded(share) from None
        self._held[share] += 1
        self._all_held[share] += 1
        try:
            yield
        finally:
            self._held[share] -= 1
            self._all_held[share] -= 1
            places.release()

    def _remaining(self) -> int:
        now = self._clock()
        if now >= self._window + _WINDOW_SECONDS:
            self._window, self._counted = now, 0
        return self._limits.requests_a_second - self._counted

    def _crowded(self, share: Share) -> CrowdedError:
        detail = f"This agency may have {self._limits.places(share)} {share} at once. Wait until one has ended."
        return CrowdedError(detail, retry_after=_RETRY_AFTER[share])


@dataclass(frozen=True, slots=True)
class Uses:
    """All agencies that have asked this process for something. There are never more of them than agencies."""

    limits: AgencyLimits = field(default_factory=AgencyLimits)
    clock: Callable[[], float] = time.monotonic
    _of: dict[str, Use] = field(default_factory=dict)
    _all_held: Counter[Share] = field(default_factory=Counter)

    def of(self, agency_id: str) -> Use:
        use = self._of.get(agency_id)
        if use is None:
            use = self._of[agency_id] = Use(self.limits, self.clock, self._all_held)
        return use


def count_once(app: ASGIApp) -> ASGIApp:
    """The application for one page: the page's requests to the API count as one."""
    page = _Page()

    async def ask(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, _PAGE: page}, receive, send)

    return ask
