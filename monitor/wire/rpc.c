// SPDX-License-Identifier: MIT
// Heads of rpc messages, and at most once.
#include "wire/rpc.h"

#include <string.h>

bool rpc_parse(struct rpc_head *head, const void *data, size_t n)
{
    struct cbor_in in = cbor_in(data, n);
    struct cbor_item array, kind, id, op, body;
    bool has_op;

    *head = (struct rpc_head){.kind = RPC_REQUEST};
    if (!cbor_valid(data, n) || !cbor_next(&in, &array) || array.type != CBOR_ARRAY ||
        !cbor_next(&in, &kind) || kind.type != CBOR_UINT || kind.n > RPC_RETURN ||
        !cbor_next(&in, &id) || id.type != CBOR_UINT)
        return false;
    has_op = kind.n == RPC_REQUEST || kind.n == RPC_CALL;
    if (array.n != (has_op ? 4 : 3))
        return false;
    if (has_op) {
        if (!cbor_next(&in, &op) || op.type != CBOR_TEXT || op.n >= sizeof head->op)
            return false;
        memcpy(head->op, op.data, op.n);
    }
    head->kind = (unsigned)kind.n;
    head->id = id.n;
    head->body = in;
    return cbor_next(&in, &body) && body.type == CBOR_MAP;
}

void rpc_begin(struct cbor_out *o, unsigned kind, uint64_t id, const char *op)
{
    cbor_array(o, op ? 4 : 3);
    cbor_uint(o, kind);
    cbor_uint(o, id);
    if (op)
        cbor_str(o, op);
}

void rpc_error(struct cbor_out *o, uint64_t id, const char *kind, const char *message)
{
    rpc_begin(o, RPC_REPLY, id, NULL);
    cbor_map(o, 2);
    cbor_str(o, "ok");
    cbor_bool(o, false);
    cbor_str(o, "error");
    cbor_map(o, 2);
    cbor_str(o, "kind");
    cbor_str(o, kind);
    cbor_str(o, "message");
    cbor_str(o, message);
}

void rpc_call_failed(struct cbor_out *o, uint64_t call, const char *message)
{
    rpc_begin(o, RPC_RETURN, call, NULL);
    cbor_map(o, 2);
    cbor_str(o, "ok");
    cbor_bool(o, false);
    cbor_str(o, "message");
    cbor_str(o, message);
}

enum rpc_verdict rpc_once_begin(struct rpc_once *once, uint64_t id)
{
    if (once->running)
        return id == once->id ? RPC_DROP : RPC_BUSY;
    if (once->answered && id == once->id)
        return RPC_AGAIN;
    once->running = true;
    once->answered = false;
    once->id = id;
    return RPC_NEW;
}

void rpc_once_end(struct rpc_once *once)
{
    once->running = false;
    once->answered = true;
}

void rpc_once_forget(struct rpc_once *once)
{
    *once = (struct rpc_once){0};
}
