"""Writes that may be repeated: the same Idempotency-Key and body get the same answer, and the work is done once.

Answers are kept for 24 hours, sealed, since one may hold a token that is shown once. What failed on our side or at a
provider (5xx) is not kept: trying it again is the point.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from dataclasses import replace
from typing import Any, Final

from starlette.responses import Response

from crypto import OpenError
from router.api.operations import Answer, ApiRequest, Claim, Handler
from router.api.problems import Problem, invalid
from router.store.sealed import open_reply, seal_reply
from router.store.tenants.idempotency import claim_key, find_reply, release_key, store_reply, sweep_replies

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_PATIENCE: Final = 15.0  # seconds that a repeat waits for the first one's answer
_LOOK_EVERY: Final = 0.1
_SERVER_ERROR: Final = 500


async def answer_once(request: ApiRequest[Any], method: str, path: str, handle: Handler) -> Answer | Response:
    """The endpoint's answer, or that of the first request with this key. Raises Problem."""
    key = request.headers["idempotency-key"]
    if not _KEY.fullmatch(key):
        raise invalid("Idempotency-Key", "must be 1 to 255 visible ASCII characters")
    claim = Claim(f"{request.actor.name} {method} {path}", key)
    earlier = await _claim_or_wait(request, claim)
    if earlier is not None:
        return earlier
    return await _work(replace(request, claim=claim), claim, handle)


async def _claim_or_wait(request: ApiRequest[Any], claim: Claim) -> Answer | None:
    """The answer of somebody who was here before; None if the work is ours."""
    pool = request.services.database.settings
    fingerprint = _fingerprint(request)
    await sweep_replies(pool, request.services.clock())
    loop = asyncio.get_running_loop()
    until = loop.time() + _PATIENCE
    while not await claim_key(pool, claim.scope, claim.key, fingerprint, request.services.clock()):
        stored = await find_reply(pool, claim.scope, claim.key)
        if stored and stored.request_hash != fingerprint:
            raise Problem("conflict", "This Idempotency-Key came with another body before: take a new one.")
        if stored and stored.status is not None and stored.reply is not None:
            return _replay(request, claim, stored.status, stored.reply)
        if loop.time() > until:
            raise Problem("conflict", "The first request with this Idempotency-Key is still at work: repeat it later.")
        await asyncio.sleep(_LOOK_EVERY)
    return None


def _replay(request: ApiRequest[Any], claim: Claim, status: int, sealed: str) -> Answer:
    try:
        return Answer(status, open_reply(request.services.keyring, sealed, claim.scope, claim.key))
    except OpenError:  # its platform key was taken out of the keyring
        raise Problem(
            "conflict", "It was done before, but its answer cannot be read any more: look at what is there."
        ) from None


async def _work(request: ApiRequest[Any], claim: Claim, handle: Handler) -> Answer | Response:
    """Do it. A success is stored by the endpoint's own transaction; a refusal here."""
    pool = request.services.database.settings
    try:
        return await handle(request)
    except Problem as problem:
        if problem.status >= _SERVER_ERROR:
            await release_key(pool, claim.scope, claim.key)
        else:
            sealed = seal_reply(request.services.keyring, problem.render(), claim.scope, claim.key)
            await store_reply(pool, claim.scope, claim.key, problem.status, sealed)
        raise
    except BaseException:
        await release_key(pool, claim.scope, claim.key)
        raise


def _fingerprint(request: ApiRequest[Any]) -> bytes:
    """Of the body's meaning: the order of its fields and its white space don't matter."""
    return hashlib.sha256(json.dumps(request.document, sort_keys=True).encode()).digest()
