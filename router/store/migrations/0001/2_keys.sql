-- Sealed texts are bound to (agency_id, kind, version) and open nowhere else.
-- Health: what the key's owner said at the last check, and since when. `check_at` is when to check next. `suspected` is a
-- bad status seen once; it counts when it is seen again. `lines_others` are lines in use that were not our calls.
-- `credit_refused_at` is when a live call was last refused for lack of credit, which some providers' checks do not show.
-- `overflow_told_at` is when the agency was told that it has too few lines. `signed_at` is when a webhook signed with the
-- key, or with its webhook secret, first verified. `unproven_at` is when a request of the carrier was last refused because
-- it was signed with a shared key that was not saved.
CREATE TABLE keys (
    agency_id            text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    kind                 text NOT NULL,
    version              integer NOT NULL,
    sealed               text NOT NULL,
    webhook_sealed       text,
    shared_key_ids       text[] NOT NULL DEFAULT '{}',
    webhook_token_sealed text,
    account_sid          text,
    last4                text NOT NULL,
    saved_at             timestamptz NOT NULL,
    retired_at           timestamptz,
    status               text NOT NULL,
    suspected            text,
    problem              text,
    balance              numeric(12, 4),
    checked_at           timestamptz NOT NULL,
    check_at             timestamptz NOT NULL DEFAULT now(),
    failing_since        timestamptz,
    alerted_at           timestamptz,
    credit_refused_at    timestamptz,
    paused_until         timestamptz,
    lines_limit          integer,
    lines_used           integer,
    lines_others         integer,
    lines_at             timestamptz,
    overflow_told_at     timestamptz,
    signed_at            timestamptz,
    unproven_at          timestamptz,
    PRIMARY KEY (agency_id, kind, version)
);
CREATE UNIQUE INDEX keys_in_use ON keys (agency_id, kind) WHERE retired_at IS NULL;
CREATE INDEX keys_of_account ON keys (account_sid) WHERE account_sid IS NOT NULL;
CREATE INDEX keys_by_check ON keys (kind, check_at) WHERE retired_at IS NULL;

-- Of webhook addresses that were replaced: they prove reports until then.
CREATE TABLE former_webhook_tokens (
    agency_id text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    kind      text NOT NULL,
    until     timestamptz NOT NULL,
    sealed    text NOT NULL,
    PRIMARY KEY (agency_id, kind, until)
);

-- Outlives the keys: a version number is never used twice.
CREATE TABLE key_versions (
    agency_id text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    kind      text NOT NULL,
    newest    integer NOT NULL,
    PRIMARY KEY (agency_id, kind)
);
