"""Looking up at the carrier what passed us by."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"

# `swept_until`: all calls of the account that began before are known. `next_at` is a lease, too.
STATEMENTS = (
    "ALTER TABLE calls ADD COLUMN swept_at timestamptz",
    "CREATE INDEX calls_unended ON calls (started_at) WHERE ended_at IS NULL",
    """
    CREATE TABLE sweeps (
        account_sid text PRIMARY KEY,
        swept_until timestamptz NOT NULL,
        next_at     timestamptz NOT NULL
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("restore a backup instead")
