"""A provider opened with one agency's key, and how its refusals are handled."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from adapters.base import ErrorKind, ProviderError
from adapters.facets import AssistantsFacet
from adapters.portable import Wiring
from router.clock import Clock
from router.jobs import Again, RetryPolicy
from router.store.assistants.places import Place
from router.store.keys.health import hasten_check
from router.store.keys.versions import StoredKey, find_pause, pause_key
from router.store.pool import Database
from router.wanted import Places

LIMIT: Final = 10.0
"""Seconds for each request of a job."""
WORK_SECONDS: Final = 100.0
"""For all requests about one assistant: well below the lease."""
POLICY: Final = RetryPolicy(first=timedelta(seconds=5), factor=4.0, longest=timedelta(minutes=30), attempts=6)
LONGEST_WAIT: Final = 30.0
"""Seconds until a job looks again: a new key may have ended the former one's pause."""
KEY_IS_BAD: Final = frozenset({ErrorKind.KEY_REJECTED, ErrorKind.OUT_OF_CREDIT})
TOO_MUCH: Final = frozenset({ErrorKind.RATE_LIMITED, ErrorKind.AT_CAPACITY})
UNREADABLE: Final = "The saved key can no longer be read: save it again."

_DEFAULT_PAUSE: Final = 15.0  # seconds, for a provider that does not say how long
_OUR_TOKENS: Final = re.compile(r"(token=|hook_)[^\s\"'<>]*")


@dataclass(frozen=True, slots=True)
class Site:
    """A provider, worked on with one version of an agency's key."""

    host: AssistantsFacet[Any]
    key: StoredKey
    database: Database
    places: Places
    clock: Clock
    seconds: float = LIMIT  # for each request

    @property
    def provider(self) -> str:
        return self.key.kind

    @property
    def label(self) -> str:
        return self.places.providers.label(self.key.kind)

    def wire(self) -> Wiring:
        """Raises crypto.OpenError."""
        return self.places.wirings.make(self.key)

    @property
    def place(self) -> Place:
        return self.places.of(self.key)

    def open(self) -> Any:
        """The provider's client, for one call of the facet. Raises crypto.OpenError."""
        key = self.places.wirings.vault.open_key(self.key)
        return self.places.providers[self.provider].open(key, self.seconds)

    def explain(self, error: ProviderError) -> str:
        """The failure for people. A provider may quote the address that we gave it, so its token is removed."""
        said = _OUR_TOKENS.sub("…", error.said).strip().rstrip(".")
        match error.kind:
            case ErrorKind.KEY_REJECTED:
                text = f"{self.label} refused the key"
            case ErrorKind.OUT_OF_CREDIT:
                text = f"The account at {self.label} has no credit left"
            case ErrorKind.BAD_REQUEST:
                text = f"{self.label} refused the assistant"
            case _:
                return f"{self.label} could not be reached or failed ({error})."
        return f"{text}: {said}." if said else f"{text}."

    async def wait_for_pause(self) -> None:
        """Raises Again while the provider wants no requests with this key."""
        until = await find_pause(self.database.settings, self.key)
        now = self.clock()
        if until is not None and until > now:
            raise Again(min((until - now).total_seconds(), LONGEST_WAIT))

    async def pause(self, error: ProviderError) -> Again:
        """Stop all requests with this key for as long as the provider asks. Returns the exception to raise."""
        seconds = error.retry_after if error.retry_after is not None else _DEFAULT_PAUSE
        until = self.clock() + timedelta(seconds=seconds)
        await pause_key(self.database.settings, self.key, until)
        return Again(min(seconds, LONGEST_WAIT))

    async def doubt_key(self) -> None:
        """Have the key checked soon: only that tells a bad key from one that lacks a permission."""
        key = self.key
        await hasten_check(self.database.settings, key.agency_id, key.kind, key.version, self.clock())


@dataclass(frozen=True, slots=True)
class Sites:
    database: Database
    places: Places
    clock: Clock

    def open(self, key: StoredKey, seconds: float = LIMIT) -> Site | None:
        """None: we keep no assistants at that provider."""
        host = self.find_host(key.kind)
        return None if host is None else Site(host, key, self.database, self.places, self.clock, seconds)

    def find_host(self, provider: str) -> AssistantsFacet[Any] | None:
        there = self.places.providers.get(provider)
        return None if there is None else there.assistants
