"""What stands before every page: the session, the agency, the form; and the page shown when one of them is not right."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeAlias
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from crypto import Secret
from router.console.api import Api, ApiProblem, Refusal, api_path
from router.console.drawing import Drawing, see_other
from router.console.forms import SMALL_FORM, Form, UnreadableFormError, read_form
from router.console.services import ConsoleServices
from router.console.sessions import Session, drop_session, read_session
from router.console.visit import Page, Visit
from router.telemetry import emit

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response | ASGIApp]]


class NotSignedInError(Exception):
    """The page needs a session, and there is none."""


class StoppedError(Exception):
    """The visitor gets one of `notices.MESSAGES` instead of the page."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class Gate:
    """Lets visitors through to pages."""

    def __init__(self, services: ConsoleServices, drawing: Drawing) -> None:
        self._services = services
        self.drawing = drawing

    def admit(self, page: Page) -> Endpoint:
        """The page, for visitors who are signed in and may see its agency."""

        async def visit(request: Request) -> Response | ASGIApp:
            session, api = await self.enter(request)
            form = await self.read_own_form(request, session, page.form_limit) if request.method == "POST" else Form()
            home = api_path("agencies", request.path_params["agency"])
            visit = Visit(self._services, self.drawing, request, session, api, await api.get(home), form=form)
            if request.method == "GET":
                visit = replace(visit, health=await api.get(f"{home}/health"))
            try:
                return await page.answer(visit)
            except Refusal as refusal:
                if page.again is None:
                    raise
                health = visit.health or await api.get(f"{home}/health")
                return await page.again(replace(visit, health=health, refusal=refusal))

        return self.open(visit)

    def open(self, endpoint: Endpoint) -> Endpoint:
        """Every error becomes a page that the visitor can read."""

        async def answer(request: Request) -> Response | ASGIApp:
            try:
                return await endpoint(request)
            except NotSignedInError:
                if request.method != "GET":  # a form is not sent again
                    return self._send_to_sign_in(why="ended")
                return self._send_to_sign_in(next=self._services.home + request.scope["path"].removeprefix("/console"))
            except StoppedError as stopped:
                return self.message(stopped.message, stopped.status)
            except ApiProblem as problem:
                return self._explain(problem)
            except Exception as error:  # noqa: BLE001 - a person is waiting for a page
                emit("request.failed", exception=error, route="/console", method=request.method)
                return self.message("own_bug", 500)

        return answer

    async def enter(self, request: Request) -> tuple[Session, Api]:
        """The session, and the API with its token. Raises NotSignedInError, StoppedError."""
        session = await self.find_session(request)
        if session is None or session.token is None:
            raise NotSignedInError
        return session, self.api_for(session.token, request)

    async def find_session(self, request: Request) -> Session | None:
        """Raises StoppedError."""
        session = read_session(self._services, request)
        if session is None or session.token is None:
            return session
        try:
            ended = await self._services.sessions.has_ended(session.id)
        except OSError:
            raise StoppedError("away", 503) from None
        return None if ended else session

    async def read_own_form(self, request: Request, session: Session | None, most_bytes: int = SMALL_FORM) -> Form:
        """The form, from a page of this session. Raises StoppedError for a forged, outdated or unreadable one."""
        if session is not None and self._comes_from_us(request):
            with suppress(UnreadableFormError):
                form = await read_form(request, most_bytes)
                if session.is_own_form(form.text("form_token")):
                    return form
        raise StoppedError("foreign_form", 403)

    def api_for(self, token: Secret, request: Request) -> Api:
        return Api(self._services.open_api(), token, self._services.proxies.find_address(request.scope))

    def message(self, name: str, status: int, **facts: str) -> Response:
        return self.drawing.respond("message.html", status, name=name, **facts)

    def _comes_from_us(self, request: Request) -> bool:
        """Browsers name the origin of a form; where they don't, the form token proves it."""
        origin = request.headers.get("origin")
        if origin is None:
            return request.headers.get("sec-fetch-site", "same-origin") == "same-origin"
        host = request.headers.get("host", "")
        return origin == self._services.origin or (bool(host) and urlsplit(origin).netloc == host)

    def _send_to_sign_in(self, **query: str) -> Response:
        response = see_other(f"{self._services.home}/sign-in?{urlencode(query)}")
        drop_session(self._services, response)
        return response

    def _explain(self, problem: ApiProblem) -> Response:
        match problem.name:
            case "unauthorized":
                return self._send_to_sign_in(why="token")
            case "not-found":
                return self.message("not_found", 404)
            case "unavailable":
                return self.message("own_bug" if problem.status == 500 else "away", problem.status)  # noqa: PLR2004
        return self.message("refused", problem.status, detail=problem.detail)
