-- What was planned because of an event (dari trace).
CREATE INDEX plan_cause ON dari.plan (site, cause);
