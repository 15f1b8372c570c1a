"""Modules of ours as processes of their own, for measurements: nothing that is measured shares a process with the load."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import psutil

from tests.chaos.machinery import make_environment
from tests.support.local_http import local_client

_START_SECONDS = 60.0


@contextlib.contextmanager
def running(command: list[str], environment: Mapping[str, str], log: Path | None = None) -> Iterator[psutil.Process]:
    """Ended with the block. Without a file for its log, the log is thrown away, but written."""
    with (
        (log or Path("/dev/null")).open("ab") as out,
        subprocess.Popen(
            [sys.executable, "-m", *command], env=make_environment(dict(environment)), stdout=out, stderr=out
        ) as process,
    ):
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


async def wait_until_it_answers(url: str) -> None:
    """Anything but a refusal and a 503."""
    async with asyncio.timeout(_START_SECONDS), local_client() as client:
        while True:
            with contextlib.suppress(httpx.ConnectError):
                if (await client.get(url)).status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    return
            await asyncio.sleep(0.05)
