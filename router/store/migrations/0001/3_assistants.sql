-- `usable`: calls go there, whatever happens to a newer definition. `synced_hash`: what of the definition is there.
-- A worker holds a row until `leased_until`; the next attempt is not before `retry_at`. `refused_hash`: what was there
-- when a call was refused, so that the same is put there again only once. `look_after`: when to look next whether it is
-- still there; -infinity: because a call was refused. A link that is not `usable` is gone: its assistant was deleted.
CREATE TABLE assistants (
    client_id    text NOT NULL REFERENCES clients ON DELETE CASCADE,
    provider     text NOT NULL,
    remote_id    text,
    state        text NOT NULL,
    usable       boolean NOT NULL DEFAULT false,
    error        text,
    lost         text[] NOT NULL DEFAULT '{}',
    manage       text[] NOT NULL DEFAULT '{}',
    parts        jsonb NOT NULL DEFAULT '{}',
    version      text,
    synced_hash  text,
    refused_hash text,
    key_version  integer,
    tried        integer NOT NULL DEFAULT 0,
    leased_until timestamptz,
    retry_at     timestamptz,
    look_after   timestamptz,
    updated_at   timestamptz NOT NULL,
    PRIMARY KEY (client_id, provider)
);
CREATE INDEX assistants_to_do ON assistants (provider, client_id) WHERE state = 'pending';
CREATE INDEX assistants_to_retry ON assistants (retry_at) WHERE retry_at IS NOT NULL;
CREATE INDEX assistants_to_look_at ON assistants (look_after) WHERE look_after IS NOT NULL;

-- Providers at which an agency's assistants are kept up to date.
CREATE TABLE syncs (
    agency_id  text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    provider   text NOT NULL,
    started_at timestamptz NOT NULL,
    PRIMARY KEY (agency_id, provider)
);

-- Copies at providers that are to be deleted there: their client is gone, or has no assistant any more. Without
-- `remote_id` and `parts` one may be there, and is looked for.
CREATE TABLE leftovers (
    id           text PRIMARY KEY,
    agency_id    text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    client_id    text NOT NULL,
    marker       text,
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
