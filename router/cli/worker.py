"""`callrouter worker`: background jobs in a process of their own, for use with `callrouter serve --no-jobs`."""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import Annotated

import typer

from router.app import make_service, ops_app
from router.cli.listening import listen
from router.cli.serve import Host, answering
from router.cli.setup import STOP_SIGNALS, check_data_dir, exit_when_told, prepare_database, read_settings
from router.health import ServiceHealth
from router.jobs import JobRunner
from router.settings import Settings
from router.telemetry import emit, metrics

ProbesPort = Annotated[
    int | None,
    typer.Option(
        help="Port for probes and /metrics; 0 picks a free one. If omitted, CALLROUTER_OPS_PORT; without it, they are not "
        "served."
    ),
]


def worker(host: Host = None, port: ProbesPort = None) -> None:
    """Run background jobs until told to stop. Takes no calls."""
    settings = read_settings(host=host, port=port)
    if port is None and settings.ops_port is not None:
        port, settings = settings.ops_port, settings.model_copy(update={"port": settings.ops_port})
    exit_when_told()
    check_data_dir(settings.data_dir)
    listening = None
    if port is not None:
        listening, settings = listen(settings)
    asyncio.run(_work(prepare_database(settings), listening))


async def _work(settings: Settings, listening: socket.socket | None) -> None:
    health = ServiceHealth()
    service = make_service(settings, health)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(service.doing_jobs())
        health.starting = False
        if listening is not None:
            await stack.enter_async_context(answering(lambda: ops_app(health), settings, listening))
        stopping: set[asyncio.Task[None]] = set()
        for number in STOP_SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, _stop, service.runner, health, stopping)
        at = {} if listening is None else {"port": settings.port}
        metrics.started(version("callrouter"), "worker")
        emit("jobs.started", version=version("callrouter"), **at)
        await service.runner.run()


def _stop(runner: JobRunner, health: ServiceHealth, stopping: set[asyncio.Task[None]]) -> None:
    """Handle the first signal; a second one ends the process immediately."""
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)
    health.draining = True
    emit("jobs.stopping")
    stopping.add(loop.create_task(runner.stop()))
