-- A group of messages for less: fewer parameters, statements and index entries; the same rows.
--
-- dari.commit_group took 29 parallel arrays. Each was copied into a form of its own at every call, which cost a
-- single message more than its rows. Now the columns of one type lie in one array, row after row.

-- Keys are compared byte by byte.
ALTER TABLE dari.message_key ALTER COLUMN site TYPE text COLLATE "C", ALTER COLUMN feed TYPE text COLLATE "C",
    ALTER COLUMN control_id TYPE text COLLATE "C";

DROP FUNCTION dari.commit_group(
    text, text, timestamptz, bytea[], text[], text[], text[], text[], text[], text[], text[], bigint[], text[],
    bigint[], bytea[], text[], bytea[], text[], bytea[], bigint[], bigint[], text[], bigint[], bigint[], text[],
    text[], text[], timestamptz[], boolean[], text[], text[], bytea[]);

-- The counters of a day, when they are not there yet too.
CREATE FUNCTION dari.count_group(p_site text, p_feed text, p_day date, p_at timestamptz, p_received bigint,
                                 p_counts bigint[], p_events bigint)
RETURNS void
LANGUAGE sql AS $$
    INSERT INTO dari.feed_count AS f (site, feed, day, received, mapped, ignored, quarantined, duplicates, events,
                                      last_at)
    VALUES (p_site, p_feed, p_day, p_received, p_counts[1], p_counts[2], p_counts[3], p_counts[4], p_events, p_at)
    ON CONFLICT (site, feed, day) DO UPDATE
    SET received = f.received + excluded.received, mapped = f.mapped + excluded.mapped,
        ignored = f.ignored + excluded.ignored, quarantined = f.quarantined + excluded.quarantined,
        duplicates = f.duplicates + excluded.duplicates, events = f.events + excluded.events,
        last_at = excluded.last_at
$$;

-- A group in which something is known already: a message that was seen before, or a control id that was used. What
-- is new is found first, then the group is committed without the rest. Parameters of dari.commit_group; p_nos: the
-- number of each message, used when it is new.
CREATE FUNCTION dari.commit_known_group(
    p_site text, p_feed text, p_at timestamptz, p_texts text[], p_bytes bytea[], p_numbers bigint[],
    p_received timestamptz[], p_refusals bytea[], p_counts bigint[],
    e_texts text[], e_numbers bigint[], e_times timestamptz[], e_sealed bytea[], p_nos bigint[])
RETURNS TABLE (ord int, outcome int, no bigint, reply bytea)
LANGUAGE plpgsql AS $$
DECLARE
    v_day     date := (p_at AT TIME ZONE 'UTC')::date;
    v_n       int := cardinality(p_nos);
    v_new     bigint[]; -- numbers of new messages
    v_reused  bigint[]; -- of new messages, those whose control id another body used
    v_refused bigint[] := '{}'; -- of those, the ones to refuse
    v_kept    int[];    -- places of the new messages
    v_events  int[];    -- places of the events that stay
    v_texts   text[];
    v_numbers bigint[];
    v_counts  bigint[];
BEGIN
    WITH ins AS (
        INSERT INTO dari.message_key (site, feed, control_id, id, no, day)
        SELECT p_site, p_feed, p_texts[i * 10 - 9], p_bytes[i * 3 - 2], p_nos[i], v_day
        FROM generate_series(1, v_n) AS i
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

    -- the group as it would be had only the new ones come, a refused one in quarantine and without events
    SELECT coalesce(array_agg(i ORDER BY i), '{}') INTO v_kept
    FROM generate_series(1, v_n) AS i WHERE p_nos[i] = ANY (v_new);
    SELECT coalesce(array_agg(i ORDER BY i), '{}') INTO v_events
    FROM generate_series(1, cardinality(e_times)) AS i
    WHERE p_nos[e_numbers[i * 2 - 1]] = ANY (v_new) AND NOT p_nos[e_numbers[i * 2 - 1]] = ANY (v_refused);
    SELECT array_agg(t.x ORDER BY k.i, t.c) INTO v_texts
    FROM unnest(v_kept) AS k(i), LATERAL (SELECT p_nos[k.i] = ANY (v_refused) AS is) AS r,
         LATERAL (SELECT c, CASE WHEN NOT r.is THEN p_texts[k.i * 10 - 10 + c]
                                 WHEN c = 3 THEN 'quarantined'
                                 WHEN c = 4 THEN 'control id was used for another message'
                                 WHEN c = 9 THEN regexp_replace(p_texts[k.i * 10 - 1], ' state=[a-z]+ reply=(.)[^ ]* ',
                                                                ' state=quarantined reply=\1R ')
                                 WHEN c = 10 THEN '-'
                                 ELSE p_texts[k.i * 10 - 10 + c] END AS x
                  FROM generate_series(1, 10) AS c) AS t;
    SELECT array_agg(t.x ORDER BY w.i, t.c) INTO v_numbers
    FROM (SELECT k.i, k.events, sum(k.events) OVER (ORDER BY k.i) - k.events AS before
          FROM (SELECT u.i, CASE WHEN p_nos[u.i] = ANY (v_refused) THEN 0 ELSE p_numbers[u.i * 4 - 1] END AS events
                FROM unnest(v_kept) AS u(i)) AS k) AS w,
         LATERAL (VALUES (1, p_numbers[w.i * 4 - 3] | (p_nos[w.i] = ANY (v_reused))::int), (2, p_numbers[w.i * 4 - 2]),
                         (3, w.events), (4, w.before::bigint)) AS t(c, x);
    SELECT ARRAY[count(*) FILTER (WHERE u.state = 'mapped'), count(*) FILTER (WHERE u.state = 'ignored'),
                 count(*) FILTER (WHERE u.state = 'quarantined'), p_counts[4] + v_n - count(*)]
    INTO v_counts
    FROM (SELECT v_texts[i * 10 - 7] AS state FROM generate_series(1, cardinality(v_kept)) AS i) AS u;

    PERFORM dari.write_group(p_site, p_feed, p_at, coalesce(v_texts, '{}'),
        (SELECT coalesce(array_agg(CASE WHEN c = 3 AND p_nos[k.i] = ANY (v_refused) THEN p_refusals[k.i]
                                        ELSE p_bytes[k.i * 3 - 3 + c] END ORDER BY k.i, c), '{}')
         FROM unnest(v_kept) AS k(i), generate_series(1, 3) AS c),
        coalesce(v_numbers, '{}'),
        CASE WHEN p_received IS NOT NULL
             THEN (SELECT coalesce(array_agg(p_received[k.i] ORDER BY k.i), '{}') FROM unnest(v_kept) AS k(i)) END,
        v_counts,
        (SELECT coalesce(array_agg(e_texts[v.i * 5 - 5 + c] ORDER BY v.i, c), '{}')
         FROM unnest(v_events) AS v(i), generate_series(1, 5) AS c),
        (SELECT coalesce(array_agg(CASE WHEN c = 1 THEN array_position(v_kept, e_numbers[v.i * 2 - 1]::int)::bigint
                                        ELSE e_numbers[v.i * 2] END ORDER BY v.i, c), '{}')
         FROM unnest(v_events) AS v(i), generate_series(1, 2) AS c),
        (SELECT coalesce(array_agg(e_times[v.i] ORDER BY v.i), '{}') FROM unnest(v_events) AS v(i)),
        (SELECT coalesce(array_agg(e_sealed[v.i] ORDER BY v.i), '{}') FROM unnest(v_events) AS v(i)),
        (SELECT coalesce(array_agg(p_nos[k.i] ORDER BY k.i), '{}') FROM unnest(v_kept) AS k(i)));

    RETURN QUERY
        SELECT u.i::int,
               CASE WHEN NOT u.n = ANY (v_new) THEN 1 WHEN u.n = ANY (v_reused) THEN 2 ELSE 0 END,
               CASE WHEN u.n = ANY (v_new) THEN u.n ELSE k.no END,
               CASE WHEN NOT u.n = ANY (v_new) THEN m.reply
                    WHEN u.n = ANY (v_refused) THEN p_refusals[u.i] END
        FROM unnest(p_nos) WITH ORDINALITY AS u(n, i)
        LEFT JOIN LATERAL (
            SELECT x.no, x.day FROM dari.message_key x
            WHERE NOT u.n = ANY (v_new) AND x.site = p_site AND x.feed = p_feed
              AND x.control_id = p_texts[u.i * 10 - 9] AND x.id = p_bytes[u.i * 3 - 2] LIMIT 1) AS k ON true
        LEFT JOIN LATERAL (
            SELECT x.reply FROM dari.message x
            WHERE x.site = p_site AND x.day = k.day AND x.no = k.no LIMIT 1) AS m ON true
        ORDER BY u.i;
END $$;

-- The rows of a group of new messages, whose keys are written. Parameters of dari.commit_group; p_nos: the numbers of
-- the messages. Events, messages and entries go in one statement: beginning one costs more than a row.
CREATE FUNCTION dari.write_group(
    p_site text, p_feed text, p_at timestamptz, p_texts text[], p_bytes bytea[], p_numbers bigint[],
    p_received timestamptz[], p_counts bigint[],
    e_texts text[], e_numbers bigint[], e_times timestamptz[], e_sealed bytea[], p_nos bigint[])
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_day     date := (p_at AT TIME ZONE 'UTC')::date;
    v_n       bigint := cardinality(p_nos);
    v_events  bigint := cardinality(e_times);
    v_source  text := 'feed:' || p_feed;
    v_begin   text := 'received site=' || p_site || ' feed=' || p_feed || ' message=';
    v_end     text := ' at=' || dari.instant(p_at) || ' idx=';
    v_head    bigint;
    v_idx     bigint;
BEGIN
    IF v_n > 0 THEN
        UPDATE dari.stream AS s SET head = s.head + v_events, ledger = s.ledger + v_n
        WHERE s.site = p_site RETURNING s.head - v_events, s.ledger - v_n INTO STRICT v_head, v_idx;

        WITH e AS (
            INSERT INTO dari.event (site, seq, day, id, type, subject, time, recorded_at, source, message_no,
                                    mapping, test, data, sealed)
            SELECT p_site, v_head + s.i, v_day, e_texts[s.i * 5 - 4], e_texts[s.i * 5 - 3], e_texts[s.i * 5 - 2],
                   e_times[s.i], p_at, v_source, p_nos[e_numbers[s.i * 2 - 1]], e_texts[s.i * 5 - 1],
                   e_numbers[s.i * 2] = 1, e_texts[s.i * 5], e_sealed[s.i]
            FROM (SELECT generate_series(1, v_events) AS i) AS s
        ), m AS (
            INSERT INTO dari.message (site, day, no, id, feed, received_at, control_id, type, state, reason, place,
                                      mapping, patient, flags, charset, size, first_seq, events, sealed, reply)
            SELECT p_site, v_day, p_nos[s.i], p_bytes[s.i * 3 - 2], p_feed,
                   CASE WHEN p_received IS NULL THEN p_at ELSE p_received[s.i] END,
                   p_texts[s.i * 10 - 9], p_texts[s.i * 10 - 8], p_texts[s.i * 10 - 7], p_texts[s.i * 10 - 6],
                   p_texts[s.i * 10 - 5], p_texts[s.i * 10 - 4], p_texts[s.i * 10 - 3], p_numbers[s.i * 4 - 3]::int,
                   p_texts[s.i * 10 - 2], p_numbers[s.i * 4 - 2]::int,
                   CASE WHEN p_numbers[s.i * 4 - 1] > 0 THEN v_head + p_numbers[s.i * 4] + 1 END,
                   p_numbers[s.i * 4 - 1]::int, p_bytes[s.i * 3 - 1], p_bytes[s.i * 3]
            FROM (SELECT generate_series(1, v_n) AS i) AS s
        )
        INSERT INTO dari.ledger (site, idx, day, body)
        SELECT p_site, v_idx + s.i, v_day,
               v_begin || p_nos[s.i] || p_texts[s.i * 10 - 1]
               || CASE WHEN p_numbers[s.i * 4 - 1] > 0
                       THEN ' events=' || (v_head + p_numbers[s.i * 4] + 1) || '-'
                            || (v_head + p_numbers[s.i * 4] + p_numbers[s.i * 4 - 1])
                       ELSE ' events=-' END
               || ' eventsdigest=' || p_texts[s.i * 10] || v_end || (v_idx + s.i)
        FROM (SELECT generate_series(1, v_n) AS i) AS s;
    END IF;

    UPDATE dari.feed_count AS f
    SET received = f.received + v_n, mapped = f.mapped + p_counts[1], ignored = f.ignored + p_counts[2],
        quarantined = f.quarantined + p_counts[3], duplicates = f.duplicates + p_counts[4],
        events = f.events + v_events, last_at = p_at
    WHERE f.site = p_site AND f.feed = p_feed AND f.day = v_day;
    IF NOT FOUND THEN
        PERFORM dari.count_group(p_site, p_feed, v_day, p_at, v_n, p_counts, v_events);
    END IF;
END $$;

-- Intake: one group of messages with their events and ledger entries; the whole step from "received" to
-- "committed" in one statement.
--
-- Of each message, in turn:
--   p_texts   10: control id, type, state, reason, place, mapping, patient, charset, the middle of its ledger entry
--             (" id=… digest=… state=… reply=… mapping=…"), SHA-256 over the dari.event_digest() of its events or '-'
--   p_bytes    3: id, sealed, reply
--   p_numbers  4: flags, size, how many events, how many events of the group come before its own
-- p_received: when each came, or NULL for p_at. p_refusals: the reply to each when its control id was used for another
-- message, or NULL where that is only flagged. p_counts: how many messages are mapped, ignored, quarantined, and how
-- many more were repetitions of one in this group.
-- Of each event, in turn:
--   e_texts    5: id, type, subject, mapping, data
--   e_numbers  2: place of its message in the group (from 1; in order), 1 for test data
--   e_times, e_sealed
-- No message and no control id but '' may come twice.
--
-- Returns one row per message: outcome 0 new, 1 seen before (the stored reply comes back), 2 new with a control id that
-- another body used before (flagged, or refused with p_refusals).
--
-- Its cost must depend neither on what is stored nor on what the planner believes about it: every look-up is a
-- correlated one behind LIMIT, which no plan can turn into a scan or a join over the whole table; the tables of
-- messages are read only when a message came twice; digests come from intake, which has the bytes at hand.
CREATE FUNCTION dari.commit_group(
    p_site text, p_feed text, p_at timestamptz, p_texts text[], p_bytes bytea[], p_numbers bigint[],
    p_received timestamptz[], p_refusals bytea[], p_counts bigint[],
    e_texts text[], e_numbers bigint[], e_times timestamptz[], e_sealed bytea[])
RETURNS TABLE (ord int, outcome int, no bigint, reply bytea)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_day     date := (p_at AT TIME ZONE 'UTC')::date;
    v_n       int := cardinality(p_bytes) / 3;
    v_nos     bigint[] := '{}'; -- the number of each message, used when it is new
    v_count   bigint;
BEGIN
    FOR i IN 1 .. v_n LOOP
        v_nos[i] := nextval('dari.message_no');
    END LOOP;

    INSERT INTO dari.message_key (site, feed, control_id, id, no, day)
    SELECT p_site, p_feed, p_texts[s.i * 10 - 9], p_bytes[s.i * 3 - 2], v_nos[s.i], v_day
    FROM (SELECT generate_series(1, v_n) AS i) AS s
    WHERE NOT EXISTS (
        SELECT 1 FROM (SELECT generate_series(1, v_n) AS i) AS t
        WHERE CASE WHEN p_texts[t.i * 10 - 9] = ''
              THEN (SELECT true FROM dari.message_key k WHERE k.site = p_site AND k.feed = p_feed
                    AND k.control_id = '' AND k.id = p_bytes[t.i * 3 - 2] LIMIT 1)
              ELSE (SELECT true FROM dari.message_key k WHERE k.site = p_site AND k.feed = p_feed
                    AND k.control_id = p_texts[t.i * 10 - 9] LIMIT 1) END);
    GET DIAGNOSTICS v_count = ROW_COUNT;
    IF v_count <> v_n THEN
        RETURN QUERY SELECT * FROM dari.commit_known_group(p_site, p_feed, p_at, p_texts, p_bytes, p_numbers, p_received,
            p_refusals, p_counts, e_texts, e_numbers, e_times, e_sealed, v_nos);
        RETURN;
    END IF;

    PERFORM dari.write_group(p_site, p_feed, p_at, p_texts, p_bytes, p_numbers, p_received, p_counts, e_texts, e_numbers,
                             e_times, e_sealed, v_nos);
    FOR i IN 1 .. v_n LOOP
        ord := i;
        outcome := 0;
        no := v_nos[i];
        RETURN NEXT;
    END LOOP;
END $$;
