-- The store: messages, events, the stream's head, the ledger, consumers and their cursors.
--
-- Every table carries the site and every key begins with it, so that a site can be moved or
-- distributed. Large tables are partitioned by the UTC day of the clock that wrote them; a DEFAULT
-- partition catches days nobody prepared. Nothing here is ever updated except heads, cursors,
-- counters and the state of a message that was reprocessed.

CREATE SCHEMA IF NOT EXISTS dari;

-- One row per site: the only lock that all writers of a site share. Its numbers are dense because a
-- rollback takes them back, and in commit order because the row stays locked until the commit.
CREATE TABLE dari.stream (
    site   text PRIMARY KEY,
    head   bigint NOT NULL DEFAULT 0,   -- number of the newest event
    ledger bigint NOT NULL DEFAULT 0,   -- number of the newest ledger entry
    key_check text,                     -- made with site.key: other keys must not write here
    CHECK (head >= 0 AND ledger >= 0)
) WITH (fillfactor = 50);

CREATE SEQUENCE dari.message_no;

-- What was received, byte for byte (sealed). `no` is unique, rising, not dense.
CREATE TABLE dari.message (
    site        text NOT NULL,
    day         date NOT NULL,
    no          bigint NOT NULL,
    id          bytea NOT NULL,          -- 16 bytes: keyed digest of feed, control id, body without MSH-7
    feed        text NOT NULL,
    received_at timestamptz NOT NULL,
    control_id  text NOT NULL,
    type        text NOT NULL,           -- ADT^A04
    state       text NOT NULL CHECK (state IN ('mapped', 'ignored', 'quarantined')),
    reason      text,                    -- why ignored or quarantined; never a value
    place       text,                    -- where: PID-3.1, byte 1180
    mapping     text,                    -- name@version that decided
    patient     text,                    -- patient key
    flags       int NOT NULL DEFAULT 0,  -- 1 control id reused, 2 test data, 4 reprocessed, 8 waited in the spool
    charset     text,
    size        int NOT NULL,
    first_seq   bigint,                  -- its events: first_seq .. first_seq + events - 1
    last_seq    bigint,                  -- the newest of them when it was reprocessed: they need not lie together then
    events      int NOT NULL DEFAULT 0,
    sealed      bytea NOT NULL,          -- context of the seal: site/message/hex(id)
    reply       bytea NOT NULL,
    PRIMARY KEY (site, day, no)
) PARTITION BY RANGE (day);
CREATE TABLE dari.message_other PARTITION OF dari.message DEFAULT;
CREATE INDEX message_quarantined ON dari.message (site, no) WHERE state = 'quarantined';
ALTER TABLE dari.message ALTER COLUMN sealed SET STORAGE EXTERNAL;

-- Finds a message by control id, and is what makes the same message twice impossible.
CREATE TABLE dari.message_key (
    site       text NOT NULL,
    feed       text NOT NULL,
    control_id text NOT NULL,
    id         bytea NOT NULL,
    no         bigint NOT NULL,
    day        date NOT NULL,
    PRIMARY KEY (site, feed, control_id, id)
);

-- received = mapped + ignored + quarantined at every moment; duplicates are counted apart.
CREATE TABLE dari.feed_count (
    site        text NOT NULL,
    feed        text NOT NULL,
    day         date NOT NULL,
    received    bigint NOT NULL DEFAULT 0,
    mapped      bigint NOT NULL DEFAULT 0,
    ignored     bigint NOT NULL DEFAULT 0,
    quarantined bigint NOT NULL DEFAULT 0,
    duplicates  bigint NOT NULL DEFAULT 0,
    events      bigint NOT NULL DEFAULT 0,
    last_at     timestamptz,
    PRIMARY KEY (site, feed, day)
) WITH (fillfactor = 70);

-- HL7 v2 sequence numbers (MSH-13): the number of the last message taken, written in its transaction;
-- NULL after a resynchronization, when the next number is taken whatever it is.
CREATE TABLE dari.feed_sequence (
    site text NOT NULL,
    feed text NOT NULL,
    last bigint CHECK (last > 0),
    at   timestamptz NOT NULL,
    PRIMARY KEY (site, feed)
) WITH (fillfactor = 50);

-- A number was expected and a higher one came. Its sender was refused until the missing ones came.
CREATE TABLE dari.feed_gap (
    site     text NOT NULL,
    feed     text NOT NULL,
    expected bigint NOT NULL,
    got      bigint NOT NULL,            -- the latest
    first_at timestamptz NOT NULL,
    last_at  timestamptz NOT NULL,
    seen     bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (site, feed, expected)
);

-- Feeds that have fallen silent against their usual hours: a row for as long as it lasts, so that it is told
-- once on entering and once on leaving, also over restarts.
CREATE TABLE dari.feed_silence (
    site  text NOT NULL,
    feed  text NOT NULL,
    since timestamptz NOT NULL,          -- when the last message came, or the hours began
    PRIMARY KEY (site, feed)
);

-- The stream. data: JSON object of the fields of class P0, P1 and P3; sealed: JSON object of the P2
-- fields (context site/event/id), NULL when there are none.
CREATE TABLE dari.event (
    site        text NOT NULL,
    seq         bigint NOT NULL,
    day         date NOT NULL,
    id          text NOT NULL,
    type        text NOT NULL,
    subject     text,                    -- patient key, NULL for class P0
    time        timestamptz NOT NULL,    -- when it happened
    recorded_at timestamptz NOT NULL,    -- when it entered the stream
    source      text NOT NULL,           -- feed:NAME or role:NAME
    message_no  bigint,
    cause       text,                    -- id of the event that led to it
    mapping     text,
    test        boolean NOT NULL DEFAULT false,
    data        text NOT NULL,
    sealed      bytea,
    PRIMARY KEY (site, seq, day)
) PARTITION BY RANGE (day);
CREATE TABLE dari.event_other PARTITION OF dari.event DEFAULT;
CREATE INDEX event_id ON dari.event (site, id);
-- What `dari trace` needs to go forward: the events that an event led to, and the events of one
-- planned message. Both are partial, so that intake pays nothing for them.
CREATE INDEX event_cause ON dari.event (site, cause) WHERE cause IS NOT NULL;
CREATE INDEX event_message_key ON dari.event (site, (substring(data FROM '"message_key":"([0-9a-z]{26})"')))
    WHERE type LIKE 'message.%';

-- The ledger: one canonical line of text per step of a flow, `kind key=value …`, without blanks in
-- values and without patient data. The steward hashes it into tiles and signs checkpoints.
CREATE TABLE dari.ledger (
    site text NOT NULL,
    idx  bigint NOT NULL,
    day  date NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (site, idx, day)
) PARTITION BY RANGE (day);
CREATE TABLE dari.ledger_other PARTITION OF dari.ledger DEFAULT;

CREATE TABLE dari.ledger_tile (
    site   text NOT NULL,
    level  int NOT NULL,                 -- 0: leaf hashes; n: roots of full tiles of level n-1
    tile   bigint NOT NULL,
    hashes bytea NOT NULL,               -- up to 256 hashes of 32 bytes
    PRIMARY KEY (site, level, tile)
);

CREATE TABLE dari.checkpoint (
    site text NOT NULL,
    size bigint NOT NULL,                -- covers entries 1 .. size
    at   timestamptz NOT NULL,
    root bytea NOT NULL,
    note text NOT NULL,                  -- C2SP signed note
    PRIMARY KEY (site, size)
);

-- Who reads the stream. epoch fences: a newer session of a consumer ends the older one.
CREATE TABLE dari.consumer (
    site       text NOT NULL,
    name       text NOT NULL,
    internal   boolean NOT NULL DEFAULT false,
    contract   text NOT NULL,            -- name of a file in config/contracts
    state      text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'revoked')),
    reason     text,                     -- why paused
    epoch      bigint NOT NULL DEFAULT 0,
    acked      bigint NOT NULL DEFAULT 0,
    acked_at   timestamptz,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (site, name)
) WITH (fillfactor = 50);

-- CURVE public keys; several per consumer while one replaces another.
CREATE TABLE dari.consumer_key (
    site       text NOT NULL,
    public_key text NOT NULL,
    name       text NOT NULL,
    from_at    timestamptz NOT NULL,
    until_at   timestamptz,
    PRIMARY KEY (site, public_key),
    FOREIGN KEY (site, name) REFERENCES dari.consumer (site, name)
);

-- What a consumer acknowledged: a range, under which contract. Written with the cursor and the ledger.
CREATE TABLE dari.delivery (
    site      text NOT NULL,
    day       date NOT NULL,
    consumer  text NOT NULL,
    last_seq  bigint NOT NULL,
    first_seq bigint NOT NULL,
    events    int NOT NULL,              -- how many of the range the contract let through
    contract  text NOT NULL,             -- name@version:digest
    epoch     bigint NOT NULL,
    acked_at  timestamptz NOT NULL,
    ledger    bigint NOT NULL,
    PRIMARY KEY (site, day, consumer, last_seq, epoch)  -- a replay is a delivery too
) PARTITION BY RANGE (day);
CREATE TABLE dari.delivery_other PARTITION OF dari.delivery DEFAULT;

-- How far our own consumers have brought their effect; written in the transaction of the effect.
CREATE TABLE dari.position (
    site text NOT NULL,
    role text NOT NULL,
    seq  bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (site, role)
) WITH (fillfactor = 50);

-- Partitions for the days from p_from on. A day whose rows already lie in DEFAULT is left there.
CREATE FUNCTION dari.make_partitions(p_from date, p_days int) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    t text;
    d date;
    made int := 0;
BEGIN
    FOREACH t IN ARRAY ARRAY['message', 'event', 'ledger', 'delivery'] LOOP
        FOR i IN 0 .. p_days - 1 LOOP
            d := p_from + i;
            IF to_regclass(format('dari.%I', t || '_' || to_char(d, 'YYYYMMDD'))) IS NULL THEN
                BEGIN
                    EXECUTE format('CREATE TABLE dari.%I PARTITION OF dari.%I FOR VALUES FROM (%L) TO (%L)',
                                   t || '_' || to_char(d, 'YYYYMMDD'), t, d, d + 1);
                    made := made + 1;
                EXCEPTION WHEN check_violation THEN
                    NULL; -- rows of that day are in DEFAULT
                END;
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;

-- The digest of one event as it is stored: every column but the numbers, which the ledger's entry says itself.
-- The ledger names digests of these. core/store/events.h computes the same.
CREATE FUNCTION dari.event_digest(id text, type text, subject text, "time" timestamptz, source text, cause text,
                                  mapping text, test boolean, data text, sealed bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256(convert_to(id || E'\n' || type || E'\n' || coalesce(subject, '') || E'\n'
                             || (extract(epoch FROM "time") * 1000000)::bigint || E'\n' || source || E'\n'
                             || coalesce(cause, '') || E'\n' || coalesce(mapping, '') || E'\n'
                             || CASE WHEN test THEN 't' ELSE 'f' END || E'\n' || data || E'\n', 'UTF8')
                  || coalesce(sealed, ''::bytea))
$$;

CREATE FUNCTION dari.instant(t timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

-- One line into the ledger. The caller's transaction then holds the site's lock until it commits.
CREATE FUNCTION dari.ledger_append(p_site text, p_at timestamptz, p_body text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    i bigint;
BEGIN
    UPDATE dari.stream SET ledger = ledger + 1 WHERE site = p_site RETURNING ledger INTO STRICT i;
    INSERT INTO dari.ledger (site, idx, day, body)
    VALUES (p_site, i, (p_at AT TIME ZONE 'UTC')::date, p_body || ' at=' || dari.instant(p_at) || ' idx=' || i);
    RETURN i;
END $$;

-- Intake: one group of messages with their events and ledger entries; the whole step from "received"
-- to "committed" in one statement. Arrays are parallel; events name their message by its place (from 1),
-- come in order, and p_events says how many there are of each message. p_sealed_digests: SHA-256 of the
-- sealed message; p_digests: SHA-256 over the dari.event_digest() of its events, '-' without events; both
-- hexadecimal. p_before: how many events of the group come before each message's. p_tally: how many messages
-- are mapped, ignored, quarantined. No control id but '' may come twice. Returns one row per message: outcome 0 new, 1 seen before (the stored reply comes back), 2
-- new with a control id that another body used before (flagged, or refused with p_refusals when that is
-- not NULL).
--
-- Its cost must depend neither on what is stored nor on what the planner believes about it: every look-up is a
-- correlated one behind LIMIT, which no plan can turn into a scan or a join over the whole table; the tables of
-- messages are read only when a message came twice; digests come from intake, which has the bytes at hand.
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

-- A message that waited in a feed's local spool was received before its group is committed: the row says when,
-- and has 8 in its flags.
-- Called for each row that dari.commit_group returned, in the same statement; gives the outcome back.
CREATE FUNCTION dari.received_earlier(p_site text, p_at timestamptz, p_no bigint, p_outcome int, p_received timestamptz)
RETURNS int
LANGUAGE plpgsql AS $$
BEGIN
    IF p_outcome <> 1 THEN
        UPDATE dari.message AS m SET received_at = p_received, flags = m.flags | 8
        WHERE m.site = p_site AND m.day = (p_at AT TIME ZONE 'UTC')::date AND m.no = p_no;
    END IF;
    RETURN p_outcome;
END $$;

-- Events that do not come from a feed's group: derived ones (segment.entered, message.requested, …) and
-- those of a reprocessed message. One ledger entry names them all. Must be (nearly) the last statement
-- of the caller's transaction: it takes the site's lock. Events whose id is already in the stream are
-- left out, so that a repeated effect adds nothing. Returns the first number, or NULL.
CREATE FUNCTION dari.append_events(
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
    SELECT array_agg(NOT EXISTS (SELECT 1 FROM dari.event x WHERE x.site = p_site AND x.id = u.id) ORDER BY u.i)
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
