"""Whether this process's public address is the one that the database has, and what follows if it is not.

Numbers, assistants and webhooks lead to the database's address. A process with another one answers calls, but leaves all
work outside to be done later: either the service moves (`callrouter move`), or this database is a copy of one that is in
use (`callrouter adopt`), and only the operator knows which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from router.clock import Clock
from router.errors import ConflictError
from router.store.pool import Database
from router.store.public_addresses import (
    SEEN_EVERY,
    PublicAddress,
    adopt,
    forget_addresses,
    list_addresses,
    note_address,
)
from router.telemetry import emit, metrics

SETTING: Final = "CALLROUTER_PUBLIC_URL"
WHAT_WAITS: Final = "Calls are answered; work at Twilio and the providers, outgoing webhooks and mail wait"
WHAT_TO_DO: Final = (
    "run `callrouter move` if the service moves to this address, or `callrouter adopt` if this is a copy of a database "
    "that is in use elsewhere"
)


@dataclass(slots=True)
class OwnAddress:
    """`address` has no trailing slash. Unless it is `configured`, it is only compared, and never stored first."""

    database: Database
    address: str
    configured: bool
    clock: Clock
    _known: Sequence[PublicAddress] = field(default=(), init=False)
    _told: str | None = field(default=None, init=False)

    @property
    def differing(self) -> str | None:
        """The database's address, if it is not ours."""
        present = next((one.address for one in self._known if one.present), None)
        return None if present == self.address else present

    def proving(self) -> tuple[str, ...]:
        """Under which addresses a request may be signed. Ours comes first.

        While ours is not the present one, the present one proves for as long as ours would: 24 hours from when the
        difference was first seen.
        """
        until = {one.address: one.proves_until for one in self._known}
        ours, now = until.get(self.address), self.clock()
        others = [name for name in until if name != self.address and (until[name] or ours or now) > now]
        return (self.address, *others)

    async def look(self) -> None:
        """Read the database's address, and note ours if it is new. Raises DATABASE_ERRORS."""
        pool = self.database.settings
        known = await list_addresses(pool)
        ours = next((one for one in known if one.address == self.address), None)
        now = self.clock()
        is_new = ours is None and (known or self.configured)
        if is_new or (ours is not None and not ours.present and ours.seen_at <= now - SEEN_EVERY):
            async with pool.acquire() as connection, connection.transaction():
                await note_address(connection, self.address, now)
                known = await list_addresses(connection)
        elif ours is not None and ours.present and len(known) > 1:
            await forget_addresses(pool, now)
        self._known = known
        self._tell()

    async def adopt(self) -> None:
        """The database is a copy: it gets our address, and all that is outside stays with the original.

        Raises DATABASE_ERRORS.
        """
        async with self.database.settings.acquire() as connection, connection.transaction():
            await adopt(connection, self.address, self.clock())
        await self.look()

    async def must_wait(self) -> bool:
        """Whether work outside must wait, as the database says now. Raises DATABASE_ERRORS."""
        await self.look()
        return self.differing is not None

    def require_present(self) -> None:
        """Raises ConflictError while work outside must wait."""
        if self.differing is not None:
            raise ConflictError(
                "The service's public address differs from the one in its database, so nothing is changed at Twilio or the "
                f"providers. The operator has to {WHAT_TO_DO}."
            )

    def _tell(self) -> None:
        """Log a difference when it is first seen."""
        metrics.public_address_differs(self.differing is not None)
        if self.differing != self._told and self.differing is not None:
            emit("settings.warning", setting=SETTING, message=describe(self.address, self.differing))
        self._told = self.differing


def describe(ours: str, theirs: str) -> str:
    """A difference, for the operator."""
    return f"is {ours}, but this database belongs to {theirs}. {WHAT_WAITS}: {WHAT_TO_DO}"
