-- What `dari trace` needs to go forward: the events that an event led to, and the events of one
-- planned message. Both are partial, so that intake pays nothing for them.
CREATE INDEX event_cause ON dari.event (site, cause) WHERE cause IS NOT NULL;
CREATE INDEX event_message_key ON dari.event (site, (substring(data FROM '"message_key":"([0-9a-z]{26})"')))
    WHERE type LIKE 'message.%';
