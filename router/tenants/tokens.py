"""Tokens with which an agency's people and programs use the API."""

from __future__ import annotations

from dataclasses import dataclass, field

from crypto import Secret
from router.errors import NotFoundError
from router.ids import new_id, new_secret
from router.store.changes import Author, Changes
from router.store.tenants.tokens import Token, delete_token, insert_token


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token. It is shown only once: a hash of it is stored."""

    id: str
    name: str
    token: Secret = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tokens:
    changes: Changes

    async def create(self, agency_id: str, name: str, author: Author) -> IssuedToken:
        token = Token(new_id("token"), agency_id, name, self.changes.clock())
        secret = new_secret("callrouter")
        async with self.changes.begin(author, agency_id) as change:
            await insert_token(change.connection, token, secret)
            await change.record("token.created", token.id)
            return change.done(IssuedToken(token.id, token.name, secret))

    async def delete(self, agency_id: str, token_id: str, author: Author) -> None:
        """Raises NotFoundError."""
        async with self.changes.begin(author, agency_id) as change:
            if not await delete_token(change.connection, agency_id, token_id):
                raise NotFoundError("token")
            await change.record("token.deleted", token_id)
            change.done(None)
