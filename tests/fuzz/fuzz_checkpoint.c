/* Notes come from outside as anchors: nothing but a good signature may be accepted. */
#include "core/ledger/checkpoint.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static const unsigned char key[ED25519_PUBLIC] = {1, 2, 3};
    struct checkpoint c;
    struct err e;
    if (checkpoint_open((struct str){(const char *)data, size}, "clinic", key, &c, &e) ==
        ERR_NONE) {
        abort();
    }
    return 0;
}
