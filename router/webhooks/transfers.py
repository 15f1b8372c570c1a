"""The assistants' function "put me through to a person": POST /webhooks/{provider}/{agency}/transfer.

Proven as all that a provider sends; what happens to the call is router.calls.transfer. Whatever goes wrong, the assistant
gets an answer that it can act on, and the caller is not left with silence.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from adapters.facets import WebhooksFacet
from adapters.provider import Provider
from router.calls.transfer import Transfers
from router.routing.deadline import Deadline
from router.telemetry import emit
from router.telemetry.metrics import provider_route
from router.webhooks.proof import Proof, RefusedRequestError, agency_of, refuse
from router.webhooks.timing import timed

_SECONDS: Final = 8.0  # providers wait ten at the least
_ON_THE_WAY: Final = "The caller is being put through to a person now. Say nothing more."
_NOBODY: Final = "Nobody is available to take the call now. Say so, and offer to take a message."


@dataclass(frozen=True, slots=True)
class TransferWebhooks:
    """The endpoint of each provider."""

    proof: Proof
    providers: Mapping[str, Provider[Any]]
    transfers: Transfers

    def routes(self) -> list[Route]:
        return [
            Route(
                provider_route(name, "transfer"),
                timed(provider_route(name, "transfer"), self._endpoint(name, one.webhooks)),
                methods=["POST"],
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

        return answer

    async def _take(self, provider: Provider[Any], webhooks: WebhooksFacet, request: Request) -> Response:
        deadline = Deadline(_SECONDS)
        body = await self.proof.read(provider.name, webhooks, request)
        try:
            asked = webhooks.read_transfer(body)
        except ValueError:
            raise RefusedRequestError("unreadable", 400) from None
        try:
            moved = await self.transfers.put_through(provider.name, agency_of(request), asked, deadline)
        except Exception as error:  # noqa: BLE001  our bug: the AI keeps the caller
            emit("request.failed", exception=error, step="transfer")
            moved = False
        return JSONResponse(webhooks.answer_transfer(asked, _ON_THE_WAY if moved else _NOBODY))
