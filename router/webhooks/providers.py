"""The providers' webhooks: what happened on a call, and an assistant's request to put its caller through to a person.

Requests are verified and read here. What a report means for its call is router.calls.reports; calls to a provider's own
numbers are recorded from its events alone (router.calls.native); router.calls.transfer moves calls.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from adapters.facets import WebhooksFacet
from adapters.provider import Provider
from router.calls.native import NativeCalls
from router.calls.reports import Reports
from router.calls.transfer import Transfers
from router.routing.deadline import Deadline
from router.store.pool import DATABASE_ERRORS
from router.telemetry import emit
from router.telemetry.metrics import provider_route
from router.webhooks.proof import Proof, RefusedRequestError, agency_of, refuse
from router.webhooks.reading import read_event, read_transfer
from router.webhooks.timing import timed

_TRANSFER_SECONDS: Final = 8.0  # providers wait at least ten
_ON_THE_WAY: Final = "The caller is being put through to a person now. Say nothing more."
_NOT_AVAILABLE: Final = "Nobody is available to take the call now. Say so, and offer to take a message."


@dataclass(frozen=True, slots=True)
class ProviderWebhooks:
    """Each provider's two endpoints: its events, and /transfer."""

    proof: Proof
    providers: Mapping[str, Provider[Any]]
    native: NativeCalls
    reports: Reports
    transfers: Transfers

    def routes(self) -> Iterator[Route]:
        for name, provider in self.providers.items():
            if provider.webhooks is not None:
                yield _route(name, partial(self._take_event, provider, provider.webhooks))
                yield _route(name, partial(self._take_transfer, provider, provider.webhooks), "transfer")

    async def _take_event(self, provider: Provider[Any], webhooks: WebhooksFacet, request: Request) -> Response:
        proven = await self.proof.read(provider.name, webhooks, request)
        try:
            event = read_event(webhooks, proven.body)
        except ValueError:
            raise RefusedRequestError("unreadable", 400) from None
        agency_id, taken = agency_of(request), provider.report_status
        if event.kind == "asked":
            answer = await self.native.answer(provider, agency_id, event)
            return Response(status_code=taken) if answer is None else JSONResponse(answer)
        if await self.native.take(provider.name, agency_id, event):
            return Response(status_code=taken)
        refused = await self.reports.take(provider.name, agency_id, event)
        if refused is not None:
            # As if taken: sending it again would not help, and the answer must not reveal other agencies' calls.
            raise RefusedRequestError(refused, taken)
        return Response(status_code=taken)

    async def _take_transfer(self, provider: Provider[Any], webhooks: WebhooksFacet, request: Request) -> Response:
        """Whatever fails, the assistant gets an answer that it can act on, so that the caller does not hear silence."""
        deadline = Deadline(_TRANSFER_SECONDS)
        proven = await self.proof.read(provider.name, webhooks, request)
        try:
            asked = read_transfer(webhooks, proven.body)
        except ValueError:
            raise RefusedRequestError("unreadable", 400) from None
        if asked.needs_address_token and not proven.has_token:
            raise RefusedRequestError("another_function", 400)
        try:
            moved = await self.transfers.put_through(provider.name, agency_of(request), asked, deadline)
        except Exception as error:  # noqa: BLE001  our bug: the AI keeps the caller
            emit("request.failed", exception=error, step="transfer")
            moved = False
        return JSONResponse(webhooks.answer_transfer(asked, _ON_THE_WAY if moved else _NOT_AVAILABLE))


def _route(provider: str, take: Callable[[Request], Awaitable[Response]], *rest: str) -> Route:
    async def answer(request: Request) -> Response:
        try:
            return await take(request)
        except RefusedRequestError as refused:
            return refuse(provider, request, refused)
        except DATABASE_ERRORS:
            return refuse(provider, request, RefusedRequestError("unverifiable", 503))

    path = provider_route(provider, *rest)
    return Route(path, timed(path, answer), methods=["POST"])
