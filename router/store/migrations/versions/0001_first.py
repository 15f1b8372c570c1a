"""Agencies and their settings, calls and what happened on them."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

SCHEMA = """
CREATE TABLE agencies (
    id                 text PRIMARY KEY,
    name               text NOT NULL,
    alert_email        text,
    active_provider    text,
    former_provider    text,
    fallback_providers text[],
    created_at         timestamptz NOT NULL
);

CREATE TABLE tokens (
    id         text PRIMARY KEY,
    agency_id  text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    name       text NOT NULL,
    hash       bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL
);
CREATE INDEX tokens_of_agency ON tokens (agency_id, created_at, id);

-- Sealed texts are bound to (agency_id, kind, version) and open nowhere else.
CREATE TABLE keys (
    agency_id            text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    kind                 text NOT NULL,
    version              integer NOT NULL,
    sealed               text NOT NULL,
    webhook_sealed       text,
    webhook_token_sealed text,
    account_sid          text,
    last4                text NOT NULL,
    status               text NOT NULL,
    checked_at           timestamptz NOT NULL,
    saved_at             timestamptz NOT NULL,
    retired_at           timestamptz,
    PRIMARY KEY (agency_id, kind, version)
);
CREATE UNIQUE INDEX keys_in_use ON keys (agency_id, kind) WHERE retired_at IS NULL;
CREATE INDEX keys_of_account ON keys (account_sid) WHERE account_sid IS NOT NULL;

-- Outlives the keys: a version number is never used twice.
CREATE TABLE key_versions (
    agency_id text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    kind      text NOT NULL,
    newest    integer NOT NULL,
    PRIMARY KEY (agency_id, kind)
);

CREATE TABLE clients (
    id             text PRIMARY KEY,
    agency_id      text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    name           text NOT NULL,
    personal_phone text,
    notify_email   text,
    provider       text,
    caller_id      text NOT NULL,
    routing        jsonb NOT NULL,
    assistant      jsonb,
    created_at     timestamptz NOT NULL,
    UNIQUE (agency_id, id)
);
CREATE INDEX clients_of_agency ON clients (agency_id, created_at, id);

CREATE TABLE assistants (
    client_id  text NOT NULL REFERENCES clients ON DELETE CASCADE,
    provider   text NOT NULL,
    remote_id  text,
    state      text NOT NULL,
    error      text,
    lost       text[] NOT NULL DEFAULT '{}',
    manage     text[] NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (client_id, provider)
);

CREATE TABLE numbers (
    account_sid    text NOT NULL,
    e164           text NOT NULL,
    agency_id      text NOT NULL,
    client_id      text NOT NULL,
    carrier        text NOT NULL,
    account        text NOT NULL,
    number_sid     text NOT NULL,
    voice_url      text NOT NULL,
    fallback_url   text NOT NULL,
    status_url     text NOT NULL,
    state          text NOT NULL,
    fallback_state text NOT NULL,
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (account_sid, e164),
    UNIQUE (agency_id, e164),
    FOREIGN KEY (agency_id, client_id) REFERENCES clients (agency_id, id) ON DELETE CASCADE
);
CREATE INDEX numbers_of_client ON numbers (client_id);
CREATE INDEX numbers_by_e164 ON numbers (e164);

CREATE TABLE registrations (
    agency_id text NOT NULL,
    e164      text NOT NULL,
    provider  text NOT NULL,
    remote_id text NOT NULL,
    mode      text,
    PRIMARY KEY (agency_id, e164, provider),
    FOREIGN KEY (agency_id, e164) REFERENCES numbers (agency_id, e164) ON DELETE CASCADE
);

CREATE TABLE calls (
    id            text PRIMARY KEY,
    account_sid   text NOT NULL,
    call_sid      text NOT NULL,
    agency_id     text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    client_id     text NOT NULL,
    from_number   text NOT NULL,
    to_number     text NOT NULL,
    provider      text,
    answered_by   text,
    outcome       text,
    started_at    timestamptz NOT NULL,
    answered_at   timestamptz,
    ended_at      timestamptz,
    seconds       integer,
    cost          numeric(12, 6),
    ringing_phone text,
    ringing_shows text,
    ringing_until timestamptz,
    UNIQUE (account_sid, call_sid)
);
CREATE INDEX calls_of_agency ON calls (agency_id, started_at DESC, id DESC);
CREATE INDEX calls_live ON calls (agency_id, started_at) WHERE ended_at IS NULL;
CREATE INDEX calls_ringing ON calls (client_id) WHERE ringing_phone IS NOT NULL;

-- The unit of idempotency. `answer` is the sealed document and the sealed state that goes with it.
CREATE TABLE call_steps (
    account_sid text NOT NULL,
    call_sid    text NOT NULL,
    step        text NOT NULL,
    call_id     text NOT NULL,
    claimed_at  timestamptz NOT NULL,
    answered_at timestamptz,
    answer      text,
    PRIMARY KEY (account_sid, call_sid, step)
);
CREATE INDEX call_steps_of_call ON call_steps (call_id, claimed_at);

CREATE TABLE call_events (
    id          text PRIMARY KEY,
    call_id     text NOT NULL REFERENCES calls ON DELETE CASCADE,
    at          timestamptz NOT NULL,
    event       text NOT NULL,
    step        text,
    provider    text,
    reason      text,
    duration_ms integer,
    UNIQUE NULLS NOT DISTINCT (call_id, event, step, provider)
);
CREATE INDEX call_events_of_call ON call_events (call_id, at, id);

-- Ends of calls that are not recorded yet, because their beginning is in the spool of some process.
CREATE TABLE early_ends (
    call_id  text PRIMARY KEY,
    event_id text NOT NULL,
    at       timestamptz NOT NULL,
    seconds  integer
);

CREATE TABLE voicemails (
    id            text PRIMARY KEY,
    account_sid   text NOT NULL,
    recording_sid text NOT NULL,
    call_id       text NOT NULL REFERENCES calls ON DELETE CASCADE,
    agency_id     text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    client_id     text NOT NULL,
    from_number   text NOT NULL,
    at            timestamptz NOT NULL,
    seconds       integer NOT NULL,
    transcript    text,
    UNIQUE (account_sid, recording_sid)
);
CREATE INDEX voicemails_of_agency ON voicemails (agency_id, at DESC, id DESC);

CREATE TABLE audit (
    id        text PRIMARY KEY,
    agency_id text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    at        timestamptz NOT NULL,
    actor     text NOT NULL,
    action    text NOT NULL,
    target    text NOT NULL,
    address   text
);
CREATE INDEX audit_of_agency ON audit (agency_id, at DESC, id DESC);

-- Replies may hold a token, so they are sealed.
CREATE TABLE idempotency_keys (
    scope        text NOT NULL,
    key          text NOT NULL,
    request_hash bytea NOT NULL,
    status       integer,
    reply        text,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
"""

# Whoever remembers routes is told which agency's settings changed, by whatever statement.
NOTICE = """
CREATE FUNCTION tell_settings_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed text := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ->> TG_ARGV[0] ELSE to_jsonb(NEW) ->> TG_ARGV[0] END;
BEGIN
    IF TG_TABLE_NAME = 'assistants' THEN
        SELECT agency_id INTO changed FROM clients WHERE id = changed;
    END IF;
    IF changed IS NOT NULL THEN
        PERFORM pg_notify('callrouter_settings', changed);
    END IF;
    RETURN NULL;
END
$$
"""

NOTICED = (
    ("agencies", "id"),
    ("keys", "agency_id"),
    ("clients", "agency_id"),
    ("assistants", "client_id"),
    ("numbers", "agency_id"),
    ("registrations", "agency_id"),
)


def upgrade() -> None:
    for statement in SCHEMA.split(";\n"):
        if statement.strip():
            op.execute(statement)
    op.execute(NOTICE)
    for table, column in NOTICED:
        op.execute(
            f"CREATE TRIGGER {table}_changed AFTER INSERT OR UPDATE OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION tell_settings_changed('{column}')"
        )


def downgrade() -> None:
    raise RuntimeError("the first version has nothing before it: restore a backup instead")
