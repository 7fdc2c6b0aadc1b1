// sources: monitor/wire/cbor.c monitor/wire/rpc.c
// SPDX-License-Identifier: MIT
// Any bytes as a message: the reader stays inside them and comes to an end.
#include "wire/cbor.h"
#include "wire/rpc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1); // its own block, so that one byte too far is seen
    struct cbor_in in;
    struct cbor_item item;
    struct rpc_head head;
    uint64_t v;
    size_t items = 0;

    if (!copy)
        return 0;
    memcpy(copy, data, n);
    in = cbor_in(copy, n);
    while (cbor_next(&in, &item)) {
        if ((item.type == CBOR_BYTES || item.type == CBOR_TEXT) &&
            (item.data < copy || item.n > (uint64_t)(copy + n - item.data)))
            abort();
        if (++items > n)
            abort();
    }
    in = cbor_in(copy, n);
    if (cbor_valid(copy, n) && !cbor_skip(&in))
        abort();
    cbor_find_uint(cbor_in(copy, n), "text", &v);
    rpc_parse(&head, copy, n);
    free(copy);
    return 0;
}
