"""Who is worth asking: memory of what failed lately, so that a dead provider costs a caller nothing.

Two levels. An agency's own circuit, by key version, opens when the provider refuses that key, has no money or room
for it: a newly saved key has a new circuit. The provider's opens when it fails several agencies. An open circuit
lets one live call through after a while to see; every failed probe doubles the wait.

In the memory of one process. Not here: what an attempt is (router.routing.dispatch) and how changes are told.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, TypeAlias

from adapters.base import ErrorKind

REFUSALS_IN_A_ROW: Final = 3
FAILURES_TO_OPEN: Final = 5
FAILURE_WINDOW_SECONDS: Final = 30.0
FIRST_WAIT_SECONDS: Final = 15.0
LONGEST_WAIT_SECONDS: Final = 120.0
_PROBE_SECONDS: Final = 60.0  # a probe that nobody reported on by then is given up
_USER_SECONDS: Final = 600.0  # an agency that asked within this time uses the provider
_MOST_AGENCIES: Final = 50_000
_MOST_REMEMBERED: Final = 1_000  # outcomes in a window

REFUSALS: Final = frozenset(
    {ErrorKind.KEY_REJECTED, ErrorKind.OUT_OF_CREDIT, ErrorKind.RATE_LIMITED, ErrorKind.AT_CAPACITY}
)
FAILURES: Final = frozenset(
    {ErrorKind.TIMEOUT, ErrorKind.UNREACHABLE, ErrorKind.PROVIDER_ERROR, ErrorKind.MALFORMED_REPLY}
)

Scope: TypeAlias = Literal["agency", "provider"]


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


@dataclass(frozen=True, slots=True)
class Change:
    """A circuit opened or closed. `seconds`: until a probe, or how long it was open."""

    scope: Scope
    opened: bool
    usage: Usage
    seconds: float
    reason: ErrorKind | None = None


class _Circuit:
    """Open or not, and when to look again. Who opens it, and why, is its owner's business."""

    __slots__ = ("_opened_at", "_probe_since", "_until", "_wait")

    def __init__(self) -> None:
        self._opened_at: float | None = None
        self._until = 0.0
        self._wait = FIRST_WAIT_SECONDS
        self._probe_since: float | None = None

    def state(self, now: float) -> State:
        if self._opened_at is None:
            return State.CLOSED
        return State.OPEN if now < self._until else State.HALF_OPEN

    def would_admit(self, now: float) -> bool:
        state = self.state(now)
        if state is State.HALF_OPEN:
            return self._probe_since is None or now - self._probe_since >= _PROBE_SECONDS
        return state is State.CLOSED

    def take_probe(self, now: float) -> None:
        if self.state(now) is State.HALF_OPEN:
            self._probe_since = now

    def release_probe(self) -> None:
        """The probing call learnt nothing about this circuit."""
        self._probe_since = None

    def open(self, now: float) -> float:
        """Open, or open again after a failed probe. Returns the seconds until the next probe."""
        if self._opened_at is None:
            self._opened_at = now
        elif self.state(now) is State.OPEN:
            return self._until - now
        else:
            self._wait = min(self._wait * 2, LONGEST_WAIT_SECONDS)
        self._until = now + self._wait
        self._probe_since = None
        return self._wait

    def close(self, now: float) -> float | None:
        """Returns how long it was open; None if it was not."""
        opened_at, self._opened_at = self._opened_at, None
        self._wait = FIRST_WAIT_SECONDS
        self._probe_since = None
        return None if opened_at is None else now - opened_at


@dataclass(slots=True)
class _OfAgency:
    circuit: _Circuit = field(default_factory=_Circuit)
    refusals: int = 0


@dataclass(slots=True)
class _OfProvider:
    circuit: _Circuit = field(default_factory=_Circuit)
    outcomes: deque[tuple[float, str, bool]] = field(default_factory=lambda: deque(maxlen=_MOST_REMEMBERED))
    users: OrderedDict[str, float] = field(default_factory=OrderedDict)


class Circuits:
    """All circuits of this process. `tell` is called with each change."""

    def __init__(
        self, tell: Callable[[Change], None] = lambda _: None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tell = tell
        self._clock = clock
        self._agencies: OrderedDict[Usage, _OfAgency] = OrderedDict()
        self._providers: dict[str, _OfProvider] = {}

    def would_admit(self, usage: Usage) -> bool:
        """Whether a call would be let through now. Changes nothing."""
        now = self._clock()
        provider, agency = self._providers.get(usage.provider), self._agencies.get(usage)
        return (provider is None or provider.circuit.would_admit(now)) and (
            agency is None or agency.circuit.would_admit(now)
        )

    def admit(self, usage: Usage) -> bool:
        """Let a call through, as the probe of a half-open circuit if need be. Whoever is admitted has to report."""
        if not self.would_admit(usage):
            return False
        now = self._clock()
        provider = self._of_provider(usage.provider)
        provider.circuit.take_probe(now)
        provider.users[usage.agency_id] = now
        provider.users.move_to_end(usage.agency_id)
        self._of_agency(usage).circuit.take_probe(now)
        return True

    def report(self, usage: Usage, failure: ErrorKind | None) -> None:
        """What came of an admitted call, or later of the leg that it led to. None: it went well."""
        if failure is None:
            self._succeed(usage)
        elif failure in REFUSALS:
            self._refuse(usage, failure)
        elif failure in FAILURES:
            self._fail(usage, failure)
        else:
            self._learn_nothing(usage)

    def state_of_provider(self, provider: str) -> State:
        known = self._providers.get(provider)
        return known.circuit.state(self._clock()) if known else State.CLOSED

    def state_of_agency(self, usage: Usage) -> State:
        known = self._agencies.get(usage)
        return known.circuit.state(self._clock()) if known else State.CLOSED

    def count_open(self, provider: str) -> int:
        """How many agencies' circuits at a provider are not closed."""
        now = self._clock()
        return sum(
            usage.provider == provider and known.circuit.state(now) is not State.CLOSED
            for usage, known in self._agencies.items()
        )

    def _succeed(self, usage: Usage) -> None:
        now = self._clock()
        agency, provider = self._of_agency(usage), self._of_provider(usage.provider)
        agency.refusals = 0
        provider.outcomes.append((now, usage.agency_id, True))
        self._tell_closed("agency", usage, agency.circuit.close(now))
        self._tell_closed("provider", usage, provider.circuit.close(now))

    def _refuse(self, usage: Usage, reason: ErrorKind) -> None:
        """The provider is well, but not for this key."""
        now = self._clock()
        agency = self._of_agency(usage)
        agency.refusals += 1
        self._close_for_others(usage, now)
        if agency.refusals >= REFUSALS_IN_A_ROW:
            self._open("agency", agency.circuit, usage, reason, now)
        else:
            agency.circuit.release_probe()

    def _close_for_others(self, usage: Usage, now: float) -> None:
        """A refusal is an answer: a provider that was thought dead is there."""
        provider = self._of_provider(usage.provider)
        self._tell_closed("provider", usage, provider.circuit.close(now))

    def _fail(self, usage: Usage, reason: ErrorKind) -> None:
        now = self._clock()
        agency, provider = self._of_agency(usage), self._of_provider(usage.provider)
        agency.circuit.release_probe()
        provider.outcomes.append((now, usage.agency_id, False))
        if provider.circuit.state(now) is State.HALF_OPEN or self._is_failing(provider, now):
            self._open("provider", provider.circuit, usage, reason, now)

    def _learn_nothing(self, usage: Usage) -> None:
        self._of_agency(usage).circuit.release_probe()
        self._of_provider(usage.provider).circuit.release_probe()

    def _is_failing(self, provider: _OfProvider, now: float) -> bool:
        """Several failures in the window, at least half of what was asked, and not of one agency among many."""
        while provider.outcomes and now - provider.outcomes[0][0] > FAILURE_WINDOW_SECONDS:
            provider.outcomes.popleft()
        failed = [agency for _, agency, well in provider.outcomes if not well]
        if len(failed) < FAILURES_TO_OPEN or 2 * len(failed) < len(provider.outcomes):
            return False
        return len(set(failed)) > 1 or self._count_users(provider, now) <= 1

    def _count_users(self, provider: _OfProvider, now: float) -> int:
        while provider.users and now - next(iter(provider.users.values())) > _USER_SECONDS:
            provider.users.popitem(last=False)
        return len(provider.users)

    def _open(self, scope: Scope, circuit: _Circuit, usage: Usage, reason: ErrorKind, now: float) -> None:
        was_open = circuit.state(now) is State.OPEN
        wait = circuit.open(now)
        if not was_open:
            self._tell(Change(scope, opened=True, usage=usage, seconds=wait, reason=reason))

    def _tell_closed(self, scope: Scope, usage: Usage, seconds: float | None) -> None:
        if seconds is not None:
            self._tell(Change(scope, opened=False, usage=usage, seconds=seconds))

    def _of_agency(self, usage: Usage) -> _OfAgency:
        known = self._agencies.get(usage)
        if known is None:
            known = self._agencies[usage] = _OfAgency()
            if len(self._agencies) > _MOST_AGENCIES:
                self._agencies.popitem(last=False)
        else:
            self._agencies.move_to_end(usage)
        return known

    def _of_provider(self, provider: str) -> _OfProvider:
        return self._providers.setdefault(provider, _OfProvider())
