"""Opens connections, and finds out whether a pooler stands before the server.

A pooler in transaction mode, such as PgBouncer, may use another session of the server for each transaction. A prepared
statement with a name belongs to one session, so behind a pooler statements get no name: each is then sent, parsed and
run in one go. A pooler gives itself away by the process ID with which it greets: no process of the server has it.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg

# Servers that were reached without a pooler, by host and port. The settings that name them do not change.
_direct: set[tuple[str, ...]] = set()


async def open_connection(dsn: str, **options: Any) -> asyncpg.Connection:
    """As `asyncpg.connect`, but with statements that work through a pooler if there is one."""
    server = _server_of(dsn)
    connection: asyncpg.Connection
    if server in _direct:
        connection = await asyncpg.connect(dsn, **options)
        return connection
    connection = await asyncpg.connect(dsn, statement_cache_size=0, **options)
    try:
        if await is_pooled(connection):
            return connection
    except BaseException:
        connection.terminate()
        raise
    _direct.add(server)
    await connection.close()
    connection = await asyncpg.connect(dsn, **options)
    return connection


async def is_pooled(connection: asyncpg.Connection) -> bool:
    """Whether the connection goes through a pooler. It must have been opened for statements without names."""
    return bool(await connection.fetchval("""SELECT pg_backend_pid()""") != connection.get_server_pid())


async def goes_through_pooler(dsn: str, seconds: float) -> bool:
    """Over a connection of its own. Raises what the driver raises."""
    connection = await asyncpg.connect(dsn, timeout=seconds, command_timeout=seconds, statement_cache_size=0)
    try:
        return await is_pooled(connection)
    finally:
        connection.terminate()


def _server_of(dsn: str) -> tuple[str, ...]:
    """Without user and password."""
    parts = urlsplit(dsn)
    query = parse_qs(parts.query)
    return (parts.netloc.rpartition("@")[2], *query.get("host", ()), *query.get("port", ()))
