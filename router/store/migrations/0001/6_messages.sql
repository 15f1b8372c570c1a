-- `mail_state`: new, posted (the mail waits to be sent), delivered, undelivered, or none (no mail is wanted). A transcript
-- is waited for until `transcript_due`.
CREATE TABLE voicemails (
    id             text PRIMARY KEY,
    account_sid    text NOT NULL,
    recording_sid  text NOT NULL,
    call_id        text NOT NULL REFERENCES calls ON DELETE CASCADE,
    agency_id      text NOT NULL REFERENCES agencies ON DELETE CASCADE,
    client_id      text NOT NULL,
    from_number    text NOT NULL,
    at             timestamptz NOT NULL,
    seconds        integer NOT NULL,
    transcript     text,
    transcript_due timestamptz,
    mail_state     text NOT NULL DEFAULT 'new',
    UNIQUE (account_sid, recording_sid, agency_id)
);
CREATE INDEX voicemails_of_agency ON voicemails (agency_id, at DESC, id DESC);
CREATE INDEX voicemails_to_mail ON voicemails (at) WHERE mail_state = 'new';
