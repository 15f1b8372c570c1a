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
from router.mail import Asked, Confirmations
from router.store.pool import DATABASE_ERRORS

_GONE = 410


class Confirming:
    def __init__(self, confirmations: Confirmations, drawing: Drawing) -> None:
        self._confirmations = confirmations
        self._drawing = drawing

    async def ask(self, request: Request) -> Response:
        """Raises StoppedError."""
        token = request.query_params.get("t", "")
        try:
            asked = await self._confirmations.find(token)
        except DATABASE_ERRORS:
            raise StoppedError("away", 503) from None
        return self._draw(asked, token)

    async def confirm(self, request: Request) -> Response:
        """Raises StoppedError."""
        token = request.query_params.get("t", "")
        with suppress(UnreadableFormError):
            token = (await read_form(request, SMALL_FORM)).text("t") or token
        try:
            asked = await self._confirmations.confirm(token)
        except DATABASE_ERRORS:
            raise StoppedError("away", 503) from None
        return self._draw(asked, token)

    def _draw(self, asked: Asked | None, token: str) -> Response:
        return self._drawing.respond("confirm_email.html", 200 if asked else _GONE, asked=asked, token=token)
