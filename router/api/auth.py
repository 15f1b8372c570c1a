"""Who sends a request to /v1: the operator, or the holder of an agency's token. Wrong tokens are counted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from crypto import Secret
from router.api.problems import Problem
from router.clock import Clock
from router.peers import WrongTokens
from router.store.pool import Database
from router.store.tenants.audit import count_refused_tokens
from router.store.tenants.tokens import Role, find_token, note_use

_AT_ONCE: Final = 2  # of the connections that all settings share
_USE_NOTED_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Actor:
    """Whose token it is: `name` is "admin" or the token's id; `agency_id` None: the operator, who may do everything."""

    name: str
    agency_id: str | None
    role: Role = "full"
    expires_at: datetime | None = None

    @property
    def is_admin(self) -> bool:
        return self.agency_id is None

    @property
    def may_change(self) -> bool:
        return self.role == "full"


_ADMIN: Final = Actor("admin", None)


@dataclass(frozen=True, slots=True)
class Authentication:
    """A right token always passes, however many wrong ones came from the same address."""

    database: Database
    admin_token: Secret = field(repr=False)
    wrong: WrongTokens
    clock: Clock
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def identify(self, headers: Mapping[str, str], address: str | None) -> Actor:
        """Raises Problem without a valid token."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        token = Secret(given.strip())
        if scheme.lower() != "bearer" or not token:
            raise unauthorized("Send `Authorization: Bearer TOKEN`.")
        if token == self.admin_token:
            return _ADMIN
        async with self._turns:
            if actor := await self._find(token):
                return actor
        if self.wrong.admit(address):
            raise unauthorized("This token does not exist, or is no longer valid. A new one is shown only once.")
        raise Problem(
            "rate-limited",
            "Too many wrong tokens. A right one is accepted at any time.",
            headers={"Retry-After": str(self.wrong.seconds_to_wait())},
        )

    async def write_refusals(self) -> None:
        """Into the operator's audit log. Refusals that cannot be written are not counted."""
        if counts := self.wrong.take_counts():
            await count_refused_tokens(self.database.settings, counts, self.clock())

    async def _find(self, token: Secret) -> Actor | None:
        now = self.clock()
        found = await find_token(self.database.settings, token, now)
        if found is None:
            return None
        if found.last_used_at is None or found.last_used_at <= now - _USE_NOTED_EVERY:
            await note_use(self.database.settings, found.id, now)
        return Actor(found.id, found.agency_id, found.role, found.expires_at)


def unauthorized(detail: str) -> Problem:
    return Problem("unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="callrouter"'})
