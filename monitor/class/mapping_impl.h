// SPDX-License-Identifier: MIT
// What the changes of mappings look at before they act (mapping_check.c).
#pragma once

#include "mem/space.h"
#include "session/journal.h"

struct mapping_census {
    uint64_t pages, own; // that are there; of them, in no object
    uint64_t absent;     // of these pages, entries that are not valid
    pa_t pinned;         // one that I/O uses, 0: none
    bool last;     // what is mapped at the first address is mapped, opened and named nowhere else
    uint64_t lost; // if so, its pages
};
// Lets others run in between. On the fiber.
void mapping_take_census(uint64_t space, va_t lo, va_t hi, struct mapping_census *c);
// What an undo maps again: c->arg[4], [5] and [7] are what mapping_note_object made of it. Referenced; NULL: it is gone.
struct phys *mapping_object(const struct change *c);
void mapping_note_object(const struct phys *ph, uint64_t arg[CHANGE_ARGS]);
// By whom: the first chain in flight that leads to the frame.
void mapping_why_pinned(pa_t pa, char *buf, size_t n);
// False, with c->why: c->arg are not space, first address and bytes of whole pages of one mapping, in a space
// that may be changed.
bool mapping_check_range(struct change *c, struct mapping_info *m);
