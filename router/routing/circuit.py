"""Remembers which providers failed lately, so that calls do not wait for one that is down.

There are two levels. An agency's circuit belongs to one version of its key. It opens when the provider refuses that key
or has no credit or line left for it; a newly saved key starts with a closed one. A provider's circuit opens when the
provider fails several agencies. After a while, an open circuit admits one live call, the probe. Only the probe's result
closes it: results of calls that were admitted earlier are ignored. Each failed probe doubles the wait.

Circuits are kept in the memory of one process. What an attempt is: router.routing.dispatch.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from cachetools import TTLCache

from adapters.base import ErrorKind
from router.routing.failures import FAILURES, REFUSALS, Scope
from router.routing.route import Route

_PROBE_SECONDS: Final = 60.0  # a probe without a result by then is given up
_USER_SECONDS: Final = 600.0  # an agency that asked within this time uses the provider
_LEGS_IN_A_ROW_SECONDS: Final = 600.0  # refused legs further apart than this are not in a row
_FORGET_SECONDS: Final = 86_400.0  # a refused key that has not been used since
_MOST_AGENCIES: Final = 50_000
_MOST_OUTCOMES: Final = 200


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When circuits open, and when they are probed."""

    refusals_in_a_row: int = 3  # open an agency's circuit
    failures: int = 5  # within the window open a provider's
    window_seconds: float = 30.0
    first_wait_seconds: float = 15.0  # until the first probe
    longest_wait_seconds: float = 120.0  # each failed probe doubles the wait, up to this


@dataclass(frozen=True, slots=True)
class Usage:
    """Whose key is used at which provider."""

    agency_id: str
    provider: str
    key_version: int


def usage_of(route: Route, provider: str) -> Usage:
    return Usage(route.agency_id, provider, route.access(provider).key_version)


@dataclass(frozen=True, slots=True, eq=False)
class Permit:
    """An admitted call. Compared by identity, so that a circuit recognises its probe."""

    usage: Usage
    leg: bool = False  # reports a leg of a call that the provider accepted, not a request


@dataclass(frozen=True, slots=True)
class Change:
    """A circuit opened or closed. `seconds`: until the first probe, or how long it was open."""

    scope: Scope
    opened: bool
    usage: Usage
    seconds: float
    reason: ErrorKind | None = None


@dataclass(slots=True)
class _Circuit:
    thresholds: Thresholds
    opened_at: float | None = None
    wait: float = 0.0
    until: float = 0.0
    probe: Permit | None = None
    probed_at: float = 0.0

    @property
    def closed(self) -> bool:
        return self.opened_at is None

    def would_admit(self, now: float) -> bool:
        probing = self.probe is not None and now - self.probed_at < _PROBE_SECONDS
        return self.closed or (now >= self.until and not probing)

    def admit(self, permit: Permit, now: float) -> None:
        if not self.closed and now >= self.until:
            self.probe, self.probed_at = permit, now

    def open(self, now: float) -> float:
        """Returns the seconds until the first probe."""
        self.opened_at, self.wait = now, self.thresholds.first_wait_seconds
        self.until = now + self.wait
        return self.wait

    def keep_open(self, now: float) -> None:
        """The probe failed."""
        self.wait = min(self.wait * 2, self.thresholds.longest_wait_seconds)
        self.until, self.probe = now + self.wait, None

    def close(self, now: float) -> float:
        """Returns how long it was open."""
        opened_at = now if self.opened_at is None else self.opened_at
        self.opened_at = self.probe = None
        return now - opened_at


@dataclass(slots=True)
class _OfAgency:
    """Exists from a key's first refusal until that key works.

    Some providers refuse no request: they accept the call and drop its leg for lack of credit or lines. A successful
    request does not reset the count of such legs.
    """

    usage: Usage
    used_at: float
    circuit: _Circuit
    refusals: int = 0
    denied: set[str] = field(default_factory=set)  # assistants, since the key last worked
    dropped: int = 0
    dropped_at: float = 0.0

    def count(self, permit: Permit, now: float) -> int:
        """Count one more refusal. Returns how many there are in a row."""
        if not permit.leg:
            self.refusals += 1
            return self.refusals
        if now - self.dropped_at > _LEGS_IN_A_ROW_SECONDS:
            self.dropped = 0
        self.dropped, self.dropped_at = self.dropped + 1, now
        return self.dropped


@dataclass(slots=True)
class _OfProvider:
    """`outcomes` since the circuit last changed: when, which agency's, whether it succeeded."""

    circuit: _Circuit
    users: TTLCache[str, None]  # agencies
    outcomes: deque[tuple[float, str, bool]] = field(default_factory=lambda: deque(maxlen=_MOST_OUTCOMES))


@dataclass(slots=True)
class Circuits:
    """All circuits of this process. `tell` is called with each change."""

    tell: Callable[[Change], None] = lambda _: None
    clock: Callable[[], float] = time.monotonic
    thresholds: Thresholds = field(default_factory=Thresholds)
    _agencies: OrderedDict[tuple[str, str], _OfAgency] = field(default_factory=OrderedDict, init=False)
    _providers: dict[str, _OfProvider] = field(default_factory=dict, init=False)

    def would_admit(self, usage: Usage) -> bool:
        """Whether a call would be admitted now. Changes nothing."""
        now = self.clock()
        known = self._providers.get(usage.provider), self._find_agency(usage)
        return all(each is None or each.circuit.would_admit(now) for each in known)

    def admit(self, usage: Usage) -> Permit:
        """Admit a call that `would_admit` allows, as the probe of an open circuit. Its result has to be reported."""
        now, permit = self.clock(), Permit(usage)
        provider = self._of_provider(usage.provider)
        provider.circuit.admit(permit, now)
        provider.users[usage.agency_id] = None
        self._forget_older_key(usage, now)
        agency = self._find_agency(usage)
        if agency is not None:
            agency.circuit.admit(permit, now)
        return permit

    def report(self, permit: Permit, failure: ErrorKind | None, *, denied: str | None = None) -> ErrorKind | None:
        """The result of an admitted call. None: it succeeded.

        `denied`: the assistant for which the call was refused, in words that may also mean the key. Once several in a
        row were, the key is meant. Returns what the failure counts as.
        """
        now = self.clock()
        if denied is not None and self._is_key_meant(permit.usage, denied, now):
            failure = ErrorKind.KEY_REJECTED
        self._judge_key(permit, failure, now)
        self._judge_provider(permit, failure, now)
        return failure

    def report_leg(self, usage: Usage, failure: ErrorKind | None) -> None:
        """The result of the leg of an admitted call. A success counted for the provider when the request succeeded."""
        permit, now = Permit(usage, leg=True), self.clock()
        self._judge_key(permit, failure, now)
        if failure is not None:
            self._judge_provider(permit, failure, now)

    def _is_key_meant(self, usage: Usage, denied: str, now: float) -> bool:
        agency = self._find_agency(usage) or self._add_agency(usage, now)
        if agency is None:
            return False
        enough = self.thresholds.refusals_in_a_row
        if len(agency.denied) < enough:
            agency.denied.add(denied)
        if len(agency.denied) < enough:
            return False
        agency.refusals = max(agency.refusals, enough - 1)
        return True

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
                agency.refusals = 0
                agency.denied.clear()
                if permit.leg or not agency.dropped:
                    self._forget_agency(permit.usage, now)
            elif refused and agency.count(permit, now) >= self.thresholds.refusals_in_a_row:
                self._open("agency", agency.circuit, permit.usage, failure, now)
        elif agency.circuit.probe is permit:
            if failure is None:
                self._close_agency(agency, permit, now)
            elif refused:
                agency.circuit.keep_open(now)
            else:
                agency.circuit.probe = None

    def _close_agency(self, agency: _OfAgency, permit: Permit, now: float) -> None:
        """The probe's request succeeded. If legs were dropped before, one more dropped leg opens the circuit again."""
        if not agency.dropped:
            self._forget_agency(permit.usage, now)
            return
        agency.refusals, agency.dropped_at = 0, now
        agency.denied.clear()
        agency.dropped = min(agency.dropped, self.thresholds.refusals_in_a_row - 1)
        self._close("agency", agency.circuit, permit.usage, now)

    def _judge_provider(self, permit: Permit, failure: ErrorKind | None, now: float) -> None:
        """A refusal is an answer too: the provider is up. A bad request says nothing about the provider."""
        usage, provider = permit.usage, self._of_provider(permit.usage.provider)
        failed = failure in FAILURES
        answered = failure is None or failure in REFUSALS
        if provider.circuit.closed:
            if answered or failed:
                provider.outcomes.append((now, usage.agency_id, answered))
            if failed and self._is_failing(provider, now):
                provider.outcomes.clear()
                self._open("provider", provider.circuit, usage, failure, now)
        elif provider.circuit.probe is permit:
            if answered:
                self._close("provider", provider.circuit, usage, now)
            elif failed:
                provider.circuit.keep_open(now)
            else:
                provider.circuit.probe = None

    def _is_failing(self, provider: _OfProvider, now: float) -> bool:
        """Enough failures in the window, at least half of the latest outcomes, and not of one agency among several."""
        while provider.outcomes and now - provider.outcomes[0][0] > self.thresholds.window_seconds:
            provider.outcomes.popleft()
        latest = islice(reversed(provider.outcomes), 2 * self.thresholds.failures)
        if sum(not succeeded for _, _, succeeded in latest) < self.thresholds.failures:
            return False
        failed = {agency_id for _, agency_id, succeeded in provider.outcomes if not succeeded}
        return len(failed) > 1 or len(provider.users) <= 1

    def _open(self, scope: Scope, circuit: _Circuit, usage: Usage, reason: ErrorKind | None, now: float) -> None:
        self.tell(Change(scope, opened=True, usage=usage, seconds=circuit.open(now), reason=reason))

    def _close(self, scope: Scope, circuit: _Circuit, usage: Usage, now: float) -> None:
        self.tell(Change(scope, opened=False, usage=usage, seconds=circuit.close(now)))

    def _find_agency(self, usage: Usage) -> _OfAgency | None:
        """What is known about this very key version."""
        known = self._agencies.get((usage.agency_id, usage.provider))
        return known if known is not None and known.usage == usage else None

    def _add_agency(self, usage: Usage, now: float) -> _OfAgency | None:
        """None for a key that has been replaced."""
        name = usage.agency_id, usage.provider
        self._forget_older_key(usage, now)
        if name in self._agencies:
            return None
        self._agencies[name] = _OfAgency(usage, now, _Circuit(self.thresholds))
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

    def _of_provider(self, name: str) -> _OfProvider:
        if name not in self._providers:
            users: TTLCache[str, None] = TTLCache(_MOST_AGENCIES, _USER_SECONDS, self.clock)
            self._providers[name] = _OfProvider(_Circuit(self.thresholds), users)
        return self._providers[name]
