-- Messages that come in parts (HL7 v2 chapter 2.10.2). Each part is a row of dari.message, ignored by rule; here is
-- what it belongs to. The pointers are keyed digests of MSH-14 and DSC-1 with their sender and type: NULL in
-- `continues` is the beginning of a message, in `continued` its end. While a part waits its pointers are unique, so
-- that nothing can be joined in two ways.
CREATE TABLE dari.part (
    site        text NOT NULL,
    no          bigint NOT NULL,        -- of dari.message
    day         date NOT NULL,
    feed        text NOT NULL,
    id          bytea NOT NULL,
    received_at timestamptz NOT NULL,
    size        bigint NOT NULL,
    continues   text,
    continued   text,
    waiting     boolean NOT NULL,       -- for the others; no longer once it was joined or given up
    whole       bigint,                 -- the message that has the events of the joined one
    place       int,                    -- of this part in it, from 1
    PRIMARY KEY (site, no),
    CHECK (NOT waiting OR whole IS NULL)
);
CREATE UNIQUE INDEX part_continues ON dari.part (site, feed, continues) WHERE waiting;
CREATE UNIQUE INDEX part_continued ON dari.part (site, feed, continued) WHERE waiting;
CREATE INDEX part_waiting ON dari.part (site, feed, received_at) WHERE waiting;
CREATE INDEX part_whole ON dari.part (site, whole, place) WHERE whole IS NOT NULL;

-- What a part that has just come belongs to. One row per part of its chain in order, its own with no = 0; `sealed`
-- only when the verdict is 'whole'. Verdicts: 'whole' nothing is missing; 'waits'; 'pointer' another part with the
-- same pointer is waiting; 'parts', 'bytes' more than is allowed.
CREATE FUNCTION dari.parts_of(p_site text, p_feed text, p_id bytea, p_continues text, p_continued text, p_size bigint,
                              p_max_parts bigint, p_max_bytes bigint)
RETURNS TABLE (no bigint, id bytea, sealed bytea, verdict text)
LANGUAGE plpgsql AS $$
DECLARE
    v_before  bigint[] := '{}';
    v_after   bigint[] := '{}';
    v_bytes   bigint := p_size;
    v_key     text := p_continues;
    v_begins  boolean;
    v_verdict text;
    v_part    dari.part;
BEGIN
    IF EXISTS (SELECT 1 FROM dari.part p WHERE p.site = p_site AND p.feed = p_feed AND p.continues = p_continues
               AND p.waiting AND p.id <> p_id)
       OR EXISTS (SELECT 1 FROM dari.part p WHERE p.site = p_site AND p.feed = p_feed AND p.continued = p_continued
                  AND p.waiting AND p.id <> p_id) THEN
        RETURN QUERY SELECT 0::bigint, p_id, NULL::bytea, 'pointer';
        RETURN;
    END IF;
    WHILE v_key IS NOT NULL AND cardinality(v_before) < p_max_parts LOOP
        SELECT * INTO v_part FROM dari.part p
        WHERE p.site = p_site AND p.feed = p_feed AND p.continued = v_key AND p.waiting AND p.id <> p_id;
        EXIT WHEN NOT FOUND;
        v_before := v_part.no || v_before;
        v_bytes := v_bytes + v_part.size;
        v_key := v_part.continues;
    END LOOP;
    v_begins := v_key IS NULL;
    v_key := p_continued;
    WHILE v_key IS NOT NULL AND cardinality(v_before) + cardinality(v_after) < p_max_parts LOOP
        SELECT * INTO v_part FROM dari.part p
        WHERE p.site = p_site AND p.feed = p_feed AND p.continues = v_key AND p.waiting AND p.id <> p_id;
        EXIT WHEN NOT FOUND;
        v_after := v_after || v_part.no;
        v_bytes := v_bytes + v_part.size;
        v_key := v_part.continued;
    END LOOP;
    v_verdict := CASE WHEN cardinality(v_before) + cardinality(v_after) >= p_max_parts THEN 'parts'
                      WHEN v_bytes > p_max_bytes THEN 'bytes'
                      WHEN v_begins AND v_key IS NULL THEN 'whole'
                      ELSE 'waits' END;
    RETURN QUERY
        SELECT u.n, coalesce(p.id, p_id), m.sealed, v_verdict
        FROM unnest(v_before || 0::bigint || v_after) WITH ORDINALITY AS u(n, i)
        LEFT JOIN LATERAL (SELECT x.id, x.day FROM dari.part x WHERE x.site = p_site AND x.no = u.n LIMIT 1) AS p ON true
        LEFT JOIN LATERAL (SELECT x.sealed FROM dari.message x
                           WHERE v_verdict = 'whole' AND x.site = p_site AND x.day = p.day AND x.no = u.n LIMIT 1) AS m ON true
        ORDER BY u.i;
END $$;

-- Keeps what dari.parts_of said, in the statement that commits the message: called with what dari.commit_group
-- returned for it; p_kept: it is new and was not refused. p_order: the parts of the whole in order, this one as 0;
-- NULL: it waits. Gives the outcome back.
CREATE FUNCTION dari.keep_part(p_site text, p_feed text, p_at timestamptz, p_no bigint, p_outcome int, p_kept boolean,
                               p_id bytea, p_size bigint, p_continues text, p_continued text, p_order bigint[], p_received timestamptz)
RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    v_all    bigint[] := array_replace(p_order, 0, p_no);
    v_joined int;
BEGIN
    IF NOT p_kept THEN
        RETURN p_outcome;
    END IF;
    INSERT INTO dari.part (site, no, day, feed, id, received_at, size, continues, continued, waiting, whole, place)
    VALUES (p_site, p_no, (p_at AT TIME ZONE 'UTC')::date, p_feed, p_id, coalesce(p_received, p_at), p_size, p_continues,
            p_continued, p_order IS NULL, CASE WHEN p_order IS NOT NULL THEN p_no END, array_position(p_order, 0));
    IF p_order IS NOT NULL THEN
        UPDATE dari.part AS p SET waiting = false, whole = p_no, place = array_position(p_order, p.no)
        WHERE p.site = p_site AND p.no = ANY (p_order) AND p.waiting;
        GET DIAGNOSTICS v_joined = ROW_COUNT;
        IF v_joined <> cardinality(p_order) - 1 THEN
            RAISE EXCEPTION 'a part was given up meanwhile' USING ERRCODE = 'serialization_failure';
        END IF;
        PERFORM dari.ledger_append(p_site, p_at, 'joined site=' || p_site || ' feed=' || p_feed || ' message=' || p_no
                                                 || ' parts=' || array_to_string(v_all, ','));
    END IF;
    IF p_received IS NOT NULL THEN
        PERFORM dari.received_earlier(p_site, p_at, p_no, p_outcome, p_received);
    END IF;
    RETURN p_outcome;
END $$;

-- Parts whose others did not come in time go to quarantine; as with a reprocessed message, 4 in its flags says that
-- the ledger's first entry about it is not the last. Returns their numbers.
CREATE FUNCTION dari.give_up_parts(p_site text, p_feed text, p_before timestamptz, p_at timestamptz)
RETURNS SETOF bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_part record;
    v_nos  bigint[] := '{}';
BEGIN
    FOR v_part IN
        UPDATE dari.part AS p SET waiting = false
        WHERE p.site = p_site AND p.feed = p_feed AND p.waiting AND p.received_at < p_before
        RETURNING p.no, p.day, p.continued
    LOOP
        UPDATE dari.message AS m SET state = 'quarantined', reason = 'the other parts of the message did not come',
               place = CASE WHEN v_part.continued IS NULL THEN 'MSH-14' ELSE 'DSC-1' END, flags = m.flags | 4
        WHERE m.site = p_site AND m.day = v_part.day AND m.no = v_part.no;
        UPDATE dari.feed_count AS f SET ignored = f.ignored - 1, quarantined = f.quarantined + 1
        WHERE f.site = p_site AND f.feed = p_feed AND f.day = v_part.day;
        v_nos := v_nos || v_part.no;
    END LOOP;
    IF cardinality(v_nos) > 0 THEN
        PERFORM dari.ledger_append(p_site, p_at, 'given-up site=' || p_site || ' feed=' || p_feed || ' parts='
                                                 || array_to_string(v_nos, ','));
    END IF;
    RETURN QUERY SELECT unnest(v_nos);
END $$;
