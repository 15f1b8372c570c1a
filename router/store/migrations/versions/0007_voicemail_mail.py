"""Mail about messages, their transcripts, and for how long an agency keeps what was said."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"

# `mail_state`: new, posted (a letter waits), delivered, undelivered, or none (nobody wants one). Messages from before
# get none. Until `transcript_due` a transcript is waited for. `forgotten_at`: what was said on the call is deleted.
STATEMENTS = (
    """
    ALTER TABLE voicemails
        ADD COLUMN transcript_due timestamptz,
        ADD COLUMN mail_state     text NOT NULL DEFAULT 'none'
    """,
    "ALTER TABLE voicemails ALTER COLUMN mail_state SET DEFAULT 'new'",
    "CREATE INDEX voicemails_to_mail ON voicemails (at) WHERE mail_state = 'new'",
    "ALTER TABLE agencies ADD COLUMN retention_days integer",
    "ALTER TABLE calls ADD COLUMN forgotten_at timestamptz",
    # So that who looks through the carrier's list does not find them again.
    """
    CREATE TABLE deleted_calls (
        account_sid text NOT NULL,
        call_sid    text NOT NULL,
        at          timestamptz NOT NULL,
        PRIMARY KEY (account_sid, call_sid)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("restore a backup instead")
