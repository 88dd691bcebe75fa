/* HL7 v2, FHIR, CDA, XML and tables over HTTP(S): README.md. */
#ifndef DARI_ADAPTERS_HTTP_H
#define DARI_ADAPTERS_HTTP_H

#include "core/adapter.h"

extern const struct adapter_ops adapter_http;

int http_port(const struct adapter *a); /* for tests: the port that `port="0"` got */

#endif
