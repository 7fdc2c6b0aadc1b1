// SPDX-License-Identifier: MIT
// Interrupts: the sources that have a handler, where each is delivered, and how often it came.
#include "dev/irq.h"

#include "arch/cpu.h"
#include "class/classes.h"
#include "lib/errno.h"
#include "session/journal.h"

#include <lauxlib.h>
#include <stdio.h>

struct irq_view {
    const char *name;
    uint64_t count;
    uint32_t source, hart;
};

static long irq_copy(const struct class_key *key, void *out)
{
    struct irq_view *v = out;
    *v = (struct irq_view){.source = (uint32_t)key->id};
    if (key->id >= IRQ_SOURCES || !irq_info(v->source, &v->name, &v->hart))
        return -ENOENT;
    for (uint32_t h = 0; h < hart_count; h++)
        v->count += irq_count(v->source, h);
    return 0;
}

static size_t irq_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    size_t n = 0;
    const char *name;
    uint32_t hart;
    for (uint64_t i = from ? from : 1; i < IRQ_SOURCES && n < max; i++)
        if (irq_info((uint32_t)i, &name, &hart))
            out[n++] = (struct class_key){i, owner};
    return n;
}

static void irq_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct irq_view *v = copy;
    (void)key;
    snprintf(buf, n, "%s on hart %u, %lu so far", v->name, v->hart, (unsigned long)v->count);
}

// ---- a change: where it is delivered. arg: source, hart.

static long move_validate(struct change *c)
{
    struct irq_view v;
    if (irq_copy(&(struct class_key){c->arg[0], 0}, &v))
        snprintf(c->why, sizeof c->why, "source %lu has no handler", (unsigned long)c->arg[0]);
    else if (c->arg[1] >= hart_count)
        snprintf(c->why, sizeof c->why, "there is no hart %lu", (unsigned long)c->arg[1]);
    else if (c->arg[1] == v.hart)
        snprintf(c->why, sizeof c->why, "hart %lu has it already", (unsigned long)c->arg[1]);
    snprintf(c->text, sizeof c->text, "deliver source %lu to hart %lu", (unsigned long)c->arg[0],
             (unsigned long)c->arg[1]);
    return c->why[0] ? -EINVAL : 0;
}

static long move_apply(struct change *c);
static const struct change_kind move_kind = {"irq.hart", MODE_RW, move_validate, move_apply};

static long move_apply(struct change *c)
{
    struct irq_view v;
    long e = irq_copy(&(struct class_key){c->arg[0], 0}, &v);
    if (!e)
        e = irq_set_hart((uint32_t)c->arg[0], (uint32_t)c->arg[1]);
    c->undo = &move_kind;
    c->undo_arg[0] = c->arg[0];
    c->undo_arg[1] = v.hart;
    return e;
}

static void set_hart(lua_State *L, const struct class_key *key, const void *copy, int value)
{
    (void)copy;
    change_make(L, &(struct change){.kind = &move_kind,
                                    .arg = {key->id, (uint64_t)luaL_checkinteger(L, value)}});
}

// i:counts() -> {[hart] = count}
static int irq_counts(lua_State *L)
{
    struct irq_view v;
    class_self(L, 1, class_irq, &v);
    lua_newtable(L);
    for (uint32_t h = 0; h < hart_count; h++) {
        lua_createtable(L, 0, 2);
        class_set_int(L, "hart", h);
        class_set_int(L, "count", irq_count(v.source, h));
        lua_rawseti(L, -2, (lua_Integer)h + 1);
    }
    class_set_columns(L, "hart> count>");
    return 1;
}

static const struct class_field fields[] = {
    FIELD(struct irq_view, source, "its number at the controller"),
    FIELD(struct irq_view, name, "who handles it"),
    FIELD(struct irq_view, hart, "index of the hart it is delivered to", .set = set_hart),
    FIELD(struct irq_view, count, "how often it came, at all harts"),
    {0},
};

static const struct class_method methods[] = {
    {"counts", "i:counts() -> list of {hart, count}", "how often it came at each hart",
     "k.irqs():first():counts()", irq_counts},
    {0},
};

CLASS(irq, .name = "Irq", .doc = "a source of interrupts with its handler",
      .place = "struct source, kernel/dev/irq.c", .example = "k.irqs():first()",
      .size = sizeof(struct irq_view), .copy = irq_copy, .keys = irq_keys, .line = irq_line,
      .fields = fields, .methods = methods);

static int k_irqs(lua_State *L)
{
    class_push_list(L, class_irq, 0);
    return 1;
}
MONITOR_API(irqs, "irqs", "k.irqs() -> list of Irq", "interrupt sources that have a handler",
            "k.irqs()", k_irqs, NULL);
