CREATE FUNCTION tell_settings_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed text := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ->> TG_ARGV[0] ELSE to_jsonb(NEW) ->> TG_ARGV[0] END;
BEGIN
    IF TG_TABLE_NAME = 'assistants' THEN
        SELECT agency_id INTO changed FROM clients WHERE id = changed;
    END IF;
    IF changed IS NOT NULL THEN
        PERFORM pg_notify('callrouter_settings', changed);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER agencies_changed AFTER INSERT OR DELETE OR UPDATE ON agencies
    FOR EACH ROW EXECUTE FUNCTION tell_settings_changed('id');
CREATE TRIGGER tokens_changed AFTER DELETE ON tokens
    FOR EACH ROW EXECUTE FUNCTION tell_settings_changed('agency_id');
CREATE TRIGGER clients_changed AFTER INSERT OR DELETE OR UPDATE ON clients
    FOR EACH ROW EXECUTE FUNCTION tell_settings_changed('agency_id');
CREATE TRIGGER keys_changed
    AFTER INSERT OR DELETE OR UPDATE OF sealed, webhook_sealed, webhook_token_sealed, retired_at ON keys
    FOR EACH ROW EXECUTE FUNCTION tell_settings_changed('agency_id');
CREATE TRIGGER assistants_changed AFTER INSERT OR DELETE OR UPDATE OF remote_id, usable ON assistants
    FOR EACH ROW EXECUTE FUNCTION tell_settings_changed('client_id');
CREATE TRIGGER numbers_changed AFTER INSERT OR DELETE OR UPDATE OF client_id ON numbers
    FOR EACH ROW EXECUTE FUNCTION tell_settings_changed('agency_id');
CREATE TRIGGER registrations_changed AFTER INSERT OR DELETE OR UPDATE ON registrations
    FOR EACH ROW EXECUTE FUNCTION tell_settings_changed('agency_id');
