"""Open a key, ask a provider, get a handoff: down the ladder, inside the time budget.

Knows no HTTP, SQL or TwiML. It tells `record` as each attempt starts and ends; what is done with that is
not its business. Whatever goes wrong here, the caller ends at a human rung.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from adapters.base import ErrorKind, Handoff, InboundCall, ProviderError, VoiceProvider
from crypto import OpenError, Secret
from router.routing.ladder import VOICEMAIL, is_unready
from router.routing.route import Access, Route, Rung, SkipReason

_LEAST_SECONDS: Final = 1.5  # with less left, no provider is asked
_RESERVE_SECONDS: Final = 1.0  # kept back from the first provider for whoever comes next
_REPLY_SECONDS: Final = 0.4  # kept back from every provider for our own reply
_LATE_SECONDS: Final = 15.0  # how long a request lives on after we gave up on it
_STOP_SECONDS: Final = 5.0  # for ending a late handoff at the provider


@dataclass(frozen=True, slots=True)
class Started:
    """A provider is being asked."""

    provider: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A provider was not asked."""

    provider: str
    reason: SkipReason


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A stored key does not open: changed, swapped, or sealed under a key we no longer have."""

    provider: str
    key_version: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A provider answered, or failed for `reason`."""

    provider: str
    seconds: float
    reason: ErrorKind | None = None
    status: int | None = None
    provider_call_id: str | None = None
    bug: Exception | None = None  # ours, not the provider's


@dataclass(frozen=True, slots=True)
class Late:
    """A handoff came after we had given up; `ended` tells whether the provider was told to drop it."""

    provider: str
    seconds: float
    ended: bool
    provider_call_id: str | None = None


Attempt: TypeAlias = Started | Skipped | Unreadable | Ended | Late
Record: TypeAlias = Callable[[Attempt], None]
OpenKey: TypeAlias = Callable[[str, Access], Secret]


@dataclass(frozen=True, slots=True)
class Taken:
    """The rung that takes the call, and those below it. A handoff if an AI does."""

    rung: Rung
    rest: tuple[Rung, ...]
    handoff: Handoff | None = None


class Deadline:
    """A moment on the monotonic clock."""

    __slots__ = ("_at", "_clock")

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock() + seconds

    def left(self) -> float:
        """Seconds until then; negative afterwards."""
        return self._at - self._clock()


class Dispatcher:
    """Finds who takes a call. One for all calls; it holds no lock and no connection while it waits."""

    def __init__(self, providers: Mapping[str, VoiceProvider], open_key: OpenKey, handoff_timeout: float) -> None:
        self._providers = providers
        self._open_key = open_key
        self._handoff_timeout = handoff_timeout
        self._late: set[asyncio.Task[None]] = set()

    async def find_taker(
        self, rungs: tuple[Rung, ...], route: Route, call: InboundCall, deadline: Deadline, record: Record
    ) -> Taken:
        """Go down the rungs until one takes the call; each provider is asked once and the first handoff wins."""
        asked = 0
        for place, rung in enumerate(rungs):
            rest = rungs[place + 1 :]
            if rung.step != "ai" or rung.provider is None:
                return Taken(rung, rest)
            key = self._key_for(rung.provider, route, deadline, record)
            if key is None:
                continue
            budget = self._budget(asked, deadline)
            asked += 1
            handoff = await self._ask(rung.provider, route, call, key, budget, record)
            if handoff is not None:
                return Taken(rung, rest, handoff)
        return Taken(VOICEMAIL, ())

    async def aclose(self) -> None:
        """Let go of requests that nobody waits for any more."""
        for task in tuple(self._late):
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    def _key_for(self, provider: str, route: Route, deadline: Deadline, record: Record) -> Secret | None:
        reason = is_unready(route, provider, self._providers)
        if reason is None and deadline.left() < _LEAST_SECONDS:
            reason = SkipReason.NO_TIME
        if reason is not None:
            record(Skipped(provider, reason))
            return None
        access = route.access(provider)
        try:
            return self._open_key(route.agency_id, access)
        except OpenError:
            record(Unreadable(provider, access.key_version))
            record(Skipped(provider, SkipReason.NO_KEY))
            return None

    def _budget(self, asked: int, deadline: Deadline) -> float:
        if asked == 0:
            return min(self._handoff_timeout, deadline.left() - _RESERVE_SECONDS)
        return deadline.left() - _REPLY_SECONDS

    async def _ask(
        self, provider: str, route: Route, call: InboundCall, key: Secret, budget: float, record: Record
    ) -> Handoff | None:
        record(Started(provider))
        started = time.monotonic()
        target = route.access(provider).target
        request = asyncio.create_task(
            self._providers[provider].hand_off(call, target, key, budget + _LATE_SECONDS), name=f"handoff-{provider}"
        )
        del key
        try:
            done, _ = await asyncio.wait({request}, timeout=budget)
        except asyncio.CancelledError:
            request.cancel()
            raise
        seconds = time.monotonic() - started
        if not done:
            record(Ended(provider, seconds, ErrorKind.TIMEOUT))
            self._await_late(provider, route, request, started, record)
            return None
        return _result(provider, request, seconds, record)

    def _await_late(
        self, provider: str, route: Route, request: asyncio.Task[Handoff], started: float, record: Record
    ) -> None:
        task = asyncio.create_task(self._finish_late(provider, route, request, started, record), name="late-handoff")
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _finish_late(
        self, provider: str, route: Route, request: asyncio.Task[Handoff], started: float, record: Record
    ) -> None:
        """Nobody waits for this handoff: note it, and do not leave a billed call hanging at the provider."""
        try:
            handoff = await request
        except asyncio.CancelledError:
            request.cancel()
            raise
        except Exception:  # noqa: BLE001  the attempt is recorded as timed out already; the caller has moved on
            return
        seconds = time.monotonic() - started
        ended = await self._end(provider, route, handoff.provider_call_id)
        record(Late(provider, seconds, ended, handoff.provider_call_id))

    async def _end(self, provider: str, route: Route, provider_call_id: str | None) -> bool:
        adapter = self._providers[provider]
        if provider_call_id is None or not adapter.capabilities.ends_calls:
            return False
        try:
            key = self._open_key(route.agency_id, route.access(provider))
            await adapter.end_call(provider_call_id, key, _STOP_SECONDS)
        except (OpenError, ProviderError):
            return False
        return True


def _result(provider: str, request: asyncio.Task[Handoff], seconds: float, record: Record) -> Handoff | None:
    try:
        handoff = request.result()
    except ProviderError as error:
        record(Ended(provider, seconds, error.kind, error.status))
        return None
    except Exception as error:  # noqa: BLE001  a bug in an adapter must not cost the caller the rungs below
        record(Ended(provider, seconds, ErrorKind.MALFORMED_REPLY, bug=error))
        return None
    record(Ended(provider, seconds, provider_call_id=handoff.provider_call_id))
    return handoff
