"""`callrouter serve` and `callrouter fallback`: processes that answer requests until they are told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from importlib.metadata import version
from types import FrameType
from typing import Annotated, Final

import typer
import uvicorn
from rich.console import Console
from starlette.applications import Starlette

from adapters.registry import PROVIDERS, settings_of
from crypto import Keyring
from router.app import create_app, fallback_app, fallback_ops_app, ops_app
from router.cli.listening import Listening, listen_on_all
from router.cli.setup import (
    FAILED,
    check_data_dir,
    configure_logging_of,
    exit_when_told,
    find_admin_token,
    keyring_mistake,
    prepare_database,
    read_settings,
    refuse,
    with_database,
)
from router.cli.workers import run_workers
from router.edge import Limits, bounded_config, raise_descriptor_limit
from router.health import ServiceHealth
from router.hygiene import is_memory_overwritten, is_memory_readable, protect_memory, settle_memory
from router.settings import Settings, SettingsError, load_settings
from router.telemetry import emit, metrics

_GRACE_SECONDS: Final = 20
_NOT_FOR_FALLBACK: Final = ("DATABASE_URL", "DATABASE_URL_FILE")  # they would make other settings required

Host = Annotated[str | None, typer.Option(help="Address to listen on.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on; 0 picks a free one.")]
Workers = Annotated[int | None, typer.Option(help="Processes that answer calls.")]
NoJobs = Annotated[bool, typer.Option("--no-jobs", help="Leave background jobs to `callrouter worker`.")]


def serve(host: Host = None, port: Port = None, workers: Workers = None, no_jobs: NoJobs = False) -> None:
    """Answer calls until told to stop."""
    settings = read_settings(host=host, port=port, workers=workers)
    exit_when_told()
    check_data_dir(settings.data_dir)
    listening, settings = listen_on_all(settings)
    settings = prepare_database(settings)
    if sys.stderr.isatty():
        greet(settings, os.environ)
    if settings.workers == 1:
        _run_service(settings, listening, jobs=not no_jobs)
        return
    # Workers read the environment, so options are passed on there.
    os.environ |= {
        "CALLROUTER_HOST": settings.host,
        "CALLROUTER_PORT": str(settings.port),
        "CALLROUTER_WORKERS": str(settings.workers),
        **({} if settings.ops_port is None else {"CALLROUTER_OPS_PORT": str(settings.ops_port)}),
    }
    run_workers(settings.workers, listening, partial(_serve_in_worker, jobs=not no_jobs))


def greet(settings: Settings, environ: Mapping[str, str]) -> None:
    """For people at a terminal, who want to go on in a browser."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"console           {settings.base_url}/console", markup=False)
    console.print(f"operator's token  {find_admin_token(settings, environ)}", markup=False)
    console.print(f"API               {settings.base_url}/v1  ({settings.base_url}/docs)", markup=False)


def _serve_in_worker(listening: Listening, *, jobs: bool) -> None:
    protect_memory()
    exit_when_told()
    settings = with_database(read_settings())
    configure_logging_of(settings)
    _run_service(settings, listening, jobs=jobs)


def fallback(host: Host = None, port: Port = None) -> None:
    """Serve only the static fallback: no database, no providers. Run it on separate infrastructure."""
    environ = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_FALLBACK}
    checks, declared = {"fallback_keys": keyring_mistake}, settings_of(PROVIDERS)
    try:
        settings = load_settings(environ, checks, declared, host=host, port=port)
    except SettingsError as error:
        refuse(*error.problems)
    if settings.fallback_keys is None:
        refuse("CALLROUTER_FALLBACK_KEYS: required; use the same value as for `callrouter serve`")
    keyring = Keyring.parse(settings.fallback_keys.get_secret_value(), derives=False)
    exit_when_told()
    listening, settings = listen_on_all(settings)
    configure_logging_of(settings)
    emit(
        "service.started",
        version=version("callrouter"),
        host=settings.host,
        port=settings.port,
        ops_port=settings.ops_port,
        workers=1,
        database="none",
        memory_hygiene=is_memory_overwritten(),
        core_dumps=False,
        dumpable=is_memory_readable(),
        public_url=settings.fallback_base_url,
    )
    metrics.started(version("callrouter"), "fallback")
    health = ServiceHealth()
    run_server(
        lambda: fallback_app(keyring, settings, health), lambda: fallback_ops_app(health), health, settings, listening
    )


def _run_service(settings: Settings, listening: Listening, *, jobs: bool) -> None:
    health = ServiceHealth()
    run_server(lambda: create_app(settings, health, jobs=jobs), lambda: ops_app(health), health, settings, listening)


def run_server(
    make_app: Callable[[], Starlette],
    make_ops_app: Callable[[], Starlette],
    health: ServiceHealth,
    settings: Settings,
    listening: Listening,
) -> None:
    """Serve on those sockets until told to stop. The applications are made in the server's event loop."""
    beside = nullcontext() if listening.ops is None else answering(make_ops_app, settings, listening.ops)
    config = serving_config(make_app, settings)
    try:
        DrainingServer(config, health, settings.drain_delay, beside).run([listening.main])
    except SystemExit as stopped:  # uvicorn's exit if the application does not start; the log says why
        raise typer.Exit(FAILED if stopped.code else 0) from None


@asynccontextmanager
async def answering(
    make_app: Callable[[], Starlette], settings: Settings, listening: socket.socket
) -> AsyncIterator[None]:
    """Serve on that socket while the block runs, without handling signals."""
    config = serving_config(make_app, settings)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listening])
    ticking = asyncio.create_task(server.main_loop())
    try:
        yield
    finally:
        ticking.cancel()
        await server.shutdown(sockets=[listening])


class DrainingServer(uvicorn.Server):
    """Drains when told to stop: the probes say so, calls are accepted for a while, then those in progress finish."""

    def __init__(
        self,
        config: uvicorn.Config,
        health: ServiceHealth,
        drain_delay: float,
        beside: AbstractAsyncContextManager[None] | None = None,
    ) -> None:
        """`beside` is entered before this server starts, and left when it has ended."""
        super().__init__(config)
        self._beside = beside or nullcontext()
        self._health = health
        self._drain_delay = drain_delay
        self._told = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        settle_memory()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        async with self._beside:
            await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """The first signal drains; a second one, or an interrupt, stops at once. Either way the exit code is 0."""
        if self._told or sig == signal.SIGINT:
            self.should_exit = True
            return
        self._told = True
        self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        self._health.draining = True
        emit("service.draining", calls_in_flight=len(self.server_state.tasks))
        self._loop.call_later(self._drain_delay, self._stop)

    def _stop(self) -> None:
        self.should_exit = True


def serving_config(make_app: Callable[[], Starlette], settings: Settings) -> uvicorn.Config:
    return bounded_config(
        make_app,
        Limits.of(settings, raise_descriptor_limit()),
        is_https=any(url.startswith("https://") for url in (settings.base_url, settings.fallback_base_url)),
        factory=True,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
