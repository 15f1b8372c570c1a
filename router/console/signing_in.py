"""Signing in with a token, choosing an agency, signing out."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from crypto import Secret
from router.console.api import Api, ApiProblem, Refusal, api_path
from router.console.drawing import see_other
from router.console.forms import NO_ERRORS, FormErrors, form_errors
from router.console.gate import Gate, StoppedError
from router.console.notices import REASONS_TO_SIGN_IN
from router.console.services import ConsoleServices
from router.console.sessions import Session, drop_session, keep_session, new_session
from router.telemetry import emit

_UNKNOWN: Final = (
    "This token does not exist. Check that you copied all of it; it may also have been deleted, or have expired."
)
_TOO_OFTEN: Final = "Too many wrong tokens, and this one is wrong, too. Wait a minute, then try again."


class SigningIn:
    """The pages that belong to no agency."""

    def __init__(self, services: ConsoleServices, gate: Gate) -> None:
        self._services = services
        self._gate = gate

    async def lead_on(self, request: Request) -> Response:
        """/console: to the visitor's own pages."""
        session, api = await self._gate.enter(request)
        return await self._go_inside(api, session)

    async def show_form(self, request: Request) -> Response:
        session = await self._gate.find_session(request)
        if session is not None and session.token is not None:
            return self._go("")
        return self._draw_form(request, session)

    async def sign_in(self, request: Request) -> Response:
        session = await self._gate.find_session(request)
        form = await self._gate.read_own_form(request, session)
        token = Secret(form.text("token"))
        api = self._gate.api_for(token, request)
        try:
            actor = await api.get(api_path("token"))
        except ApiProblem as problem:
            if problem.name == "rate-limited":
                emit("console.refused", reason="too_often")
                return self._draw_form(request, session, _TOO_OFTEN, 429)
            if problem.name != "unauthorized":
                raise
            emit("console.refused", reason="unknown_token")
            return self._draw_form(request, session, _UNKNOWN, 422)
        try:
            await self._services.sessions.note_begin(actor["name"], actor["agency_id"], api.address)
        except OSError:
            raise StoppedError("away", 503) from None
        signed_in = new_session(self._services.clock(), token, is_admin=actor["admin"])
        wanted = self._within(form.text("next"))
        response = see_other(wanted) if wanted else await self._go_inside(api, signed_in)
        keep_session(self._services, response, signed_in)
        emit("console.signed_in", agency_id=actor["agency_id"])
        return response

    async def sign_out(self, request: Request) -> Response:
        """Ends the session everywhere, also where its cookie was copied to. Raises StoppedError."""
        session, _ = await self._gate.enter(request)
        await self._gate.read_own_form(request, session)
        try:
            await self._services.sessions.end(session.id, session.ends)
        except OSError:
            raise StoppedError("away", 503) from None
        response = self._go("/sign-in?why=signed-out")
        drop_session(self._services, response)
        return response

    async def show_agencies(self, request: Request) -> Response:
        session, api = await self._gate.enter(request)
        if not session.is_admin:
            return await self._go_inside(api, session)
        return await self._draw_agencies(api, session, {"name": "", "alert_email": ""})

    async def create_agency(self, request: Request) -> Response:
        session, api = await self._gate.enter(request)
        form = await self._gate.read_own_form(request, session)
        body = {"name": form.text("name"), "alert_email": form.text_or_none("alert_email")}
        try:
            agency = await api.send("POST", api_path("agencies"), body, once=form.text_or_none("once"))
        except Refusal as problem:
            return await self._draw_agencies(api, session, body, form_errors(problem), problem.status)
        return self._go(f"/{agency['id']}/keys")

    async def find_nothing(self, _: Request) -> Response:
        return self._gate.message("not_found", 404)

    async def _go_inside(self, api: Api, session: Session) -> Response:
        """To the agency's pages; the operator chooses one first."""
        if session.is_admin:
            return self._go("/agencies")
        agencies = await api.get(api_path("agencies"))
        return self._go(f"/{agencies['items'][0]['id']}")

    def _go(self, beyond: str) -> Response:
        return see_other(f"{self._services.home}{beyond}")

    def _within(self, address: str) -> str | None:
        """The page of the console that was asked for before signing in; None for any other address."""
        parts = urlsplit(address)
        is_ours = not parts.scheme and not parts.netloc and parts.path.startswith(f"{self._services.home}/")
        return address if is_ours and address.isprintable() and "\\" not in address else None

    def _draw_form(
        self, request: Request, session: Session | None, error: str | None = None, status: int = 200
    ) -> Response:
        """The entered token is not shown again."""
        session = session or new_session(self._services.clock())
        response = self._gate.drawing.respond(
            "sign_in.html",
            status,
            session=session,
            errors=FormErrors({"token": error}) if error else NO_ERRORS,
            why=None if error else REASONS_TO_SIGN_IN.get(request.query_params.get("why", "")),
            next=self._within(request.query_params.get("next", "")) or "",
        )
        keep_session(self._services, response, session)
        return response

    async def _draw_agencies(
        self,
        api: Api,
        session: Session,
        values: dict[str, Any],
        errors: FormErrors = NO_ERRORS,
        status: int = 200,
    ) -> Response:
        agencies = await api.list_all(api_path("health"))
        return self._gate.drawing.respond(
            "agencies.html", status, session=session, agencies=agencies, values=values, errors=errors
        )
