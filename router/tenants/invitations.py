"""Invitations: a link with which one person signs in to the console, once. Using it makes their token.

The link is short-lived, and its role and the token's expiry are fixed when it is made. Deleting the token that made it
ends it, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from crypto import Secret
from router.addresses import Addresses
from router.errors import ConflictError, NotFoundError
from router.ids import new_id, new_secret
from router.store.changes import Author, Changes
from router.store.tenants.agencies import find_agency, lock_agency
from router.store.tenants.invitations import (
    Invitation,
    count_invitations,
    delete_expired_invitations,
    delete_invitation,
    find_invitation,
    insert_invitation,
    take_invitation,
)
from router.store.tenants.tokens import Role, Token, insert_token
from router.tenants.tokens import IssuedToken, check_room, find_maker, limit_expiry

LIFE: Final = timedelta(days=1)
MOST_OPEN: Final = 20
_LONGEST: Final = 200  # characters of a link's secret, as `link` brings it


@dataclass(frozen=True, slots=True)
class IssuedInvitation:
    """A new invitation. Its address is shown only once."""

    id: str
    name: str
    role: Role
    until: datetime
    expires_at: datetime | None
    url: Secret = field(repr=False)


@dataclass(frozen=True, slots=True)
class Invited:
    """What the link's holder may know before using it."""

    agency: str
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Joined:
    agency_id: str
    token: IssuedToken


@dataclass(frozen=True, slots=True)
class Invitations:
    changes: Changes
    addresses: Addresses

    async def create(
        self, agency_id: str, name: str, role: Role, expires_at: datetime | None, author: Author
    ) -> IssuedInvitation:
        """Its token gives no access for longer than the one that makes it. Raises DomainError."""
        now, secret = self.changes.clock(), new_secret("callrouter_invitation")
        async with self.changes.begin(author, agency_id) as change:
            connection = change.connection
            if await lock_agency(connection, agency_id) is None:
                raise NotFoundError("agency")
            await delete_expired_invitations(connection, agency_id, now)
            if await count_invitations(connection, agency_id) >= MOST_OPEN:
                raise ConflictError(f"{MOST_OPEN} invitations are open. Delete one first.")
            await check_room(connection, agency_id, now)
            maker = await find_maker(connection, agency_id, author)
            invitation = Invitation(
                id=new_id("invitation"),
                agency_id=agency_id,
                name=name,
                role=role,
                made_by=author.name,
                created_at=now,
                until=now + LIFE,
                expires_at=limit_expiry(expires_at, maker, now),
                makers=() if maker is None else (*maker.makers, maker.id),
            )
            await insert_invitation(connection, invitation, secret)
            await change.record("invitation.created", invitation.id)
            url = Secret(self.addresses.join(secret.reveal()))
            return change.done(
                IssuedInvitation(invitation.id, name, role, invitation.until, invitation.expires_at, url)
            )

    async def delete(self, agency_id: str, invitation_id: str, author: Author) -> None:
        """Raises NotFoundError."""
        async with self.changes.begin(author, agency_id) as change:
            if not await delete_invitation(change.connection, agency_id, invitation_id):
                raise NotFoundError("invitation")
            await change.record("invitation.deleted", invitation_id)
            change.done(None)

    async def find(self, link: str) -> Invited | None:
        """None: the link does not work, or no longer. Nothing is used up. Raises DATABASE_ERRORS."""
        if len(link) > _LONGEST:
            return None
        pool = self.changes.database.settings
        found = await find_invitation(pool, Secret(link), self.changes.clock())
        agency = None if found is None else await find_agency(pool, found.agency_id)
        return None if found is None or agency is None else Invited(agency.name, found.name, found.role)

    async def use(self, link: str, address: str | None) -> Joined | None:
        """The token of whoever is invited, who signs in with it. None as for `find`. Raises DATABASE_ERRORS."""
        if len(link) > _LONGEST:
            return None
        now, token_id, secret = self.changes.clock(), new_id("token"), Secret(link)
        found = await find_invitation(self.changes.database.settings, secret, now)
        if found is None:
            return None
        async with self.changes.begin(Author(token_id, address), found.agency_id) as change:
            await lock_agency(change.connection, found.agency_id)
            taken = await take_invitation(change.connection, secret, now)
            if taken is None:
                return None
            text = new_secret("callrouter")
            token = Token(
                id=token_id,
                agency_id=taken.agency_id,
                name=taken.name,
                role=taken.role,
                made_by=taken.made_by,
                created_at=now,
                expires_at=taken.expires_at,
                makers=taken.makers,
            )
            await insert_token(change.connection, token, text)
            await change.record("invitation.used", taken.id)
            await change.record("console.signed_in", token_id)
        return Joined(taken.agency_id, IssuedToken(token_id, taken.name, taken.role, taken.expires_at, text))
