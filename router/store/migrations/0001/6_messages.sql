-- `mail_state`: new, posted (the mail waits to be sent), delivered, undelivered, or none (no mail is wanted). A transcript
-- is waited for until `transcript_due`. `seconds`: null if the carrier did not say. `elsewhere`: this database is a copy,
-- and the recording belongs to the original.
CREATE TABLE voicemails (
    id             text PRIMARY KEY,
    account_sid    text NOT NULL,
    recording_sid  text NOT NULL,
    call_id        text NOT NULL REFERENCES calls ON DELETE CASCADE,
    agency_id      text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    client_id      text NOT NULL,
    from_number    text NOT NULL,
    at             timestamptz NOT NULL,
    seconds        integer,
    transcript_due timestamptz,
    mail_state     text NOT NULL DEFAULT 'new',
    elsewhere      boolean NOT NULL DEFAULT false,
    UNIQUE (account_sid, recording_sid, agency_id)
);
CREATE INDEX voicemails_of_agency ON voicemails (agency_id, at DESC, id DESC);
CREATE INDEX voicemails_to_mail ON voicemails (at) WHERE mail_state = 'new';

-- What a message says; null if it could not be transcribed. A transcript may be there before its message.
CREATE TABLE transcripts (
    voicemail_id text PRIMARY KEY,
    call_id      text NOT NULL REFERENCES calls ON DELETE CASCADE,
    agency_id    text NOT NULL,
    said         text
);
CREATE INDEX transcripts_of_call ON transcripts (call_id);
CREATE INDEX transcripts_by_words ON transcripts USING gin (words_of(agency_id, said)) WITH (fastupdate = off)
    WHERE said IS NOT NULL;

-- So that a callback that comes late or again does not file them again.
CREATE TABLE deleted_messages (
    voicemail_id text PRIMARY KEY,
    at           timestamptz NOT NULL
);

-- What a letter says is written from `ids` when it is sent. An attempt under way moves `due_at` ahead. `waits`: its address
-- has not confirmed.
CREATE TABLE letters (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agency_id text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    kind      text NOT NULL,
    ids       jsonb NOT NULL,
    once      text NOT NULL,
    tried     integer NOT NULL DEFAULT 0,
    waits     boolean NOT NULL DEFAULT false,
    posted_at timestamptz NOT NULL,
    due_at    timestamptz NOT NULL,
    UNIQUE (kind, once)
);
CREATE INDEX letters_of_agency ON letters (agency_id, due_at);

-- When a mailbox last got a link by which to confirm that it wants an agency's mail.
CREATE TABLE confirmation_links (
    id        text NOT NULL UNIQUE,
    agency_id text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    mailbox   text NOT NULL,
    address   text NOT NULL,
    sent_at   timestamptz NOT NULL,
    PRIMARY KEY (agency_id, mailbox)
);

-- Mails sent for an agency in `hour`.
CREATE TABLE mail_counts (
    agency_id text PRIMARY KEY REFERENCES agencies ON DELETE CASCADE,
    hour      timestamptz NOT NULL,
    sent      integer NOT NULL
);
