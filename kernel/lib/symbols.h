// SPDX-License-Identifier: MIT
// The kernel's own function names: what lies at an address, and where a name lies.
//
// The table is made by the build from the linked kernel (.setup/link) and placed behind the text,
// so that it moves no function. It is read-only and always there; no lock, any context.
#pragma once

#include <stdint.h>

struct symbol {
    uint32_t offset; // from the image's first byte
    uint32_t name;   // offset in the string table
};

// The function that contains pc, or NULL outside of the text; *offset: how far into it (may be NULL).
const char *symbol_at(uint64_t pc, uint64_t *offset);

// Address of a function by its exact name, 0 when there is none. Of static ones with one name the
// first in the image counts.
uint64_t symbol_find(const char *name);

// The least address of a function that is not below `from`, 0: there is none.
uint64_t symbol_from(uint64_t from);

// The n-th symbol in order of addresses, for completion; NULL at the end.
const char *symbol_name(uint32_t n);

// "space_fault+0x1c", or the bare number outside of the text. Returns buf.
struct symbol_text {
    char s[64];
};
const char *symbol_describe(struct symbol_text *buf, uint64_t pc);
