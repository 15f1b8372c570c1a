"""The words in which the API is declared: what an endpoint is, what it is asked, and what it answers.

Not here: HTTP (router.api.http) and the OpenAPI document (router.api.openapi), both made from these.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeAlias, TypeVar

from pydantic import BaseModel
from starlette.responses import Response

from router.api.auth import Actor
from router.api.pages import Page
from router.services import ApiServices
from router.store.changes import Author
from router.store.pool import COMMAND_SECONDS, Connection
from router.store.sealed import seal_reply
from router.store.tenants.audit import AuditEntry, insert_audit_entry
from router.store.tenants.idempotency import store_reply

WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})

_Body = TypeVar("_Body", bound=BaseModel | None)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint says: a status, and the JSON of a body if there is one."""

    status: int
    body: bytes = field(default=b"", repr=False)  # a token is shown once, and not in a log

    @classmethod
    def of(cls, status: int, body: BaseModel | None = None) -> Answer:
        return cls(status, b"" if body is None else body.model_dump_json(by_alias=True).encode())


@dataclass(frozen=True, slots=True)
class Claim:
    """The right and the duty to do the work of an Idempotency-Key. `scope` is who asks, and what."""

    scope: str
    key: str


@dataclass(frozen=True, slots=True)
class ApiRequest(Generic[_Body]):
    """One request to an endpoint, already admitted and read. `document` is the body as it came."""

    services: ApiServices
    actor: Actor
    path: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    query: Mapping[str, str]
    page: Page
    body: _Body = field(repr=False)
    document: Mapping[str, Any] = field(repr=False)
    address: str | None
    claim: Claim | None

    @property
    def agency_id(self) -> str:
        return self.path["agency"]

    def author(self, status: int = 204, reply: type[BaseModel] | None = None) -> Author:
        """Who asks, for the domain's changes; with a receipt where the request may be repeated."""
        name, address, is_operator = self.actor.name, self.address, self.actor.is_admin
        claim, keyring = self.claim, self.services.keyring
        if claim is None:
            return Author(name, address, is_operator)

        async def keep(connection: Connection, outcome: Any) -> None:
            answer = Answer.of(status, None if reply is None else reply.model_validate(outcome))
            sealed = seal_reply(keyring, answer.body, claim.scope, claim.key)
            await store_reply(connection, claim.scope, claim.key, status, sealed)

        digest = hashlib.sha256(f"{claim.scope}\n{claim.key}".encode()).hexdigest()
        return Author(name, address, is_operator, digest, keep)

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[Changes]:
        """One transaction, which also stores the answer where the request may be repeated."""
        pool = self.services.database.settings
        async with pool.acquire(timeout=COMMAND_SECONDS) as connection, connection.transaction():
            changes = Changes(self, connection)
            yield changes
            await changes.finish()


class Changes:
    """What one request changes, all of it or nothing."""

    def __init__(self, request: ApiRequest[Any], connection: Connection) -> None:
        self._request = request
        self._answer: Answer | None = None
        self.connection = connection

    async def record(self, action: str, target: str, agency_id: str | None = None) -> None:
        """Note the change in the agency's audit log."""
        services = self._request.services
        entry = AuditEntry(
            id=services.new_id("audit"),
            at=services.clock(),
            actor=self._request.actor.name,
            action=action,
            target=target,
            address=self._request.address,
        )
        await insert_audit_entry(self.connection, agency_id or self._request.agency_id, entry)

    def answer(self, status: int, body: BaseModel | None = None) -> Answer:
        """What the request is answered with once everything is committed."""
        self._answer = Answer.of(status, body)
        return self._answer

    async def finish(self) -> None:
        claim = self._request.claim
        if claim is None or self._answer is None:
            return
        sealed = seal_reply(self._request.services.keyring, self._answer.body, claim.scope, claim.key)
        await store_reply(self.connection, claim.scope, claim.key, self._answer.status, sealed)


Handler: TypeAlias = Callable[[ApiRequest[Any]], Awaitable[Answer | Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation of the API. `query` names its own parameters; `media` is for an answer that is no JSON, `ranged`
    for one of which parts may be asked for; `headers` names those of its own that it heeds.
    """

    method: str
    path: str
    summary: str
    handle: Handler
    status: int = 200
    body: type[BaseModel] | None = None
    reply: type[BaseModel] | None = None
    problems: tuple[str, ...] = ()
    description: str = ""
    admin_only: bool = False
    paged: bool = False
    query: tuple[str, ...] = ()
    media: str | None = None
    ranged: bool = False
    headers: tuple[str, ...] = ()

    @property
    def writes(self) -> bool:
        return self.method in WRITES
