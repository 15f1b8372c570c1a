"""Limits how many handoffs may wait for a provider, for one agency and for all, so that one that hangs harms no others.

A request that its provider answers in the usual time is no danger, however many there are: it only takes a place, and an
agency may take as many as it leaves free for the others. What takes longer is overdue, and of those an agency, and all of
them together, may have few. An agency's requests to one provider never count against those to another, so that the next
rung stays free.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

PLACES: Final = 1500  # at one provider; fewer than connections to its host
OVERDUE_OF_AGENCY: Final = 60  # at one provider: about ten new calls a second if each takes the full six seconds
OVERDUE_AT_PROVIDER: Final = 250
_LEAST_PATIENCE: Final = 1.0  # seconds
_MOST_PATIENCE: Final = 3.0  # of the six that a caller waits for a provider
_TIMES_AS_USUAL: Final = 2.0
_WEIGHT: Final = 1 / 32  # of the latest answer, in what is usual


@dataclass(slots=True, eq=False)
class Place:
    """Of one request under way."""

    agency_id: str
    provider: str
    entered_at: float
    overdue: bool = False


@dataclass(slots=True)
class _OfAgency:
    """At one provider."""

    waiting: int = 0
    overdue: int = 0


@dataclass(slots=True)
class _AtProvider:
    """`in_time`: places that are not overdue, oldest first. `overdue`: of each agency, no more than it may have."""

    usual_seconds: float = 0.0
    waiting: int = 0
    overdue: int = 0
    in_time: OrderedDict[Place, None] = field(default_factory=OrderedDict)
    agencies: dict[str, _OfAgency] = field(default_factory=dict)

    @property
    def patience(self) -> float:
        return min(max(_TIMES_AS_USUAL * self.usual_seconds, _LEAST_PATIENCE), _MOST_PATIENCE)


@dataclass(frozen=True, slots=True)
class Bulkheads:
    """Counts the requests under way, including those whose caller has moved on."""

    places: int = PLACES
    overdue_of_agency: int = OVERDUE_OF_AGENCY
    overdue_at_provider: int = OVERDUE_AT_PROVIDER
    clock: Callable[[], float] = time.monotonic
    _providers: dict[str, _AtProvider] = field(default_factory=dict, init=False)

    def has_room(self, agency_id: str, provider: str) -> bool:
        there = self._at(provider)
        self._find_overdue(there)
        agency = there.agencies.get(agency_id)
        free = self.places - there.waiting
        if there.overdue >= self.overdue_at_provider or free <= 0:
            return False
        return agency is None or (agency.overdue < self.overdue_of_agency and agency.waiting < free)

    def waiting(self, agency_id: str, provider: str) -> int:
        """Requests of the agency to this provider that are under way."""
        agency = self._at(provider).agencies.get(agency_id)
        return 0 if agency is None else agency.waiting

    def enter(self, agency_id: str, provider: str) -> Place:
        there, place = self._at(provider), Place(agency_id, provider, self.clock())
        there.in_time[place] = None
        there.waiting += 1
        there.agencies.setdefault(agency_id, _OfAgency()).waiting += 1
        return place

    def leave(self, place: Place, *, answered: bool) -> None:
        """`answered`: the provider took the call. How long that took is what is usual for it."""
        there = self._at(place.provider)
        agency = there.agencies[place.agency_id]
        there.waiting -= 1
        agency.waiting -= 1
        if place.overdue:
            there.overdue -= agency.overdue <= self.overdue_of_agency
            agency.overdue -= 1
        else:
            del there.in_time[place]
        if not agency.waiting:
            del there.agencies[place.agency_id]
        if answered:
            there.usual_seconds += _WEIGHT * (self.clock() - place.entered_at - there.usual_seconds)

    def _find_overdue(self, there: _AtProvider) -> None:
        late = self.clock() - there.patience
        while there.in_time:
            place = next(iter(there.in_time))
            if place.entered_at > late:
                return
            del there.in_time[place]
            place.overdue = True
            agency = there.agencies[place.agency_id]
            agency.overdue += 1
            there.overdue += agency.overdue <= self.overdue_of_agency

    def _at(self, provider: str) -> _AtProvider:
        if provider not in self._providers:
            self._providers[provider] = _AtProvider()
        return self._providers[provider]
