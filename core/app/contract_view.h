/*
 * What a contract label in a delivery ("crm-basic@1:2f0c…") let through, told from the contract
 * files as they are now. A label carries the digest of its file: of a file that was changed since
 * nothing can be told.
 */
#ifndef DARI_APP_CONTRACT_VIEW_H
#define DARI_APP_CONTRACT_VIEW_H

#include "core/app/config.h"

enum passed { PASSED_NO, PASSED_YES, PASSED_UNKNOWN };

struct contract_view;
/* NULL when memory is out. Contracts are loaded when first asked for. */
struct contract_view *contract_view_new(const struct config *c);
void contract_view_free(struct contract_view **v);
enum passed contract_view_type(struct contract_view *v, struct str label, struct str type);

#endif
