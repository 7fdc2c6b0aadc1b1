// SPDX-License-Identifier: MIT
// DEBUG builds: which translations a hart may still have cached that page tables no longer grant
// (TRANSLATIONS_CHECKED).
//
// Emulators forget more than hardware may, so a missing shootdown shows on none. Here a hart is taken to
// remember every valid entry of the tables it has loaded, until it is told to forget. Who takes an
// entry, a right of it, or a table away says so, and a record is made for the harts that have these
// tables loaded; flushes strike harts out. Two things must never be:
//   - a frame is freed that a record names, for a hart could still reach it;
//   - the hart that took something away drops its last spinlock while a record of it is left: the
//     tables' lock is one of them, and from then on others rely on the change.
// A lazy hart counts as flushed once it is noted that it must flush first (arch/shootdown.h).
// Spaces are named by their satp. What a dead space loses is not recorded: nobody runs in it again.
#pragma once

#include "arch/types.h"

#include <stdbool.h>

#ifdef TRANSLATIONS_CHECKED
// This hart is about to load these tables, and flush.
void translations_load(uint64_t satp);
// The entry of va no longer leads to [pa, pa+len), or has lost a right; flushes must cover all of it. len 0:
// pa is a table, which only a flush of everything makes hardware forget. The tables' lock is held.
void translations_lost(uint64_t satp, va_t va, pa_t pa, uint64_t len);
// These harts have flushed [va, va+len); len 0: everything.
void translations_forget(uint64_t harts, va_t va, uint64_t len);
// Panic, with what is wrong in words.
void translations_check_freed(pa_t pa);
void translations_check_settled(void);
// plant=shootdown (lib/planted.c): shootdowns do nothing.
extern bool translations_planted;
#else
#define translations_load(satp)              ((void)0)
#define translations_lost(satp, va, pa, len) ((void)0)
#define translations_forget(harts, va, len)  ((void)0)
#define translations_check_freed(pa)         ((void)0)
#define translations_check_settled()         ((void)0)
enum { translations_planted = false };
#endif
