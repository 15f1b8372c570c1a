-- Addresses at which Twilio and the providers reach the service. Exactly one is the present one: to it all numbers,
-- assistants and webhooks lead. Any other is that of processes with another setting, or a former one; it proves Twilio's
-- signatures until `proves_until`. `since` is when an address was first seen, or became the present one; `seen_at` when a
-- process with another address than the present one was last seen, to the hour.
CREATE TABLE public_addresses (
    address      text PRIMARY KEY,
    present      boolean NOT NULL,
    since        timestamptz NOT NULL,
    seen_at      timestamptz NOT NULL,
    proves_until timestamptz
);
CREATE UNIQUE INDEX public_addresses_present ON public_addresses (present) WHERE present;

CREATE FUNCTION tell_addresses_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('callrouter_settings', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER public_addresses_changed AFTER INSERT OR DELETE OR UPDATE ON public_addresses
    FOR EACH STATEMENT EXECUTE FUNCTION tell_addresses_changed();
