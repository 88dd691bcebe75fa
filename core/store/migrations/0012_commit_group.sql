-- Intake's statement again, so that its cost depends neither on what is already stored nor on what the
-- planner believes about it. Every look-up is a correlated one behind LIMIT, which no plan can turn into a
-- scan or a join over the whole table; the tables of messages are read only when a message came twice; the
-- digests come from intake, which has the bytes at hand.
DROP FUNCTION dari.commit_group(
    text, text, timestamptz, bytea[], text[], text[], text[], text[], text[], text[], text[], bigint[], text[],
    bigint[], bytea[], bytea[], text[], bytea[], bigint[], text[], text[], text[], timestamptz[], boolean[],
    text[], bytea[]);

-- Intake: one group of messages with their events and ledger entries; the whole step from "received"
-- to "committed" in one statement. Arrays are parallel; events name their message by its place (from 1),
-- come in order, and p_events says how many there are of each message. p_sealed_digests: SHA-256 of the
-- sealed message; p_digests: SHA-256 over the dari.event_digest() of its events, '-' without events; both
-- hexadecimal. Returns one row per message: outcome 0 new, 1 seen before (the stored reply comes back), 2
-- new with a control id that another body used before (flagged, or refused with p_refusals when that is
-- not NULL).
CREATE FUNCTION dari.commit_group(
    p_site text, p_feed text, p_at timestamptz,
    p_ids bytea[], p_control_ids text[], p_types text[], p_states text[], p_reasons text[], p_places text[],
    p_mappings text[], p_patients text[], p_flags bigint[], p_charsets text[], p_sizes bigint[], p_sealed bytea[],
    p_sealed_digests text[], p_replies bytea[], p_codes text[], p_refusals bytea[], p_events bigint[],
    p_digests text[],
    e_message bigint[], e_ids text[], e_types text[], e_subjects text[], e_times timestamptz[],
    e_tests boolean[], e_mappings text[], e_data text[], e_sealed bytea[])
RETURNS TABLE (ord int, outcome int, no bigint, reply bytea)
LANGUAGE plpgsql AS $$
DECLARE
    v_day     date := (p_at AT TIME ZONE 'UTC')::date;
    v_n       int := cardinality(p_ids);
    v_source  text := 'feed:' || p_feed;
    v_begin   text := 'received site=' || p_site || ' feed=' || p_feed || ' message=';
    v_end     text := ' at=' || dari.instant(p_at) || ' idx=';
    v_nos     bigint[]; -- the number of each message, used when it is new
    v_new     bigint[]; -- numbers of new messages
    v_reused  bigint[] := '{}'; -- of new messages, those whose control id another body used
    v_refused bigint[] := '{}'; -- of those, the ones to refuse
    v_all     boolean;  -- all are new and none is refused: the usual case
    v_before  bigint[]; -- events of the group before each message's first
    v_counts  bigint[] := p_events;
    v_events  bigint := cardinality(e_ids);
    v_count   bigint := v_n;
    v_head    bigint;
    v_idx     bigint;
BEGIN
    SELECT array_agg(nextval('dari.message_no')) INTO v_nos FROM generate_series(1, v_n);
    WITH ins AS (
        INSERT INTO dari.message_key (site, feed, control_id, id, no, day)
        SELECT p_site, p_feed, u.c, u.d, u.n, v_day FROM unnest(p_control_ids, p_ids, v_nos) AS u(c, d, n)
        ON CONFLICT DO NOTHING
        RETURNING message_key.no
    )
    SELECT coalesce(array_agg(ins.no), '{}') INTO v_new FROM ins;
    v_all := cardinality(v_new) = v_n;

    SELECT coalesce(array_agg(u.n), '{}') INTO v_reused
    FROM unnest(p_control_ids, p_ids, v_nos) AS u(c, d, n)
    WHERE u.c <> '' AND (v_all OR u.n = ANY (v_new))
      AND (SELECT true FROM dari.message_key o
           WHERE o.site = p_site AND o.feed = p_feed AND o.control_id = u.c AND o.id <> u.d
             AND (o.no < u.n OR NOT o.no = ANY (v_nos)) LIMIT 1);
    IF p_refusals IS NOT NULL AND cardinality(v_reused) > 0 THEN
        v_refused := v_reused;
        v_all := false;
    END IF;

    IF NOT v_all THEN
        v_count := cardinality(v_new);
        SELECT array_agg(CASE WHEN u.n = ANY (v_new) AND NOT u.n = ANY (v_refused) THEN u.c ELSE 0 END ORDER BY u.i)
        INTO v_counts FROM unnest(p_events, v_nos) WITH ORDINALITY AS u(c, n, i);
        SELECT coalesce(sum(c), 0) INTO v_events FROM unnest(v_counts) AS c;
    END IF;

    IF v_count > 0 THEN
        SELECT array_agg(w.s) INTO v_before
        FROM (SELECT sum(u.c) OVER (ORDER BY u.i) - u.c AS s FROM unnest(v_counts) WITH ORDINALITY AS u(c, i)) AS w;

        UPDATE dari.stream AS s SET head = s.head + v_events, ledger = s.ledger + v_count
        WHERE s.site = p_site RETURNING s.head - v_events, s.ledger - v_count INTO STRICT v_head, v_idx;

        IF v_events > 0 THEN
            INSERT INTO dari.event (site, seq, day, id, type, subject, time, recorded_at, source, message_no,
                                    mapping, test, data, sealed)
            SELECT p_site, v_head + row_number() OVER (ORDER BY u.i), v_day, u.id, u.type, u.subject, u.time, p_at,
                   v_source, v_nos[u.m], u.mapping, u.test, u.data, u.sealed
            FROM unnest(e_message, e_ids, e_types, e_subjects, e_times, e_tests, e_mappings, e_data, e_sealed)
                 WITH ORDINALITY AS u(m, id, type, subject, time, test, mapping, data, sealed, i)
            WHERE v_all OR v_counts[u.m] > 0;
        END IF;

        INSERT INTO dari.message (site, day, no, id, feed, received_at, control_id, type, state, reason, place,
                                  mapping, patient, flags, charset, size, first_seq, events, sealed, reply)
        SELECT p_site, v_day, u.n, u.id, p_feed, p_at, u.control_id, u.type,
               CASE WHEN u.n = ANY (v_refused) THEN 'quarantined' ELSE u.state END,
               CASE WHEN u.n = ANY (v_refused) THEN 'control id was used for another message' ELSE u.reason END,
               u.place, u.mapping, u.patient, u.flags::int | (u.n = ANY (v_reused))::int, u.charset, u.size::int,
               CASE WHEN u.events > 0 THEN v_head + u.before + 1 END, u.events::int,
               u.sealed, CASE WHEN u.n = ANY (v_refused) THEN p_refusals[u.i] ELSE u.reply END
        FROM unnest(v_nos, p_ids, p_control_ids, p_types, p_states, p_reasons, p_places, p_mappings, p_patients,
                    p_flags, p_charsets, p_sizes, v_before, v_counts, p_sealed, p_replies)
             WITH ORDINALITY AS u(n, id, control_id, type, state, reason, place, mapping, patient,
                                  flags, charset, size, before, events, sealed, reply, i)
        WHERE v_all OR u.n = ANY (v_new);

        INSERT INTO dari.ledger (site, idx, day, body)
        SELECT p_site, v_idx + u.k, v_day,
               v_begin || u.n || ' id=' || encode(u.id, 'hex') || ' digest=' || u.sealed
               || ' state=' || CASE WHEN u.n = ANY (v_refused) THEN 'quarantined' ELSE u.state END
               || ' reply=' || CASE WHEN u.n = ANY (v_refused) THEN left(u.code, 1) || 'R' ELSE u.code END
               || ' mapping=' || coalesce(u.mapping, '-')
               || CASE WHEN u.events > 0 THEN ' events=' || (v_head + u.before + 1) || '-' || (v_head + u.before + u.events)
                                              || ' eventsdigest=' || u.digest
                       ELSE ' events=- eventsdigest=-' END
               || v_end || (v_idx + u.k)
        FROM (SELECT x.*, row_number() OVER (ORDER BY x.i) AS k
              FROM unnest(v_nos, p_ids, p_states, p_codes, p_mappings, p_sealed_digests, v_before, v_counts, p_digests)
                   WITH ORDINALITY AS x(n, id, state, code, mapping, sealed, before, events, digest, i)
              WHERE v_all OR x.n = ANY (v_new)) AS u;
    END IF;

    INSERT INTO dari.feed_count AS f (site, feed, day, received, mapped, ignored, quarantined, duplicates, events,
                                      last_at)
    SELECT p_site, p_feed, v_day, v_count, count(*) FILTER (WHERE u.state = 'mapped' AND NOT u.n = ANY (v_refused)),
           count(*) FILTER (WHERE u.state = 'ignored' AND NOT u.n = ANY (v_refused)),
           count(*) FILTER (WHERE u.state = 'quarantined' OR u.n = ANY (v_refused)), v_n - v_count,
           CASE WHEN v_count > 0 THEN v_events ELSE 0 END, p_at
    FROM unnest(p_states, v_nos) AS u(state, n) WHERE v_all OR u.n = ANY (v_new)
    ON CONFLICT (site, feed, day) DO UPDATE
    SET received = f.received + excluded.received, mapped = f.mapped + excluded.mapped,
        ignored = f.ignored + excluded.ignored, quarantined = f.quarantined + excluded.quarantined,
        duplicates = f.duplicates + excluded.duplicates, events = f.events + excluded.events,
        last_at = excluded.last_at;

    IF v_count = v_n THEN
        RETURN QUERY
            SELECT u.i::int, CASE WHEN u.n = ANY (v_reused) THEN 2 ELSE 0 END, u.n,
                   CASE WHEN u.n = ANY (v_refused) THEN p_refusals[u.i] END
            FROM unnest(v_nos) WITH ORDINALITY AS u(n, i) ORDER BY u.i;
    ELSE
        RETURN QUERY
            SELECT u.i::int,
                   CASE WHEN NOT u.n = ANY (v_new) THEN 1 WHEN u.n = ANY (v_reused) THEN 2 ELSE 0 END,
                   CASE WHEN u.n = ANY (v_new) THEN u.n ELSE k.no END,
                   CASE WHEN NOT u.n = ANY (v_new) THEN m.reply
                        WHEN u.n = ANY (v_refused) THEN p_refusals[u.i] END
            FROM unnest(p_control_ids, p_ids, v_nos) WITH ORDINALITY AS u(c, d, n, i)
            LEFT JOIN LATERAL (
                SELECT x.no, x.day FROM dari.message_key x
                WHERE NOT u.n = ANY (v_new) AND x.site = p_site AND x.feed = p_feed
                  AND x.control_id = u.c AND x.id = u.d LIMIT 1) AS k ON true
            LEFT JOIN LATERAL (
                SELECT x.reply FROM dari.message x
                WHERE x.site = p_site AND x.day = k.day AND x.no = k.no LIMIT 1) AS m ON true
            ORDER BY u.i;
    END IF;
END $$;
