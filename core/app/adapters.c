#include "core/adapter.h"

#include "adapters/mllp/mllp.h"

const struct adapter_ops *const adapters[] = {&adapter_mllp, NULL};
