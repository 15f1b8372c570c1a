"""The page of an invitation's link: a button signs its holder in, once, and shows their token.

Opening it changes nothing, because mail scanners open links: only the button does.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from router.console.gate import Gate, StoppedError
from router.console.services import ConsoleServices
from router.console.sessions import keep_session, new_session
from router.store.pool import DATABASE_ERRORS
from router.telemetry import emit

_GONE = 410
_TOO_MANY = 429
_DOOR = "join"


class Joining:
    def __init__(self, services: ConsoleServices, gate: Gate) -> None:
        self._services = services
        self._gate = gate

    async def ask(self, request: Request) -> Response:
        """Raises StoppedError."""
        link = request.query_params.get("t", "")
        try:
            invited = await self._services.invitations.find(link) if link else None
        except DATABASE_ERRORS:
            raise StoppedError("away", 503) from None
        if invited is None:
            return self._refuse(request, link)
        session = await self._gate.find_session(request) or new_session(self._services.clock())
        response = self._draw(200, invited=invited, link=link, session=session)
        keep_session(self._services, response, session)
        return response

    async def join(self, request: Request) -> Response:
        """Raises StoppedError."""
        form = await self._gate.read_own_form(request, await self._gate.find_session(request))
        link, address = form.text("t"), self._services.proxies.find_address(request.scope)
        try:
            joined = await self._services.invitations.use(link, address) if link else None
        except DATABASE_ERRORS:
            raise StoppedError("away", 503) from None
        if joined is None:
            return self._refuse(request, link)
        session = new_session(self._services.clock(), joined.token.token)
        response = self._draw(200, joined=joined, session=session)
        keep_session(self._services, response, session)
        emit("console.signed_in", agency_id=joined.agency_id)
        return response

    def _refuse(self, request: Request, link: str) -> Response:
        """A wrong link is counted, and refused if there were too many. A right one always works."""
        wrong, client = self._services.wrong_tokens, self._services.proxies.find_address(request.scope)
        if link and not wrong.admit(client, _DOOR):
            response = self._gate.message("too_often", _TOO_MANY)
            response.headers["Retry-After"] = str(wrong.seconds_to_wait())
            return response
        return self._draw(_GONE)

    def _draw(self, status: int, **facts: Any) -> Response:
        known = {"invited": None, "joined": None, "link": "", "session": None} | facts
        return self._gate.drawing.respond("join.html", status, **known)
