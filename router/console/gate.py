"""What stands before every page: the session, the agency, the form; and what is shown when one of them is not right."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from crypto import Secret
from router.console.api import Api, ApiProblem, api_path
from router.console.drawing import Drawing
from router.console.forms import Form, UnreadableFormError, read_form
from router.console.services import ConsoleServices
from router.console.sessions import Session, drop_session, read_session
from router.console.visit import PAGE_HEADERS, Page, Visit
from router.telemetry import emit

SEE_OTHER: Final = 303
_FORBIDDEN, _NOT_FOUND, _OWN_BUG, _AWAY = 403, 404, 500, 503
Endpoint: TypeAlias = Callable[[Request], Awaitable[Response | ASGIApp]]


class ForeignFormError(Exception):
    """A form that did not come from a page of this session: forged, or from before the session was renewed."""


class SessionsAwayError(Exception):
    """Whether a session was ended cannot be told now."""


class Gate:
    """Lets visitors through to pages."""

    def __init__(self, services: ConsoleServices, drawing: Drawing) -> None:
        self._services = services
        self.drawing = drawing

    def admit(self, page: Page) -> Endpoint:
        """The page for whoever is signed in and may see its agency."""

        async def visit(request: Request) -> Response | ASGIApp:
            session = await self.find_session(request)
            if session is None or session.token is None:
                return self._send_to_sign_in(request)
            form = await self.read_own_form(request, session) if request.method == "POST" else Form()
            api = self.api_for(session.token, request)
            agency = await api.get(api_path("agencies", request.path_params["agency"]))
            return await page(Visit(self._services, self.drawing, request, session, api, agency, form))

        return self.open(visit)

    def open(self, endpoint: Endpoint) -> Endpoint:
        """Whatever goes wrong, the visitor gets a page that can be read."""

        async def answer(request: Request) -> Response | ASGIApp:
            try:
                return await endpoint(request)
            except (ForeignFormError, UnreadableFormError):
                return self.message("foreign_form", _FORBIDDEN)
            except SessionsAwayError:
                return self.message("away", _AWAY)
            except ApiProblem as problem:
                return self._explain(problem)
            except Exception as error:  # noqa: BLE001 - whatever it was, a person waits for a page
                emit("request.failed", exception=error, route="/console", method=request.method)
                return self.message("own_bug", _OWN_BUG)

        return answer

    async def find_session(self, request: Request) -> Session | None:
        """Raises SessionsAwayError."""
        session = read_session(self._services, request)
        if session is None or session.token is None:
            return session
        try:
            ended = await self._services.ended.has_ended(session.id)
        except OSError:
            raise SessionsAwayError from None
        return None if ended else session

    async def read_own_form(self, request: Request, session: Session | None) -> Form:
        """Raises ForeignFormError and UnreadableFormError."""
        if session is None or not self._comes_from_us(request):
            raise ForeignFormError
        form = await read_form(request)
        if not session.is_own_form(form.text("form_token")):
            raise ForeignFormError
        return form

    def api_for(self, token: Secret, request: Request) -> Api:
        return Api(self._services.api, token, request.client.host if request.client else None)

    def message(self, name: str, status: int) -> Response:
        return Response(self.drawing.draw("message.html", name=name), status, PAGE_HEADERS, "text/html")

    def _comes_from_us(self, request: Request) -> bool:
        """Browsers say where a form comes from; the form token proves it where they don't."""
        origin = request.headers.get("origin")
        if origin is None:
            return request.headers.get("sec-fetch-site", "same-origin") == "same-origin"
        host = request.headers.get("host", "")
        return origin == self._services.origin or (bool(host) and urlsplit(origin).netloc == host)

    def _send_to_sign_in(self, request: Request) -> Response:
        """And back to the page, if it was only looked at."""
        home = self._services.home
        address = f"{home}/sign-in?why=ended"
        if request.method == "GET":
            beyond = request.url.path.removeprefix("/console")
            address = f"{home}/sign-in?{urlencode({'next': home + beyond})}"
        response = RedirectResponse(address, SEE_OTHER, PAGE_HEADERS)
        drop_session(self._services, response)
        return response

    def _explain(self, problem: ApiProblem) -> Response:
        if problem.name == "unauthorized":
            response = RedirectResponse(f"{self._services.home}/sign-in?why=token", SEE_OTHER, PAGE_HEADERS)
            drop_session(self._services, response)
            return response
        if problem.name == "not-found":
            return self.message("not_found", _NOT_FOUND)
        if problem.name == "unavailable":
            return self.message("own_bug" if problem.status == _OWN_BUG else "away", problem.status)
        page = self.drawing.draw("message.html", name="refused", detail=problem.detail)
        return Response(page, problem.status, PAGE_HEADERS, "text/html")
