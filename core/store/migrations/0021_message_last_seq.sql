-- A message that was already mapped and gets further events by a mapping that was extended has them in
-- two places of the stream: at first_seq .. first_seq + events - 1 no longer. NULL: they lie together.
ALTER TABLE dari.message ADD COLUMN last_seq bigint; -- the newest of its events, once it was reprocessed
