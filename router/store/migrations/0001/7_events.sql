-- `sealed` is what its deliveries are signed with; until `former_until` also the secret before it. Events up to `place` have
-- become deliveries. `slow`: the latest attempt failed or took long. `gone_at`: it answered 410 then, which paused it.
CREATE TABLE endpoints (
    id            text PRIMARY KEY,
    agency_id     text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    url           text NOT NULL,
    events        text[] NOT NULL,
    content_type  text NOT NULL,
    description   text,
    sealed        text NOT NULL,
    former_sealed text,
    former_until  timestamptz,
    place         bigint NOT NULL,
    failures      integer NOT NULL DEFAULT 0,
    resting_until timestamptz,
    slow          boolean NOT NULL DEFAULT false,
    paused        boolean NOT NULL DEFAULT false,
    gone_at       timestamptz,
    created_at    timestamptz NOT NULL
);
CREATE INDEX endpoints_of_agency ON endpoints (agency_id, created_at, id);

-- `due_at`: the next attempt while it waits; an attempt under way moves it ahead, so that it is made again should its
-- process die.
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
    due_at      timestamptz NOT NULL,
    replayed    boolean NOT NULL DEFAULT false,
    UNIQUE (endpoint_id, event_id)
);
CREATE INDEX deliveries_of_endpoint ON deliveries (endpoint_id, created_at DESC, id DESC);
CREATE INDEX deliveries_waiting ON deliveries (endpoint_id, replayed, due_at) WHERE state = 'waiting';
CREATE INDEX deliveries_dead ON deliveries (endpoint_id, created_at DESC, id DESC) WHERE state = 'dead';
CREATE INDEX deliveries_of_event ON deliveries (event_id);

-- What was sent at the latest attempt of a delivery, and the beginning of the answer. Kept for some days.
CREATE TABLE exchanges (
    delivery_id text PRIMARY KEY REFERENCES deliveries ON DELETE CASCADE,
    at          timestamptz NOT NULL,
    request     text NOT NULL,
    response    text,
    duration_ms integer NOT NULL
);
CREATE INDEX exchanges_by_age ON exchanges (at);
