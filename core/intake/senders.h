/*
 * Which client certificate may speak for which application: "his.hanbit.kr: HIS/HANBIT; lab-1:
 * LIS". The name is the CN of the certificate as RFC 2253 writes it (and as the log shows it);
 * behind the colon stands MSH-3, and after a slash MSH-4, each as the whole field or its first
 * component; "*" is any. A name may stand in several entries. Whoever has no entry that fits is
 * refused.
 */
#ifndef DARI_INTAKE_SENDERS_H
#define DARI_INTAKE_SENDERS_H

#include "core/hl7/hl7.h"

/* ERR_VALUE with the offset of the entry that is not NAME: MSH-3 or NAME: MSH-3/MSH-4. */
enum err_code senders_check(struct str rules, struct err *e);

/* May the holder of a certificate (its subject; "" for none) send this message? */
bool senders_allow(struct str rules, struct str subject, const struct hl7_msg *m);

#endif
