#include "core/adapter.h"

const struct adapter_ops *const adapters[] = {NULL};
