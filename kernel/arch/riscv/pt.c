// SPDX-License-Identifier: MIT
// A walk of a Sv39 page table step by step, as the monitor shows it.
#include "arch/pt.h"

unsigned pt_walk(const pte_t *root, va_t va, struct pt_step steps[PT_LEVELS])
{
    const pte_t *table = root;
    for (unsigned n = 0; n < PT_LEVELS; n++) {
        unsigned index = pt_index(va, PT_LEVELS - 1 - n);
        pte_t e = *(const volatile pte_t *)&table[index];
        steps[n] = (struct pt_step){kva_to_pa(table), index, e};
        if (!(e & PTE_V) || pte_is_leaf(e))
            return n + 1;
        table = pte_table(e);
    }
    return PT_LEVELS;
}
