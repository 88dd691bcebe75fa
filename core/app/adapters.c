#include "core/adapter.h"

#include "adapters/files/files.h"
#include "adapters/mllp/mllp.h"

const struct adapter_ops *const adapters[] = {&adapter_mllp, &adapter_files, NULL};
