// SPDX-License-Identifier: MIT
// The record of stale translations: see translations.h. A list without order; it is nearly always empty.
#ifdef TRANSLATIONS_CHECKED
#include "lib/translations.h"

#include "arch/atomic.h"
#include "arch/cpu.h"
#include "lib/log.h"

enum { RECORDS = 16384 };

static struct record {
    uint64_t satp;
    va_t va;
    pa_t pa;
    uint64_t harts; // that may have it cached; 0: the record is gone
    uint64_t len;   // 0: a table
    uint32_t by;    // the hart that took it away
} records[RECORDS];
static uint32_t count;             // all of them lie below
static uint64_t loaded[MAX_HARTS]; // satp
static uint32_t busy;              // guards all above
bool translations_planted;

static void lock(void)
{
    while (!atomic_try_acquire32(&busy))
        cpu_relax();
}

static void unlock(void)
{
    atomic_release32(&busy, 0);
}

// Does a flush of [va, va+len) cover it? An address in a page stands for the page.
static bool covers(const struct record *r, va_t va, uint64_t len)
{
    va_t lo = page_round_down(va), hi = page_round_up(va + len);
    return !len || (r->len && lo <= r->va && r->va + r->len <= hi);
}

static void forget(uint64_t harts, va_t va, uint64_t len)
{
    for (uint32_t i = 0; i < count;) {
        struct record *r = &records[i];
        if (covers(r, va, len))
            r->harts &= ~harts;
        if (r->harts)
            i++;
        else
            *r = records[--count];
    }
}

void translations_forget(uint64_t harts, va_t va, uint64_t len)
{
    if (!load_relaxed(&count))
        return;
    lock();
    forget(harts, va, len);
    unlock();
}

void translations_load(uint64_t satp)
{
    lock();
    loaded[hart_index()] = satp;
    forget(1ul << hart_index(), 0, 0);
    unlock();
}

void translations_lost(uint64_t satp, va_t va, pa_t pa, uint64_t len)
{
    uint64_t mask = 0;
    lock();
    for (uint32_t h = 0; h < MAX_HARTS; h++)
        mask |= (uint64_t)(loaded[h] == satp) << h;
    bool full = mask && count == RECORDS;
    if (mask && !full)
        records[count++] = (struct record){satp, page_round_down(va), pa, mask, len, hart_index()};
    unlock();
    if (full)
        panic("translations: more than %u are being taken away at once", RECORDS);
}

static _Noreturn void report(const struct record *r, const char *when)
{
    panic(
        "translations: %s, but hart %u may still have %s of va 0x%lx cached, to frame 0x%lx, of the "
        "space with satp 0x%lx; hart %u took it away",
        when, (unsigned)__builtin_ctzl(r->harts), r->len ? "the entry" : "the table",
        (unsigned long)r->va, (unsigned long)r->pa, (unsigned long)r->satp, r->by);
}

// The first record that names the frame, or was made by this hart.
static void check(pa_t pa, const char *when)
{
    struct record found = {0};
    if (!load_relaxed(&count))
        return;
    lock();
    for (uint32_t i = 0; i < count && !found.harts; i++)
        if (pa ? pa - records[i].pa < (records[i].len ? records[i].len : PAGE_SIZE)
               : records[i].by == hart_index())
            found = records[i];
    unlock();
    if (found.harts)
        report(&found, when);
}

void translations_check_freed(pa_t pa)
{
    check(pa, "a frame is freed");
}

void translations_check_settled(void)
{
    check(0, "the last lock is dropped");
}
#endif
