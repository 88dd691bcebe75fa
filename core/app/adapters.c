#include "core/adapter.h"

#include "adapters/files/files.h"
#include "adapters/http/http.h"
#include "adapters/mllp/mllp.h"
#include "adapters/sql/sql.h"

const struct adapter_ops *const adapters[] = {&adapter_mllp, &adapter_files, &adapter_http,
                                              &adapter_sql, NULL};
