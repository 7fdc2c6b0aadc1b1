// SPDX-License-Identifier: MIT
// Symbols: the kernel's functions, by address; the first name counts where several share one.
#include "lib/symbols.h"

#include "class/class.h"
#include "lib/errno.h"

#include <stdio.h>

struct symbol_view {
    const char *name;
    uint64_t address, bytes;
};

static long symbol_copy(const struct class_key *key, void *out)
{
    struct symbol_view *v = out;
    uint64_t offset = 0, next = symbol_from(key->id + 1);
    *v = (struct symbol_view){symbol_at(key->id, &offset), key->id, next ? next - key->id : 0};
    return v->name && offset == 0 ? 0 : -ENOENT;
}

static size_t symbol_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    size_t n = 0;
    for (uint64_t at; n < max && (at = symbol_from(from)); from = at + 1)
        out[n++] = (struct class_key){at, owner};
    return n;
}

static void symbol_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct symbol_view *v = copy;
    (void)key;
    snprintf(buf, n, "%s, %lu bytes", v->name, (unsigned long)v->bytes);
}

static const struct class_field fields[] = {
    FIELD(struct symbol_view, name, "of the function"),
    FIELD_ADDRESS(struct symbol_view, address, "of its first instruction"),
    FIELD(struct symbol_view, bytes, "to the next one; 0: it is the last"),
    {0},
};

CLASS(symbol, .name = "Symbol", .doc = "a function of the kernel",
      .place = "struct symbol, kernel/lib/symbols.h", .gone = "begins no function", .hex = 1,
      .example = "k.symbols():first()", .size = sizeof(struct symbol_view), .copy = symbol_copy,
      .keys = symbol_keys, .line = symbol_line, .fields = fields);

static int k_symbols(lua_State *L)
{
    class_push_list(L, class_symbol, 0);
    return 1;
}
MONITOR_API(symbols, "symbols", "k.symbols() -> list of Symbol",
            "the kernel's functions, by address", "k.symbols():sort(\"bytes\", true):take(5)",
            k_symbols, NULL);
