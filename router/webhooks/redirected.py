"""A call that we redirected to a provider's server, which failed: Twilio says so at the number's fallback address.

The ladder goes on, if Twilio's signature proves the request and the address that failed is the one in our document.
Everything else gets the static fallback. ErrorUrl holds a secret of the provider's: it is compared, never kept or logged.
Twilio docs: Availability and Reliability.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from crypto import Secret
from router.calls.flow import CallFlow
from router.calls.state import ForeignCallError
from router.routing.deadline import Deadline
from router.telemetry import emit
from router.webhooks.verify import RefusedError, Verified, Verifier

_NAMES_ADDRESS: Final = b"ErrorUrl="


@dataclass(frozen=True, slots=True)
class RedirectedCalls:
    """`verifier` checks signatures over the fallback's public address."""

    verifier: Verifier
    flow: CallFlow
    answer_deadline: float

    async def go_on(self, request: Request, body: bytes) -> str | None:
        """The document with which the call goes on. None: it gets the static fallback, which this must not delay beyond
        the deadline.
        """
        if _NAMES_ADDRESS not in body or "x-twilio-signature" not in request.headers:
            return None
        deadline = Deadline(self.answer_deadline)
        try:
            async with asyncio.timeout(deadline.left_before_rescue()):
                return await self._go_on(await self.verifier.verify_body(request, body), deadline)
        except (RefusedError, ForeignCallError, TimeoutError):
            return None
        except Exception as error:  # noqa: BLE001  our bug: the caller gets the static fallback
            emit("request.failed", exception=error, route="/fallback/voice", method=request.method, step="voice")
            return None

    async def _go_on(self, verified: Verified, deadline: Deadline) -> str | None:
        try:
            return await self._ask(verified, deadline)
        except ForeignCallError:
            # Several agencies may share an account: the token of the call's own may be newer than those remembered.
            return await self._ask(await self.verifier.verify_again(verified), deadline)

    async def _ask(self, verified: Verified, deadline: Deadline) -> str | None:
        params = dict(verified.params)
        failed = Secret(params.pop("ErrorUrl", ""))
        return await self.flow.after_redirect(
            verified.account_sid, verified.call_sid, failed, params, verified.agencies, deadline
        )
