-- Rows of a table, by the group: nothing is written for a row but its message and its events.
--
-- A file is read by one at a time, and how far it was read is committed with its rows: that alone makes a row twice
-- impossible. So a row has no key of its own in dari.message_key, and one ledger entry names a whole group.

-- Which messages are which rows of a file.
CREATE TABLE dari.batch_group (
    site      text NOT NULL,
    batch     bigint NOT NULL,
    first_row bigint NOT NULL,              -- numbers in the file; unchanged rows between them are no messages
    last_row  bigint NOT NULL,
    day       date NOT NULL,
    first_no  bigint NOT NULL,              -- numbers of the messages, dense
    last_no   bigint NOT NULL,
    PRIMARY KEY (site, batch, first_row)
);

-- A group of rows with their events, in order, and one ledger entry:
--
--   rows site=… feed=… batch=N messages=FIRST-LAST digest=… states=… events=FIRST-LAST eventsdigest=… at=… idx=…
--
-- states: a letter for each message, m(apped), i(gnored) or q(uarantined).
--
-- p_label: a row's control id is LABEL#ROW. p_from: how far the file was committed before; p_reach, p_bytes: how far
-- it will be, p_unchanged rows among them. p_digest: SHA-256 over id and digest of each message, p_events_digest over
-- the dari.event_digest() of each event and the place of its message in the group ("1", LF), '-' without events; both
-- hexadecimal, computed by intake, which has the bytes at hand. p_tally: how many are mapped, ignored, quarantined. m_…: of each message; m_before: how many events of the
-- group come before its own. e_…: of each event; e_message: place of its message in the group, from 1. s_…: of each
-- message its row of dari.snapshot (key NULL: none), or NULL on a feed without.
--
-- Returns the number of the first message.
CREATE FUNCTION dari.commit_rows(
    p_site text, p_feed text, p_at timestamptz, p_batch bigint, p_label text, p_from bigint, p_reach bigint,
    p_bytes bigint, p_unchanged bigint, p_digest text, p_events_digest text, p_tally bigint[],
    m_rows bigint[], m_ids bytea[], m_types text[], m_states text[], m_reasons text[], m_places text[],
    m_mappings text[], m_patients text[], m_flags bigint[], m_sizes bigint[], m_events bigint[], m_before bigint[],
    m_sealed bytea[],
    e_message bigint[], e_ids text[], e_types text[], e_subjects text[], e_times timestamptz[], e_tests boolean[],
    e_mappings text[], e_data text[], e_sealed bytea[],
    s_keys bytea[], s_digests bytea[], s_days bigint[])
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_day    date := (p_at AT TIME ZONE 'UTC')::date;
    v_n      bigint := cardinality(m_rows);
    v_events bigint := cardinality(e_ids);
    v_first  bigint;
    v_last   bigint;
    v_head   bigint;
    v_idx    bigint;
BEGIN
    UPDATE dari.batch b
    SET position = greatest(b.position, p_reach), bytes = p_bytes, last_at = p_at,
        read = b.read + v_n + p_unchanged, unchanged = b.unchanged + p_unchanged, mapped = b.mapped + p_tally[1],
        ignored = b.ignored + p_tally[2], rejected = b.rejected + p_tally[3], events = b.events + v_events
    WHERE b.site = p_site AND b.no = p_batch AND b.state = 'reading' AND b.position = p_from;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'batch % is not at row % any more: somebody else reads the file', p_batch, p_from
            USING ERRCODE = 'serialization_failure';
    END IF;

    -- Dense, for the sake of the ledger's entry. Others take numbers too: then once more.
    LOOP
        SELECT min(n.x), max(n.x) INTO v_first, v_last
        FROM (SELECT nextval('dari.message_no') AS x FROM generate_series(1, v_n)) AS n;
        EXIT WHEN v_last - v_first = v_n - 1;
    END LOOP;

    IF s_keys IS NOT NULL THEN
        INSERT INTO dari.snapshot AS s (site, feed, key, digest, day, no, on_day)
        SELECT p_site, p_feed, u.key, u.digest, v_day, v_first + u.i - 1, u.on_day
        FROM unnest(s_keys, s_digests, s_days) WITH ORDINALITY AS u(key, digest, on_day, i)
        WHERE u.key IS NOT NULL
        ON CONFLICT (site, feed, key) DO UPDATE SET digest = excluded.digest, day = excluded.day, no = excluded.no,
            on_day = excluded.on_day;
    END IF;

    UPDATE dari.stream AS s SET head = s.head + v_events, ledger = s.ledger + 1
    WHERE s.site = p_site RETURNING s.head - v_events, s.ledger INTO STRICT v_head, v_idx;

    -- Tables in the order in which partitions are added: else the two could wait for each other.
    INSERT INTO dari.message (site, day, no, id, feed, received_at, control_id, type, state, reason, place, mapping,
                              patient, flags, charset, size, first_seq, events, sealed, reply)
    SELECT p_site, v_day, v_first + u.i - 1, u.id, p_feed, p_at, p_label || '#' || u.at, u.type, u.state, u.reason,
           u.place, u.mapping, u.patient, u.flags::int, 'utf-8', u.size::int,
           CASE WHEN u.events > 0 THEN v_head + u.before + 1 END, u.events::int, u.sealed, ''
    FROM (SELECT unnest(m_rows) AS at, unnest(m_ids) AS id, unnest(m_types) AS type, unnest(m_states) AS state,
                 unnest(m_reasons) AS reason, unnest(m_places) AS place, unnest(m_mappings) AS mapping,
                 unnest(m_patients) AS patient, unnest(m_flags) AS flags, unnest(m_sizes) AS size,
                 unnest(m_events) AS events, unnest(m_before) AS before, unnest(m_sealed) AS sealed,
                 generate_series(1, v_n) AS i) AS u;

    INSERT INTO dari.event (site, seq, day, id, type, subject, time, recorded_at, source, message_no, mapping, test,
                            data, sealed)
    SELECT p_site, v_head + u.i, v_day, u.id, u.type, u.subject, u.time, p_at, 'feed:' || p_feed, v_first + u.m - 1,
           u.mapping, u.test, u.data, u.sealed
    FROM (SELECT unnest(e_message) AS m, unnest(e_ids) AS id, unnest(e_types) AS type, unnest(e_subjects) AS subject,
                 unnest(e_times) AS time, unnest(e_tests) AS test, unnest(e_mappings) AS mapping, unnest(e_data) AS data,
                 unnest(e_sealed) AS sealed, generate_series(1, v_events) AS i) AS u;

    INSERT INTO dari.batch_group (site, batch, first_row, last_row, day, first_no, last_no)
    VALUES (p_site, p_batch, m_rows[1], m_rows[v_n], v_day, v_first, v_last);

    INSERT INTO dari.ledger (site, idx, day, body)
    VALUES (p_site, v_idx, v_day,
            'rows site=' || p_site || ' feed=' || p_feed || ' batch=' || p_batch || ' messages=' || v_first || '-' || v_last
            || ' digest=' || p_digest || ' states='
            || (SELECT string_agg(left(u.state, 1), '' ORDER BY u.i) FROM unnest(m_states) WITH ORDINALITY AS u(state, i))
            || ' events='
            || CASE WHEN v_events > 0 THEN (v_head + 1) || '-' || (v_head + v_events) ELSE '-' END
            || ' eventsdigest=' || p_events_digest || ' at=' || dari.instant(p_at) || ' idx=' || v_idx);

    UPDATE dari.feed_count AS f
    SET received = f.received + v_n, mapped = f.mapped + p_tally[1], ignored = f.ignored + p_tally[2],
        quarantined = f.quarantined + p_tally[3], events = f.events + v_events, last_at = p_at
    WHERE f.site = p_site AND f.feed = p_feed AND f.day = v_day;
    IF NOT FOUND THEN
        PERFORM dari.count_group(p_site, p_feed, v_day, p_at, v_n, p_tally || 0::bigint, v_events);
    END IF;
    RETURN v_first;
END $$;

-- Messages that are the row a control id names: DIGEST[.TURN]#ROW, of the file whose digest begins so.
CREATE FUNCTION dari.row_messages(p_site text, p_control_id text) RETURNS TABLE (day date, no bigint)
LANGUAGE sql STABLE AS $$
    SELECT m.day, m.no
    FROM (SELECT r[1] AS label, coalesce(r[2]::int, 1) AS turn, r[3]::bigint AS at
          FROM regexp_match(p_control_id, '^([0-9a-f]{16})(?:[.]([0-9]{1,9}))?#([0-9]{1,18})$') AS r
          WHERE r IS NOT NULL) AS c
    JOIN dari.batch b ON b.site = p_site AND b.turn = c.turn AND substr(b.digest, 1, 8) = decode(c.label, 'hex')
    JOIN dari.batch_group g ON g.site = p_site AND g.batch = b.no AND c.at BETWEEN g.first_row AND g.last_row
    JOIN dari.message m ON m.site = p_site AND m.day = g.day AND m.no BETWEEN g.first_no AND g.last_no
    WHERE m.control_id = p_control_id
$$;

-- The locks in the order of dari.commit_rows: file, stream, counts.
CREATE OR REPLACE FUNCTION dari.batch_close(p_site text, p_no bigint, p_at timestamptz, p_state text, p_problem text,
                                            p_position bigint, p_unchanged bigint, p_bytes bigint)
RETURNS TABLE (read bigint, mapped bigint, ignored bigint, unchanged bigint, rejected bigint, duplicates bigint,
               events bigint)
LANGUAGE plpgsql AS $$
DECLARE
    b dari.batch;
BEGIN
    UPDATE dari.batch x
    SET state = p_state, problem = p_problem, position = greatest(x.position, p_position), read = x.read + p_unchanged,
        unchanged = x.unchanged + p_unchanged, bytes = p_bytes, last_at = p_at
    WHERE x.site = p_site AND x.no = p_no RETURNING * INTO STRICT b;
    PERFORM dari.ledger_append(p_site, p_at,
        'batch site=' || p_site || ' feed=' || b.feed || ' batch=' || p_no || ' state=' || p_state
        || ' read=' || b.read || ' mapped=' || b.mapped || ' ignored=' || b.ignored || ' unchanged=' || b.unchanged
        || ' rejected=' || b.rejected || ' duplicates=' || b.duplicates || ' gone=' || b.gone || ' events=' || b.events);
    PERFORM dari.feed_heard(p_site, b.feed, p_at);
    RETURN QUERY SELECT b.read, b.mapped, b.ignored, b.unchanged, b.rejected, b.duplicates, b.events;
END $$;
