/*
 * What a template must not say (crm §5.9): checked when it is loaded, so that a wrong text is found
 * before there is a patient it could go to.
 */
#ifndef DARI_MESSAGING_LINT_H
#define DARI_MESSAGING_LINT_H

#include "core/messaging/template.h"

/*
 * No word that tells a diagnosis, treatment or a department one would not want to be seen with; in
 * an info template no advertising; an ad begins with (광고) in exactly this form and ends with how
 * to refuse it at no cost; links only to hosts spelled out. Problems name file and line.
 */
void template_lint(const struct template *t, struct problems *p);

/* True when a text holds what looks like a resident registration number. */
bool lint_resident_number(struct str text);

#endif
