// SPDX-License-Identifier: MIT
// Sv39 page tables: entries, walks, satp. Privileged Architecture 1.12, section 4.4.
//
// A table is one frame of 512 entries. The user owns the lower half of a root (entries 0-255); the
// upper half is a copy of kernel_root's and never changes after boot. Everything here is plain
// memory work on the linear map; who changes entries of a space holds that space's lock and calls
// shootdown() (arch/shootdown.h).
//
// A leaf entry that is not zero owns one reference on its frame. With V clear and PTE_HELD set the
// frame stays but user access faults (PROT_NONE over touched pages). A leaf at level 1, 2 MiB, is valid
// (mem/huge.h).
#pragma once

#include "arch/types.h"

#include <stdbool.h>
#include <stddef.h>

typedef uint64_t pte_t;

enum {
    PTE_V = 1 << 0,
    PTE_R = 1 << 1,
    PTE_W = 1 << 2,
    PTE_X = 1 << 3,
    PTE_U = 1 << 4,
    PTE_G = 1 << 5,
    PTE_A = 1 << 6,
    PTE_D = 1 << 7,
    PTE_HELD = 1 << 8, // software: not valid, but the frame belongs here
    PTE_PART =
        1 << 9, // software: of a table under a 2 MiB leaf, which the hardware sees in its stead
    PTE_FLAGS = 0x3ff,
};
enum { PT_LEVELS = 3, PT_ENTRIES = 512, PT_USER_ENTRIES = 256 };

// Built by boot (arch/start.h): the linear map, W^X for the kernel's sections, stacks with guards.
extern pte_t *kernel_root;

static inline pte_t pte_make(pa_t pa, uint64_t bits)
{
    return pa >> 2 | bits;
}

static inline pa_t pte_pa(pte_t e)
{
    return e >> 10 << PAGE_SHIFT; // bits 54 to 63 are never set here: no Svpbmt, no Svnapot
}

static inline bool pte_is_leaf(pte_t e)
{
    return e & (PTE_R | PTE_W | PTE_X);
}

static inline pte_t *pte_table(pte_t e)
{
    return (pte_t *)pa_to_kva(pte_pa(e));
}

// level 2 is the root, level 0 holds the 4 KiB leaves.
static inline unsigned pt_index(va_t va, unsigned level)
{
    return va >> (PAGE_SHIFT + 9 * level) & (PT_ENTRIES - 1);
}

// What a user mapping with these rights (enum access bits of mem/space.h: 1 read, 2 write, 4
// execute) may have in its entry. W without R is reserved, so writing implies reading. A and D are
// set from the start: nobody evicts by them, and hardware need not update them.
static inline uint64_t pte_bits_of_prot(unsigned prot)
{
    if (!(prot & 7))
        return PTE_HELD | PTE_U;
    uint64_t bits = PTE_V | PTE_U | PTE_A | (prot & 7) << 1;
    if (prot & 2)
        bits |= PTE_R | PTE_D;
    return bits;
}

// One step of a walk, for the monitor: where the entry is and what it was.
struct pt_step {
    pa_t table;
    unsigned index;
    pte_t entry;
};

// Walks like the hardware, any address, kernel half too (which has large leaves). Fills steps from
// the root down and returns how many (1-3); the last is a leaf or has V clear. Entries are read
// once each. To be consistent the caller holds the space's lock.
unsigned pt_walk(const pte_t *root, va_t va, struct pt_step steps[PT_LEVELS]);

enum { SATP_SV39 = 8 };

static inline uint64_t satp_of_root(pa_t root)
{
    return (uint64_t)SATP_SV39 << 60 | root >> PAGE_SHIFT;
}
