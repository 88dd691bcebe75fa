-- Feeds that have fallen silent against their usual hours: a row for as long as it lasts, so that it is told
-- once on entering and once on leaving, also over restarts.
CREATE TABLE dari.feed_silence (
    site  text NOT NULL,
    feed  text NOT NULL,
    since timestamptz NOT NULL,          -- when the last message came, or the hours began
    PRIMARY KEY (site, feed)
);
