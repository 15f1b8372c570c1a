"""Signing in with a token, choosing an agency, signing out."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from crypto import Secret
from router.console.api import Api, ApiProblem, api_path
from router.console.errors import NO_ERRORS, FormErrors, form_errors, one_error
from router.console.gate import SEE_OTHER, Gate, SessionsAwayError
from router.console.limits import SignInLimit
from router.console.notices import REASONS_TO_SIGN_IN
from router.console.services import ConsoleServices
from router.console.sessions import Session, drop_session, keep_session, new_session
from router.console.visit import PAGE_HEADERS
from router.telemetry import emit

_REFUSED: Final = 422
_TOO_OFTEN: Final = 429
_NOBODY: Final = "unknown"


class SigningIn:
    """The pages that need no agency yet."""

    def __init__(self, services: ConsoleServices, gate: Gate, limit: SignInLimit) -> None:
        self._services = services
        self._gate = gate
        self._limit = limit

    async def lead_on(self, request: Request) -> Response:
        """/console: where one may go from here."""
        session = await self._gate.find_session(request)
        if session is None or session.token is None:
            return self._go("/sign-in")
        return await self._go_inside(self._gate.api_for(session.token, request), session)

    async def show_form(self, request: Request) -> Response:
        session = await self._gate.find_session(request)
        if session is not None and session.token is not None:
            return self._go("")
        return self._draw_form(request, session or new_session(self._services.clock()))

    async def sign_in(self, request: Request) -> Response:
        session = await self._gate.find_session(request)
        form = await self._gate.read_own_form(request, session)
        address = request.client.host if request.client else _NOBODY
        now = self._services.clock()
        if self._limit.is_reached(address):
            emit("console.refused", reason="too_often")
            message = "Too many wrong tokens in a short time. Wait a minute, then try again."
            return self._draw_form(request, session or new_session(now), one_error("token", message), _TOO_OFTEN)
        token = Secret(form.text("token"))
        api = self._gate.api_for(token, request)
        try:
            actor = await api.get(api_path("token"))
        except ApiProblem as problem:
            if problem.name != "unauthorized":
                raise
            self._limit.note_failure(address)
            emit("console.refused", reason="unknown_token")
            message = "This token is not known. Was all of it copied? It may also have been deleted since."
            return self._draw_form(request, session or new_session(now), one_error("token", message), _REFUSED)
        signed_in = new_session(now, token, is_admin=actor["admin"])
        wanted = self._within(form.text("next"))
        response = (
            RedirectResponse(wanted, SEE_OTHER, PAGE_HEADERS) if wanted else await self._go_inside(api, signed_in)
        )
        keep_session(self._services, response, signed_in)
        emit("console.signed_in", agency_id=actor["agency_id"])
        return response

    async def sign_out(self, request: Request) -> Response:
        """The session ends everywhere, also for who has copied its cookie. Raises SessionsAwayError."""
        session = await self._gate.find_session(request)
        if session is None or session.token is None:
            return self._go("/sign-in")
        await self._gate.read_own_form(request, session)
        try:
            await self._services.ended.end(session.id, session.ends)
        except OSError:
            raise SessionsAwayError from None
        response = self._go("/sign-in?why=signed-out")
        drop_session(self._services, response)
        return response

    async def show_agencies(self, request: Request) -> Response:
        session = await self._gate.find_session(request)
        if session is None or session.token is None:
            return self._go("/sign-in")
        api = self._gate.api_for(session.token, request)
        if not session.is_admin:
            return await self._go_inside(api, session)
        return await self._draw_agencies(api, session)

    async def create_agency(self, request: Request) -> Response:
        session = await self._gate.find_session(request)
        if session is None or session.token is None:
            return self._go("/sign-in")
        form = await self._gate.read_own_form(request, session)
        api = self._gate.api_for(session.token, request)
        body = {"name": form.text("name"), "alert_email": form.text_or_none("alert_email")}
        try:
            agency = await api.send("POST", api_path("agencies"), body, once=form.text_or_none("once"))
        except ApiProblem as problem:
            if not problem.is_refusal:
                raise
            return await self._draw_agencies(api, session, body, form_errors(problem), problem.status)
        return self._go(f"/{agency['id']}/keys")

    async def find_nothing(self, request: Request) -> Response:
        del request
        return self._gate.message("not_found", 404)

    async def _go_inside(self, api: Api, session: Session) -> Response:
        """To the agency's pages; the operator chooses one first."""
        if session.is_admin:
            return self._go("/agencies")
        agencies = await api.get(api_path("agencies"))
        return self._go(f"/{agencies['items'][0]['id']}")

    def _go(self, beyond: str) -> Response:
        return RedirectResponse(f"{self._services.home}{beyond}", SEE_OTHER, PAGE_HEADERS)

    def _within(self, address: str) -> str | None:
        """An address of the console, as it was asked for before signing in; None for anything else."""
        parts = urlsplit(address)
        is_ours = not parts.scheme and not parts.netloc and parts.path.startswith(f"{self._services.home}/")
        return address if is_ours and address.isprintable() and "\\" not in address else None

    def _draw_form(
        self, request: Request, session: Session, errors: FormErrors = NO_ERRORS, status: int = 200
    ) -> Response:
        """Whatever was entered as a token is not shown again."""
        page = self._gate.drawing.draw(
            "sign_in.html",
            session=session,
            errors=errors,
            why=REASONS_TO_SIGN_IN.get(request.query_params.get("why", "")) if not errors else None,
            next=self._within(request.query_params.get("next", "")) or "",
        )
        response = Response(page, status, PAGE_HEADERS, "text/html")
        keep_session(self._services, response, session)
        return response

    async def _draw_agencies(
        self,
        api: Api,
        session: Session,
        values: dict[str, Any] | None = None,
        errors: FormErrors = NO_ERRORS,
        status: int = 200,
    ) -> Response:
        page = self._gate.drawing.draw(
            "agencies.html",
            session=session,
            agencies=await api.list_all(api_path("agencies")),
            values=values or {"name": "", "alert_email": ""},
            errors=errors,
        )
        return Response(page, status, PAGE_HEADERS, "text/html")
