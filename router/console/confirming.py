"""The page on which the owner of an email address confirms that it wants an agency's mail. No one signs in for it.

Opening it changes nothing, because mail scanners open links: only the button does.
"""

from __future__ import annotations

from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response

from router.console.drawing import Drawing
from router.console.forms import SMALL_FORM, UnreadableFormError, read_form
from router.console.gate import StoppedError
from router.console.services import ConsoleServices
from router.mail import Asked
from router.store.pool import DATABASE_ERRORS

_GONE = 410
_TOO_MANY = 429
_DOOR = "confirm"


class Confirming:
    def __init__(self, services: ConsoleServices, drawing: Drawing) -> None:
        self._confirmations = services.confirmations
        self._proxies = services.proxies
        self._wrong_tokens = services.wrong_tokens
        self._drawing = drawing

    async def ask(self, request: Request) -> Response:
        """Raises StoppedError."""
        token = request.query_params.get("t", "")
        try:
            asked = await self._confirmations.find(token)
        except DATABASE_ERRORS:
            raise StoppedError("away", 503) from None
        return self._draw(request, asked, token)

    async def confirm(self, request: Request) -> Response:
        """Raises StoppedError."""
        token = request.query_params.get("t", "")
        with suppress(UnreadableFormError):
            token = (await read_form(request, SMALL_FORM)).text("t") or token
        try:
            asked = await self._confirmations.confirm(token)
        except DATABASE_ERRORS:
            raise StoppedError("away", 503) from None
        return self._draw(request, asked, token)

    def _draw(self, request: Request, asked: Asked | None, token: str) -> Response:
        """A wrong token is counted, and refused if there were too many. A right one always passes."""
        client = self._proxies.find_address(request.scope)
        if asked is None and token and not self._wrong_tokens.admit(client, _DOOR):
            response = self._drawing.respond("message.html", _TOO_MANY, name="too_often")
            response.headers["Retry-After"] = str(self._wrong_tokens.seconds_to_wait())
            return response
        return self._drawing.respond("confirm_email.html", 200 if asked else _GONE, asked=asked, token=token)
