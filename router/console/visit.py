"""One visit to a page by somebody who has signed in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from router.console.api import Api, Refusal, api_path
from router.console.drawing import Drawing, see_other
from router.console.forms import NO_ERRORS, SMALL_FORM, Form, FormErrors, form_errors
from router.console.kinds import Kinds
from router.console.notices import CONFIRMATIONS, NOTICES, WARNINGS
from router.console.services import ConsoleServices
from router.console.sessions import Session


@dataclass(frozen=True, slots=True)
class Visit:
    """A request to a page of one agency. `agency` is the API's answer about it, `health` the one about how it is doing;
    a form that was not refused needs none.

    `refusal` is why the API refused `form`: the page then shows what was entered, with the errors.
    """

    services: ConsoleServices
    drawing: Drawing
    request: Request
    session: Session
    api: Api
    agency: dict[str, Any]
    health: dict[str, Any] = field(default_factory=dict)
    form: Form = field(default_factory=Form)
    refusal: Refusal | None = None

    @property
    def confirmed(self) -> bool:
        """Whether the visitor has answered yes to the question that this form asks."""
        return self.form.text("confirmed") == "yes"

    def part(self, name: str) -> str:
        """A placeholder of the page's address."""
        return str(self.request.path_params[name])

    def query(self, name: str) -> str:
        return self.request.query_params.get(name, "").strip()

    def path(self, *parts: str) -> str:
        """The path in the API of something of this agency."""
        return api_path("agencies", self.agency["id"], *parts)

    def url(self, *parts: str, **query: str | None) -> str:
        """The address of one of this agency's pages, as browsers know it."""
        given = {name: value for name, value in query.items() if value}
        path = "/".join([self.services.home, self.agency["id"], *(quote(part, safe="+") for part in parts)])
        return f"{path}?{urlencode(given)}" if given else path

    def go(self, *parts: str, **query: str | None) -> Response:
        """Redirect after a form was accepted, so that a reload does not send it again."""
        return see_other(self.url(*parts, **query))

    async def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Change something through the API, once for each form shown. Raises ApiProblem."""
        return await self.api.send(method, path, body, once=self.form.text_or_none("once"))

    async def list_page(self, *parts: str, **only: str) -> tuple[list[dict[str, Any]], str | None]:
        """Fifty items of a list from the cursor in the page's address on, and the cursor of the next ones."""
        page = await self.api.get(self.path(*parts), limit=50, cursor=self.query("cursor"), **only)
        return page["items"], page["next_cursor"]

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

    def errors(self, place: Callable[[str], str | None] = lambda name: name) -> FormErrors:
        """What was wrong with the form; `place` as for `form_errors`."""
        return form_errors(self.refusal, place) if self.refusal else NO_ERRORS

    def render(self, template: str, **content: Any) -> Response:
        done = self.query("done") if self.request.method == "GET" else ""
        about, active = (self._label(name) for name in (self.query("about"), self.agency["active_provider"]))
        notice = NOTICES[done].format(about=about, active=active) if done in NOTICES else None
        facts = {
            "agency": self.agency,
            "health": self.health,
            "session": self.session,
            "url": self.url,
            "errors": self.errors(),
        } | content
        status = self.refusal.status if self.refusal else 200
        return self.drawing.respond(template, status, visit=self, notice=notice, warns=done in WARNINGS, **facts)

    def _label(self, name: str | None) -> str:
        kind = self.kinds.get(name or "")
        return kind.label if kind else "The provider"

    def ask(self, question: str, back: str, **facts: str) -> Response:
        """The page that asks before something is deleted, for browsers that have not asked in a dialog."""
        return self.render("confirm.html", question=CONFIRMATIONS[question], facts=facts, back=back)


def leave_out_same_email(visit: Visit, body: dict[str, Any], before: Mapping[str, Any], field: str) -> dict[str, Any]:
    """An address that the operator enters counts as confirmed; one that the operator's form only repeats does not."""
    if visit.session.is_admin and body[field] == before[field]:
        return {name: value for name, value in body.items() if name != field}
    return body


def accept_unlisted(visit: Visit, body: dict[str, Any]) -> dict[str, Any]:
    """The tick beside a phone that the numbering plan's data does not list."""
    return body | {"accept_unlisted": True} if visit.form.ticked("accept_unlisted") else body


Answer: TypeAlias = Callable[[Visit], Awaitable[Response | ASGIApp]]


class Page(NamedTuple):
    """`path` is below the agency's. `again` shows the form again if the API refuses it. `form_limit` is in bytes."""

    method: str
    path: str
    answer: Answer
    again: Answer | None = None
    form_limit: int = SMALL_FORM
