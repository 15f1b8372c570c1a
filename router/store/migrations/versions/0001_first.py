"""The schema of the first version, one file an area."""

from __future__ import annotations

from router.store.migrations.running import run

revision = "0001"
down_revision = None


def upgrade() -> None:
    run(revision)
