-- What intake pays with every message, for less.

-- An event by its id: the id lies at a random place of its index, so what the index holds is short, a hash that is
-- compared as a number. Queries say both: hashtextextended(id, 0) = hashtextextended($n, 0) AND id = $n.
DROP INDEX dari.event_id;
CREATE INDEX event_id ON dari.event (hashtextextended(id, 0));

-- Messages that are not mapped, by state and number: one index instead of one for each of the two states.
DROP INDEX dari.message_quarantined;
DROP INDEX dari.message_ignored;
CREATE INDEX message_unmapped ON dari.message (site, state, no) WHERE state IN ('ignored', 'quarantined');

-- A constraint of a column is read and made ready for each statement anew; dari.write_group and the functions that
-- change a state name them literally.
ALTER TABLE dari.message DROP CONSTRAINT message_state_check;

-- As before, with the new index.
CREATE OR REPLACE FUNCTION dari.append_events(
    p_site text, p_source text, p_at timestamptz, p_message_no bigint, p_mapping text, p_kind text,
    e_ids text[], e_types text[], e_subjects text[], e_times timestamptz[], e_causes text[], e_tests boolean[],
    e_data text[], e_sealed bytea[])
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_day  date := (p_at AT TIME ZONE 'UTC')::date;
    v_keep boolean[];
    v_n    bigint;
    v_head bigint;
    v_idx  bigint;
    v_digest text;
BEGIN
    IF coalesce(cardinality(e_ids), 0) = 0 THEN
        RETURN NULL;
    END IF;
    PERFORM 1 FROM dari.stream WHERE site = p_site FOR UPDATE;
    SELECT array_agg(NOT EXISTS (SELECT 1 FROM dari.event x WHERE hashtextextended(x.id, 0) = hashtextextended(u.id, 0)
                                 AND x.site = p_site AND x.id = u.id) ORDER BY u.i)
    INTO v_keep FROM unnest(e_ids) WITH ORDINALITY AS u(id, i);
    SELECT count(*) INTO v_n FROM unnest(v_keep) AS k WHERE k;
    IF v_n = 0 THEN
        RETURN NULL;
    END IF;
    UPDATE dari.stream AS s SET head = s.head + v_n, ledger = s.ledger + 1
    WHERE s.site = p_site RETURNING s.head - v_n, s.ledger INTO STRICT v_head, v_idx;
    WITH e AS (
        SELECT u.*, v_head + row_number() OVER (ORDER BY u.i) AS seq
        FROM unnest(e_ids, e_types, e_subjects, e_times, e_causes, e_tests, e_data, e_sealed)
             WITH ORDINALITY AS u(id, type, subject, time, cause, test, data, sealed, i)
        WHERE v_keep[u.i]
    ), ins AS (
        INSERT INTO dari.event (site, seq, day, id, type, subject, time, recorded_at, source, message_no, cause,
                                mapping, test, data, sealed)
        SELECT p_site, e.seq, v_day, e.id, e.type, e.subject, e.time, p_at, p_source, p_message_no, e.cause,
               p_mapping, e.test, e.data, e.sealed
        FROM e
    )
    SELECT encode(sha256(string_agg(dari.event_digest(e.id, e.type, e.subject, e.time, p_source,
                                                     e.cause, p_mapping, e.test, e.data, e.sealed), ''::bytea
                                    ORDER BY e.seq)), 'hex')
    INTO v_digest FROM e;
    INSERT INTO dari.ledger (site, idx, day, body)
    VALUES (p_site, v_idx, v_day,
            p_kind || ' site=' || p_site || ' source=' || p_source
            || ' message=' || coalesce(p_message_no::text, '-') || ' mapping=' || coalesce(p_mapping, '-')
            || ' events=' || (v_head + 1) || '-' || (v_head + v_n) || ' eventsdigest=' || v_digest
            || ' at=' || dari.instant(p_at) || ' idx=' || v_idx);
    RETURN v_head + 1;
END $$;
