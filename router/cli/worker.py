"""`callrouter worker`: background jobs in a process of their own, for who runs `callrouter serve --no-jobs`."""

from __future__ import annotations

import asyncio
import signal
from datetime import UTC, datetime
from importlib.metadata import version

from router.cli.serve import configure_logging_of
from router.cli.setup import (
    STOP_SIGNALS,
    check_data_dir,
    exit_when_told,
    prepare_schema,
    read_settings,
    with_database,
)
from router.composition.background import make_runner
from router.composition.outside import open_outside
from router.hygiene import forbid_core_dumps, hide_memory
from router.jobs import JobRunner
from router.settings import Settings
from router.telemetry import emit


def worker() -> None:
    """Do background jobs until told to stop. Answers no calls."""
    settings = read_settings()
    exit_when_told()
    forbid_core_dumps()
    hide_memory()
    check_data_dir(settings.data_dir)
    settings = with_database(settings)
    prepare_schema(settings)
    configure_logging_of(settings)
    asyncio.run(_work(settings))


async def _work(settings: Settings) -> None:
    async with open_outside(settings, lambda: datetime.now(UTC)) as outside:
        runner = make_runner(settings, outside)
        stopping: set[asyncio.Task[None]] = set()
        for number in STOP_SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, _stop, runner, stopping)
        emit("jobs.started", version=version("callrouter"))
        await runner.run()


def _stop(runner: JobRunner, stopping: set[asyncio.Task[None]]) -> None:
    """The first signal; a second one ends the process as signals do."""
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)
    emit("jobs.stopping")
    stopping.add(loop.create_task(runner.stop()))
