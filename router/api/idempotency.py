"""Idempotency keys: a repeated request with the same Idempotency-Key and body gets the same answer, and is done once.

Answers are kept for 24 hours, sealed, since one may hold a token that is shown once. Failures of ours or of a provider
(5xx) are not kept, so that a retry does the work.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol, TypeAlias

from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response

from crypto import Keyring, OpenError
from router.api.problems import MEDIA_TYPE, Problem, answer_error
from router.errors import InvalidError
from router.store.changes import Receipt
from router.store.pool import Connection, Database
from router.store.sealed import reply_context
from router.store.tenants.idempotency import claim_key, find_reply, release_key, store_reply, sweep_replies

KEY_PATTERN: Final = r"^[\x21-\x7e]{1,255}$"
Handle: TypeAlias = Callable[[Request], Awaitable[Response]]

_PATIENCE: Final = 15.0  # seconds that a repeat waits for the first one's answer
_LOOK_EVERY: Final = 0.1
_SERVER_ERROR: Final = 500
_PROBLEM: Final = 400


class Operation(Protocol):
    """The operation whose answers are kept. `status` is that of a success."""

    method: str
    path: str
    status: int

    def render(self, outcome: Any) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Claim:
    """The right and the duty to do the work of an Idempotency-Key. `scope`: the caller and the operation."""

    scope: str
    key: str
    receipt: Receipt = field(repr=False)

    @property
    def name(self) -> str:
        """Outlives the right to do the work: a purchase is known by it."""
        return hashlib.sha256(f"{self.scope}\n{self.key}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Replies:
    """Keeps the answers."""

    database: Database
    keyring: Keyring = field(repr=False)
    clock: Callable[[], datetime]

    async def answer_once(self, request: Request, operation: Operation, handle: Handle) -> Response:
        """The operation's answer, or that of the first request with this key. Raises Problem, InvalidError."""
        key = request.headers["idempotency-key"]
        if not re.fullmatch(KEY_PATTERN, key):
            raise InvalidError("Idempotency-Key", "must be 1 to 255 visible ASCII characters")
        scope = f"{request.state.actor.name} {operation.method} {request.scope['path']}"
        earlier = await self._claim_or_wait(scope, key, _fingerprint(request.state.document))
        if earlier is not None:
            return earlier

        async def keep(connection: Connection, agency_id: str | None, outcome: Any) -> None:
            await self._store(connection, scope, key, operation.status, operation.render(outcome), agency_id)

        request.state.claim = Claim(scope, key, keep)
        return await self._work(request, operation, handle)

    async def _claim_or_wait(self, scope: str, key: str, fingerprint: bytes) -> Response | None:
        """The answer to an earlier request; None if the work is ours."""
        pool = self.database.settings
        await sweep_replies(pool, self.clock())
        loop = asyncio.get_running_loop()
        until = loop.time() + _PATIENCE
        while not await claim_key(pool, scope, key, fingerprint, self.clock()):
            stored = await find_reply(pool, scope, key)
            if stored and stored.request_hash != fingerprint:
                raise Problem("conflict", "This Idempotency-Key was used with another body: use a new one.")
            if stored and stored.status is not None and stored.reply is not None:
                return self._replay(scope, key, stored.status, stored.reply)
            if loop.time() > until:
                raise Problem("conflict", "The first request with this key is still being processed: repeat it later.")
            await asyncio.sleep(_LOOK_EVERY)
        return None

    def _replay(self, scope: str, key: str, status: int, sealed: str) -> Response:
        try:
            body = self.keyring.open_bytes(sealed, *reply_context(scope, key))
        except OpenError:  # its platform key was removed from the keyring
            raise Problem("conflict", "It was done before, but its answer can no longer be read.") from None
        media = MEDIA_TYPE if status >= _PROBLEM else "application/json"
        return Response(body, status, media_type=media if body else None)

    async def _work(self, request: Request, operation: Operation, handle: Handle) -> Response:
        """Do it. A success is stored by the operation's own transaction; a refusal here."""
        pool, claim = self.database.settings, request.state.claim
        try:
            return await handle(request)
        except RequestValidationError:
            await release_key(pool, claim.scope, claim.key)
            raise
        except Exception as error:  # noqa: BLE001 - the same problem as without a key
            refused = answer_error(error, operation.path, operation.method)
            if refused.status_code >= _SERVER_ERROR:
                await release_key(pool, claim.scope, claim.key)
            else:
                agency_id = request.path_params.get("agency")
                await self._store(pool, claim.scope, claim.key, refused.status_code, bytes(refused.body), agency_id)
            return refused
        except BaseException:
            await release_key(pool, claim.scope, claim.key)
            raise

    async def _store(
        self, connection: Connection, scope: str, key: str, status: int, body: bytes, agency_id: str | None
    ) -> None:
        sealed = self.keyring.seal(body, *reply_context(scope, key))
        await store_reply(connection, scope, key, status, sealed, agency_id)


def _fingerprint(document: dict[str, Any]) -> bytes:
    """Of the body, whatever the order of its fields and its white space."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).digest()
