-- Segmentation: facts about patients, what follows from them, and who is in which segment.
--
-- Written by the role segment only, one transaction per batch of events together with its row in
-- dari.position. All of it follows from the stream: emptied and replayed it comes out the same. No
-- name, no contact, no birth date (class P2) is kept here, only keys, codes, days and amounts.

-- Facts. The key is the source's own opaque key; patient is who holds the fact now (merges move it).
CREATE TABLE dari.profile_appointment (
    site        text NOT NULL,
    appointment text NOT NULL,
    patient     text NOT NULL,
    start_at    timestamptz,             -- NULL: only its cancellation or confirmation was heard of
    start_on    date,                    -- local day
    status      text NOT NULL
                CHECK (status IN ('booked', 'confirmed', 'arrived', 'completed', 'cancelled', 'no_show')),
    version     int NOT NULL DEFAULT 1,
    dept        text,
    provider    text,
    kind        text,
    last_seq    bigint NOT NULL,         -- the event that changed it last
    PRIMARY KEY (site, appointment)
) WITH (fillfactor = 80);
CREATE INDEX profile_appointment_patient ON dari.profile_appointment (site, patient, start_at);
CREATE INDEX profile_appointment_start ON dari.profile_appointment (site, start_at);

CREATE TABLE dari.profile_visit (
    site         text NOT NULL,
    visit        text NOT NULL,
    patient      text NOT NULL,
    visited_on   date,                   -- local day of arrival, else of what is known
    arrived_at   timestamptz,
    started_at   timestamptz,
    completed_at timestamptz,
    voided       boolean NOT NULL DEFAULT false,
    stay         boolean NOT NULL DEFAULT false, -- an admission
    dept         text,
    provider     text,
    kind         text,
    appointment  text,
    last_seq     bigint NOT NULL,
    PRIMARY KEY (site, visit)
) WITH (fillfactor = 80);
CREATE INDEX profile_visit_patient ON dari.profile_visit (site, patient, visited_on);

CREATE TABLE dari.profile_payment (
    site     text NOT NULL,
    event    text NOT NULL,              -- id of payment.recorded
    patient  text NOT NULL,
    visit    text,
    paid_on  date NOT NULL,
    paid_krw bigint NOT NULL,            -- a refund is negative
    PRIMARY KEY (site, event)
);
CREATE INDEX profile_payment_patient ON dari.profile_payment (site, patient, paid_on);

-- One row per patient ever heard of. The visit columns are recomputed from the facts, never counted up.
CREATE TABLE dari.profile (
    site             text NOT NULL,
    patient          text NOT NULL,
    first_visit_on   date,
    last_visit_on    date,
    last_visit_at    timestamptz,
    visit_count      int NOT NULL DEFAULT 0,
    visit_interval_median_days int,      -- of the gaps between distinct days; NULL below two days
    primary_dept     text,               -- most visits; of equals the latest, then by name
    primary_provider text,
    deceased         boolean NOT NULL DEFAULT false,
    privacy_flag     boolean NOT NULL DEFAULT false,
    merged_into      text,               -- retired: the survivor, never itself retired
    PRIMARY KEY (site, patient)
) WITH (fillfactor = 80);
CREATE INDEX profile_retired ON dari.profile (site, merged_into) WHERE merged_into IS NOT NULL;

CREATE TABLE dari.segment_member (
    site         text NOT NULL,
    segment      text NOT NULL,
    patient      text NOT NULL,
    since        timestamptz NOT NULL,
    rule_version int NOT NULL,
    reasons      text[] NOT NULL,
    PRIMARY KEY (site, segment, patient)
);
CREATE INDEX segment_member_patient ON dari.segment_member (site, patient);

-- How far time has been brought into effect: every event, midnight and appointment start up to `at`.
-- Membership is as of this instant.
CREATE TABLE dari.segment_state (
    site          text NOT NULL,
    at            timestamptz,           -- NULL: no event yet
    last_sweep_at timestamptz,           -- the last midnight or recompute that looked at everybody
    rules         text,                  -- digest of the rules in force
    PRIMARY KEY (site)
) WITH (fillfactor = 50);

-- The rules that membership was computed with.
CREATE TABLE dari.segment_rule (
    site    text NOT NULL,
    segment text NOT NULL,
    version int NOT NULL,
    digest  text NOT NULL,
    PRIMARY KEY (site, segment)
);
