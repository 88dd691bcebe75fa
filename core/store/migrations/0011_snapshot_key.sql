-- By which columns the rows of a snapshot are told apart. When they are others than before, every row would look new
-- and every known one gone: such a file is refused until somebody says that it is meant (dari feed forget-rows).
-- Without a row nothing is known yet: the next file says it.
CREATE TABLE dari.snapshot_key (
    site    text NOT NULL,
    feed    text NOT NULL,
    columns text NOT NULL,                  -- their canonical names, in the order of the mapping
    PRIMARY KEY (site, feed)
);
