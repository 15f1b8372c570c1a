"""A Twilio on loopback that answers as it is told and remembers what it was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from adapters.http import Http
from adapters.twilio import Twilio


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    target: str
    authorization: str
    range: str | None
    form: list[tuple[str, str]]


@dataclass(slots=True)
class ScriptedTwilio:
    base_url: str = ""
    status: int = 200
    body: object = b""  # anything but bytes is sent as JSON
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def answers(self, status: int, body: object = b"", **headers: str) -> None:
        """Header names with underscores for dashes."""
        self.status, self.body = status, body
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    async def handle(self, request: web.Request) -> web.Response:
        form = parse_qsl((await request.read()).decode(), keep_blank_values=True)
        headers = request.headers
        self.asked.append(
            Asked(request.method, request.raw_path, headers.get("Authorization", ""), headers.get("Range"), form)
        )
        if isinstance(self.body, bytes):
            return web.Response(status=self.status, body=self.body, headers=self.headers)
        return web.json_response(self.body, status=self.status, headers=self.headers)


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedTwilio]:
    script = ScriptedTwilio()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", script.handle)
    async with TestServer(app) as server:
        script.base_url = str(server.make_url("")).rstrip("/")
        yield script


@pytest.fixture
async def twilio(scripted: ScriptedTwilio) -> AsyncIterator[Twilio]:
    http = Http()
    yield Twilio(http, scripted.base_url)
    await http.aclose()


@pytest.fixture
def unused_tcp_port() -> int:
    return unused_port()
