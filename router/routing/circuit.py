"""Who is worth asking: memory of what failed lately, so that a dead provider costs a caller nothing.

Two levels. An agency's own circuit, by key version, opens when the provider refuses that key, has no money or room
for it: a newly saved key begins anew. The provider's opens when it fails several agencies. An open circuit lets one
live call through after a while to see, and that call alone decides: what calls from before it opened bring in later
is old news. Every failed probe doubles the wait.

In the memory of one process. Not here: what an attempt is (router.routing.dispatch) and how changes are told.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Final

from adapters.base import ErrorKind
from router.routing.failures import FAILURES, REFUSALS, Scope
from router.routing.route import Route

_PROBE_SECONDS: Final = 60.0  # a probe that nobody reported on by then is given up
_USER_SECONDS: Final = 600.0  # an agency that asked within this time uses the provider
_LEGS_IN_A_ROW_SECONDS: Final = 600.0  # refusals on the line further apart than this are not in a row
_FORGET_SECONDS: Final = 86_400.0  # a refused key that nobody has used since
_MOST_AGENCIES: Final = 50_000
_MOST_OUTCOMES: Final = 200


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When circuits open, and when they are probed."""

    refusals_in_a_row: int = 3  # open an agency's circuit
    failures: int = 5  # within the window open a provider's
    window_seconds: float = 30.0
    first_wait_seconds: float = 15.0  # until the first probe
    longest_wait_seconds: float = 120.0  # until a later one: each that fails doubles the wait


class State(StrEnum):
    """Closed: asked. Open: not asked. Half open: the next call may probe, or one is probing."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Usage:
    """Whose key is used at which provider."""

    agency_id: str
    provider: str
    key_version: int


def usage_of(route: Route, provider: str) -> Usage:
    """Whose key a call of that route uses there."""
    return Usage(route.agency_id, provider, route.access(provider).key_version)


@dataclass(frozen=True, slots=True, eq=False)
class Permit:
    """A call that was let through. No two are the same, so that a probe is known by its own."""

    usage: Usage
    leg: bool = False  # it is about a call that was taken on, no request of ours


@dataclass(frozen=True, slots=True)
class Change:
    """A circuit opened or closed. `seconds`: until a probe, or how long it was open."""

    scope: Scope
    opened: bool
    usage: Usage
    seconds: float
    reason: ErrorKind | None = None


class _Circuit:
    """Open or not, when to look again, and who is looking. Who opens it, and why, is its owner's business."""

    __slots__ = ("_opened_at", "_probe", "_probed_at", "_thresholds", "_until", "_wait")

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._opened_at: float | None = None
        self._until = 0.0
        self._wait = self._thresholds.first_wait_seconds
        self._probe: Permit | None = None
        self._probed_at = 0.0

    def state(self, now: float) -> State:
        if self._opened_at is None:
            return State.CLOSED
        return State.OPEN if now < self._until else State.HALF_OPEN

    @property
    def closed(self) -> bool:
        return self._opened_at is None

    def would_admit(self, now: float) -> bool:
        state = self.state(now)
        if state is State.HALF_OPEN:
            return self._probe is None or now - self._probed_at >= _PROBE_SECONDS
        return state is State.CLOSED

    def admit(self, permit: Permit, now: float) -> None:
        if self.state(now) is State.HALF_OPEN:
            self._probe, self._probed_at = permit, now

    def is_probed_by(self, permit: Permit) -> bool:
        return self._probe is permit

    def release_probe(self) -> None:
        """The probing call learnt nothing about this circuit: the next one may look."""
        self._probe = None

    def open(self, now: float) -> float:
        """Returns the seconds until the first probe."""
        self._opened_at = now
        self._wait = self._thresholds.first_wait_seconds
        self._until = now + self._wait
        return self._wait

    def keep_open(self, now: float) -> None:
        """The probe failed."""
        self._wait = min(self._wait * 2, self._thresholds.longest_wait_seconds)
        self._until = now + self._wait
        self._probe = None

    def close(self, now: float) -> float:
        """Returns how long it was open."""
        opened_at = now if self._opened_at is None else self._opened_at
        self._opened_at = self._probe = None
        return now - opened_at


@dataclass(slots=True)
class _OfAgency:
    """Exists from the first refusal of a key until that key works.

    Some refuse no request, take the call on and drop it for want of money or lines: that a request goes well says
    nothing then.
    """

    usage: Usage
    used_at: float
    circuit: _Circuit
    refusals: int = 0
    dropped: int = 0
    dropped_at: float = 0.0

    def count(self, permit: Permit, now: float) -> int:
        """One more refusal. How many there are in a row now."""
        if not permit.leg:
            self.refusals += 1
            return self.refusals
        if now - self.dropped_at > _LEGS_IN_A_ROW_SECONDS:
            self.dropped = 0
        self.dropped, self.dropped_at = self.dropped + 1, now
        return self.dropped


@dataclass(slots=True)
class _OfProvider:
    """`outcomes`: when, whose, whether it went well; since the circuit last changed."""

    circuit: _Circuit
    outcomes: deque[tuple[float, str, bool]] = field(default_factory=lambda: deque(maxlen=_MOST_OUTCOMES))
    users: OrderedDict[str, float] = field(default_factory=OrderedDict)


_USUAL: Final = Thresholds()


class Circuits:
    """All circuits of this process. `tell` is called with each change."""

    def __init__(
        self,
        tell: Callable[[Change], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        thresholds: Thresholds = _USUAL,
    ) -> None:
        self._tell = tell
        self._clock = clock
        self._thresholds = thresholds
        self._agencies: OrderedDict[tuple[str, str], _OfAgency] = OrderedDict()
        self._providers: dict[str, _OfProvider] = {}

    def would_admit(self, usage: Usage) -> bool:
        """Whether a call would be let through now. Changes nothing."""
        now = self._clock()
        provider, agency = self._providers.get(usage.provider), self._find_agency(usage)
        return (provider is None or provider.circuit.would_admit(now)) and (
            agency is None or agency.circuit.would_admit(now)
        )

    def admit(self, usage: Usage) -> Permit:
        """Let a call through that `would_admit` allows just now, as the probe of what is half open.

        Whoever gets the permit has to report.
        """
        now, permit = self._clock(), Permit(usage)
        provider = self._of_provider(usage.provider)
        provider.circuit.admit(permit, now)
        provider.users[usage.agency_id] = now
        provider.users.move_to_end(usage.agency_id)
        self._forget_older_key(usage, now)
        agency = self._find_agency(usage)
        if agency is not None:
            agency.circuit.admit(permit, now)
        return permit

    def report(self, permit: Permit, failure: ErrorKind | None) -> None:
        """What came of an admitted call. None: it went well."""
        now = self._clock()
        self._judge_key(permit, failure, now)
        self._judge_provider(permit, failure, now)

    def report_leg(self, usage: Usage, failure: ErrorKind | None) -> None:
        """What came of the leg that an admitted call led to. Nobody's probe any more; one that went well counted then."""
        permit, now = Permit(usage, leg=True), self._clock()
        self._judge_key(permit, failure, now)
        if failure is not None:
            self._judge_provider(permit, failure, now)

    def _judge_key(self, permit: Permit, failure: ErrorKind | None, now: float) -> None:
        agency = self._find_agency(permit.usage)
        refused = failure in REFUSALS
        if agency is None and refused:
            agency = self._add_agency(permit.usage, now)
        if agency is None:
            return
        agency.used_at = now
        self._agencies.move_to_end((permit.usage.agency_id, permit.usage.provider))
        if agency.circuit.closed:
            if failure is None:
                self._clear(agency, permit, now)
            elif refused and agency.count(permit, now) >= self._thresholds.refusals_in_a_row:
                self._open("agency", agency.circuit, permit.usage, failure, now)
        elif agency.circuit.is_probed_by(permit):
            if failure is None:
                self._close_agency(agency, permit, now)
            elif refused:
                agency.circuit.keep_open(now)
            else:
                agency.circuit.release_probe()

    def _clear(self, agency: _OfAgency, permit: Permit, now: float) -> None:
        """A request, or a leg, went well."""
        agency.refusals = 0
        if permit.leg or not agency.dropped:
            self._forget_agency(permit.usage, now)

    def _close_agency(self, agency: _OfAgency, permit: Permit, now: float) -> None:
        """The probe was taken on. Where calls were dropped, one more that is opens it again."""
        if not agency.dropped:
            self._forget_agency(permit.usage, now)
            return
        agency.refusals, agency.dropped_at = 0, now
        agency.dropped = min(agency.dropped, self._thresholds.refusals_in_a_row - 1)
        self._close("agency", agency.circuit, permit.usage, now)

    def _judge_provider(self, permit: Permit, failure: ErrorKind | None, now: float) -> None:
        """A refusal is an answer, too: the provider is there. A bad request says nothing of it."""
        usage, provider = permit.usage, self._of_provider(permit.usage.provider)
        failed = failure in FAILURES
        answered = failure is None or failure in REFUSALS
        if provider.circuit.closed:
            if answered or failed:
                provider.outcomes.append((now, usage.agency_id, answered))
            if failed and self._is_failing(provider, now):
                provider.outcomes.clear()
                self._open("provider", provider.circuit, usage, failure, now)
        elif provider.circuit.is_probed_by(permit):
            if answered:
                self._close("provider", provider.circuit, usage, now)
            elif failed:
                provider.circuit.keep_open(now)
            else:
                provider.circuit.release_probe()

    def _is_failing(self, provider: _OfProvider, now: float) -> bool:
        """Several failures in the window, no less than half of the latest, and not of one agency among many."""
        while provider.outcomes and now - provider.outcomes[0][0] > self._thresholds.window_seconds:
            provider.outcomes.popleft()
        latest = islice(reversed(provider.outcomes), 2 * self._thresholds.failures)
        if sum(not well for _, _, well in latest) < self._thresholds.failures:
            return False
        failed = {agency_id for _, agency_id, well in provider.outcomes if not well}
        return len(failed) > 1 or self._count_users(provider, now) <= 1

    def _count_users(self, provider: _OfProvider, now: float) -> int:
        while provider.users and now - next(iter(provider.users.values())) > _USER_SECONDS:
            provider.users.popitem(last=False)
        return len(provider.users)

    def _open(self, scope: Scope, circuit: _Circuit, usage: Usage, reason: ErrorKind | None, now: float) -> None:
        self._tell(Change(scope, opened=True, usage=usage, seconds=circuit.open(now), reason=reason))

    def _close(self, scope: Scope, circuit: _Circuit, usage: Usage, now: float) -> None:
        self._tell(Change(scope, opened=False, usage=usage, seconds=circuit.close(now)))

    def _find_agency(self, usage: Usage) -> _OfAgency | None:
        """Only for the key that it is known for: another version has nothing to do with it."""
        known = self._agencies.get((usage.agency_id, usage.provider))
        return known if known is not None and known.usage == usage else None

    def _add_agency(self, usage: Usage, now: float) -> _OfAgency | None:
        """None for a key that another one has replaced since."""
        name = usage.agency_id, usage.provider
        self._forget_older_key(usage, now)
        if name in self._agencies:
            return None
        self._agencies[name] = _OfAgency(usage, now, _Circuit(self._thresholds))
        while len(self._agencies) > _MOST_AGENCIES or now - self._oldest().used_at > _FORGET_SECONDS:
            self._forget_agency(self._oldest().usage, now)
        return self._agencies.get(name)

    def _oldest(self) -> _OfAgency:
        return next(iter(self._agencies.values()))

    def _forget_older_key(self, usage: Usage, now: float) -> None:
        known = self._agencies.get((usage.agency_id, usage.provider))
        if known is not None and known.usage.key_version < usage.key_version:
            self._forget_agency(known.usage, now)

    def _forget_agency(self, usage: Usage, now: float) -> None:
        known = self._agencies.pop((usage.agency_id, usage.provider))
        if not known.circuit.closed:
            self._close("agency", known.circuit, known.usage, now)

    def _of_provider(self, provider: str) -> _OfProvider:
        if provider not in self._providers:
            self._providers[provider] = _OfProvider(_Circuit(self._thresholds))
        return self._providers[provider]
