"""Who asks: the platform's operator or an agency, by bearer token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crypto import Secret
from router.api.problems import Problem
from router.store.pool import Database
from router.store.tenants.tokens import find_token


@dataclass(frozen=True, slots=True)
class Actor:
    """`name` is "admin" or the token's id; `agency_id` None: may do everything."""

    name: str
    agency_id: str | None

    @property
    def is_admin(self) -> bool:
        return self.agency_id is None


_ADMIN = Actor("admin", None)


async def authenticate(database: Database, admin_token: Secret, headers: Mapping[str, str]) -> Actor:
    """Raises Problem for no token and for one that we don't know."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    token = Secret(given.strip())
    if scheme.lower() != "bearer" or not token:
        raise _unauthorized("Send `Authorization: Bearer TOKEN`.")
    if token == admin_token:
        return _ADMIN
    found = await find_token(database.settings, token)
    if found is None:
        raise _unauthorized("This token is not known. Ask for a new one: tokens cannot be shown again.")
    return Actor(found.id, found.agency_id)


def _unauthorized(detail: str) -> Problem:
    return Problem("unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="callrouter"'})
