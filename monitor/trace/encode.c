// SPDX-License-Identifier: MIT
// Events as CBOR.
#include "trace/encode.h"

#include "arch/cpu.h"
#include "lib/symbols.h"
#include "syscall/syscall.h"
#include "wire/cbor.h"

#include <string.h>

enum { TEXT_MOST = 40 };

static void text(struct cbor_out *o, const char *s)
{
    if (s)
        cbor_text(o, s, strnlen(s, TEXT_MOST));
    else
        cbor_null(o);
}

static void code(struct cbor_out *o, uint64_t pc)
{
    struct symbol_text buf;
    uint64_t offset;
    const char *name = symbol_at(pc, &offset);
    text(o, name && !offset ? name : symbol_describe(&buf, pc));
}

static void value(struct cbor_out *o, const struct trace_point *p, unsigned var, uint64_t v)
{
    const struct syscall_entry *call;
    unsigned len;
    const char *word;
    switch (trace_var_type(p, var)) {
    case TRACE_SIGNED:
        cbor_int(o, (int64_t)v);
        return;
    case TRACE_ADDRESS:
    case TRACE_ENTRY:
        cbor_tag(o, CBOR_TAG_ADDRESS);
        break;
    case TRACE_CALL:
        if ((call = syscall_lookup(v))) {
            text(o, call->name);
            return;
        }
        break;
    case TRACE_CODE:
        code(o, v);
        return;
    case TRACE_NAME:
        text(o, (const char *)(uintptr_t)v);
        return;
    case TRACE_WORD:
        if ((word = trace_word(p->arg[var].words, v, &len))) {
            cbor_text(o, word, len);
            return;
        }
        break;
    default:
        break;
    }
    cbor_uint(o, v);
}

size_t trace_encode_event(uint8_t *buf, size_t max, const struct trace_event *e)
{
    const struct trace_point *p = &SET_BEGIN(trace_points)[e->point];
    struct cbor_out o = {buf, max, 0};
    size_t at = cbor_open_map(&o);
    unsigned n = 2;
    cbor_str(&o, "point");
    text(&o, p->name);
    cbor_str(&o, "at");
    cbor_uint(&o, ticks_to_ns(e->at));
    for (unsigned i = 0; i < VARS; i++) {
        unsigned var = (i + TRACE_ARGS) % VARS; // task, pid, hart first
        const char *name = trace_var_name(p, var);
        size_t before = o.len;
        if (!name)
            continue;
        cbor_str(&o, name);
        value(&o, p, var, trace_var_value(e, var));
        if (cbor_fits(&o))
            n++;
        else
            o.len = before;
    }
    cbor_close(&o, at, n);
    return o.len;
}

size_t trace_encode_loss(uint8_t *buf, size_t max, uint32_t lost, uint32_t hart)
{
    struct cbor_out o = {buf, max, 0};
    cbor_map(&o, 2);
    cbor_str(&o, "lost");
    cbor_uint(&o, lost);
    cbor_str(&o, "hart");
    cbor_uint(&o, hart);
    return o.len;
}
