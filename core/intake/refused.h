/*
 * Inside core/intake: what the database refuses for itself (SQLSTATE class 22 or 23: a value, a
 * constraint) will be refused however often it comes. It is kept all the same: first in quarantine
 * and without its events, then without its control id and type as well. Only what cannot be kept
 * even so is asked to come again.
 *
 * A key that is there already (23505) is no value at fault: another session of this feed has just
 * committed the same message. The next attempt recognises it.
 */
#ifndef DARI_INTAKE_REFUSED_H
#define DARI_INTAKE_REFUSED_H

#include "core/intake/host.h"

/* Was the last statement refused for what is in it, and not because a disk is full, somebody waits
 * for somebody, or another session was faster? */
bool refused_for_itself(const struct adapter_host *h);
/* The last group, of the one job `j`, was refused: can another attempt be of use? Then the job is
 * as it should be tried. */
bool refused_retry(struct adapter_host *h, struct job *j);
/* The same for a job out of the spool, which is prepared again from its record. */
bool refused_remember(struct adapter_host *h, const struct job *j);
/* To be called for every job that comes out of the spool. */
enum err_code refused_recall(struct adapter_host *h, struct job *j, struct err *e);

#endif
