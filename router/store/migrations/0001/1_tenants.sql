-- `…_email_problem`: why the last mail there was not delivered; null if it was.
-- `fallback_providers`: null is every other provider with a key. `numbers_from`: where numbers are bought for which the
-- request names no seller. `retention_days`: null is for ever. `copied`: the agency came with a copy of another database,
-- which owns its subaccount. `forgotten_until`: what was said on calls that began before then is deleted.
CREATE TABLE agencies (
    id                 text PRIMARY KEY,
    name               text NOT NULL,
    alert_email        text,
    active_provider    text,
    former_provider    text,
    fallback_providers text[],
    numbers_from       text NOT NULL DEFAULT 'provider' CHECK (numbers_from IN ('provider', 'carrier')),
    retention_days     integer,
    created_at         timestamptz NOT NULL,
    alert_email_confirmed boolean,
    alert_email_problem text,
    copied             boolean NOT NULL DEFAULT false,
    forgotten_until    timestamptz
);
CREATE INDEX agencies_by_age ON agencies (created_at, id);

-- `made_by` is "admin" or a token's id; `makers` are all tokens that led to this one and still exist, the first one first.
CREATE TABLE tokens (
    id           text PRIMARY KEY,
    agency_id    text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    name         text NOT NULL,
    role         text NOT NULL DEFAULT 'full',
    made_by      text NOT NULL DEFAULT 'admin',
    makers       text[] NOT NULL DEFAULT '{}',
    hash         bytea NOT NULL UNIQUE,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz,
    last_used_at timestamptz
);
CREATE INDEX tokens_of_agency ON tokens (agency_id, created_at, id);

-- Links that make a token once, until `until`. `hash` is that of the link's secret; all else is the token's.
CREATE TABLE invitations (
    id         text PRIMARY KEY,
    agency_id  text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    name       text NOT NULL,
    role       text NOT NULL,
    made_by    text NOT NULL,
    makers     text[] NOT NULL,
    hash       bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL,
    until      timestamptz NOT NULL,
    expires_at timestamptz
);
CREATE INDEX invitations_of_agency ON invitations (agency_id, created_at, id);

-- `marker`: by which its assistants are found at providers, where that is not the id.
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
    notify_email_confirmed boolean,
    notify_email_problem text,
    marker         text,
    UNIQUE (agency_id, id)
);
CREATE INDEX clients_of_agency ON clients (agency_id, created_at, id);

-- Which agency's rows are being worked on, by kind of work; a row is deleted when that is done.
CREATE TABLE turns (
    kind       text NOT NULL,
    agency_id  text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    busy_until timestamptz NOT NULL,
    PRIMARY KEY (kind, agency_id)
);

-- An entry without an agency is the operator's, and outlives all agencies.
CREATE TABLE audit (
    id        text PRIMARY KEY,
    agency_id text REFERENCES agencies ON DELETE CASCADE,
    at        timestamptz NOT NULL,
    actor     text NOT NULL,
    action    text NOT NULL,
    target    text NOT NULL,
    address   text,
    count     integer NOT NULL DEFAULT 1
);
CREATE INDEX audit_by_age ON audit (at DESC, id DESC);
CREATE INDEX audit_of_agency ON audit (agency_id, at DESC, id DESC);

-- Replies may hold a token, so they are sealed. Those about an agency are deleted with it.
CREATE TABLE idempotency_keys (
    scope        text NOT NULL,
    key          text NOT NULL,
    request_hash bytea NOT NULL,
    status       integer,
    reply        text,
    agency_id    text,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_keys_of_agency ON idempotency_keys (agency_id);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- Sessions of the console that were ended before they expired, which they do at `until`.
CREATE TABLE ended_sessions (
    id    text PRIMARY KEY,
    until timestamptz NOT NULL
);
