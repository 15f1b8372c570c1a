"""How many handoffs may wait at once, of one agency at a provider and of all at it, so that one who hangs slows no one.

An agency's requests to one provider never count against those to another: the next rung has to stay free.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

WAITING_PER_AGENCY: Final = 60  # at one provider: some ten new calls a second if it takes its full six seconds
WAITING_PER_PROVIDER: Final = 250  # below what the connection pool gives to one host


class Bulkheads:
    """Counts of requests that are under way, also of those that nobody waits for any more."""

    def __init__(self, per_agency: int = WAITING_PER_AGENCY, per_provider: int = WAITING_PER_PROVIDER) -> None:
        self._per_agency = per_agency
        self._per_provider = per_provider
        self._of_agencies: Counter[tuple[str, str]] = Counter()
        self._of_providers: Counter[str] = Counter()

    def has_room(self, agency_id: str, provider: str) -> bool:
        return (
            self._of_agencies[agency_id, provider] < self._per_agency
            and self._of_providers[provider] < self._per_provider
        )

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
