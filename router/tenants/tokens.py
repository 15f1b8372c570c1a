"""Tokens with which an agency's people and programs use the API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from crypto import Secret
from router.errors import ConflictError, InvalidError, NotFoundError
from router.ids import new_id, new_secret
from router.store.changes import Author, Changes
from router.store.pool import Connection
from router.store.tenants.agencies import lock_agency
from router.store.tenants.tokens import (
    Role,
    Token,
    count_tokens,
    delete_tokens,
    find_token_by_id,
    insert_token,
    list_made,
)

MOST_OF_AGENCY: Final = 200


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token. It is shown only once: a hash of it is stored."""

    id: str
    name: str
    role: Role
    expires_at: datetime | None
    token: Secret = field(repr=False)


@dataclass(frozen=True, slots=True)
class Revocation:
    """The tokens that were deleted, and those that the first of them made and that still give access."""

    deleted: Sequence[str]
    made: Sequence[Token]


@dataclass(frozen=True, slots=True)
class Tokens:
    changes: Changes

    async def create(
        self, agency_id: str, name: str, role: Role, expires_at: datetime | None, author: Author
    ) -> IssuedToken:
        """A token gives no access for longer than the one that makes it. Raises DomainError."""
        now, secret = self.changes.clock(), new_secret("callrouter")
        async with self.changes.begin(author, agency_id) as change:
            if await lock_agency(change.connection, agency_id) is None:
                raise NotFoundError("agency")
            await check_room(change.connection, agency_id, now)
            maker = await find_maker(change.connection, agency_id, author)
            expires_at = limit_expiry(expires_at, maker, now)
            token = Token(
                id=new_id("token"),
                agency_id=agency_id,
                name=name,
                role=role,
                made_by=author.name,
                created_at=now,
                expires_at=expires_at,
                makers=() if maker is None else (*maker.makers, maker.id),
            )
            await insert_token(change.connection, token, secret)
            await change.record("token.created", token.id)
            return change.done(IssuedToken(token.id, name, role, expires_at, secret))

    async def delete(self, agency_id: str, token_id: str, author: Author, *, made: bool) -> Revocation:
        """With `made`, also the tokens that it made, directly or through others. Raises NotFoundError."""
        async with self.changes.begin(author, agency_id) as change:
            await lock_agency(change.connection, agency_id)
            if await find_token_by_id(change.connection, agency_id, token_id) is None:
                raise NotFoundError("token")
            living = await list_made(change.connection, agency_id, token_id, self.changes.clock())
            deleted = [token_id, *(token.id for token in living if made)]
            await delete_tokens(change.connection, agency_id, deleted)
            for each in deleted:
                await change.record("token.deleted", each)
            return change.done(Revocation(deleted, [] if made else living))


async def check_room(connection: Connection, agency_id: str, now: datetime) -> None:
    """For one more token. Raises ConflictError."""
    if await count_tokens(connection, agency_id, now) >= MOST_OF_AGENCY:
        raise ConflictError(f"The agency has {MOST_OF_AGENCY} tokens and invitations. Delete one first.")


async def find_maker(connection: Connection, agency_id: str, author: Author) -> Token | None:
    """None: the operator. Raises NotFoundError for a token that was deleted since the request began."""
    if author.is_operator:
        return None
    maker = await find_token_by_id(connection, agency_id, author.name)
    if maker is None:
        raise NotFoundError("token")
    return maker


def limit_expiry(expires_at: datetime | None, maker: Token | None, now: datetime) -> datetime | None:
    """When a token that this one makes expires. Raises InvalidError."""
    if expires_at is not None and expires_at <= now:
        raise InvalidError("expires_at", "must be in the future")
    if maker is None or maker.expires_at is None:
        return expires_at
    if expires_at is not None and expires_at > maker.expires_at:
        raise InvalidError("expires_at", "must not be later than the expiry of the token that creates it")
    return expires_at or maker.expires_at
