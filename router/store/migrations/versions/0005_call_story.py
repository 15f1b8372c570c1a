"""What providers tell of a call: why it ended, what was said, for how long."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"

# `end_reason` is the provider's own word; `ai_seconds`: how long it says that it had the call.
STATEMENTS = (
    """
    ALTER TABLE calls
        ADD COLUMN provider_call_id text,
        ADD COLUMN end_reason       text,
        ADD COLUMN summary          text,
        ADD COLUMN transcript       text,
        ADD COLUMN ai_seconds       double precision
    """,
    "CREATE INDEX calls_by_provider_call ON calls (provider_call_id) WHERE provider_call_id IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("restore a backup instead")
