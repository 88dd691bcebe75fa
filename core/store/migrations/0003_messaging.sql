-- Messaging: whom we may write to, their appointments, and what was planned and became of it.
--
-- Filled by the messaging role from the stream alone; it can be emptied and filled again, except for
-- what was handed over (dari.plan). Names and numbers are sealed (context site/contact/patient/column).

CREATE TABLE dari.contact (
    site        text NOT NULL,
    patient     text NOT NULL,           -- patient key
    name        bytea,                   -- sealed; NULL: none known
    phone       bytea,                   -- sealed E.164 mobile number; NULL: none that takes a text
    language    text,
    privacy     boolean NOT NULL DEFAULT false,
    deceased    boolean NOT NULL DEFAULT false,
    merged_into text,                    -- the surviving key, always the last of its chain
    seq         bigint NOT NULL,         -- event that changed it last
    PRIMARY KEY (site, patient)
);
CREATE INDEX contact_merged ON dari.contact (site, merged_into) WHERE merged_into IS NOT NULL;

-- What a person allowed or refused, the newest word per purpose and channel. A refusal is only lifted
-- by a newer consent that names its evidence.
CREATE TABLE dari.contact_consent (
    site       text NOT NULL,
    patient    text NOT NULL,
    purpose    text NOT NULL,            -- ad, night_ad, …
    channel    text NOT NULL,            -- all, sms, …
    granted    boolean NOT NULL,
    at         timestamptz NOT NULL,
    expires_on date,
    evidence   text,
    seq        bigint NOT NULL,
    PRIMARY KEY (site, patient, purpose, channel)
);

CREATE TABLE dari.contact_appointment (
    site        text NOT NULL,
    appointment text NOT NULL,
    patient     text NOT NULL,
    start       timestamptz NOT NULL,
    status      text NOT NULL CHECK (status IN ('booked', 'cancelled', 'no_show', 'arrived', 'completed')),
    version     int NOT NULL,            -- counted here: 1, and one more whenever it is moved or booked again
    booked_at   timestamptz NOT NULL,    -- when this version was made
    test        boolean NOT NULL DEFAULT false,
    seq         bigint NOT NULL,
    PRIMARY KEY (site, appointment)
);
CREATE INDEX contact_appointment_patient ON dari.contact_appointment (site, patient);

-- One message that a journey asks for. The unique key makes a second one for the same step of the
-- same version of an appointment impossible.
--
--     planned → handing → sent | failed
--        └────────┴─────→ suppressed | cancelled
--
CREATE TABLE dari.plan (
    site        text NOT NULL,
    id          text NOT NULL,           -- keyed digest of the unique key: the same from every replay
    journey     text NOT NULL,
    step        text NOT NULL,
    appointment text NOT NULL,
    version     int NOT NULL,
    patient     text NOT NULL,
    class       text NOT NULL CHECK (class IN ('info', 'ad')),
    channel     text NOT NULL,           -- sms
    template    text NOT NULL,
    test        boolean NOT NULL DEFAULT false,
    cause       text NOT NULL,           -- id of the event that led to it
    planned_at  timestamptz NOT NULL,
    due_at      timestamptz NOT NULL,
    state       text NOT NULL
                CHECK (state IN ('planned', 'handing', 'sent', 'failed', 'suppressed', 'cancelled')),
    reason      text,                    -- why it ended without being handed over
    via         text,                    -- file or http, from the first attempt on
    rendered_on date,                    -- the local day its text was made for
    attempts    int NOT NULL DEFAULT 0,  -- calls of the gateway
    uncertain   boolean NOT NULL DEFAULT false, -- a call began and nobody knows how it ended
    next_try_at timestamptz,             -- real time, also where the clock is moved
    bytes       int,                     -- of the text in CP949
    done_at     timestamptz,
    PRIMARY KEY (site, id),
    UNIQUE (site, appointment, version, journey, step),
    CHECK ((done_at IS NULL) = (state IN ('planned', 'handing'))),
    CHECK ((reason IS NULL) = (state NOT IN ('failed', 'suppressed', 'cancelled')))
) WITH (fillfactor = 80);
CREATE INDEX plan_due ON dari.plan (site, due_at) WHERE state = 'planned';
CREATE INDEX plan_handing ON dari.plan (site, next_try_at) WHERE state = 'handing';
CREATE INDEX plan_patient ON dari.plan (site, patient);
-- What was planned because of an event (dari trace).
CREATE INDEX plan_cause ON dari.plan (site, cause);
