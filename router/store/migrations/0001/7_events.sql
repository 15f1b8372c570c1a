-- `sealed` is what its deliveries are signed with. Events up to (xid, seq) have become deliveries.
CREATE TABLE endpoints (
    id            text PRIMARY KEY,
    agency_id     text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    url           text NOT NULL,
    events        text[] NOT NULL,
    sealed        text NOT NULL,
    xid           xid8 NOT NULL,
    seq           bigint NOT NULL,
    failures      integer NOT NULL DEFAULT 0,
    resting_until timestamptz,
    created_at    timestamptz NOT NULL
);
CREATE INDEX endpoints_of_agency ON endpoints (agency_id, created_at, id);

CREATE TABLE deliveries (
    id          text PRIMARY KEY,
    endpoint_id text NOT NULL REFERENCES endpoints ON DELETE CASCADE,
    event_id    text NOT NULL REFERENCES call_events ON DELETE CASCADE,
    state       text NOT NULL,
    tried       integer NOT NULL DEFAULT 0,
    status      integer,
    error       text,
    created_at  timestamptz NOT NULL,
    tried_at    timestamptz,
    UNIQUE (endpoint_id, event_id)
);
CREATE INDEX deliveries_of_endpoint ON deliveries (endpoint_id, created_at DESC, id DESC);
CREATE INDEX deliveries_of_event ON deliveries (event_id);
