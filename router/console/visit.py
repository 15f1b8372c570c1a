"""One visit to a page by somebody who has signed in, and what pages are answered with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from router.console.api import Api, api_path
from router.console.drawing import Drawing
from router.console.forms import Form
from router.console.kinds import Kinds
from router.console.notices import CONFIRMATIONS, NOTICES
from router.console.services import ConsoleServices
from router.console.sessions import Session

_SEE_OTHER: Final = 303
PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers would send forms without an origin
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Visit:
    """A request to a page of one agency. `agency` is the API's answer about it."""

    services: ConsoleServices
    drawing: Drawing
    request: Request
    session: Session
    api: Api
    agency: dict[str, Any]
    form: Form = field(default_factory=Form)

    @property
    def confirmed(self) -> bool:
        """Whether the visitor has said yes to the question that this form asks."""
        return self.form.text("confirmed") == "yes"

    def part(self, name: str) -> str:
        """A placeholder of the page's address."""
        return str(self.request.path_params[name])

    def query(self, name: str) -> str:
        return self.request.query_params.get(name, "").strip()

    def path(self, *parts: str) -> str:
        """The API's path of something of this agency."""
        return api_path("agencies", self.agency["id"], *parts)

    def url(self, *parts: str, **query: str | None) -> str:
        """The address of one of this agency's pages, as browsers know it."""
        given = {name: value for name, value in query.items() if value}
        path = "/".join([self.services.home, self.agency["id"], *(quote(part, safe="+") for part in parts)])
        return f"{path}?{urlencode(given)}" if given else path

    def go(self, *parts: str, **query: str | None) -> Response:
        """To another page, after a form was taken: reloading that one sends nothing again."""
        return RedirectResponse(self.url(*parts, **query), _SEE_OTHER, PAGE_HEADERS)

    @property
    def kinds(self) -> Kinds:
        return self.services.kinds

    @property
    def providers(self) -> dict[str, str]:
        """The voice providers' labels by name, in their order."""
        return {name: one.label for name, one in self.kinds.items() if one.is_voice}

    async def client_names(self) -> dict[str, str]:
        """The agency's clients' names by id."""
        return {one["id"]: one["name"] for one in await self.api.list_all(self.path("clients"))}

    def render(self, template: str, status: int = 200, **content: Any) -> Response:
        notice = NOTICES.get(self.query("done"))
        page = self.drawing.draw(
            template,
            visit=self,
            agency=self.agency,
            session=self.session,
            url=self.url,
            notice=notice if self.request.method == "GET" else None,
            **content,
        )
        return Response(page, status, PAGE_HEADERS, "text/html")

    def ask(self, question: str, back: str, **facts: str) -> Response:
        """The page that asks before something is deleted, for browsers that have not asked already."""
        return self.render("confirm.html", question=CONFIRMATIONS[question], facts=facts, back=back)


Page: TypeAlias = Callable[[Visit], Awaitable[Response | ASGIApp]]
