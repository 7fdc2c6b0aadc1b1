// SPDX-License-Identifier: MIT
// k.phys:leaks(): frames with more references than there is anybody who could have them.
//
// For frames of programs each reference is accounted for: an entry of a page table, the tree of a
// memory object, a pin. They are counted from the owners' side, for a window of frames at a time, and
// compared with what the frame says. The machine goes on meanwhile, so a frame counts only if two
// counts, one after the other, miss the same. Frames of the kernel itself (heap, stacks) are not
// looked at: k.account() counts those.
#include "class/classes.h"
#include "lib/errno.h"
#include "lib/stock.h"
#include "mem/phys.h"
#include "mem/space.h"
#include "session/journal.h"
#include "session/session.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

enum { WINDOW = 16384, BATCH = 64, SUSPECTS = 64, SETTLE_MS = 20 };

struct window {
    pa_t lo, hi;
    uint16_t *counted; // WINDOW: references found of its frames
};

struct suspect {
    pa_t pa;
    uint32_t refs, found;
    uint8_t kind;
};

static void count(const struct window *w, pa_t pa)
{
    if (pa - w->lo < w->hi - w->lo && w->counted[(pa - w->lo) >> PAGE_SHIFT] != UINT16_MAX)
        w->counted[(pa - w->lo) >> PAGE_SHIFT]++;
}

static void count_entry(void *arg, uint32_t space, const struct pte_info *e)
{
    (void)space;
    for (uint64_t k = 0; k < e->pages; k++)
        count(arg, pte_pa(e->entry) + k * PAGE_SIZE);
}

static void count_table(void *arg, uint32_t space, uint64_t table, bool root)
{
    (void)space, (void)root;
    count(arg, table);
}

static void count_object(struct phys *ph, const struct class_key *key, void *arg)
{
    struct phys_page_info p[BATCH];
    uint64_t from = 0;
    size_t n = BATCH;
    (void)key;
    while (n == BATCH) {
        n = phys_snapshot(ph, from, p, BATCH);
        for (size_t i = 0; i < n; i++)
            count(arg, p[i].pa);
        from = n ? p[n - 1].index + 1 : 0;
    }
}

// Whose references are all accounted for.
static bool is_accounted(const struct page *pg)
{
    uint8_t kind = load_relaxed(&pg->kind);
    return kind == FRAME_ANON || kind == FRAME_CACHE || kind == FRAME_TABLE;
}

static bool has_frames(const struct window *w)
{
    for (pa_t pa = w->lo; pa < w->hi; pa += PAGE_SIZE)
        if (is_accounted(page_of(pa)))
            return true;
    return false;
}

static size_t compare(const struct window *w, struct suspect *out, size_t n)
{
    for (pa_t pa = w->lo; pa < w->hi && n < SUSPECTS; pa += PAGE_SIZE) {
        const struct page *pg = page_of(pa);
        if (!is_accounted(pg) || pa == frame_zero)
            continue;
        uint8_t kind = load_relaxed(&pg->kind);
        uint32_t refs = load_relaxed(&pg->refs);
        uint32_t found = w->counted[(pa - w->lo) >> PAGE_SHIFT] +
                         (kind == FRAME_TABLE ? 0 : load_relaxed(&pg->pins));
        if (refs > found)
            out[n++] = (struct suspect){pa, refs, found, kind};
    }
    return n;
}

// Roots of tables that harts keep back are nobody's: they give them back first.
static void all_harts_give_back(void)
{
    uint32_t request = stocks_ask();
    while (!stocks_given(request))
        fiber_yield(session_fiber());
}

static size_t look(struct suspect *out, uint16_t *counted)
{
    size_t n = 0;
    for (pa_t lo = frame_base; lo < frame_end && n < SUSPECTS; lo += WINDOW * PAGE_SIZE) {
        struct window w = {lo, lo + WINDOW * PAGE_SIZE, counted};
        if (w.hi > frame_end)
            w.hi = frame_end;
        if (!has_frames(&w))
            continue;
        all_harts_give_back();
        memset(counted, 0, WINDOW * sizeof *counted);
        for (uint32_t id = 0; class_next_space(&id);) {
            class_each_table(id, count_table, &w);
            class_each_entry(id, count_entry, &w);
        }
        class_visit_objects(count_object, &w);
        n = compare(&w, out, n);
        fiber_yield(session_fiber());
    }
    return n;
}

static size_t keep_equal(struct suspect *a, size_t n, const struct suspect *b, size_t m)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < m; k++)
            if (a[i].pa == b[k].pa && a[i].refs - a[i].found == b[k].refs - b[k].found) {
                a[kept++] = b[k];
                break;
            }
    return kept;
}

int class_memory_leaks(lua_State *L)
{
    static const char *const kinds[] = {
        [FRAME_ANON] = "anon", [FRAME_CACHE] = "cache", [FRAME_TABLE] = "table"};
    struct suspect first[SUSPECTS], again[SUSPECTS];
    class_key_at(L, 1, class_memory);
    uint16_t *counted = lua_newuserdatauv(L, WINDOW * sizeof *counted, 0);
    size_t n = look(first, counted);
    if (n) {
        session_sleep(L, SETTLE_MS);
        n = keep_equal(first, n, again, look(again, counted));
    }
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        lua_createtable(L, 0, 4);
        class_push(L, class_frame, (struct class_key){first[i].pa, 0});
        lua_setfield(L, -2, "frame");
        class_set_text(L, "kind", kinds[first[i].kind]);
        class_set_int(L, "refs", first[i].refs);
        class_set_int(L, "found", first[i].found);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    class_set_columns(L, "frame kind refs> found>");
    return 1;
}

// ---- a change: a frame that is lost on purpose. arg of the undo: its address.

static const struct change_kind lose_kind, find_kind;

static long lose_validate(struct change *c)
{
    snprintf(c->text, sizeof c->text, "lose a frame");
    return 0;
}

static long lose_apply(struct change *c)
{
    pa_t pa = frame_alloc(FRAME_ZERO | FRAME_USER);
    if (!pa) {
        snprintf(c->why, sizeof c->why, "there is no memory");
        return -ENOMEM;
    }
    page_of(pa)->kind = FRAME_ANON;
    c->arg[0] = c->undo_arg[0] = pa;
    c->undo = &find_kind;
    snprintf(c->text, sizeof c->text, "lose frame %lx", (unsigned long)pa);
    return 0;
}

// It was ours alone, or somebody has it by other means now.
static long find_validate(struct change *c)
{
    const struct page *pg = page_of(c->arg[0]);
    snprintf(c->text, sizeof c->text, "give frame %lx back", (unsigned long)c->arg[0]);
    if (load_relaxed(&pg->kind) == FRAME_ANON && load_relaxed(&pg->refs) == 1)
        return 0;
    snprintf(c->why, sizeof c->why, "frame %lx is not lost any more", (unsigned long)c->arg[0]);
    return -EINVAL;
}

static long find_apply(struct change *c)
{
    frame_unref(c->arg[0]);
    return 0;
}

static const struct change_kind lose_kind = {"memory.lose", MODE_UNSAFE, lose_validate, lose_apply};
static const struct change_kind find_kind = {"memory.find", MODE_UNSAFE, find_validate, find_apply};

int class_memory_lose(lua_State *L)
{
    struct change c = {.kind = &lose_kind};
    class_key_at(L, 1, class_memory);
    change_make(L, &c);
    if (!c.arg[0])
        return 0; // a dry run
    class_push(L, class_frame, (struct class_key){c.arg[0], 0});
    return 1;
}
