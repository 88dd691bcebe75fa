-- Database roles of dari: what each of its processes may touch, and nothing else.
--
--     psql "CONNINFO OF AN ADMINISTRATOR" -f deploy/roles.sql        after dari db migrate, and again after each later one
--
-- Then set <database set-role="yes"/>: every process connects with the configured login and becomes its own
-- role. The login needs no rights of its own but membership:
--
--     GRANT dari_feed, dari_relay, dari_segment, dari_messaging, dari_steward, dari_operator TO dari;
--
-- Nobody but the owner may change or remove what is in the stream or in the ledger.

DO $$
DECLARE r text;
BEGIN
    FOREACH r IN ARRAY ARRAY['dari_feed', 'dari_relay', 'dari_segment', 'dari_messaging', 'dari_steward', 'dari_operator'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = r) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', r);
        END IF;
        EXECUTE format('GRANT USAGE ON SCHEMA dari TO %I', r);
        EXECUTE format('GRANT SELECT ON public.dari_migration TO %I', r);
        -- everybody may add to the ledger: what is done and not recorded does not happen
        EXECUTE format('GRANT SELECT, UPDATE ON dari.stream TO %I', r);
        EXECUTE format('GRANT INSERT ON dari.ledger TO %I', r);
    END LOOP;
END $$;

-- feed: keeps messages, adds their events, answers repetitions
GRANT USAGE ON SEQUENCE dari.message_no TO dari_feed;
GRANT SELECT, INSERT ON dari.message, dari.message_key TO dari_feed;
GRANT SELECT, INSERT, UPDATE ON dari.feed_count, dari.feed_sequence, dari.feed_gap TO dari_feed;
GRANT UPDATE (received_at, flags) ON dari.message TO dari_feed;  -- of what waited in its spool
GRANT SELECT, INSERT, UPDATE ON dari.part TO dari_feed;
GRANT INSERT ON dari.event TO dari_feed;
GRANT USAGE ON SEQUENCE dari.batch_no TO dari_feed;                -- files
GRANT SELECT, INSERT, UPDATE ON dari.batch TO dari_feed;
GRANT INSERT ON dari.batch_group TO dari_feed;
GRANT SELECT, INSERT, UPDATE, DELETE ON dari.snapshot TO dari_feed;
GRANT SELECT, INSERT, UPDATE ON dari.snapshot_key TO dari_feed;

-- relay: reads the stream, keeps cursors and deliveries
GRANT SELECT ON dari.event, dari.checkpoint TO dari_relay;
GRANT SELECT, INSERT, UPDATE ON dari.consumer, dari.consumer_key, dari.delivery TO dari_relay;

-- segment: its own tables, its position, its events
GRANT SELECT, INSERT, UPDATE, DELETE ON dari.profile, dari.profile_appointment, dari.profile_visit, dari.profile_payment,
    dari.segment_member, dari.segment_state, dari.segment_rule TO dari_segment;
GRANT SELECT, INSERT, UPDATE ON dari.position TO dari_segment;
GRANT SELECT, INSERT ON dari.event TO dari_segment;

-- messaging: likewise; the only one besides operators that sees contact data
GRANT SELECT, INSERT, UPDATE, DELETE ON dari.contact, dari.contact_consent, dari.contact_appointment, dari.plan TO dari_messaging;
GRANT SELECT, INSERT, UPDATE ON dari.position TO dari_messaging;
GRANT SELECT, INSERT ON dari.event TO dari_messaging;

-- steward: seals the ledger, makes partitions (through a function of the owner's)
GRANT SELECT ON dari.ledger TO dari_steward;
GRANT SELECT, INSERT, UPDATE ON dari.ledger_tile, dari.checkpoint TO dari_steward;
ALTER FUNCTION dari.make_partitions(date, int) SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION dari.make_partitions(date, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dari.make_partitions(date, int) TO dari_steward;

GRANT SELECT, INSERT, DELETE ON dari.feed_silence TO dari_steward;
GRANT SELECT ON dari.feed_count, dari.event TO dari_steward;
-- parts of messages whose others did not come go to quarantine; those of days that were removed go
GRANT SELECT, UPDATE, DELETE ON dari.part TO dari_steward;
GRANT SELECT (site, day, no, flags), UPDATE (state, reason, place, flags) ON dari.message TO dari_steward;
GRANT UPDATE (ignored, quarantined) ON dari.feed_count TO dari_steward;
GRANT INSERT ON dari.event TO dari_steward;

-- operators (the command line): read everything, repair messages, manage consumers
GRANT SELECT ON ALL TABLES IN SCHEMA dari TO dari_operator;
GRANT UPDATE ON dari.message, dari.feed_count, dari.batch TO dari_operator;
GRANT INSERT ON dari.event TO dari_operator;
GRANT INSERT, UPDATE, DELETE ON dari.part TO dari_operator;
GRANT DELETE ON dari.snapshot, dari.snapshot_key TO dari_operator;
GRANT INSERT, UPDATE ON dari.consumer, dari.consumer_key TO dari_operator;
GRANT INSERT, UPDATE, DELETE ON dari.segment_member, dari.segment_state, dari.segment_rule TO dari_operator;
