-- A number bought from a voice provider has the provider's name as its account. `look_after` is when to look at the number
-- at its carrier next; until then it is held by the worker that looks at it.
-- `state` elsewhere: this database is a copy, and the number belongs to the original: it is never checked, changed or
-- released from here.
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
    bought         boolean NOT NULL DEFAULT false,
    drift          text,
    checked_at     timestamptz,
    look_after     timestamptz,
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (account_sid, e164),
    UNIQUE (agency_id, e164),
    FOREIGN KEY (agency_id, client_id) REFERENCES clients (agency_id, id) ON DELETE CASCADE
);
CREATE INDEX numbers_of_agency ON numbers (agency_id, created_at, e164);
CREATE INDEX numbers_of_client ON numbers (client_id);
CREATE INDEX numbers_by_e164 ON numbers (e164);
CREATE INDEX numbers_to_look_at ON numbers (account_sid, look_after NULLS FIRST)
    WHERE carrier = 'twilio' AND state = 'active';

-- Made by us (`ours`) or given. `state`: registered, pending or failed. `sealed_parts` may hold a secret. `assistant_id`
-- and `fallback` are what it was given, with that version of the key. `sealed_address`: what a provider's import wrote
-- on the number; it is kept even if the number has no registration there yet. `waits_for` says that it is needed and not
-- there yet, and the number is checked every minute for it until `waits_until`. `chosen_mode`: asked for by the agency.
CREATE TABLE registrations (
    agency_id      text NOT NULL,
    e164           text NOT NULL,
    provider       text NOT NULL,
    remote_id      text,
    mode           text,
    chosen_mode    text,
    state          text NOT NULL DEFAULT 'registered',
    error          text,
    ours           boolean NOT NULL DEFAULT false,
    sealed_parts   text,
    sealed_address text,
    waits_for      text,
    waits_until    timestamptz,
    assistant_id   text,
    fallback       text,
    key_version    integer,
    leased_until   timestamptz,
    PRIMARY KEY (agency_id, e164, provider),
    FOREIGN KEY (agency_id, e164) REFERENCES numbers (agency_id, e164) ON DELETE CASCADE
);

-- Registrations of ours that are no longer needed, until they are deleted at the provider, together with the account that
-- was connected for them. `sealed_parts` stay bound to the registration that they were sealed for.
CREATE TABLE former_registrations (
    agency_id    text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    e164         text NOT NULL,
    provider     text NOT NULL,
    remote_id    text NOT NULL,
    mode         text,
    sealed_parts text,
    look_after   timestamptz NOT NULL,
    dropped_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (agency_id, e164, provider, remote_id)
);
CREATE INDEX former_registrations_to_do ON former_registrations (look_after);

-- A purchase is written down before it is made, so that a second attempt finds it. It is held until `leased_until`.
-- `claim` is the hash of the Idempotency-Key that came with the request; `told`: the request was answered with the number.
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
-- One at a time from a provider itself: its number may be known only by being the new one.
CREATE UNIQUE INDEX purchases_one_native ON purchases (agency_id, carrier) WHERE state = 'open' AND account = 'provider';

-- Revocable API keys of carrier accounts, each made for one provider. Sealed; bound to agency, account and provider.
CREATE TABLE carrier_keys (
    agency_id   text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    account_sid text NOT NULL,
    provider    text NOT NULL,
    key_sid     text NOT NULL,
    sealed      text NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (agency_id, account_sid, provider)
);

-- Such keys that are still to be revoked though their agency, or its token for the account, was deleted. `sealed`: the
-- token, bound to account and key.
CREATE TABLE leftover_carrier_keys (
    key_sid     text PRIMARY KEY,
    account_sid text NOT NULL,
    sealed      text NOT NULL,
    created_at  timestamptz NOT NULL,
    look_after  timestamptz NOT NULL
);
