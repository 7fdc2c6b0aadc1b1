// SPDX-License-Identifier: MIT
// Looks up addresses and names in the table that .setup/link makes.
//
// The table is sorted by address; a name is searched from end to end, which happens when a person
// asks.
#include "lib/symbols.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

extern const struct symbol symbol_table[], symbol_table_end[];
extern const char symbol_names[];
extern const char __image_start[], __text_end[];

static uint32_t symbol_count(void)
{
    return (uint32_t)(symbol_table_end - symbol_table);
}

const char *symbol_at(uint64_t pc, uint64_t *offset)
{
    uint64_t start = (uint64_t)(uintptr_t)__image_start;
    uint32_t low = 0, high = symbol_count();

    if (pc < start || pc >= (uint64_t)(uintptr_t)__text_end || high == 0)
        return NULL;
    if (pc - start < symbol_table[0].offset)
        return NULL;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (symbol_table[middle].offset <= pc - start)
            low = middle;
        else
            high = middle;
    }
    if (offset)
        *offset = pc - start - symbol_table[low].offset;
    return symbol_names + symbol_table[low].name;
}

uint64_t symbol_find(const char *name)
{
    for (uint32_t i = 0; i < symbol_count(); i++)
        if (strcmp(symbol_names + symbol_table[i].name, name) == 0)
            return (uint64_t)(uintptr_t)__image_start + symbol_table[i].offset;
    return 0;
}

uint64_t symbol_from(uint64_t from)
{
    uint64_t start = (uint64_t)(uintptr_t)__image_start;
    uint32_t low = 0, high = symbol_count();
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (start + symbol_table[middle].offset < from)
            low = middle + 1;
        else
            high = middle;
    }
    return low < symbol_count() ? start + symbol_table[low].offset : 0;
}

const char *symbol_name(uint32_t n)
{
    return n < symbol_count() ? symbol_names + symbol_table[n].name : NULL;
}

const char *symbol_describe(struct symbol_text *buf, uint64_t pc)
{
    uint64_t offset;
    const char *name = symbol_at(pc, &offset);

    if (name)
        snprintf(buf->s, sizeof buf->s, "%s+0x%lx", name, (unsigned long)offset);
    else
        snprintf(buf->s, sizeof buf->s, "0x%lx", (unsigned long)pc);
    return buf->s;
}
