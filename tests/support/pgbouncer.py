"""PgBouncer before the suite's server, in transaction mode."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.support.serving import listen

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

_SETTINGS = """
[databases]
{name} = host={host} port={port} dbname={name} user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listening}
unix_socket_dir =
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 1000
auth_type = plain
auth_file = {folder}/users
"""


@dataclass(frozen=True)
class PgBouncer:
    port: int
    name: str
    password: str

    def dsn(self, *, name: str | None = None, password: str | None = None) -> str:
        return f"postgres://callrouter:{password or self.password}@127.0.0.1:{self.port}/{name or self.name}"


@contextlib.asynccontextmanager
async def running_pgbouncer(dsn: str, *, sessions: int = 5) -> AsyncIterator[PgBouncer]:
    """It lets `callrouter` in with a password, and has so many of the server's sessions for all who come."""
    assert PROGRAM is not None
    parts = urlsplit(dsn)
    query = parse_qs(parts.query)
    host, name = query["host"][0], parts.path.removeprefix("/")
    with listen() as free:
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="callrouter-pgbouncer-"))
    bouncer = PgBouncer(port, name, "canary_of_the_pooler")
    try:
        (folder / "users").write_text(f'"callrouter" "{bouncer.password}"\n')
        settings = folder / "pgbouncer.ini"
        settings.write_text(
            _SETTINGS.format(
                name=name,
                host=host,
                port=query.get("port", ["5432"])[0],
                listening=port,
                sessions=sessions,
                folder=folder,
            )
        )
        owner = Path(host).stat()  # root may not run it, and only the server's user gets at the server's socket
        for path in (folder, *folder.iterdir()):
            os.chown(path, owner.st_uid, owner.st_gid)
        with subprocess.Popen(  # noqa: ASYNC220  it starts at once
            [PROGRAM, "-q", settings],
            user=owner.st_uid,
            group=owner.st_gid,
            extra_groups=(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                await _wait_for(port)
                yield bouncer
            finally:
                process.terminate()
    finally:
        shutil.rmtree(folder)


async def _wait_for(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
