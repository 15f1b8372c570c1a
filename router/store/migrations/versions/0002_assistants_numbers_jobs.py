"""What is kept at providers (assistants, counterparts of numbers), health of keys, and the queue of jobs."""

from __future__ import annotations

from typing import Any

from alembic import op
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment
from sqlalchemy.util import await_only

from router.store.queue_names import QUEUE

revision = "0002"
down_revision = "0001"

SCHEMA = """
-- `usable`: calls go there, whatever happens to a newer definition. `synced_hash`: what of the definition is there.
-- Whoever works on a row holds it until `leased_until`; nobody tries again before `retry_at`. `refused_hash`: what was
-- there when a call was refused, so that the same is put there anew only once.
ALTER TABLE assistants
    ADD COLUMN usable       boolean NOT NULL DEFAULT false,
    ADD COLUMN parts        jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN version      text,
    ADD COLUMN synced_hash  text,
    ADD COLUMN key_version  integer,
    ADD COLUMN leased_until timestamptz,
    ADD COLUMN retry_at     timestamptz,
    ADD COLUMN refused_hash text,
    ADD COLUMN tried        integer NOT NULL DEFAULT 0;
UPDATE assistants SET usable = true WHERE state IN ('linked', 'synced');
CREATE INDEX assistants_to_do ON assistants (provider, client_id) WHERE state = 'pending';
CREATE INDEX assistants_to_retry ON assistants (retry_at) WHERE retry_at IS NOT NULL;

-- What calls do not depend on is not told to whoever remembers routes.
DROP TRIGGER assistants_changed ON assistants;
CREATE TRIGGER assistants_changed AFTER INSERT OR DELETE OR UPDATE OF remote_id, usable ON assistants
    FOR EACH ROW EXECUTE FUNCTION tell_settings_changed('client_id');

-- Copies at providers that are to be deleted there: their client is gone, or has no assistant any more. Without
-- `remote_id` and `parts` one may be there, and is looked for.
CREATE TABLE leftovers (
    id           text PRIMARY KEY,
    agency_id    text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    client_id    text NOT NULL,
    provider     text NOT NULL,
    remote_id    text,
    parts        jsonb NOT NULL DEFAULT '{}',
    error        text,
    tried        integer NOT NULL DEFAULT 0,
    leased_until timestamptz,
    retry_at     timestamptz,
    created_at   timestamptz NOT NULL
);
CREATE INDEX leftovers_of_agency ON leftovers (agency_id, provider, created_at);

-- A registration is made by us or was given; `state`: registered, pending or failed. `sealed_parts` is what belongs to
-- it and may hold a secret; `assistant_id` and `fallback` are what it was given, with which version of the key.
ALTER TABLE registrations
    ALTER COLUMN remote_id DROP NOT NULL,
    ADD COLUMN state        text NOT NULL DEFAULT 'registered',
    ADD COLUMN error        text,
    ADD COLUMN ours         boolean NOT NULL DEFAULT false,
    ADD COLUMN sealed_parts text,
    ADD COLUMN assistant_id text,
    ADD COLUMN fallback     text,
    ADD COLUMN key_version  integer,
    ADD COLUMN leased_until timestamptz;

-- Registrations of ours that nothing needs any more, until they are gone at the provider, too. What it was sealed for
-- still tells its place.
CREATE TABLE former_registrations (
    agency_id    text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    e164         text NOT NULL,
    provider     text NOT NULL,
    remote_id    text NOT NULL,
    mode         text,
    sealed_parts text,
    look_after   timestamptz NOT NULL,
    PRIMARY KEY (agency_id, e164, provider, remote_id)
);
CREATE INDEX former_registrations_to_do ON former_registrations (look_after);

-- Numbers bought at a voice provider have its name as their account. Whoever looks at a number at the carrier holds it
-- until `look_after`, which afterwards tells when the next look is due.
ALTER TABLE numbers
    ADD COLUMN bought     boolean NOT NULL DEFAULT false,
    ADD COLUMN drift      text,
    ADD COLUMN checked_at timestamptz,
    ADD COLUMN look_after timestamptz;
CREATE INDEX numbers_to_look_at ON numbers (look_after NULLS FIRST) WHERE carrier = 'twilio' AND state = 'active';

-- What changes no route is not told to whoever remembers routes.
DROP TRIGGER numbers_changed ON numbers;
CREATE TRIGGER numbers_changed AFTER INSERT OR DELETE OR UPDATE OF client_id ON numbers
    FOR EACH ROW EXECUTE FUNCTION tell_settings_changed('agency_id');

-- A purchase is written down before it is made: a second try finds it. Whoever is at it holds it until `leased_until`.
-- `claim` is the Idempotency-Key that it was asked with, hashed; `told`: whoever asked has been answered with the number.
CREATE TABLE purchases (
    id           text PRIMARY KEY,
    agency_id    text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    client_id    text NOT NULL,
    carrier      text NOT NULL,
    account      text NOT NULL,
    account_sid  text NOT NULL,
    country      text NOT NULL,
    area_code    text,
    wanted       text,
    named        boolean NOT NULL,
    known        text[] NOT NULL DEFAULT '{}',
    claim        text,
    e164         text,
    told         boolean NOT NULL DEFAULT false,
    state        text NOT NULL,
    error        text,
    created_at   timestamptz NOT NULL,
    leased_until timestamptz
);
CREATE INDEX purchases_of_agency ON purchases (agency_id, created_at DESC);
CREATE INDEX purchases_open ON purchases (leased_until) WHERE state = 'open';
-- One at a time from a provider itself: its number may have to be told by being the new one.
CREATE UNIQUE INDEX purchases_one_native ON purchases (agency_id, carrier) WHERE state = 'open' AND account = 'provider';

-- Revocable API keys on carrier accounts, made for one provider each. Sealed; bound to agency, account and provider.
CREATE TABLE carrier_keys (
    agency_id   text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    account_sid text NOT NULL,
    provider    text NOT NULL,
    key_sid     text NOT NULL,
    sealed      text NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (agency_id, account_sid, provider)
);

-- Health of keys: what the owner of the key told at the last look, and since when it is so. `check_at`: when to look next;
-- `suspected`: a bad status seen once, to be believed when it is seen again. `lines_others`: lines in use that were not
-- our calls. `overflow_told_at`: when the agency was told that its lines do not suffice.
ALTER TABLE keys
    ADD COLUMN problem      text,
    ADD COLUMN balance      numeric(12, 4),
    ADD COLUMN lines_limit  integer,
    ADD COLUMN lines_used   integer,
    ADD COLUMN lines_others integer,
    ADD COLUMN lines_at     timestamptz,
    ADD COLUMN suspected    text,
    ADD COLUMN failing_since timestamptz,
    ADD COLUMN alerted_at   timestamptz,
    ADD COLUMN overflow_told_at timestamptz,
    ADD COLUMN check_at     timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN paused_until timestamptz;
CREATE INDEX keys_by_check ON keys (kind, check_at) WHERE retired_at IS NULL;

-- Looking after a key changes no route.
DROP TRIGGER keys_changed ON keys;
CREATE TRIGGER keys_changed
    AFTER INSERT OR DELETE OR UPDATE OF sealed, webhook_sealed, webhook_token_sealed, retired_at ON keys
    FOR EACH ROW EXECUTE FUNCTION tell_settings_changed('agency_id');

-- Voice providers at which an agency's assistants are kept up to date. Whoever takes work of one locks its row first.
CREATE TABLE syncs (
    agency_id  text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    provider   text NOT NULL,
    started_at timestamptz NOT NULL,
    PRIMARY KEY (agency_id, provider)
);

-- Sessions of the console that somebody ended before their time, which is `until`.
CREATE TABLE ended_sessions (
    id    text PRIMARY KEY,
    until timestamptz NOT NULL
);

CREATE INDEX calls_of_provider_live ON calls (agency_id, provider) WHERE ended_at IS NULL;
"""


def upgrade() -> None:
    for statement in SCHEMA.split(";\n"):
        if statement.strip():
            op.execute(statement)
    # Many statements in one text, PgQueuer's own as the version in use wants them: only the driver itself takes that.
    driver: Any = op.get_bind().connection.driver_connection
    await_only(driver.execute(QueryBuilderEnvironment(QUEUE).build_install_query()))


def downgrade() -> None:
    raise RuntimeError("restore a backup instead")
