"""A Twilio on loopback that answers as it is told and remembers what it was asked."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.test_utils import TestServer
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    target: str
    authorization: str
    range: str | None
    form: list[tuple[str, str]]

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: object  # anything but bytes is sent as JSON
    headers: dict[str, str]


@dataclass(slots=True)
class ScriptedTwilio:
    base_url: str = ""
    asked: list[Asked] = field(default_factory=list)
    _answers: list[Answer] = field(default_factory=lambda: [Answer(200, b"", {})])

    def answers(self, status: int, body: object = b"", **headers: str) -> None:
        """To everything from now on. Header names with underscores for dashes."""
        self._answers = [Answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()})]

    def answers_in_turn(self, *bodies: object) -> None:
        """Each once, the last one for ever."""
        self._answers = [Answer(200, body, {}) for body in bodies]

    async def handle(self, request: web.Request) -> web.Response:
        form = parse_qsl((await request.read()).decode(), keep_blank_values=True)
        headers = request.headers
        self.asked.append(
            Asked(request.method, request.raw_path, headers.get("Authorization", ""), headers.get("Range"), form)
        )
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer.body, bytes):
            return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
        return web.json_response(answer.body, status=answer.status, headers=answer.headers)


@contextlib.asynccontextmanager
async def scripted_twilio() -> AsyncIterator[ScriptedTwilio]:
    script = ScriptedTwilio()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", script.handle)
    async with TestServer(app) as server:
        script.base_url = str(server.make_url("")).rstrip("/")
        yield script


class Detour(TwilioHttpClient):
    """Leads Twilio's own client to `base_url`. Close it."""

    def __init__(self, base_url: str) -> None:
        super().__init__(timeout=10)
        self._base_url = base_url

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Response:
        return super().request(method, url.replace("https://api.twilio.com", self._base_url), *args, **kwargs)

    def close(self) -> None:
        self.session.close()
