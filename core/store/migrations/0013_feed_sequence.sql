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
