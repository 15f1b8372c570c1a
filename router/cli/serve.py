"""`callrouter serve` and `callrouter fallback`: processes that answer until they are told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from types import FrameType
from typing import Annotated, Final

import typer
import uvicorn
from starlette.applications import Starlette

from adapters.registry import PROVIDERS, settings_of
from crypto import Keyring
from router.app import create_app, fallback_app
from router.cli.setup import (
    FAILED,
    WRONG_USAGE,
    check_data_dir,
    exit_when_told,
    fail,
    keyring_mistake,
    prepare_schema,
    read_settings,
    with_database,
)
from router.cli.workers import run_workers
from router.edge import Limits, bounded_config, raise_descriptor_limit
from router.health import ServiceHealth
from router.hygiene import forbid_core_dumps, hide_memory, is_memory_overwritten, is_memory_readable
from router.settings import Settings, SettingsError, load_settings
from router.telemetry import configure_logging, emit

_GRACE_SECONDS: Final = 20
_BACKLOG: Final = 2048  # callers who may wait for a free moment, uvicorn's own number
_NOT_FOR_FALLBACK: Final = ("DATABASE_URL", "DATABASE_URL_FILE")  # they would make other settings required

Host = Annotated[str | None, typer.Option(help="Address to listen on.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")]
Workers = Annotated[int | None, typer.Option(help="Processes that answer calls.")]
NoJobs = Annotated[bool, typer.Option("--no-jobs", help="Leave background jobs to `callrouter worker`.")]


def serve(host: Host = None, port: Port = None, workers: Workers = None, no_jobs: NoJobs = False) -> None:
    """Answer calls until told to stop."""
    settings = read_settings(host=host, port=port, workers=workers)
    exit_when_told()
    forbid_core_dumps()
    hide_memory()
    check_data_dir(settings.data_dir)
    listening, settings = listen(settings)
    settings = with_database(settings)
    prepare_schema(settings)
    configure_logging_of(settings)
    if settings.workers == 1:
        _run_service(settings, listening, jobs=not no_jobs)
        return
    _hand_to_workers(settings)
    run_workers(settings.workers, listening, run_without_jobs if no_jobs else run_with_jobs)


def run_with_jobs(listening: socket.socket) -> None:
    """One of several processes; its settings come from the environment that `serve` prepared."""
    _run_one_of_several(listening, jobs=True)


def run_without_jobs(listening: socket.socket) -> None:
    """The same, for calls alone."""
    _run_one_of_several(listening, jobs=False)


def _run_one_of_several(listening: socket.socket, *, jobs: bool) -> None:
    settings = with_database(read_settings())
    forbid_core_dumps()
    hide_memory()
    configure_logging_of(settings)
    _run_service(settings, listening, jobs=jobs)


def fallback(host: Host = None, port: Port = None) -> None:
    """Serve only the static fallback: no database, no providers. Run it where it fails apart from the rest."""
    environ = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_FALLBACK}
    try:
        settings = load_settings(
            environ,
            checks={"fallback_keys": keyring_mistake},
            declared=settings_of(PROVIDERS),
            host=host,
            port=port,
        )
    except SettingsError as error:
        fail(*error.problems, code=WRONG_USAGE)
    if settings.fallback_keys is None:
        fail("CALLROUTER_FALLBACK_KEYS: required, the same as the router's", code=WRONG_USAGE)
    keyring = Keyring.parse(settings.fallback_keys.get_secret_value(), derives=False)
    exit_when_told()
    forbid_core_dumps()
    hide_memory()
    listening, settings = listen(settings)
    configure_logging_of(settings)
    emit(
        "service.started",
        version=version("callrouter"),
        host=settings.host,
        port=settings.port,
        workers=1,
        database="none",
        memory_hygiene=is_memory_overwritten(),
        core_dumps=False,
        dumpable=is_memory_readable(),
        public_url=settings.fallback_base_url,
    )
    run_server(lambda: fallback_app(keyring, settings), ServiceHealth(), settings, listening)


def listen(settings: Settings) -> tuple[socket.socket, Settings]:
    """The socket that answers, and settings with its real port; a wrong or taken address ends the command.

    Whoever calls from now on waits until the service is up.
    """
    try:
        [(family, kind, _, _, address), *_] = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        # asyncio sends small replies at once only on sockets that say they are TCP.
        listening = socket.socket(family, kind, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        fail(f"CALLROUTER_HOST, CALLROUTER_PORT: cannot listen on {settings.host}:{settings.port} ({error.strerror})")
    listening.set_inheritable(True)
    return listening, settings.model_copy(update={"port": listening.getsockname()[1]})


def _run_service(settings: Settings, listening: socket.socket, *, jobs: bool) -> None:
    health = ServiceHealth()
    run_server(lambda: create_app(settings, health, jobs=jobs), health, settings, listening)


def run_server(
    make_app: Callable[[], Starlette], health: ServiceHealth, settings: Settings, listening: socket.socket
) -> None:
    """Answer on that socket until told to stop. `make_app` is called in the server's event loop."""
    try:
        DrainingServer(serving_config(make_app, settings), health, settings.drain_delay).run([listening])
    except SystemExit as stopped:  # uvicorn's own code for an application that does not start; why is in the log
        raise typer.Exit(FAILED if stopped.code else 0) from None


@asynccontextmanager
async def answering(
    make_app: Callable[[], Starlette], settings: Settings, listening: socket.socket
) -> AsyncIterator[None]:
    """Answer on that socket beside what else this process does; signals are for that to hear."""
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


def configure_logging_of(settings: Settings) -> None:
    configure_logging(settings.log_level, settings.log_format, settings.log_numbers)


class DrainingServer(uvicorn.Server):
    """Told to stop, it says so to the probes first and still takes calls for a while, then answers those in flight."""

    def __init__(self, config: uvicorn.Config, health: ServiceHealth, drain_delay: float) -> None:
        super().__init__(config)
        self._health = health
        self._drain_delay = drain_delay
        self._told = False

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """The first signal drains, a second one or an interrupt stops at once. Not raised again: the exit code is 0."""
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
        factory=True,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


def _hand_to_workers(settings: Settings) -> None:
    """Workers read the environment; what was given as an option goes there."""
    os.environ |= {
        "CALLROUTER_HOST": settings.host,
        "CALLROUTER_PORT": str(settings.port),
        "CALLROUTER_WORKERS": str(settings.workers),
    }
