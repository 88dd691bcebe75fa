-- Files: what messages arrived in together. How far each was read stands in the transaction of its messages, so
-- that a crash in row 700,000 continues there; what was taken whole is not taken again.

CREATE SEQUENCE dari.batch_no;

-- read = mapped + ignored + unchanged + rejected + duplicates, in messages, at every commit.
CREATE TABLE dari.batch (
    site       text NOT NULL,
    no         bigint NOT NULL,
    feed       text NOT NULL,
    digest     bytea NOT NULL,              -- SHA-256 of its content
    turn       int NOT NULL,                -- a snapshot may come back to an earlier content: 1, 2, …
    name       text NOT NULL,               -- as its source calls it
    size       bigint NOT NULL,             -- bytes
    state      text NOT NULL DEFAULT 'reading' CHECK (state IN ('reading', 'taken', 'refused')),
    problem    text,                        -- of a refused one: place and reason, never a value; of a taken one:
                                            -- what was left undone
    position   bigint NOT NULL DEFAULT 0,   -- number of the last message or row that was committed
    bytes      bigint NOT NULL DEFAULT 0,   -- read so far
    read       bigint NOT NULL DEFAULT 0,
    mapped     bigint NOT NULL DEFAULT 0,
    ignored    bigint NOT NULL DEFAULT 0,
    unchanged  bigint NOT NULL DEFAULT 0,
    rejected   bigint NOT NULL DEFAULT 0,   -- quarantined
    duplicates bigint NOT NULL DEFAULT 0,
    gone       bigint NOT NULL DEFAULT 0,   -- messages about rows of an earlier snapshot; not among those read
    events     bigint NOT NULL DEFAULT 0,
    again      bigint NOT NULL DEFAULT 0,   -- how often the same content came after it was taken
    mark       text,                        -- what a query continues from, once this one is taken
    first_at   timestamptz NOT NULL,
    last_at    timestamptz NOT NULL,
    PRIMARY KEY (site, no),
    UNIQUE (site, feed, digest, turn),
    CHECK (read = mapped + ignored + unchanged + rejected + duplicates)
) WITH (fillfactor = 50);
CREATE INDEX batch_feed ON dari.batch (site, feed, no);

-- The newest state of each row of a snapshot feed: keyed digests, and where the row lies as a message.
CREATE TABLE dari.snapshot (
    site   text NOT NULL,
    feed   text NOT NULL,
    key    bytea NOT NULL,                  -- 16 bytes
    digest bytea NOT NULL,                  -- 16 bytes
    day    date NOT NULL,
    no     bigint NOT NULL,
    on_day int,                             -- days since 1970: what `covers` of the feed looks at; NULL: no such day
    PRIMARY KEY (site, feed, key)
) WITH (fillfactor = 80);

-- A feed whose files bring no news is not silent.
CREATE FUNCTION dari.feed_heard(p_site text, p_feed text, p_at timestamptz) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO dari.feed_count AS f (site, feed, day, last_at)
    VALUES (p_site, p_feed, (p_at AT TIME ZONE 'UTC')::date, p_at)
    ON CONFLICT (site, feed, day) DO UPDATE SET last_at = excluded.last_at
$$;

-- A file is about to be read. One that was being read continues behind `position`; one that was refused begins again:
-- a mapping may have been repaired. `known`: this content was taken, and (of a snapshot) nothing was taken since.
CREATE FUNCTION dari.batch_open(p_site text, p_feed text, p_digest bytea, p_name text, p_size bigint, p_mark text,
                                p_snapshot boolean, p_at timestamptz)
RETURNS TABLE (no bigint, turn int, known boolean, "position" bigint)
LANGUAGE plpgsql AS $$
DECLARE
    b dari.batch;
    v_newest bigint;
BEGIN
    SELECT * INTO b FROM dari.batch x WHERE x.site = p_site AND x.feed = p_feed AND x.digest = p_digest
    ORDER BY x.turn DESC LIMIT 1 FOR UPDATE;
    IF b.state = 'taken' THEN
        SELECT x.no INTO v_newest FROM dari.batch x WHERE x.site = p_site AND x.feed = p_feed AND x.state = 'taken'
        ORDER BY x.no DESC LIMIT 1;
        IF NOT p_snapshot OR v_newest = b.no THEN
            UPDATE dari.batch x SET again = x.again + 1, last_at = p_at, mark = coalesce(p_mark, x.mark)
            WHERE x.site = p_site AND x.no = b.no;
            PERFORM dari.feed_heard(p_site, p_feed, p_at);
            RETURN QUERY SELECT b.no, b.turn, true, b.position;
            RETURN;
        END IF;
    ELSIF b.state = 'reading' THEN
        RETURN QUERY SELECT b.no, b.turn, false, b.position;
        RETURN;
    ELSIF b.state = 'refused' THEN
        UPDATE dari.batch x SET state = 'reading', problem = NULL, name = p_name, last_at = p_at
        WHERE x.site = p_site AND x.no = b.no;
        RETURN QUERY SELECT b.no, b.turn, false, b.position;
        RETURN;
    END IF;
    RETURN QUERY
        INSERT INTO dari.batch AS x (site, no, feed, digest, turn, name, size, mark, first_at, last_at)
        VALUES (p_site, nextval('dari.batch_no'), p_feed, p_digest, coalesce(b.turn, 0) + 1, p_name, p_size, p_mark,
                p_at, p_at)
        RETURNING x.no, x.turn, false, x.position;
END $$;

-- The end of a file, with what was read since the last commit and became no message, and its line in the ledger.
CREATE FUNCTION dari.batch_close(p_site text, p_no bigint, p_at timestamptz, p_state text, p_problem text,
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
    PERFORM dari.feed_heard(p_site, b.feed, p_at);
    PERFORM dari.ledger_append(p_site, p_at,
        'batch site=' || p_site || ' feed=' || b.feed || ' batch=' || p_no || ' state=' || p_state
        || ' read=' || b.read || ' mapped=' || b.mapped || ' ignored=' || b.ignored || ' unchanged=' || b.unchanged
        || ' rejected=' || b.rejected || ' duplicates=' || b.duplicates || ' gone=' || b.gone || ' events=' || b.events);
    RETURN QUERY SELECT b.read, b.mapped, b.ignored, b.unchanged, b.rejected, b.duplicates, b.events;
END $$;
