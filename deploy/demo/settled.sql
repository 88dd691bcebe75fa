-- Has everything that is due at the clock been done? Both of our consumers have acknowledged the whole
-- stream, no plan is due, and segmentation has looked at the present day.
SELECT (SELECT count(*) = 2 AND min(acked) = (SELECT head FROM dari.stream)
        FROM dari.consumer WHERE name IN ('segment', 'messaging'))
   AND NOT EXISTS (SELECT 1 FROM dari.plan WHERE state = 'handing' OR (state = 'planned' AND due_at <= :'clock'))
   AND (NOT EXISTS (SELECT 1 FROM dari.profile)
        OR EXISTS (SELECT 1 FROM dari.segment_state
                   WHERE at >= date_trunc('day', :'clock'::timestamptz AT TIME ZONE 'Asia/Seoul') AT TIME ZONE 'Asia/Seoul'))
