"""Limits how many handoffs may wait for a provider, for one agency and for all, so that a slow provider harms no others.

An agency's requests to one provider never count against those to another, so that the next rung stays free.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

WAITING_PER_AGENCY: Final = 60  # at one provider: about ten new calls a second if each takes the full six seconds
WAITING_PER_PROVIDER: Final = 250  # below the connection pool's limit for one host


@dataclass(frozen=True, slots=True)
class Bulkheads:
    """Counts the requests under way, including those whose caller has moved on."""

    per_agency: int = WAITING_PER_AGENCY
    per_provider: int = WAITING_PER_PROVIDER
    _of_agencies: Counter[tuple[str, str]] = field(default_factory=Counter, init=False)
    _of_providers: Counter[str] = field(default_factory=Counter, init=False)

    def has_room(self, agency_id: str, provider: str) -> bool:
        of_agency, of_provider = self._of_agencies[agency_id, provider], self._of_providers[provider]
        return of_agency < self.per_agency and of_provider < self.per_provider

    def waiting(self, agency_id: str, provider: str) -> int:
        """Requests of the agency to this provider that are under way."""
        return self._of_agencies[agency_id, provider]

    def enter(self, agency_id: str, provider: str) -> None:
        self._of_agencies[agency_id, provider] += 1
        self._of_providers[provider] += 1

    def leave(self, agency_id: str, provider: str) -> None:
        self._of_providers[provider] -= 1
        self._of_agencies[agency_id, provider] -= 1
        if not self._of_agencies[agency_id, provider]:
            del self._of_agencies[agency_id, provider]
