"""How many handoffs may wait at once, for one agency and at one provider, so that one who hangs slows no one else."""

from __future__ import annotations

from collections import Counter
from typing import Final

WAITING_PER_AGENCY: Final = 60  # some ten new calls a second at a provider that takes its full six seconds
WAITING_PER_PROVIDER: Final = 250  # below what the connection pool gives to one host


class Bulkheads:
    """Counts of requests that are under way, also of those that nobody waits for any more."""

    def __init__(self, per_agency: int = WAITING_PER_AGENCY, per_provider: int = WAITING_PER_PROVIDER) -> None:
        self._per_agency = per_agency
        self._per_provider = per_provider
        self._waiting: Counter[tuple[str, str]] = Counter()

    def has_room(self, agency_id: str, provider: str) -> bool:
        return (
            self._waiting["agency", agency_id] < self._per_agency
            and self._waiting["provider", provider] < self._per_provider
        )

    def enter(self, agency_id: str, provider: str) -> None:
        self._waiting["agency", agency_id] += 1
        self._waiting["provider", provider] += 1

    def leave(self, agency_id: str, provider: str) -> None:
        for mark in (("agency", agency_id), ("provider", provider)):
            self._waiting[mark] -= 1
            if not self._waiting[mark]:
                del self._waiting[mark]
