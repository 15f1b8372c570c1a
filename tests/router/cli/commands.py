"""`callrouter` as its own process, as a user or an init system starts it; or in this one, where that shows the same.

Starting Python and importing the service takes 1.2 seconds of a processor. So most commands are forked from a process
that has done that and nothing else, one for each of pytest's workers. Memory hygiene needs a real start.
"""

from __future__ import annotations

import atexit
import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Protocol, TypeVar

import httpx
import psutil
from click.testing import Result
from typer.testing import CliRunner

from router.__main__ import main
from router.cli import make_app
from tests.support.open_service import open_memory

ROOT = Path(__file__).parents[3]
PATIENCE = 60.0  # seconds: many times what anything here takes on an idle machine
APP = make_app()  # here, so that processes that are forked have all commands already
_T = TypeVar("_T")


def wait_for(look: Callable[[], _T], what: str) -> _T:
    """The first truthy thing that `look` finds."""
    until = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(0.02)
    return found


class Running(Protocol):
    """The process of a command."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def kill(self) -> None: ...

    def send_signal(self, number: signal.Signals) -> None: ...


@dataclass(slots=True)
class Forked:
    """A process that was forked, and behaves as one of subprocess's."""

    process: ForkServerProcess

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self.process.join(timeout)
        if self.process.exitcode is None:
            raise subprocess.TimeoutExpired("callrouter", timeout or 0)
        return self.process.exitcode

    def kill(self) -> None:
        self.process.kill()

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


@dataclass(slots=True)
class Command:
    """A running command, with all that it has printed so far."""

    process: Running
    _out: Path
    _err: Path

    @property
    def stdout(self) -> str:
        return self._out.read_text()

    @property
    def stderr(self) -> str:
        return self._err.read_text()

    @property
    def pid(self) -> int:
        return self.process.pid

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log events of that name. A line that is being written does not count yet."""
        lines = [json.loads(line) for line in self.stdout.splitlines(keepends=True) if line.endswith("\n")]
        return [line for line in lines if line["event"] == name]

    def wait_for_events(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        def look() -> list[dict[str, Any]] | None:
            found = self.events(name)
            if len(found) >= count:
                return found
            assert self.process.poll() is None, f"it ended:\n{self.stdout}{self.stderr}"
            return None

        return wait_for(look, f"{count} × {name}")

    def url(self) -> str:
        """Where it answers, as soon as it does."""
        port = self.wait_for_events("service.started")[0]["port"]
        return f"http://127.0.0.1:{port}"

    def workers(self) -> list[psutil.Process]:
        """Its worker processes."""
        return [
            child
            for child in psutil.Process(self.pid).children()
            if any("spawn_main" in each for each in child.cmdline())
        ]

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(PATIENCE)


def start(arguments: Sequence[str], environ: Mapping[str, str], out: Path, err: Path) -> Running:
    with out.open("wb") as stdout, err.open("wb") as stderr:
        return subprocess.Popen(
            [sys.executable, "-m", "router", *arguments],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )


def fork(arguments: Sequence[str], environ: Mapping[str, str], out: Path, err: Path) -> Running:
    process = _forks.Process(target=_run, args=(list(arguments), dict(environ), out, err))
    process.start()
    return Forked(process)


def _run(arguments: list[str], environ: dict[str, str], out: Path, err: Path) -> None:
    """What `python -m router` does, in a process that has just been forked."""
    for path, number in ((out, 1), (err, 2)):
        with path.open("wb") as file:
            os.dup2(file.fileno(), number)
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["callrouter", *arguments]
    open_memory("unprotected")
    try:
        main()
    finally:
        atexit._run_exitfuncs()  # a process that multiprocessing forked leaves them out


_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([__name__])


class Commands:
    """Starts commands in a folder of their own, with nothing from the surrounding environment but what is given."""

    def __init__(self, folder: Path) -> None:
        self.is_forked = True
        self._folder = folder
        self._started: list[Command] = []
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "CALLROUTER_DATA_DIR": str(folder / "data"),
            "CALLROUTER_PORT": "0",
            "CALLROUTER_DRAIN_DELAY": "0",
        }

    def start(self, *arguments: str, **environ: str | None) -> Command:
        """An environment value of None takes a variable away."""
        place = f"{len(self._started)}-{arguments[0]}"
        out, err = self._folder / f"{place}.out", self._folder / f"{place}.err"
        given = {name: value for name, value in {**self.environ, **environ}.items() if value is not None}
        out.touch()
        err.touch()
        command = Command((fork if self.is_forked else start)(arguments, given, out, err), out, err)
        self._started.append(command)
        return command

    def run(self, *arguments: str, **environ: str | None) -> Command:
        """The same, waited for."""
        command = self.start(*arguments, **environ)
        command.end()
        return command

    def invoke(self, *arguments: str, **environ: str | None) -> Result:
        """The same in this process: for commands that do their work and end, or do not get as far as serving."""
        ours = {name: None for name in os.environ if name.startswith(("CALLROUTER_", "DATABASE_"))}
        with logging_as_at_a_start():
            return CliRunner().invoke(APP, arguments, env={**ours, **self.environ, **environ}, prog_name="callrouter")

    def postgres(self) -> psutil.Process:
        """The embedded server under the data dir."""
        folder = Path(self.environ["CALLROUTER_DATA_DIR"])
        (file,) = folder.glob("**/postmaster.pid")
        return psutil.Process(int(file.read_text().split()[0]))

    def close(self) -> None:
        for command in self._started:
            stop(command)


@contextmanager
def logging_as_at_a_start() -> Iterator[None]:
    """A process of its own would not log as whatever ran here before it has been told to."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers
    root.handlers = []
    root.setLevel(logging.WARNING)
    try:
        yield
    finally:
        root.handlers = handlers
        root.setLevel(level)


def stop(command: Command) -> None:
    """End it and all its children, by their ids, whatever state a test has left them in."""
    if command.process.poll() is None:
        children = psutil.Process(command.pid).children(recursive=True)
        command.tell(signal.SIGTERM)
        try:
            command.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            command.process.kill()
            command.process.wait()
        for child in children:
            if child.is_running():
                child.kill()


@contextmanager
def running_commands(folder: Path) -> Iterator[Commands]:
    commands = Commands(folder)
    try:
        yield commands
    finally:
        commands.close()


def mistakes(command: Command | Result) -> list[str]:
    """The lines on standard error; each must be one of ours, and nothing else may stand there."""
    lines = command.stderr.splitlines()
    assert all(line.startswith("callrouter: ") for line in lines), command.stderr
    return [line.removeprefix("callrouter: ") for line in lines]


def is_over(process: psutil.Process) -> bool:
    """Ended, also where nobody collects the orphans."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def get(url: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """One request on a connection of its own, so that any worker may answer it."""
    return httpx.get(url, headers=headers, trust_env=False, timeout=PATIENCE)
