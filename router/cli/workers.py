"""Several processes behind the same sockets: started, kept alive, and told to stop together."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Final, TypeAlias

import typer
from prometheus_client.multiprocess import mark_process_dead

from router.cli.listening import Listening
from router.cli.setup import STOP_SIGNALS, exit_when_told
from router.telemetry import emit

_LEAST_LIFE_SECONDS: Final = (
    1.0  # a worker that dies sooner is replaced with a delay, so that a bug does not use up the processor
)

Work: TypeAlias = Callable[[Listening], None]


def run_workers(count: int, listening: Listening, work: Work) -> None:
    """Run `work` in `count` processes until a signal says stop; one that dies is replaced.

    `work` is pickled, so it must be a function of a module, or a partial of one.
    """
    with tempfile.TemporaryDirectory(prefix="callrouter-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # workers read it at start; /metrics adds them up
        supervisor = _Supervisor(listening, work)
        for name in STOP_SIGNALS:
            signal.signal(name, supervisor.stop)
        supervisor.run(count)


class _Supervisor:
    def __init__(self, listening: Listening, work: Work) -> None:
        self._listening = listening
        self._work = work
        self._workers: dict[SpawnProcess, float] = {}
        self._stopping = False

    def run(self, count: int) -> None:
        for _ in range(count):
            self._start()
        while self._workers:
            wait([worker.sentinel for worker in self._workers], timeout=1.0)
            for worker in [worker for worker in self._workers if not worker.is_alive()]:
                self._replace(worker)

    def stop(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Pass the signal on: each worker drains itself."""
        self._stopping = True
        for worker in self._workers:
            if worker.pid is not None and worker.is_alive():
                os.kill(worker.pid, sig)

    def _start(self) -> None:
        worker = multiprocessing.get_context("spawn").Process(
            target=_work_in_process, args=(self._work, self._listening), name="callrouter-worker"
        )
        # Signals wait until the worker is registered here and, since it inherits the mask, until it can handle them.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            if not self._stopping:
                worker.start()
                self._workers[worker] = time.monotonic()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def _replace(self, worker: SpawnProcess) -> None:
        lived = time.monotonic() - self._workers.pop(worker)
        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
        if self._stopping:
            return
        emit("worker.died", exit_code=worker.exitcode, seconds=round(lived, 3))
        if lived < _LEAST_LIFE_SECONDS:
            time.sleep(_LEAST_LIFE_SECONDS)
        self._start()


def _work_in_process(work: Work, listening: Listening) -> None:
    exit_when_told()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    threading.Thread(target=_stop_without_parent, name="parent-watch", daemon=True).start()
    try:
        work(listening)
    except typer.Exit as stopped:  # the error has been printed
        sys.exit(stopped.exit_code)


def _stop_without_parent() -> None:
    """Stop when the parent is gone: otherwise the worker would keep the port for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
