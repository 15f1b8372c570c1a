"""The providers' webhooks: what they say happened on a call, once it is proven that they say it.

Verified and read here; what a report means for its call is router.calls.reports. Calls to numbers of a provider's own
are recorded from its events alone (router.calls.native).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from adapters.base import ProviderEvent
from adapters.facets import WebhooksFacet
from adapters.provider import Provider
from router.calls.native import NativeCalls
from router.calls.reports import Reports
from router.store.pool import DATABASE_ERRORS
from router.telemetry.metrics import provider_route
from router.webhooks.proof import Proof, RefusedRequestError, agency_of, refuse
from router.webhooks.timing import timed


@dataclass(frozen=True, slots=True)
class ProviderWebhooks:
    """The endpoint, and what it hands on to."""

    proof: Proof
    providers: Mapping[str, Provider[Any]]
    native: NativeCalls
    reports: Reports

    def routes(self) -> list[Route]:
        return [
            Route(
                provider_route(name), timed(provider_route(name), self._endpoint(name, one.webhooks)), methods=["POST"]
            )
            for name, one in self.providers.items()
            if one.webhooks is not None
        ]

    def _endpoint(self, name: str, webhooks: WebhooksFacet) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                return await self._take(self.providers[name], webhooks, request)
            except RefusedRequestError as refused:
                return refuse(name, request, refused)
            except DATABASE_ERRORS:
                return refuse(name, request, RefusedRequestError("unverifiable", 503))

        return answer

    async def _take(self, provider: Provider[Any], webhooks: WebhooksFacet, request: Request) -> Response:
        body = await self.proof.read(provider.name, webhooks, request)
        try:
            event = webhooks.read_event(body)
        except ValueError:
            raise RefusedRequestError("unreadable", 400) from None
        return await self._hear(provider, agency_of(request), event, request)

    async def _hear(self, provider: Provider[Any], agency_id: str, event: ProviderEvent, request: Request) -> Response:
        if event.kind == "asked":
            answer = await self.native.answer(provider, agency_id, event)
            return Response(status_code=204) if answer is None else JSONResponse(answer)
        if await self.native.take(provider.name, agency_id, event):
            return Response(status_code=204)
        refused = await self.reports.take(provider.name, agency_id, event)
        # Taken all the same: there is nothing to send again, and nobody is told which calls exist elsewhere.
        if refused is None:
            return Response(status_code=204)
        return refuse(provider.name, request, RefusedRequestError(refused, 204))
