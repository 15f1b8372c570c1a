-- The words of a text, to search for. The agency is one of them, so that a word which the callers of every agency say does
-- not lead to the calls of all: it has a space in it, as no word of a text has. The cost keeps the planner to the index: in a
-- hundred thousand calls, working out the words again takes seconds.
CREATE FUNCTION words_of(agency_id text, said text) RETURNS tsvector LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 10000 AS $$
    BEGIN
        RETURN array_to_tsvector(ARRAY['agency ' || agency_id]) || to_tsvector('simple'::regconfig, left(said, 100000));
    END
    $$;

-- `end_reason` is the provider's own word, and `ai_seconds` is how long it says that it had the call. `turns` is the
-- transcript as [speaker, seconds from the start or null, text]. `swept_at` is when the carrier was last asked about a call
-- without an end. `forgotten_at`: what was said on the call is deleted.
CREATE TABLE calls (
    id               text PRIMARY KEY,
    account_sid      text NOT NULL,
    call_sid         text NOT NULL,
    agency_id        text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    client_id        text NOT NULL,
    from_number      text NOT NULL,
    to_number        text NOT NULL,
    provider         text,
    provider_call_id text,
    answered_by      text,
    outcome          text,
    started_at       timestamptz NOT NULL,
    answered_at      timestamptz,
    ended_at         timestamptz,
    seconds          integer,
    cost             numeric(12, 6),
    ai_seconds       double precision,
    end_reason       text,
    summary          text,
    transcript       text,
    turns            jsonb,
    ringing_phone    text,
    ringing_shows    text,
    ringing_until    timestamptz,
    swept_at         timestamptz,
    forgotten_at     timestamptz,
    UNIQUE (account_sid, call_sid)
);
CREATE INDEX calls_of_agency ON calls (agency_id, started_at DESC, id DESC);
CREATE INDEX calls_of_provider_live ON calls (agency_id, provider) WHERE ended_at IS NULL;
CREATE INDEX calls_ringing ON calls (client_id) WHERE ringing_phone IS NOT NULL;
CREATE INDEX calls_by_provider_call ON calls (provider_call_id) WHERE provider_call_id IS NOT NULL;
-- For the search. Calls come into these when they are over: an answer to the carrier does not wait for them. Nor does one
-- wait while a list of pending words is merged (fastupdate).
CREATE INDEX calls_of_caller ON calls (agency_id, from_number, started_at DESC, id DESC) WHERE ended_at IS NOT NULL;
CREATE INDEX calls_of_number ON calls (agency_id, to_number, started_at DESC, id DESC) WHERE ended_at IS NOT NULL;
CREATE INDEX calls_by_words ON calls
    USING gin (words_of(agency_id, coalesce(summary, '') || ' ' || coalesce(transcript, ''))) WITH (fastupdate = off)
    WHERE summary IS NOT NULL OR transcript IS NOT NULL;

-- How many calls a caller, and an agency in all (caller ''), have at once. What is counted is a row that counts: a count of
-- rows would not see calls that begin in the same moment.
CREATE TABLE calls_at_once (
    agency_id text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    caller    text NOT NULL,
    n         integer NOT NULL,
    PRIMARY KEY (agency_id, caller)
) WITH (fillfactor = 50);

-- How many lines an agency's calls use at a provider: those of live calls that it has, until their outcome is known. Counted as
-- calls change, for the same reason, and because an agency may have hundreds of them. `n` may be below 0 for a moment, after a
-- correction.
CREATE TABLE lines_in_use (
    agency_id text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    provider  text NOT NULL,
    n         integer NOT NULL,
    PRIMARY KEY (agency_id, provider)
) WITH (fillfactor = 50);

-- One statement locks the rows in this order, after those of its calls: two statements never wait for each other.
CREATE FUNCTION count_lines() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO lines_in_use AS counting (agency_id, provider, n)
        SELECT agency_id, provider, sum(n)
          FROM (SELECT agency_id, provider, -1 AS n FROM before
                 WHERE provider IS NOT NULL AND ended_at IS NULL AND outcome IS NULL
                 UNION ALL
                SELECT agency_id, provider, 1 FROM after
                 WHERE provider IS NOT NULL AND ended_at IS NULL AND outcome IS NULL) AS changed
         GROUP BY agency_id, provider
        HAVING sum(n) <> 0
         ORDER BY agency_id, provider
        ON CONFLICT (agency_id, provider) DO UPDATE SET n = counting.n + excluded.n;
        RETURN NULL;
    END
    $$;
CREATE TRIGGER lines_counted AFTER UPDATE ON calls
    REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION count_lines();

-- The unit of idempotency. `answer` is the sealed document and the sealed state that goes with it. `counted`, of a call's
-- first step: where it is counted in calls_at_once.
CREATE TABLE call_steps (
    account_sid text NOT NULL,
    call_sid    text NOT NULL,
    step        text NOT NULL,
    call_id     text NOT NULL,
    claimed_at  timestamptz NOT NULL,
    answered_at timestamptz,
    answer      text,
    counted     text[],
    PRIMARY KEY (account_sid, call_sid, step)
);
CREATE INDEX call_steps_of_call ON call_steps (call_id, claimed_at);
CREATE INDEX call_steps_with_answer ON call_steps (claimed_at) WHERE answer IS NOT NULL;

-- Gives each call event its place, which endpoints and streams go on from. The next number is always higher than all before
-- it, also in a restored copy: `callrouter migrate` sees to that (router.store.continuing).
CREATE SEQUENCE call_event_places;

-- In which server and database numbers were given out when `callrouter migrate` was last run.
CREATE TABLE numbered_at (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    place  text NOT NULL
);

-- Places are given out in another order than transactions commit in (router.events.order).
CREATE TABLE call_events (
    id          text PRIMARY KEY,
    call_id     text NOT NULL REFERENCES calls ON DELETE CASCADE,
    agency_id   text,
    at          timestamptz NOT NULL,
    event       text NOT NULL,
    step        text,
    provider    text,
    reason      text,
    duration_ms integer,
    seq         bigint NOT NULL DEFAULT nextval('call_event_places'),
    UNIQUE NULLS NOT DISTINCT (call_id, event, step, provider)
);
CREATE INDEX call_events_in_order ON call_events (agency_id, seq);
-- Faults are few: most calls write none of these rows.
CREATE INDEX call_events_of_faults ON call_events (agency_id, at) WHERE event IN ('handoff.failed', 'handoff.skipped');

CREATE FUNCTION place_call_event() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        SELECT agency_id INTO NEW.agency_id FROM calls WHERE id = NEW.call_id;
        RETURN NEW;
    END
    $$;
CREATE TRIGGER call_event_placed BEFORE INSERT ON call_events
    FOR EACH ROW EXECUTE FUNCTION place_call_event();

CREATE FUNCTION tell_call_events() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('callrouter_events', agency_id) FROM added WHERE agency_id IS NOT NULL GROUP BY agency_id;
        RETURN NULL;
    END
    $$;
CREATE TRIGGER call_events_told AFTER INSERT ON call_events
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION tell_call_events();

-- Ends of calls that are not recorded yet, because their beginning is in the spool of some process.
-- `agency_id`: whose call it may be, because that agency's token proved the end. '': anyone's, by the platform's own token.
CREATE TABLE early_ends (
    call_id   text NOT NULL,
    agency_id text NOT NULL,
    event_id  text NOT NULL,
    at        timestamptz NOT NULL,
    seconds   integer,
    PRIMARY KEY (call_id, agency_id)
);

-- How far each carrier account has been looked through: all calls that began before `swept_until` are known. `next_at` is
-- a lease, too.
CREATE TABLE sweeps (
    account_sid text PRIMARY KEY,
    swept_until timestamptz NOT NULL,
    next_at     timestamptz NOT NULL
);

-- So that neither a sweep nor a callback that comes late records them again.
CREATE TABLE deleted_calls (
    account_sid text NOT NULL,
    call_sid    text NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (account_sid, call_sid)
);
