-- A snapshot that was read in part, or taken, and then another one came: its rows are no longer the state, whatever
-- became of the other (a file that is refused in the middle has changed rows before). It is read again from its
-- beginning, as a turn of its own.
CREATE OR REPLACE FUNCTION dari.batch_open(p_site text, p_feed text, p_digest bytea, p_name text, p_size bigint,
                                           p_mark text, p_snapshot boolean, p_at timestamptz)
RETURNS TABLE (no bigint, turn int, known boolean, "position" bigint)
LANGUAGE plpgsql AS $$
DECLARE
    b dari.batch;
    v_overtaken boolean := false;
BEGIN
    SELECT * INTO b FROM dari.batch x WHERE x.site = p_site AND x.feed = p_feed AND x.digest = p_digest
    ORDER BY x.turn DESC LIMIT 1 FOR UPDATE;
    IF p_snapshot THEN
        v_overtaken := EXISTS (SELECT 1 FROM dari.batch x WHERE x.site = p_site AND x.feed = p_feed AND x.no > b.no
                               AND (x.position > 0 OR x.gone > 0));
    END IF;
    IF v_overtaken THEN
        IF b.state = 'reading' THEN
            PERFORM dari.batch_close(p_site, b.no, p_at, 'refused', 'another file came before it was read to its end',
                                     b.position, 0, b.bytes);
        END IF;
    ELSIF b.state = 'taken' THEN
        UPDATE dari.batch x SET again = x.again + 1, last_at = p_at, mark = coalesce(p_mark, x.mark)
        WHERE x.site = p_site AND x.no = b.no;
        PERFORM dari.feed_heard(p_site, p_feed, p_at);
        RETURN QUERY SELECT b.no, b.turn, true, b.position;
        RETURN;
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
