-- Finding messages: by type, feed, patient, state, time and number. A search goes from day to day, the newest
-- first (dari.feed_count says which days have messages), so that each step looks into one partition and nothing
-- it costs grows with what is stored before it.
--
-- An index on dari.message costs intake something with every message, so there are few, and what they hold is
-- short and compared byte by byte (COLLATE "C"; queries must say so too). What each costs:
--
--   message_kind      one btree entry. There are only some dozens of pairs, so that nearly all of them are
--                     stored once with a list of places (deduplication), some 8 bytes a message.
--   message_patient   one btree entry of some 40 bytes at a random place of the day's index (4 MiB for 100,000
--                     messages): the dearest of them. Not for messages without a patient.
--   message_ignored   nothing for the others; at the right end of the index, which is always at hand.
--   message_received  next to nothing: one summary of 32 pages when they are full, made by autovacuum.
--
-- By number and in the order of numbers the primary key serves (site, day, no); by control id dari.message_key.
CREATE INDEX message_kind ON dari.message (feed COLLATE "C", type COLLATE "C");
CREATE INDEX message_patient ON dari.message (patient COLLATE "C") WHERE patient IS NOT NULL;
CREATE INDEX message_ignored ON dari.message (site, no) WHERE state = 'ignored';
CREATE INDEX message_received ON dari.message USING brin (received_at) WITH (pages_per_range = 32, autosummarize = on);

-- The day of a message, whose number is all that somebody has; NULL when there is no such message. Numbers rise
-- with time: halving finds the day with some ten looks at the beginning of a day's primary key. Feeds that commit
-- at midnight may give numbers to both days crosswise, so the neighbours are tried, and at last, for a clock that
-- was set back, every day.
CREATE FUNCTION dari.message_day(p_site text, p_no bigint) RETURNS date
LANGUAGE plpgsql STABLE AS $$
DECLARE
    days  date[];
    low   int := 1;
    high  int;
    mid   int;
    first bigint;
    found boolean;
    d     date;
BEGIN
    SELECT coalesce(array_agg(x.day ORDER BY x.day), '{}') INTO days
    FROM (SELECT DISTINCT f.day FROM dari.feed_count f WHERE f.site = p_site) AS x;
    high := cardinality(days);
    WHILE low < high LOOP
        mid := (low + high + 1) / 2;
        EXECUTE 'SELECT m.no FROM dari.message m WHERE m.site = $1 AND m.day = $2 ORDER BY m.no LIMIT 1'
            INTO first USING p_site, days[mid];
        IF coalesce(first <= p_no, true) THEN -- a day without messages: retention removed it and all before
            low := mid;
        ELSE
            high := mid - 1;
        END IF;
    END LOOP;
    FOR d IN SELECT u.day FROM unnest(days) WITH ORDINALITY AS u(day, i) ORDER BY abs(u.i - low), u.i LOOP
        EXECUTE 'SELECT true FROM dari.message m WHERE m.site = $1 AND m.day = $2 AND m.no = $3'
            INTO found USING p_site, d, p_no;
        IF found THEN
            RETURN d;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
