// SPDX-License-Identifier: MIT
// Changes to mappings: rights, parts, pages. What cannot come back (a program's own pages) is lost in
// mode unsafe only. Between the look and the act no mapping changes; a program that runs meanwhile may touch a page, which
// removing looks out for.
//
// Arguments: space, lo, bytes, then what each kind says.
#include "class/classes.h"
#include "class/mapping_impl.h"
#include "lib/errno.h"
#include "mem/phys.h"
#include "session/journal.h"
#include "session/session.h"

#include <stdio.h>
#include <string.h>

enum { UNLOAD_MAX = 4096, YIELD_PAGES = 64, SOON_MS = 100, EXPECTED = 8, TRIES = 8 };

static void say(struct change *c, const char *what)
{
    snprintf(c->text, sizeof c->text, "%s %lx-%lx of Space#%lu", what, (unsigned long)c->arg[1],
             (unsigned long)(c->arg[1] + c->arg[2]), (unsigned long)c->arg[0]);
}

static void undo_by(struct change *c, const struct change_kind *kind)
{
    c->undo = kind;
    memcpy(c->undo_arg, c->arg, sizeof c->arg);
}

static void say_holder(struct change *c, struct space *s)
{
    spin_lock(&s->mutate.lock); // keeps the holder
    const struct task *holder = s->mutate.holder;
    snprintf(c->why, sizeof c->why, "Task#%u %s has been changing this space for %d ms",
             holder ? holder->id : 0, holder ? holder->name : "?", SOON_MS);
    spin_unlock(&s->mutate.lock);
}

// Referenced and locked, so that nobody else changes its mappings until drop_space, and the change still valid; or NULL,
// with the reason. Who has the lock may wait for what only the monitor lets go, so it is not waited for without end.
static struct space *take_space(struct change *c)
{
    uint64_t till = clock_monotonic_ns() + SOON_MS * 1000000ul;
    struct space *s = space_find((uint32_t)c->arg[0]);
    bool locked = false;
    while (s && !(locked = mutex_trylock(&s->mutate, session_task())) &&
           clock_monotonic_ns() < till)
        fiber_yield(session_fiber());
    if (locked && !c->kind->validate(c))
        return s;
    if (!s)
        snprintf(c->why, sizeof c->why, "the space is gone");
    else if (locked)
        mutex_unlock(&s->mutate, session_task());
    else
        say_holder(c, s);
    if (s)
        space_unref(s);
    return NULL;
}

static void drop_space(struct space *s)
{
    mutex_unlock(&s->mutate, session_task());
    space_unref(s);
}

static const struct change_kind protect_kind, add_kind, remove_kind, cut_kind, join_kind,
    unload_kind, load_kind;

// ---- rights. arg 3: ACCESS_*; 4, of an undo: EXPECTED, and the rights that there must be now

static long protect_validate(struct change *c)
{
    struct mapping_info m;
    char perm[8], what[24];
    class_perm_text(perm, (uint32_t)c->arg[3], 0);
    perm[3] = 0;
    snprintf(what, sizeof what, "make %s of", perm);
    say(c, what);
    if (c->arg[3] & ~7ul)
        snprintf(c->why, sizeof c->why, "rights are of r, w and x");
    else if (!mapping_check_range(c, &m))
        return -EINVAL;
    else if (c->arg[3] & ACCESS_WRITE && m.flags & MAPPING_DENY_WRITE)
        snprintf(c->why, sizeof c->why, "its file was not opened for writing");
    else if (c->arg[4] & EXPECTED && c->arg[4] != (EXPECTED | m.prot))
        snprintf(c->why, sizeof c->why, "its rights are no more what that change made them");
    return c->why[0] ? -EINVAL : 0;
}

static long protect_apply(struct change *c)
{
    struct mapping_info m;
    struct space *s = take_space(c);
    if (!s)
        return -EBUSY;
    class_mapping_at(c->arg[0], c->arg[1], &m, NULL);
    long e = session_await(space_protect_steps, s, c->arg[1], c->arg[2], (uint32_t)c->arg[3]);
    drop_space(s);
    undo_by(c, &protect_kind);
    c->undo_arg[3] = m.prot;
    c->undo_arg[4] = EXPECTED | c->arg[3];
    return e;
}

// ---- adding. arg 3: ACCESS_* and flags << 32; 4, 5, 7: the object (mapping_object), 7: 0 for none; 6: offset

static long add_validate(struct change *c)
{
    struct mapping_info m;
    uint64_t lo = c->arg[1], bytes = c->arg[2];
    struct space *s = space_find((uint32_t)c->arg[0]);
    say(c, "map");
    if (!lo)
        snprintf(c->text, sizeof c->text, "map %lu bytes in Space#%lu", (unsigned long)bytes,
                 (unsigned long)c->arg[0]);
    if (!s)
        snprintf(c->why, sizeof c->why, "there is no Space#%lu", (unsigned long)c->arg[0]);
    else if (lo & PAGE_MASK || bytes & PAGE_MASK || !bytes)
        snprintf(c->why, sizeof c->why, "not whole pages");
    else if (lo >= USER_TOP || bytes > USER_TOP - lo)
        snprintf(c->why, sizeof c->why, "it is not in user space");
    else if (lo && class_mapping_at(c->arg[0], lo, &m, NULL) && m.lo < lo + bytes)
        snprintf(c->why, sizeof c->why, "%lx-%lx is mapped there", (unsigned long)m.lo,
                 (unsigned long)m.hi);
    if (s)
        space_unref(s);
    return c->why[0] ? -EINVAL : 0;
}

static long add_apply(struct change *c)
{
    struct phys *ph = c->arg[7] ? mapping_object(c) : NULL;
    struct space *s = take_space(c);
    va_t at = 0;
    if (s)
        mutex_unlock(&s->mutate, session_task()); // space_map looks at the place itself
    long e = !s ? -EBUSY : c->arg[7] && !ph ? -ENODEV : 0;
    if (!e)
        e = session_await(space_map, s,
                          (struct space_map){.at = c->arg[1],
                                             .len = c->arg[2],
                                             .prot = (uint32_t)c->arg[3] & 7,
                                             .flags = (uint32_t)(c->arg[3] >> 32),
                                             .how = c->arg[1] ? SPACE_FIXED_NOREPLACE : 0,
                                             .phys = ph,
                                             .offset = c->arg[6]},
                          &at);
    if (ph)
        phys_put(ph);
    if (s)
        space_unref(s);
    if (e == -ENODEV)
        snprintf(c->why, sizeof c->why, "the object that was mapped there is gone");
    else if (e && s)
        snprintf(c->why, sizeof c->why, "there is no room (error %ld)", e);
    if (e)
        return e;
    c->arg[1] = at;
    say(c, "map");
    undo_by(c, &remove_kind);
    return 0;
}

// ---- removing

// False, with c->why: pages would be lost, of its own or of what it alone still has.
static bool loses_nothing(struct change *c, const struct mapping_census *in)
{
    if (monitor_mode() >= MODE_UNSAFE || !(in->own | in->lost))
        return true;
    snprintf(c->why, sizeof c->why, "%lu pages %s would be lost (unsafe mode does it)",
             (unsigned long)(in->own ? in->own : in->lost),
             in->own ? "of its own" : "that nothing else has");
    return false;
}

static long remove_validate(struct change *c)
{
    struct mapping_info m;
    struct mapping_census in;
    say(c, "unmap");
    if (!mapping_check_range(c, &m))
        return -EINVAL;
    mapping_take_census(c->arg[0], c->arg[1], c->arg[1] + c->arg[2], &in);
    if (in.pinned)
        mapping_why_pinned(in.pinned, c->why, sizeof c->why);
    else
        loses_nothing(c, &in);
    return c->why[0] ? -EBUSY : 0;
}

// Undone by mapping the same part of the same object.
static void undo_of_remove(struct change *c, const struct mapping_info *m, struct space *s)
{
    struct phys *ph = m->phys ? space_object(s, c->arg[1]) : NULL;
    if (ph != m->phys || m->flags & MAPPING_VDSO)
        goto out;
    undo_by(c, &add_kind);
    c->undo_arg[3] = m->prot | (uint64_t)m->flags << 32;
    c->undo_arg[6] = ph ? m->offset + (c->arg[1] - m->lo) : 0;
    c->undo_arg[7] = 0;
    if (ph)
        mapping_note_object(ph, c->undo_arg);
out:
    if (ph)
        phys_put(ph);
}

// What comes between the count and the removal would be lost, and undo would not know: -EAGAIN then.
static long remove_counted(struct change *c, struct space *s)
{
    struct mapping_info m;
    struct mapping_census in;
    uint64_t touches = space_touches(s);
    mapping_take_census(c->arg[0], c->arg[1], c->arg[1] + c->arg[2], &in);
    if (!loses_nothing(c, &in))
        return -EBUSY;
    c->undo = NULL;
    if (!in.own && !in.last && class_mapping_at(c->arg[0], c->arg[1], &m, NULL) &&
        m.lo <= c->arg[1])
        undo_of_remove(c, &m, s);
    return session_await(space_remove_steps, s, c->arg[1], c->arg[2], in.own ? 0 : touches);
}

static long remove_apply(struct change *c)
{
    struct space *s = take_space(c);
    if (!s)
        return -EBUSY;
    long e = -EAGAIN;
    for (int i = 0; e == -EAGAIN && i < TRIES; i++)
        e = remove_counted(c, s);
    drop_space(s);
    if (e == -EAGAIN)
        snprintf(c->why, sizeof c->why, "pages are touched there all the time: suspend who does");
    return e;
}

// ---- splitting and joining at lo

static long cut_validate(struct change *c)
{
    struct mapping_info m;
    snprintf(c->text, sizeof c->text, "split the mapping at %lx of Space#%lu",
             (unsigned long)c->arg[1], (unsigned long)c->arg[0]);
    if (c->arg[1] & PAGE_MASK)
        snprintf(c->why, sizeof c->why, "not at a page");
    else if (!class_mapping_at(c->arg[0], c->arg[1], &m, NULL) || m.lo > c->arg[1])
        snprintf(c->why, sizeof c->why, "nothing is mapped there");
    else if (m.lo == c->arg[1])
        snprintf(c->why, sizeof c->why, "a mapping begins there already");
    return c->why[0] ? -EINVAL : 0;
}

static long join_validate(struct change *c)
{
    struct mapping_info m;
    snprintf(c->text, sizeof c->text, "join the mappings at %lx of Space#%lu",
             (unsigned long)c->arg[1], (unsigned long)c->arg[0]);
    if (!class_mapping_at(c->arg[0], c->arg[1], &m, NULL) || m.lo != c->arg[1])
        snprintf(c->why, sizeof c->why, "no mapping begins there any more");
    return c->why[0] ? -EINVAL : 0;
}

static long cut_or_join(struct change *c, int (*fn)(struct space *, va_t),
                        const struct change_kind *undo)
{
    struct space *s = take_space(c);
    if (!s)
        return -EINVAL;
    long e = fn(s, c->arg[1]);
    drop_space(s);
    if (e == -EINVAL)
        snprintf(c->why, sizeof c->why, "the mappings there are not as they were");
    undo_by(c, undo);
    return e;
}

static long cut_apply(struct change *c)
{
    return cut_or_join(c, space_cut_locked, &join_kind);
}

static long join_apply(struct change *c)
{
    return cut_or_join(c, space_join_locked, &cut_kind);
}

// ---- making lazy again: pages of objects leave the table, own ones stay but are not valid

static long unload_validate(struct change *c)
{
    struct mapping_info m;
    struct mapping_census in;
    say(c, "make lazy again");
    if (!mapping_check_range(c, &m))
        return -EINVAL;
    mapping_take_census(c->arg[0], c->arg[1], c->arg[1] + c->arg[2], &in);
    if (in.pinned)
        mapping_why_pinned(in.pinned, c->why, sizeof c->why);
    else if (m.flags & (MAPPING_VDSO | MAPPING_LOCKED))
        snprintf(c->why, sizeof c->why, "its pages are to stay where they are");
    else if (in.pages > UNLOAD_MAX)
        snprintf(c->why, sizeof c->why, "%lu pages are there; name a part of at most %d",
                 (unsigned long)in.pages, UNLOAD_MAX);
    else if (in.pages == in.absent)
        snprintf(c->why, sizeof c->why, "no page is there");
    return c->why[0] ? -EINVAL : 0;
}

// Page by page: what changes meanwhile is found as it is by then.
static long each_page(struct change *c, int (*fn)(struct space *, va_t))
{
    struct space *s = space_find((uint32_t)c->arg[0]);
    struct pte_info e;
    va_t hi = c->arg[1] + c->arg[2];
    if (!s) {
        snprintf(c->why, sizeof c->why, "the space is gone");
        return -ENOENT;
    }
    for (va_t va = c->arg[1]; va < hi && space_entries(s, va, hi, &e, 1); va += PAGE_SIZE) {
        va = e.va > va ? e.va : va;
        fn(s, va);
        if (va % (YIELD_PAGES * PAGE_SIZE) == 0)
            fiber_yield(session_fiber());
    }
    space_unref(s);
    return 0;
}

static long unload_apply(struct change *c)
{
    undo_by(c, &load_kind);
    return each_page(c, space_unload_now);
}

static long load_validate(struct change *c)
{
    struct mapping_info m;
    say(c, "make valid again what is there of");
    return mapping_check_range(c, &m) ? 0 : -EINVAL;
}

static int load_page(struct space *s, va_t va)
{
    return space_pte_get(s, va) & PTE_V ? 0 : space_fault_fast(s, va, ACCESS_READ);
}

static long load_apply(struct change *c)
{
    return each_page(c, load_page);
}

static const struct change_kind protect_kind = {"mapping.protect", MODE_RW, protect_validate,
                                                protect_apply};
static const struct change_kind add_kind = {"mapping.add", MODE_RW, add_validate, add_apply};
static const struct change_kind remove_kind = {"mapping.remove", MODE_RW, remove_validate,
                                               remove_apply};
static const struct change_kind cut_kind = {"mapping.split", MODE_RW, cut_validate, cut_apply};
static const struct change_kind join_kind = {"mapping.join", MODE_RW, join_validate, join_apply};
static const struct change_kind unload_kind = {"mapping.unload", MODE_RW, unload_validate,
                                               unload_apply};
static const struct change_kind load_kind = {"mapping.load", MODE_RW, load_validate, load_apply};

void class_mapping_protect(lua_State *L, uint64_t space, uint64_t lo, uint64_t hi, uint64_t prot)
{
    change_make(L, &(struct change){.kind = &protect_kind, .arg = {space, lo, hi - lo, prot}});
}

void class_mapping_remove(lua_State *L, uint64_t space, uint64_t lo, uint64_t hi)
{
    change_make(L, &(struct change){.kind = &remove_kind, .arg = {space, lo, hi - lo}});
}

void class_mapping_unload(lua_State *L, uint64_t space, uint64_t lo, uint64_t hi)
{
    change_make(L, &(struct change){.kind = &unload_kind, .arg = {space, lo, hi - lo}});
}

void class_mapping_split(lua_State *L, uint64_t space, uint64_t at)
{
    change_make(L, &(struct change){.kind = &cut_kind, .arg = {space, at}});
}

uint64_t class_mapping_add(lua_State *L, uint64_t space, uint64_t at, uint64_t bytes, uint64_t prot)
{
    struct change c = {.kind = &add_kind, .arg = {space, at, bytes, prot}};
    change_make(L, &c);
    return c.undo ? c.arg[1] : 0;
}
