"""Verifies that a request comes from a provider, and answers requests that do not."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from adapters.facets import Delivery, WebhooksFacet
from crypto import OpenError, Secret
from router.bodies import CutOffError, TooLargeError, count_parts, read_body
from router.clock import Clock
from router.peers import Proxies, WrongTokens
from router.store.keys.proofs import SealedSecrets, find_webhook_secrets
from router.store.keys.webhook_tokens import note_signed
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
class Proven:
    """A proven request. `has_token`: whether its address has the token, whatever proved it."""

    body: bytes
    has_token: bool


@dataclass(frozen=True, slots=True)
class Proof:
    """Reads providers' requests and verifies them."""

    database: Database
    vault: Vault
    clock: Clock
    proxies: Proxies
    wrong: WrongTokens

    async def read(self, name: str, webhooks: WebhooksFacet, request: Request) -> Proven:
        """The body of a request that is proven to come from this provider. Raises RefusedRequestError.

        The cheapest proof comes first: a body that nothing could prove is not read, and none is parsed before its proof.
        """
        try:
            stored = await find_webhook_secrets(self.database.webhooks, agency_of(request), name, self.clock())
        except DATABASE_ERRORS:
            raise RefusedRequestError("unverifiable", 503) from None
        if stored is None:
            raise RefusedRequestError("unknown_agency", 404)
        always_signs = webhooks.proof == "always hmac"
        tokens = self._tokens(stored) if webhooks.proof == "header" or "token" in request.query_params else []
        has_token = _has_token(request, tokens)
        if not (always_signs and _has_signed(stored)) and has_token:
            body = await _read(request)
        elif webhooks.proof == "header":
            self._verify(webhooks, request, b"", tokens)
            body = await _read(request)
        else:
            secrets = self._signing_secrets(stored)
            body = await _read(request) if secrets else b""
            self._verify(webhooks, request, body, secrets)
        if always_signs and not _has_signed(stored):
            await self._note_signature(webhooks, stored[0], request, body)
        return Proven(body, has_token=has_token)

    def _verify(self, webhooks: WebhooksFacet, request: Request, body: bytes, secrets: Sequence[Secret]) -> None:
        if not webhooks.verify(Delivery(request.headers, body, self.clock()), secrets):
            raise RefusedRequestError("wrong_signature", self._count_refusal(request))

    def _count_refusal(self, request: Request) -> int:
        """The status of a refusal. One agency's old address does not count for another agency."""
        if not request.query_params.get("token"):
            return 401
        address = self.proxies.find_address(request.scope)
        return 401 if self.wrong.admit(address, agency_of(request)) else 429

    async def _note_signature(
        self, webhooks: WebhooksFacet, in_use: SealedSecrets, request: Request, body: bytes
    ) -> None:
        """From the first signature that fits the key in use, one is required. Until then the token in the address proves:
        the provider signs with one particular key, which the agency may not have saved.
        """
        if webhooks.verify(Delivery(request.headers, body, self.clock()), self._signing_secrets([in_use])):
            with suppress(*DATABASE_ERRORS):  # the next one is noted
                await note_signed(self.database.webhooks, in_use.agency_id, in_use.kind, in_use.version, self.clock())

    def _tokens(self, stored: Sequence[SealedSecrets]) -> list[Secret]:
        """Those of the webhook address."""
        tokens = []
        for key in stored:
            if key.webhook_token_sealed is not None:
                with suppress(OpenError):  # logged by the vault; another one may still prove the request
                    tokens.append(self.vault.open_webhook_token(key))
            for former in key.former_tokens:
                with suppress(OpenError):
                    tokens.append(self.vault.open_former_token(key, former))
        return tokens

    def _signing_secrets(self, stored: Sequence[SealedSecrets]) -> list[Secret]:
        """What the provider signs with: a version's webhook secret if one was saved, else the key."""
        secrets = []
        for key in stored:
            with suppress(OpenError):
                secrets.append(
                    self.vault.open_key(key)
                    if key.webhook_sealed is None
                    else self.vault.open_webhook_secret(key, key.webhook_sealed)
                )
        return secrets


def _has_signed(stored: Sequence[SealedSecrets]) -> bool:
    """Whether a signature with the key in use has ever verified. The newest version comes first."""
    return bool(stored) and stored[0].signed_at is not None


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
