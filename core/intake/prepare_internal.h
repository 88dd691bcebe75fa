/* Inside core/intake: preparing a message of each format. p->raw and p->control_id are set. */
#ifndef DARI_INTAKE_PREPARE_INTERNAL_H
#define DARI_INTAKE_PREPARE_INTERNAL_H

#include "core/intake/prepare.h"
#include "core/record/record.h"

enum err_code prepare_hl7(const struct prepare_settings *s, struct arena *a, usec at,
                          struct prepared *p, struct err *e);

/* The same when the message is decoded already. */
enum err_code prepare_hl7_text(const struct prepare_settings *s, struct arena *a, struct str text,
                               enum charset used, usec at, struct prepared *p, struct err *e);

/* A document in XML or FHIR JSON. */
enum err_code prepare_xml(const struct prepare_settings *s, struct arena *a, usec at,
                          struct prepared *p, struct err *e);
enum err_code prepare_row(const struct prepare_settings *s, struct arena *a, usec at,
                          struct prepared *p, struct err *e);

/* The message cannot be read: it goes to quarantine, p->mapped.problem says why. */
void prepare_unread(const struct prepare_settings *s, struct prepared *p);
/* Runs the mappings; p->id is set. `r` NULL: no memory. */
enum err_code prepare_record(const struct prepare_settings *s, struct arena *a,
                             const struct record *r, usec at, struct prepared *p, struct err *e);

#endif
