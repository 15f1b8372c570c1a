"""A provider as an agency's key opens it, and what is made of its refusals."""

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
"""Seconds for each request, unless somebody waits."""
POLICY: Final = RetryPolicy(first=timedelta(seconds=5), factor=4.0, longest=timedelta(minutes=30), attempts=6)
LONGEST_WAIT: Final = 30.0
"""Seconds until a job looks again: a new key may have ended the pause of the former one."""
KEY_IS_BAD: Final = frozenset({ErrorKind.KEY_REJECTED, ErrorKind.OUT_OF_CREDIT})
TOO_MUCH: Final = frozenset({ErrorKind.RATE_LIMITED, ErrorKind.AT_CAPACITY})

_DEFAULT_PAUSE: Final = 15.0  # for a provider that does not say how long
_OUR_TOKENS: Final = re.compile(r"(token=|hook_)[^\s\"'<>]*")


@dataclass(frozen=True, slots=True)
class Site:
    """Where work is done with one version of a key."""

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
        """What people read of a failure. A provider may repeat the address that we gave it, with its token."""
        said = _OUR_TOKENS.sub("…", error.said).strip().rstrip(".")
        match error.kind:
            case ErrorKind.KEY_REJECTED:
                text = f"{self.label} refused the key"
            case ErrorKind.OUT_OF_CREDIT:
                text = f"There is no credit left at {self.label}"
            case ErrorKind.BAD_REQUEST:
                text = f"{self.label} refused it"
            case _:
                return f"{self.label} could not do it now ({error})."
        return f"{text}: {said}." if said else f"{text}."

    async def wait_for_pause(self) -> None:
        """Raises Again while nobody is to ask with this key."""
        until = await find_pause(self.database.settings, self.key)
        now = self.clock()
        if until is not None and until > now:
            raise Again(min((until - now).total_seconds(), LONGEST_WAIT))

    async def pause(self, error: ProviderError) -> Again:
        """Nobody asks before the provider wants to be asked again. To be raised."""
        seconds = error.retry_after if error.retry_after is not None else _DEFAULT_PAUSE
        until = self.clock() + timedelta(seconds=seconds)
        await pause_key(self.database.settings, self.key, until)
        return Again(min(seconds, LONGEST_WAIT))

    async def doubt_key(self) -> None:
        """Let it be looked at: whether it is the key that is bad, or what it may not do, only that tells."""
        key = self.key
        await hasten_check(self.database.settings, key.agency_id, key.kind, key.version, self.clock())


@dataclass(frozen=True, slots=True)
class Sites:
    """Opens sites."""

    database: Database
    places: Places
    clock: Clock

    def open(self, key: StoredKey, seconds: float = LIMIT) -> Site | None:
        """None: we keep no assistants at that provider. `seconds` for each request."""
        host = self.find_host(key.kind)
        return None if host is None else Site(host, key, self.database, self.places, self.clock, seconds)

    def find_host(self, provider: str) -> AssistantsFacet[Any] | None:
        there = self.places.providers.get(provider)
        return None if there is None else there.assistants
