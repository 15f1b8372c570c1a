"""The providers' webhooks: what they say happened on a call, once it is proven that they say it.

Verified and read here; what a report means for its call is router.calls.reports. Calls to numbers of a provider's own
are recorded from its events alone (router.calls.native).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from adapters.base import ProviderEvent, VoiceProvider
from crypto import Keyring, OpenError, Secret
from router.calls.native import NativeCalls
from router.calls.reports import Reports
from router.store.pool import DATABASE_ERRORS, Database
from router.store.sealed import open_key, open_webhook_secret, open_webhook_token
from router.store.webhook_secrets import SealedSecrets, find_webhook_secrets
from router.telemetry import emit, metrics

_MOST_BYTES: Final = 4 * 1024 * 1024  # a long call's transcript, with every turn in it


@dataclass(frozen=True, slots=True)
class ProviderWebhooks:
    """The endpoint, and what it hands on to."""

    database: Database
    keyring: Keyring
    providers: Mapping[str, VoiceProvider]
    native: NativeCalls
    reports: Reports
    clock: Callable[[], datetime]

    def routes(self) -> list[Route]:
        return [
            Route(f"/webhooks/{name}/{{agency_id}}", self._endpoint(name), methods=["POST"]) for name in self.providers
        ]

    def _endpoint(self, name: str) -> Callable[[Request], object]:
        async def answer(request: Request) -> Response:
            try:
                return await self._take(self.providers[name], request)
            except DATABASE_ERRORS:
                return _refuse(name, request, "unverifiable", 503)

        return answer

    async def _take(self, provider: VoiceProvider, request: Request) -> Response:
        agency_id = request.path_params["agency_id"].replace("\0", "")  # PostgreSQL's text has no place for it
        body = await _read_body(request)
        if body is None:
            return _refuse(provider.name, request, "too_large", 413)
        stored = await find_webhook_secrets(self.database.settings, agency_id, provider.name, self.clock())
        if stored is None:
            return _refuse(provider.name, request, "unknown_agency", 404)
        if not self._is_proven(provider, agency_id, stored, request, body):
            return _refuse(provider.name, request, "wrong_signature", 401)
        try:
            event = provider.read_event(body)
        except ValueError:
            return _refuse(provider.name, request, "unreadable", 400)
        return await self._hear(provider, agency_id, event, request)

    async def _hear(self, provider: VoiceProvider, agency_id: str, event: ProviderEvent, request: Request) -> Response:
        if event.kind == "asked":
            answer = await self.native.answer(provider, agency_id, event)
            return Response(status_code=204) if answer is None else JSONResponse(answer)
        if await self.native.take(provider.name, agency_id, event):
            return Response(status_code=204)
        refused = await self.reports.take(provider.name, agency_id, event)
        # Taken all the same: there is nothing to send again, and nobody is told which calls exist elsewhere.
        return Response(status_code=204) if refused is None else _refuse(provider.name, request, refused, 204)

    def _is_proven(
        self,
        provider: VoiceProvider,
        agency_id: str,
        stored: tuple[SealedSecrets, ...],
        request: Request,
        body: bytes,
    ) -> bool:
        """By the token in the address that we gave out, or by the provider's own signature."""
        given = request.query_params.get("token", "")
        secrets: list[Secret] = []
        for version in stored:
            token, signing = self._open(agency_id, provider, version)
            if token is not None:
                if given and hmac.compare_digest(given.encode(), token.reveal().encode()):
                    return True
                if provider.capabilities.webhook_proof == "header":
                    secrets.append(token)
            if signing is not None:
                secrets.append(signing)
        return provider.verify_webhook(request.headers, body, secrets, self.clock())

    def _open(
        self, agency_id: str, provider: VoiceProvider, version: SealedSecrets
    ) -> tuple[Secret | None, Secret | None]:
        """The address's token, and what the provider signs with: its own secret if one was given, else the key."""
        kind, token, signing = provider.name, None, None
        try:
            if version.webhook_token_sealed is not None:
                token = open_webhook_token(self.keyring, version.webhook_token_sealed, agency_id, kind)
            if provider.capabilities.webhook_proof == "hmac":
                signing = (
                    open_key(self.keyring, version.sealed, agency_id, kind, version.version)
                    if version.webhook_sealed is None
                    else open_webhook_secret(self.keyring, version.webhook_sealed, agency_id, kind, version.version)
                )
        except OpenError:
            metrics.key_unreadable(kind)
            emit("key.unreadable", agency_id=agency_id, kind=kind, key_version=version.version)
        return token, signing


async def _read_body(request: Request) -> bytes | None:
    """None: it is too large."""
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > _MOST_BYTES:
                return None
    except ClientDisconnect:
        return b""
    return bytes(body)


def _refuse(provider: str, request: Request, reason: str, status: int) -> Response:
    metrics.webhook_rejected(reason)
    emit(
        "webhook.rejected",
        source=provider,
        reason=reason,
        status=status,
        agency_id=request.path_params["agency_id"][:64],
    )
    return Response(status_code=status)
