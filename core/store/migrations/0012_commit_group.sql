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
-- hexadecimal. p_before: how many events of the group come before each message's. p_tally: how many messages
-- are mapped, ignored, quarantined. No control id but '' may come twice. Returns one row per message: outcome 0 new, 1 seen before (the stored reply comes back), 2
-- new with a control id that another body used before (flagged, or refused with p_refusals when that is
-- not NULL).
CREATE FUNCTION dari.commit_group(
    p_site text, p_feed text, p_at timestamptz,
    p_ids bytea[], p_control_ids text[], p_types text[], p_states text[], p_reasons text[], p_places text[],
    p_mappings text[], p_patients text[], p_flags bigint[], p_charsets text[], p_sizes bigint[], p_sealed bytea[],
    p_sealed_digests text[], p_replies bytea[], p_codes text[], p_refusals bytea[], p_events bigint[],
    p_before bigint[], p_digests text[], p_tally bigint[],
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
    v_nos     bigint[] := '{}'; -- the number of each message, used when it is new
    v_new     bigint[]; -- numbers of new messages
    v_reused  bigint[]; -- of new messages, those whose control id another body used
    v_refused bigint[] := '{}'; -- of those, the ones to refuse
    v_all     boolean;  -- all are new and none is refused: the usual case, in which the next ones are as given
    v_counts  bigint[] := p_events;
    v_before  bigint[] := p_before;
    v_tally   bigint[] := p_tally;
    v_rank    bigint[]; -- else: of each message among the new ones,
    v_place   bigint[]; -- and of each event among those that stay
    v_events  bigint := cardinality(e_ids);
    v_count   bigint := v_n;
    v_head    bigint;
    v_idx     bigint;
BEGIN
    FOR i IN 1 .. v_n LOOP
        v_nos[i] := nextval('dari.message_no');
    END LOOP;
    WITH ins AS (
        INSERT INTO dari.message_key (site, feed, control_id, id, no, day)
        SELECT p_site, p_feed, p_control_ids[i], p_ids[i], v_nos[i], v_day FROM generate_series(1, v_n) AS i
        ON CONFLICT DO NOTHING
        RETURNING message_key.no, message_key.control_id <> '' AND
            (SELECT true FROM dari.message_key o
             WHERE o.site = p_site AND o.feed = p_feed AND o.control_id = message_key.control_id LIMIT 1) AS reused
    )
    SELECT coalesce(array_agg(ins.no), '{}'), coalesce(array_agg(ins.no) FILTER (WHERE ins.reused), '{}')
    INTO v_new, v_reused FROM ins;
    IF p_refusals IS NOT NULL THEN
        v_refused := v_reused;
    END IF;
    v_all := cardinality(v_new) = v_n AND cardinality(v_refused) = 0;

    IF NOT v_all THEN
        v_count := cardinality(v_new);
        SELECT array_agg(w.c ORDER BY w.i), array_agg(w.before ORDER BY w.i), array_agg(w.rank ORDER BY w.i),
               coalesce(sum(w.c), 0)
        INTO v_counts, v_before, v_rank, v_events
        FROM (SELECT x.i, x.c, sum(x.c) OVER (ORDER BY x.i) - x.c AS before,
                     count(*) FILTER (WHERE x.new) OVER (ORDER BY x.i) AS rank
              FROM (SELECT u.i, u.n = ANY (v_new) AS new,
                           CASE WHEN u.n = ANY (v_new) AND NOT u.n = ANY (v_refused) THEN u.c ELSE 0 END AS c
                    FROM unnest(p_events, v_nos) WITH ORDINALITY AS u(c, n, i)) AS x) AS w;
        SELECT array_agg(w.k ORDER BY w.i) INTO v_place
        FROM (SELECT u.i, count(*) FILTER (WHERE v_counts[u.m] > 0) OVER (ORDER BY u.i) AS k
              FROM unnest(e_message) WITH ORDINALITY AS u(m, i)) AS w;
        SELECT ARRAY[count(*) FILTER (WHERE u.state = 'mapped' AND NOT u.n = ANY (v_refused)),
                     count(*) FILTER (WHERE u.state = 'ignored' AND NOT u.n = ANY (v_refused)),
                     count(*) FILTER (WHERE u.state = 'quarantined' OR u.n = ANY (v_refused))]
        INTO v_tally FROM unnest(p_states, v_nos) AS u(state, n) WHERE u.n = ANY (v_new);
    END IF;

    IF v_count > 0 THEN
        UPDATE dari.stream AS s SET head = s.head + v_events, ledger = s.ledger + v_count
        WHERE s.site = p_site RETURNING s.head - v_events, s.ledger - v_count INTO STRICT v_head, v_idx;

        IF v_events > 0 THEN
            INSERT INTO dari.event (site, seq, day, id, type, subject, time, recorded_at, source, message_no,
                                    mapping, test, data, sealed)
            SELECT p_site, v_head + CASE WHEN v_all THEN i ELSE v_place[i] END, v_day, e_ids[i], e_types[i],
                   e_subjects[i], e_times[i], p_at, v_source, v_nos[e_message[i]], e_mappings[i], e_tests[i],
                   e_data[i], e_sealed[i]
            FROM generate_series(1, cardinality(e_ids)) AS i WHERE v_all OR v_counts[e_message[i]] > 0;
        END IF;

        INSERT INTO dari.message (site, day, no, id, feed, received_at, control_id, type, state, reason, place,
                                  mapping, patient, flags, charset, size, first_seq, events, sealed, reply)
        SELECT p_site, v_day, v_nos[i], p_ids[i], p_feed, p_at, p_control_ids[i], p_types[i],
               CASE WHEN v_nos[i] = ANY (v_refused) THEN 'quarantined' ELSE p_states[i] END,
               CASE WHEN v_nos[i] = ANY (v_refused) THEN 'control id was used for another message' ELSE p_reasons[i] END,
               p_places[i], p_mappings[i], p_patients[i], p_flags[i]::int | (v_nos[i] = ANY (v_reused))::int,
               p_charsets[i], p_sizes[i]::int, CASE WHEN v_counts[i] > 0 THEN v_head + v_before[i] + 1 END,
               v_counts[i]::int, p_sealed[i],
               CASE WHEN v_nos[i] = ANY (v_refused) THEN p_refusals[i] ELSE p_replies[i] END
        FROM generate_series(1, v_n) AS i WHERE v_all OR v_nos[i] = ANY (v_new);

        INSERT INTO dari.ledger (site, idx, day, body)
        SELECT p_site, v_idx + CASE WHEN v_all THEN i ELSE v_rank[i] END, v_day,
               v_begin || v_nos[i] || ' id=' || encode(p_ids[i], 'hex') || ' digest=' || p_sealed_digests[i]
               || ' state=' || CASE WHEN v_nos[i] = ANY (v_refused) THEN 'quarantined' ELSE p_states[i] END
               || ' reply=' || CASE WHEN v_nos[i] = ANY (v_refused) THEN left(p_codes[i], 1) || 'R' ELSE p_codes[i] END
               || ' mapping=' || coalesce(p_mappings[i], '-')
               || CASE WHEN v_counts[i] > 0
                       THEN ' events=' || (v_head + v_before[i] + 1) || '-' || (v_head + v_before[i] + v_counts[i])
                            || ' eventsdigest=' || p_digests[i]
                       ELSE ' events=- eventsdigest=-' END
               || v_end || (v_idx + CASE WHEN v_all THEN i ELSE v_rank[i] END)
        FROM generate_series(1, v_n) AS i WHERE v_all OR v_nos[i] = ANY (v_new);
    END IF;

    INSERT INTO dari.feed_count AS f (site, feed, day, received, mapped, ignored, quarantined, duplicates, events,
                                      last_at)
    VALUES (p_site, p_feed, v_day, v_count, v_tally[1], v_tally[2], v_tally[3], v_n - v_count, v_events, p_at)
    ON CONFLICT (site, feed, day) DO UPDATE
    SET received = f.received + excluded.received, mapped = f.mapped + excluded.mapped,
        ignored = f.ignored + excluded.ignored, quarantined = f.quarantined + excluded.quarantined,
        duplicates = f.duplicates + excluded.duplicates, events = f.events + excluded.events,
        last_at = excluded.last_at;

    IF v_count = v_n THEN
        RETURN QUERY
            SELECT i, CASE WHEN v_nos[i] = ANY (v_reused) THEN 2 ELSE 0 END, v_nos[i],
                   CASE WHEN v_nos[i] = ANY (v_refused) THEN p_refusals[i] END
            FROM generate_series(1, v_n) AS i;
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
