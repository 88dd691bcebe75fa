-- What a group costs before its first row: most of it is making the statements' expressions ready, at every call anew.
-- A value that lay at p_texts[i * 10 - 7] cost three functions to be found; now the arrays have a row for each message
-- and for each event, and p_texts[i][3] costs none. The rows are written where their keys are, without a call between.

DROP FUNCTION dari.commit_group(text, text, timestamptz, text[], bytea[], bigint[], timestamptz[], bytea[], bigint[],
                                text[], bigint[], timestamptz[], bytea[]);
DROP FUNCTION dari.commit_known_group(text, text, timestamptz, text[], bytea[], bigint[], timestamptz[], bytea[], bigint[],
                                      text[], bigint[], timestamptz[], bytea[], bigint[]);
DROP FUNCTION dari.write_group(text, text, timestamptz, text[], bytea[], bigint[], timestamptz[], bigint[],
                               text[], bigint[], timestamptz[], bytea[], bigint[]);

-- Read and made ready for each group anew; the numbers only ever rise.
ALTER TABLE dari.stream DROP CONSTRAINT stream_check;

-- A group in which something is known already: a message that was seen before, or a control id that was used. Writes the
-- keys of what is new, and gives the group back as it would be had only that come, a refused one in quarantine and
-- without events. Parameters of dari.commit_group; p_nos: the number of each message, used when it is new.
-- outcomes, nos, replies: what to say of each message of the group as it came.
CREATE FUNCTION dari.new_of_group(
    p_site text, p_feed text, p_day date, p_refusals bytea[],
    INOUT p_texts text[], INOUT p_bytes bytea[], INOUT p_numbers int[], INOUT p_received timestamptz[],
    INOUT p_counts bigint[], INOUT e_texts text[], INOUT e_numbers int[], INOUT e_times timestamptz[],
    INOUT e_sealed bytea[], INOUT p_nos bigint[], OUT outcomes int[], OUT nos bigint[], OUT replies bytea[])
LANGUAGE plpgsql AS $$
DECLARE
    v_n       int := cardinality(p_nos);
    v_new     bigint[]; -- numbers of new messages
    v_reused  bigint[]; -- of new messages, those whose control id another body used
    v_refused bigint[] := '{}'; -- of those, the ones to refuse
    v_kept    int[];    -- places of the new messages
    v_events  int[];    -- places of the events that stay
BEGIN
    WITH ins AS (
        INSERT INTO dari.message_key (site, feed, control_id, id, no, day)
        SELECT p_site, p_feed, p_texts[i][1], p_bytes[i][1], p_nos[i], p_day FROM generate_series(1, v_n) AS i
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

    SELECT array_agg(CASE WHEN NOT u.n = ANY (v_new) THEN 1 WHEN u.n = ANY (v_reused) THEN 2 ELSE 0 END ORDER BY u.i),
           array_agg(CASE WHEN u.n = ANY (v_new) THEN u.n ELSE k.no END ORDER BY u.i),
           array_agg(CASE WHEN NOT u.n = ANY (v_new) THEN m.reply
                          WHEN u.n = ANY (v_refused) THEN p_refusals[u.i] END ORDER BY u.i)
    INTO outcomes, nos, replies
    FROM unnest(p_nos) WITH ORDINALITY AS u(n, i)
    LEFT JOIN LATERAL (
        SELECT x.no, x.day FROM dari.message_key x
        WHERE NOT u.n = ANY (v_new) AND x.site = p_site AND x.feed = p_feed
          AND x.control_id = p_texts[u.i][1] AND x.id = p_bytes[u.i][1] LIMIT 1) AS k ON true
    LEFT JOIN LATERAL (
        SELECT x.reply FROM dari.message x
        WHERE x.site = p_site AND x.day = k.day AND x.no = k.no LIMIT 1) AS m ON true;

    SELECT coalesce(array_agg(i ORDER BY i), '{}') INTO v_kept
    FROM generate_series(1, v_n) AS i WHERE p_nos[i] = ANY (v_new);
    SELECT coalesce(array_agg(i ORDER BY i), '{}') INTO v_events
    FROM generate_series(1, cardinality(e_times)) AS i
    WHERE p_nos[e_numbers[i][1]] = ANY (v_new) AND NOT p_nos[e_numbers[i][1]] = ANY (v_refused);
    e_texts := ARRAY(SELECT ARRAY(SELECT unnest(e_texts[v.i:v.i])) FROM unnest(v_events) AS v(i) ORDER BY v.i);
    e_numbers := ARRAY(SELECT ARRAY[array_position(v_kept, e_numbers[v.i][1]), e_numbers[v.i][2]]
                       FROM unnest(v_events) AS v(i) ORDER BY v.i);
    e_times := ARRAY(SELECT e_times[v.i] FROM unnest(v_events) AS v(i) ORDER BY v.i);
    e_sealed := ARRAY(SELECT e_sealed[v.i] FROM unnest(v_events) AS v(i) ORDER BY v.i);

    p_texts := ARRAY(
        SELECT CASE WHEN p_nos[k.i] = ANY (v_refused)
               THEN ARRAY[p_texts[k.i][1], p_texts[k.i][2], 'quarantined', 'control id was used for another message',
                          p_texts[k.i][5], p_texts[k.i][6], p_texts[k.i][7], p_texts[k.i][8],
                          regexp_replace(p_texts[k.i][9], ' state=[a-z]+ reply=(.)[^ ]* ', ' state=quarantined reply=\1R '), '-']
               ELSE ARRAY(SELECT unnest(p_texts[k.i:k.i])) END
        FROM unnest(v_kept) AS k(i) ORDER BY k.i);
    p_numbers := ARRAY(
        SELECT ARRAY[p_numbers[w.i][1] | (p_nos[w.i] = ANY (v_reused))::int, p_numbers[w.i][2], w.events,
                     (sum(w.events) OVER (ORDER BY w.i))::int - w.events]
        FROM (SELECT k.i, CASE WHEN p_nos[k.i] = ANY (v_refused) THEN 0 ELSE p_numbers[k.i][3] END AS events
              FROM unnest(v_kept) AS k(i)) AS w ORDER BY w.i);
    p_bytes := ARRAY(
        SELECT ARRAY[p_bytes[k.i][1], p_bytes[k.i][2],
                     CASE WHEN p_nos[k.i] = ANY (v_refused) THEN p_refusals[k.i] ELSE p_bytes[k.i][3] END]
        FROM unnest(v_kept) AS k(i) ORDER BY k.i);
    IF p_received IS NOT NULL THEN
        p_received := ARRAY(SELECT p_received[k.i] FROM unnest(v_kept) AS k(i) ORDER BY k.i);
    END IF;
    p_nos := ARRAY(SELECT p_nos[k.i] FROM unnest(v_kept) AS k(i) ORDER BY k.i);
    SELECT ARRAY[count(*) FILTER (WHERE u.state = 'mapped'), count(*) FILTER (WHERE u.state = 'ignored'),
                 count(*) FILTER (WHERE u.state = 'quarantined'), p_counts[4] + v_n - count(*)]
    INTO p_counts
    FROM (SELECT p_texts[i][3] AS state FROM generate_series(1, cardinality(v_kept)) AS i) AS u;
END $$;

-- Intake: one group of messages with their events and ledger entries; the whole step from "received" to
-- "committed" in one statement.
--
-- Of each message, a row in each of
--   p_texts   10: control id, type, state, reason, place, mapping, patient, charset, the middle of its ledger entry
--             (" id=… digest=… state=… reply=… mapping=…"), SHA-256 over the dari.event_digest() of its events or '-'
--   p_bytes    3: id, sealed, reply
--   p_numbers  4: flags, size, how many events, how many events of the group come before its own
-- p_received: when each came, or NULL for p_at. p_refusals: the reply to each when its control id was used for another
-- message, or NULL where that is only flagged. p_counts: how many messages are mapped, ignored, quarantined, and how
-- many more were repetitions of one in this group.
-- Of each event, a row in each of
--   e_texts    5: id, type, subject, mapping, data
--   e_numbers  2: place of its message in the group (from 1; in order), 1 for test data
-- and one of e_times, e_sealed.
-- No message and no control id but '' may come twice.
--
-- Returns one row per message: outcome 0 new, 1 seen before (the stored reply comes back), 2 new with a control id that
-- another body used before (flagged, or refused with p_refusals).
--
-- Its cost must depend neither on what is stored nor on what the planner believes about it: every look-up is a
-- correlated one behind LIMIT, which no plan can turn into a scan or a join over the whole table; the tables of
-- messages are read only when a message came twice; digests come from intake, which has the bytes at hand.
-- Tables are locked in the order message, event, ledger, as dari.make_partitions does.
CREATE FUNCTION dari.commit_group(
    p_site text, p_feed text, p_at timestamptz, p_texts text[], p_bytes bytea[], p_numbers int[],
    p_received timestamptz[], p_refusals bytea[], p_counts bigint[],
    e_texts text[], e_numbers int[], e_times timestamptz[], e_sealed bytea[])
RETURNS TABLE (ord int, outcome int, no bigint, reply bytea)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_day      date := (p_at AT TIME ZONE 'UTC')::date;
    v_n        int := array_length(p_bytes, 1);
    v_events   int;
    v_nos      bigint[] := '{}'; -- the number of each message, used when it is new
    v_count    int;
    v_outcomes int[];            -- when something was known: of each message
    v_known    bigint[];
    v_replies  bytea[];
    v_source   text := 'feed:' || p_feed;
    v_begin    text := 'received site=' || p_site || ' feed=' || p_feed || ' message=';
    v_end      text := ' at=' || dari.instant(p_at) || ' idx=';
    v_head     bigint;
    v_idx      bigint;
BEGIN
    FOR i IN 1 .. v_n LOOP
        v_nos[i] := nextval('dari.message_no');
    END LOOP;

    INSERT INTO dari.message_key (site, feed, control_id, id, no, day)
    SELECT p_site, p_feed, p_texts[s.i][1], p_bytes[s.i][1], v_nos[s.i], v_day
    FROM (SELECT generate_series(1, v_n) AS i) AS s
    WHERE NOT EXISTS (
        SELECT 1 FROM (SELECT generate_series(1, v_n) AS i) AS t
        WHERE CASE WHEN p_texts[t.i][1] = ''
              THEN (SELECT true FROM dari.message_key k WHERE k.site = p_site AND k.feed = p_feed
                    AND k.control_id = '' AND k.id = p_bytes[t.i][1] LIMIT 1)
              ELSE (SELECT true FROM dari.message_key k WHERE k.site = p_site AND k.feed = p_feed
                    AND k.control_id = p_texts[t.i][1] LIMIT 1) END);
    GET DIAGNOSTICS v_count = ROW_COUNT;
    IF v_count <> v_n THEN
        SELECT g.p_texts, g.p_bytes, g.p_numbers, g.p_received, g.p_counts, g.e_texts, g.e_numbers, g.e_times,
               g.e_sealed, g.p_nos, g.outcomes, g.nos, g.replies
        INTO p_texts, p_bytes, p_numbers, p_received, p_counts, e_texts, e_numbers, e_times,
             e_sealed, v_nos, v_outcomes, v_known, v_replies
        FROM dari.new_of_group(p_site, p_feed, v_day, p_refusals, p_texts, p_bytes, p_numbers, p_received, p_counts,
                               e_texts, e_numbers, e_times, e_sealed, v_nos) AS g;
    END IF;

    v_n := cardinality(v_nos);
    v_events := cardinality(e_times);
    IF v_n > 0 THEN
        UPDATE dari.stream AS s SET head = s.head + v_events, ledger = s.ledger + v_n
        WHERE s.site = p_site RETURNING s.head - v_events, s.ledger - v_n INTO STRICT v_head, v_idx;

        WITH e AS (
            INSERT INTO dari.event (site, seq, day, id, type, subject, time, recorded_at, source, message_no,
                                    mapping, test, data, sealed)
            SELECT p_site, v_head + s.i, v_day, e_texts[s.i][1], e_texts[s.i][2], e_texts[s.i][3],
                   e_times[s.i], p_at, v_source, v_nos[e_numbers[s.i][1]], e_texts[s.i][4],
                   e_numbers[s.i][2] = 1, e_texts[s.i][5], e_sealed[s.i]
            FROM (SELECT generate_series(1, v_events) AS i) AS s
        ), l AS (
            INSERT INTO dari.ledger (site, idx, day, body)
            SELECT p_site, v_idx + s.i, v_day,
                   v_begin || v_nos[s.i] || p_texts[s.i][9]
                   || CASE WHEN p_numbers[s.i][3] > 0
                           THEN ' events=' || (v_head + p_numbers[s.i][4] + 1) || '-'
                                || (v_head + p_numbers[s.i][4] + p_numbers[s.i][3])
                           ELSE ' events=-' END
                   || ' eventsdigest=' || p_texts[s.i][10] || v_end || (v_idx + s.i)
            FROM (SELECT generate_series(1, v_n) AS i) AS s
        )
        INSERT INTO dari.message (site, day, no, id, feed, received_at, control_id, type, state, reason, place,
                                  mapping, patient, flags, charset, size, first_seq, events, sealed, reply)
        SELECT p_site, v_day, v_nos[s.i], p_bytes[s.i][1], p_feed, coalesce(p_received[s.i], p_at),
               p_texts[s.i][1], p_texts[s.i][2], p_texts[s.i][3], p_texts[s.i][4], p_texts[s.i][5], p_texts[s.i][6],
               p_texts[s.i][7], p_numbers[s.i][1], p_texts[s.i][8], p_numbers[s.i][2],
               CASE WHEN p_numbers[s.i][3] > 0 THEN v_head + p_numbers[s.i][4] + 1 END,
               p_numbers[s.i][3], p_bytes[s.i][2], p_bytes[s.i][3]
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

    IF v_outcomes IS NOT NULL THEN
        RETURN QUERY SELECT i, v_outcomes[i], v_known[i], v_replies[i]
                     FROM generate_series(1, cardinality(v_outcomes)) AS i ORDER BY i;
        RETURN;
    END IF;
    FOR i IN 1 .. v_n LOOP
        ord := i;
        outcome := 0;
        no := v_nos[i];
        RETURN NEXT;
    END LOOP;
END $$;

-- The same for one message with a control id, as of a sender that waits for each reply, which is how most send: its
-- values are not in arrays, and one number is returned, so that little has to be made ready. NULL: the control id is
-- known, nothing was written, and dari.commit_group is to be asked.
-- Parameters are named as there; p_digest: of its events or '-'; p_more: how many repetitions of it came along.
-- Of each event: a row in e_texts (4: id, type, subject, data), one of e_times, e_tests, e_sealed.
CREATE FUNCTION dari.commit_message(
    p_site text, p_feed text, p_at timestamptz, p_control_id text, p_type text, p_state text, p_reason text,
    p_place text, p_mapping text, p_patient text, p_charset text, p_line text, p_digest text, p_id bytea,
    p_sealed bytea, p_reply bytea, p_flags int, p_size int, p_more int,
    e_texts text[], e_times timestamptz[], e_tests boolean[], e_sealed bytea[])
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_day    date := (p_at AT TIME ZONE 'UTC')::date;
    v_no     bigint := nextval('dari.message_no');
    v_events int := cardinality(e_times);
    v_head   bigint;
    v_idx    bigint;
BEGIN
    INSERT INTO dari.message_key (site, feed, control_id, id, no, day)
    SELECT p_site, p_feed, p_control_id, p_id, v_no, v_day
    WHERE (SELECT true FROM dari.message_key k
           WHERE k.site = p_site AND k.feed = p_feed AND k.control_id = p_control_id LIMIT 1) IS NULL;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    UPDATE dari.stream AS s SET head = s.head + v_events, ledger = s.ledger + 1
    WHERE s.site = p_site RETURNING s.head - v_events, s.ledger INTO STRICT v_head, v_idx;

    WITH e AS (
        INSERT INTO dari.event (site, seq, day, id, type, subject, time, recorded_at, source, message_no,
                                mapping, test, data, sealed)
        SELECT p_site, v_head + s.i, v_day, e_texts[s.i][1], e_texts[s.i][2], e_texts[s.i][3], e_times[s.i], p_at,
               'feed:' || p_feed, v_no, p_mapping, e_tests[s.i], e_texts[s.i][4], e_sealed[s.i]
        FROM (SELECT generate_series(1, v_events) AS i) AS s
    ), l AS (
        INSERT INTO dari.ledger (site, idx, day, body)
        VALUES (p_site, v_idx, v_day,
                'received site=' || p_site || ' feed=' || p_feed || ' message=' || v_no || p_line
                || CASE WHEN v_events > 0 THEN ' events=' || (v_head + 1) || '-' || (v_head + v_events)
                        ELSE ' events=-' END
                || ' eventsdigest=' || p_digest || ' at=' || dari.instant(p_at) || ' idx=' || v_idx)
    )
    INSERT INTO dari.message (site, day, no, id, feed, received_at, control_id, type, state, reason, place,
                              mapping, patient, flags, charset, size, first_seq, events, sealed, reply)
    VALUES (p_site, v_day, v_no, p_id, p_feed, p_at, p_control_id, p_type, p_state, p_reason, p_place,
            p_mapping, p_patient, p_flags, p_charset, p_size, CASE WHEN v_events > 0 THEN v_head + 1 END, v_events,
            p_sealed, p_reply);

    UPDATE dari.feed_count AS f
    SET received = f.received + 1, mapped = f.mapped + (p_state = 'mapped')::int,
        ignored = f.ignored + (p_state = 'ignored')::int, quarantined = f.quarantined + (p_state = 'quarantined')::int,
        duplicates = f.duplicates + p_more, events = f.events + v_events, last_at = p_at
    WHERE f.site = p_site AND f.feed = p_feed AND f.day = v_day;
    IF NOT FOUND THEN
        PERFORM dari.count_group(p_site, p_feed, v_day, p_at, 1, ARRAY[p_state = 'mapped', p_state = 'ignored',
            p_state = 'quarantined']::int[]::bigint[] || p_more::bigint, v_events);
    END IF;

    RETURN v_no;
END $$;
