"""What an agency's figures are counted from, found without reading every event."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    # Faults are few: most calls write none of these rows.
    op.execute(
        "CREATE INDEX call_events_of_faults ON call_events (agency_id, at) "
        "WHERE event IN ('handoff.failed', 'handoff.skipped')"
    )


def downgrade() -> None:
    raise RuntimeError("restore a backup instead")
