-- What an agency wants to be alerted of, and where besides its email address. `webhook_shown`: the address as people may
-- see it. `muted`: kinds of alerts that it does not want.
CREATE TABLE alert_settings (
    agency_id      text PRIMARY KEY REFERENCES agencies ON DELETE CASCADE,
    webhook_sealed text,
    webhook_shown  text,
    muted          text[] NOT NULL,
    low_balance    double precision NOT NULL,
    missed_percent integer NOT NULL,
    failures       integer NOT NULL
);

-- `mailed`: its beginning was told by email, so its end is, too.
CREATE TABLE alerts (
    id        text PRIMARY KEY,
    agency_id text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    kind      text NOT NULL,
    target    text NOT NULL,
    name      text NOT NULL,
    problem   text NOT NULL,
    advice    text NOT NULL,
    began_at  timestamptz NOT NULL,
    ended_at  timestamptz,
    mailed    boolean NOT NULL
);
CREATE UNIQUE INDEX alerts_open ON alerts (agency_id, kind, target) WHERE ended_at IS NULL;
CREATE INDEX alerts_of_agency ON alerts (agency_id, began_at DESC, id DESC);
CREATE INDEX alerts_over ON alerts (ended_at) WHERE ended_at IS NOT NULL;

-- What is still to be posted to the agency's address.
CREATE TABLE alert_posts (
    alert_id  text NOT NULL REFERENCES alerts ON DELETE CASCADE,
    phase     text NOT NULL,
    agency_id text NOT NULL,
    due_at    timestamptz NOT NULL,
    tried     integer NOT NULL DEFAULT 0,
    PRIMARY KEY (alert_id, phase)
);
CREATE INDEX alert_posts_due ON alert_posts (agency_id, due_at);
