"""A router of a few lines that serves TwiML by heart over real HTTP and keeps what it was asked."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from twilio.request_validator import RequestValidator

from tests.support.serving import serve_app

ACCOUNT_SID = "AC" + "0" * 32
TOKEN = "f0" * 16
CALLER = "+14155550123"
NUMBER = "+15005550101"


@dataclass(frozen=True)
class Asked:
    """A request that reached the router."""

    path: str
    method: str
    form: dict[str, str]
    query: dict[str, str]
    headers: dict[str, str]
    signed: bool


Answer = Response | Callable[[Asked], Response | Awaitable[Response]]


@dataclass
class ScriptedRouter:
    """Answers each path with its answers in turn, the last one for ever."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    _answers: dict[str, list[Answer]] = field(default_factory=dict)

    def serve(self, path: str, *bodies: str) -> None:
        """What stands inside of the Response element."""
        self.answer(path, *(twiml(body) for body in bodies))

    def answer(self, path: str, *answers: Answer) -> None:
        self._answers[path] = list(answers)

    def asked_at(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == path]

    async def reply(self, request: Request) -> Response:
        body = (await request.body()).decode()
        form = dict(parse_qsl(body, keep_blank_values=True))
        signature = request.headers.get("x-twilio-signature", "")
        asked = Asked(
            path=request.url.path,
            method=request.method,
            form=form,
            query=dict(request.query_params),
            headers=dict(request.headers),
            signed=RequestValidator(TOKEN).validate(self.url + _raw_target(request), form, signature),
        )
        self.asked.append(asked)
        answers = self._answers.get(asked.path)
        if not answers:
            return Response(status_code=404)
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Response):
            return answer
        made = answer(asked)
        return made if isinstance(made, Response) else await made


def _raw_target(request: Request) -> str:
    query = request.scope["query_string"].decode()
    return request.scope["raw_path"].decode() + (f"?{query}" if query else "")


def twiml(body: str) -> Response:
    return Response(f"<Response>{body}</Response>", media_type="text/xml")


@contextlib.asynccontextmanager
async def running_router() -> AsyncIterator[ScriptedRouter]:
    scripted = ScriptedRouter()
    app = Starlette(routes=[Route("/{path:path}", scripted.reply, methods=["GET", "POST"])])
    async with serve_app(app) as url:
        scripted.url = url
        yield scripted
