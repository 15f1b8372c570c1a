"""Goes down the ladder within the time limit: opens a key, asks the provider, gets a handoff.

Knows no HTTP, SQL or TwiML. `record` is called as each attempt starts and ends. If everything fails here, the caller
still gets a human rung.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, TypeAlias

from adapters.base import ErrorKind, Handoff, InboundCall, NumberHandoff, OpenedTarget, ProviderError, Target
from adapters.portable import Lines
from adapters.provider import Provider
from crypto import OpenError, Secret, clear_frames
from router.dialling import Dialling
from router.routing.bulkhead import Bulkheads, Place
from router.routing.circuit import Circuits, Permit, usage_of
from router.routing.deadline import Deadline, is_done_within
from router.routing.ladder import VOICEMAIL
from router.routing.route import Access, Route, Rung, SkipReason, why_unready
from router.telemetry import traces

_LEAST_SECONDS: Final = 1.5  # with less left, no provider is asked
_RESERVE_SECONDS: Final = 1.0  # kept back from the first provider for the next rung
_LATE_SECONDS: Final = 15.0  # how long a request goes on after we gave up on it
_FORBIDDEN: Final = 403
_STOP_SECONDS: Final = 5.0  # for ending a late handoff at the provider


OpenKey: TypeAlias = Callable[[str, Access], Secret]
OpenAddress: TypeAlias = Callable[[Route, Access], Secret]


def _open_none(_route: Route, _access: Access) -> Secret:
    raise OpenError("addresses of registrations cannot be opened here")


@dataclass(frozen=True, slots=True)
class Started:
    """A provider is being asked."""

    provider: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A provider was not asked."""

    provider: str
    reason: SkipReason
    no_line: bool = False  # all of the agency's lines there are in use


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A stored key does not open: it was changed, swapped, or sealed under a platform key that we no longer have."""

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
    lines: Lines | None = None  # what it reported about the agency's lines
    bug: Exception | None = None  # ours, not the provider's

    @property
    def is_denial(self) -> bool:
        """Whether the provider denied this assistant, in a way that may also mean the key."""
        return self.reason is ErrorKind.BAD_REQUEST and self.status == _FORBIDDEN


@dataclass(frozen=True, slots=True)
class Late:
    """A handoff arrived after we had given up. `ended`: the call was ended at the provider."""

    provider: str
    seconds: float
    ended: bool
    provider_call_id: str | None = None


Attempt: TypeAlias = Started | Skipped | Unreadable | Ended | Late
Record: TypeAlias = Callable[[Attempt], None]


@dataclass(frozen=True, slots=True)
class Taken:
    """The rung that takes the call, and those below it. A handoff if an AI does."""

    rung: Rung
    rest: tuple[Rung, ...]
    handoff: Handoff | None = None


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Finds who takes a call. Holds no lock and no connection while it waits."""

    providers: Mapping[str, Provider[Any]]
    open_key: OpenKey
    handoff_timeout: float
    dialling: Dialling = field(default_factory=Dialling)
    open_address: OpenAddress = _open_none
    circuits: Circuits = field(default_factory=Circuits)
    bulkheads: Bulkheads = field(default_factory=Bulkheads)
    _late: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    async def find_taker(
        self, rungs: tuple[Rung, ...], route: Route, call: InboundCall, deadline: Deadline, record: Record
    ) -> Taken:
        """Go down the rungs until one takes the call; each provider is asked once and the first handoff wins."""
        asked = 0
        for place, rung in enumerate(rungs):
            rest = rungs[place + 1 :]
            if rung.kind == "owner" and not self.may_ring_owner(route):
                continue
            if rung.kind != "ai" or rung.provider is None:
                return Taken(rung, rest)
            reason = self.reason_to_skip(rung.provider, route, deadline)
            if reason is not None:
                record(Skipped(rung.provider, reason, no_line=not self._has_line(rung.provider, route)))
                continue
            budget = self._budget(asked, deadline)
            asked += 1
            with traces.span(f"handoff {rung.provider}", provider=rung.provider) as span:
                handoff = await self._ask(rung.provider, route, call, budget, partial(_tell, span, record))
            if isinstance(handoff, NumberHandoff) and not self.dialling.allows(handoff.e164):
                record(Skipped(rung.provider, SkipReason.DESTINATION_REFUSED))
                continue
            if handoff is not None:
                return Taken(rung, rest, handoff)
        return Taken(VOICEMAIL, ())

    def may_ring_owner(self, route: Route) -> bool:
        return route.personal_phone is None or self.dialling.allows(route.personal_phone)

    def reason_to_skip(self, provider: str, route: Route, deadline: Deadline | None = None) -> SkipReason | None:
        """Why this provider would not be asked for such a call now; None if it would be. Changes nothing."""
        reason = why_unready(route, provider, self.providers)
        if reason is not None:
            return reason
        if deadline is not None and deadline.left() < _LEAST_SECONDS:
            return SkipReason.NO_TIME
        if not self.circuits.would_admit(usage_of(route, provider)):
            return SkipReason.CIRCUIT_OPEN
        if not self._has_line(provider, route) or not self.bulkheads.has_room(route.agency_id, provider):
            return SkipReason.AT_CAPACITY
        return None

    def _has_line(self, provider: str, route: Route) -> bool:
        """Whether the agency has a free line there, as far as known. Requests under way count as lines in use."""
        free = route.access(provider).lines_free
        return free is None or free > self.bulkheads.waiting(route.agency_id, provider)

    def has_readable_key(self, provider: str, route: Route) -> bool:
        """Whether the stored key opens, and the registration's address. A live call finds that out when it uses them."""
        access = route.access(provider)
        try:
            self.open_key(route.agency_id, access)
            self._open_target(route, access)
        except OpenError:
            return False
        return True

    async def aclose(self) -> None:
        """Cancel the requests that we gave up on."""
        for task in tuple(self._late):
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    def _budget(self, asked: int, deadline: Deadline) -> float:
        if asked == 0:
            return min(self.handoff_timeout, deadline.left() - _RESERVE_SECONDS)
        return deadline.left_for_work()

    async def _ask(
        self, provider: str, route: Route, call: InboundCall, budget: float, record: Record
    ) -> Handoff | None:
        started = time.monotonic()
        sent = self._start(provider, route, call, budget, record)
        if sent is None:
            return None
        request, permit = sent
        try:
            done = await is_done_within(request, budget)
        except asyncio.CancelledError:
            request.cancel()
            self.circuits.report(permit, ErrorKind.TIMEOUT)
            raise
        seconds = time.monotonic() - started
        if not done:
            self.circuits.report(permit, ErrorKind.TIMEOUT)
            record(Ended(provider, seconds, ErrorKind.TIMEOUT))
            self._await_late(provider, route, request, started, record)
            return None
        ended, handoff = _read(provider, request, seconds)
        denied = route.access(provider).target.assistant_id if ended.is_denial else None
        record(replace(ended, reason=self.circuits.report(permit, ended.reason, denied=denied)))
        return handoff

    def _start(
        self, provider: str, route: Route, call: InboundCall, budget: float, record: Record
    ) -> tuple[asyncio.Task[Handoff], Permit] | None:
        """Open the key and send the request. Only the request holds the key."""
        access, adapter = route.access(provider), self.providers[provider]
        try:
            handoff = adapter.calls.hand_off(
                adapter.open(self.open_key(route.agency_id, access), budget + _LATE_SECONDS),
                call,
                self._open_target(route, access),
            )
        except OpenError:
            record(Unreadable(provider, access.key_version))
            record(Skipped(provider, SkipReason.NO_KEY))
            return None
        permit = self.circuits.admit(usage_of(route, provider))
        place = self.bulkheads.enter(route.agency_id, provider)
        record(Started(provider))
        request = asyncio.create_task(handoff, name=f"handoff-{provider}")
        request.add_done_callback(partial(_leave, self.bulkheads, place))
        return request, permit

    def _open_target(self, route: Route, access: Access) -> Target:
        """Raises OpenError."""
        target = access.target
        if target.sealed_address is None:
            return target
        address = self.open_address(route, access)
        return OpenedTarget(target.assistant_id, target.registration, target.mode, target.sealed_address, address)

    def _await_late(
        self, provider: str, route: Route, request: asyncio.Task[Handoff], started: float, record: Record
    ) -> None:
        task = asyncio.create_task(self._finish_late(provider, route, request, started, record), name="late-handoff")
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _finish_late(
        self, provider: str, route: Route, request: asyncio.Task[Handoff], started: float, record: Record
    ) -> None:
        """Record a handoff that arrives too late, and end the call at the provider, which would bill it."""
        try:
            await asyncio.wait({request})
        except asyncio.CancelledError:
            request.cancel()
            raise
        seconds = time.monotonic() - started
        _, handoff = _read(provider, request, seconds)
        if handoff is None:  # recorded as timed out already
            return
        ended = await self._end(provider, route, handoff.provider_call_id)
        record(Late(provider, seconds, ended, handoff.provider_call_id))

    async def _end(self, provider: str, route: Route, provider_call_id: str | None) -> bool:
        adapter = self.providers[provider]
        if provider_call_id is None or adapter.end_call is None:
            return False
        try:
            key = self.open_key(route.agency_id, route.access(provider))
            await adapter.end_call(adapter.open(key, _STOP_SECONDS), provider_call_id)
        except Exception:  # noqa: BLE001  the late handoff is recorded, whatever fails
            return False
        return True


def _tell(span: traces.Span, record: Record, attempt: Attempt) -> None:
    """Record the attempt, on its span, too."""
    match attempt:
        case Ended(reason=ErrorKind() as failed, status=status):
            span.set(status=status)
            span.fail(failed.value)
        case Ended(provider_call_id=provider_call_id):
            span.set(provider_call_id=provider_call_id)
        case Skipped(reason=skipped):
            span.fail(skipped.value)
        case _:
            pass
    record(attempt)


def _leave(bulkheads: Bulkheads, place: Place, request: asyncio.Task[Handoff]) -> None:
    bulkheads.leave(place, answered=not request.cancelled() and request.exception() is None)


def _read(provider: str, request: asyncio.Task[Handoff], seconds: float) -> tuple[Ended, Handoff | None]:
    if request.cancelled():  # by the adapter, not by our caller
        return Ended(provider, seconds, ErrorKind.UNREACHABLE), None
    error = request.exception()
    if error is None:
        handoff = request.result()
        return Ended(provider, seconds, provider_call_id=handoff.provider_call_id, lines=handoff.lines), handoff
    clear_frames(error)
    if isinstance(error, ProviderError):
        return Ended(provider, seconds, error.kind, error.status), None
    if isinstance(error, Exception):  # a bug in an adapter must not cost the caller the rungs below
        return Ended(provider, seconds, ErrorKind.MALFORMED_REPLY, bug=error), None
    raise error
