/* HL7 v2 over MLLP: a listener for senders that keep their connection and wait for replies. */
#ifndef DARI_ADAPTERS_MLLP_MLLP_H
#define DARI_ADAPTERS_MLLP_MLLP_H

#include "core/adapter.h"

extern const struct adapter_ops adapter_mllp;

/* The port it listens on: for those who asked for port 0. */
int mllp_port(const struct adapter *a);

#endif
