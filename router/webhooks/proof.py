"""Verifies that a request comes from a provider, and answers requests that do not."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from adapters.facets import Delivery, WebhooksFacet
from crypto import OpenError, Secret
from router.bodies import CutOffError, TooLargeError, count_parts, read_body
from router.clock import Clock
from router.store.keys.proofs import SealedSecrets, find_webhook_secrets
from router.store.pool import DATABASE_ERRORS, Database
from router.telemetry import emit, metrics
from router.vault import Vault

_MOST_BYTES: Final = 4 * 1024 * 1024  # a long call's transcript, with every turn in it
_MOST_PARTS: Final = 200_000  # every word of two hours with its times, twice, as Retell sends them


class RefusedRequestError(Exception):
    """The request is refused with `status`."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


@dataclass(frozen=True, slots=True)
class Proof:
    """Reads providers' requests and verifies them."""

    database: Database
    vault: Vault
    clock: Clock

    async def read(self, name: str, webhooks: WebhooksFacet, request: Request) -> bytes:
        """The body of a request that is proven to come from this provider. Raises RefusedRequestError.

        The cheapest proof comes first: a body that nothing could prove is not read, and none is parsed before its proof.
        """
        try:
            stored = await find_webhook_secrets(self.database.webhooks, agency_of(request), name, self.clock())
        except DATABASE_ERRORS:
            raise RefusedRequestError("unverifiable", 503) from None
        if stored is None:
            raise RefusedRequestError("unknown_agency", 404)
        opened = [self._open(version, signs=webhooks.proof == "hmac") for version in stored]
        tokens = [token for token, _ in opened if token is not None]
        if _has_token(request, tokens):
            return await _read(request)
        if webhooks.proof == "header":
            body, secrets = b"", tokens
        else:
            secrets = [signing for _, signing in opened if signing is not None]
            body = await _read(request) if secrets else b""
        if not webhooks.verify(Delivery(request.headers, body, self.clock()), secrets):
            raise RefusedRequestError("wrong_signature", 401)
        return await _read(request) if webhooks.proof == "header" else body

    def _open(self, version: SealedSecrets, *, signs: bool) -> tuple[Secret | None, Secret | None]:
        """The address's token, and what the provider signs with: a webhook secret if one was saved, else the key."""
        token, signing = None, None
        try:
            if version.webhook_token_sealed is not None:
                token = self.vault.open_webhook_token(version)
            if signs:
                signing = (
                    self.vault.open_key(version)
                    if version.webhook_sealed is None
                    else self.vault.open_webhook_secret(version, version.webhook_sealed)
                )
        except OpenError:  # logged by the vault; another secret may still prove the request
            pass
        return token, signing


def _has_token(request: Request, tokens: Iterable[Secret]) -> bool:
    """Whether the address holds one of them."""
    given = request.query_params.get("token", "").encode()
    proofs = [hmac.compare_digest(given, token.reveal().encode()) for token in tokens]
    return bool(given) and any(proofs)


async def _read(request: Request) -> bytes:
    """The whole body; empty if it was cut off. Raises RefusedRequestError."""
    try:
        body = await read_body(request, _MOST_BYTES)
    except TooLargeError:
        raise RefusedRequestError("too_large", 413) from None
    except CutOffError:
        return b""
    if count_parts(body) > _MOST_PARTS:
        raise RefusedRequestError("too_large", 413)
    return body


def agency_of(request: Request) -> str:
    """The agency in the address. PostgreSQL's text type cannot hold NUL."""
    agency_id: str = request.path_params["agency_id"]
    return agency_id.replace("\0", "")


def refuse(provider: str, request: Request, refused: RefusedRequestError) -> Response:
    metrics.webhook_rejected(refused.reason)
    emit(
        "webhook.rejected",
        source=provider,
        reason=refused.reason,
        status=refused.status,
        agency_id=request.path_params["agency_id"][:64],
    )
    return Response(status_code=refused.status)
