// SPDX-License-Identifier: MIT
// Which file is watched by which epoll: how deep epolls may be in each other, how many ways a wake may take,
// and how many watches a user may have.
//
// A wake goes all ways from its file up, under spinlocks: so their number has limits, which are Linux's. As there
// they are looked at when there is an epoll below another, and a file that is watched directly by any number of
// epolls is no matter.
//
// The files that one epoll alone watches have the same ways up as that: however many they are, they are one look. Of the
// others, and of epolls, a search looks at LOOKS_MOST watches, since it holds a spinlock; what would take more is refused
// as too deep or too wide, which Linux would go on to find out.
#include "fs/epoll_impl.h"
#include "fs/proc.h"
#include "lib/init.h"
#include "page/frame.h"
#include "page/heap.h"

#include <stdlib.h>

// A user's share of memory, in parts of the whole; as Linux.
enum { WATCHES_SHARE = 25 };

struct epoll_user {
    struct list link; // in users
    uint32_t uid;
    uint32_t epolls; // that are charged to it
    uint64_t watches;
};

static struct spinlock links_lock = SPINLOCK_INIT("epoll links"); // guards all of this file
static struct list users = LIST_INIT(users);
static uint64_t max_watches;
static uint64_t visit; // the present search's
enum { LOOKS_MOST = 2500 };
static uint32_t looks; // and how many watches it has looked at

// ---- users

struct epoll_user *epoll_user_get(uint32_t uid)
{
    struct epoll_user *found = NULL;
    spin_lock(&links_lock);
    LIST_FOREACH(it, &users) {
        struct epoll_user *u = list_entry(it, struct epoll_user, link);
        if (u->uid == uid)
            found = u;
    }
    if (!found && (found = kzalloc(sizeof *found))) {
        found->uid = uid;
        list_push_back(&users, &found->link);
    }
    if (found)
        found->epolls++;
    spin_unlock(&links_lock);
    return found;
}

void epoll_user_put(struct epoll_user *u)
{
    spin_lock(&links_lock);
    bool last = --u->epolls == 0;
    if (last)
        list_remove(&u->link);
    spin_unlock(&links_lock);
    if (last)
        kfree(u);
}

static void show_max_watches(struct text *out)
{
    text_printf(out, "%lu\n", (unsigned long)load_relaxed(&max_watches));
}

static long store_max_watches(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (end == text || (*end && *end != '\n') || n < 0)
        return -EINVAL;
    store_relaxed(&max_watches, (uint64_t)n);
    return 0;
}
PROC_AT_RW(max_user_watches, "sys/fs/epoll/max_user_watches", show_max_watches, store_max_watches);

static void limit_watches(void)
{
    max_watches = frame_total() / WATCHES_SHARE * PAGE_SIZE / sizeof(struct watch);
}
INIT(INIT_CORE, limit_watches);

// ---- depth; links_lock held

static void search(void)
{
    visit++;
    looks = 0;
}

// False: that was one look too many.
static inline bool look(void)
{
    return ++looks <= LOOKS_MOST;
}

// How many epolls are below ep in a row; EPOLL_DEPTH at least if `upper` is one of them.
static uint32_t height_of(struct epoll *ep, const struct epoll *upper, uint32_t depth)
{
    if (ep == upper || depth > EPOLL_DEPTH)
        return EPOLL_DEPTH;
    if (ep->visit == visit)
        return ep->height;
    ep->visit = visit;
    ep->height = 0;
    LIST_FOREACH(it, &ep->inner) {
        const struct watch *w = list_entry(it, struct watch, in_below);
        if (!look())
            return EPOLL_DEPTH;
        uint32_t h = height_of(epoll_of(w->file), upper, depth + 1) + 1;
        if (h > ep->height)
            ep->height = h;
    }
    return ep->height;
}

// And above it; no circles here.
static uint32_t depth_of(struct epoll *ep)
{
    if (ep->visit == visit)
        return ep->height;
    ep->visit = visit;
    ep->height = 0;
    for (const struct watch *w = ep->file ? ep->file->watches : NULL; w; w = w->next) {
        if (!look())
            return EPOLL_DEPTH;
        uint32_t d = depth_of(w->ep) + 1;
        if (d > ep->height)
            ep->height = d;
    }
    return ep->height;
}

static cold bool too_deep(struct epoll *inner, struct epoll *outer)
{
    search();
    uint32_t below = height_of(inner, outer, 0);
    search();
    return below + 1 + depth_of(outer) >= EPOLL_DEPTH;
}

// ---- ways; links_lock held

// ways[n]: how many there are from ep up, past n more epolls, to one that nobody watches; of no use after a look too many.
static const uint32_t *ways_from(struct epoll *ep)
{
    if (ep->visit == visit)
        return ep->ways;
    ep->visit = visit;
    const struct watch *w = ep->file ? ep->file->watches : NULL;
    memset(ep->ways, 0, sizeof ep->ways);
    ep->ways[0] = !w;
    for (; w && look(); w = w->next) {
        const uint32_t *above = ways_from(w->ep);
        for (int n = 1; n < EPOLL_DEPTH; n++)
            ep->ways[n] += above[n - 1];
    }
    return ep->ways;
}

static bool too_many(const uint32_t *ways)
{
    static const uint32_t limit[EPOLL_DEPTH] = {UINT32_MAX, 500, 100, 50, 10};
    for (int n = 0; n < EPOLL_DEPTH; n++)
        if (ways[n] > limit[n])
            return true;
    return looks > LOOKS_MOST;
}

static bool too_many_ways(const struct file *file)
{
    uint32_t ways[EPOLL_DEPTH] = {0};
    for (const struct watch *w = file->watches; w && look(); w = w->next) {
        const uint32_t *above = ways_from(w->ep);
        for (int n = 0; n < EPOLL_DEPTH; n++)
            ways[n] += above[n];
    }
    return too_many(ways);
}

// Has any file that ep or an epoll below it watches too many?
static bool too_many_below(struct epoll *ep)
{
    if (ep->looked_below == visit)
        return false;
    ep->looked_below = visit;
    if (ep->alone && too_many(ways_from(ep)))
        return true;
    LIST_FOREACH(it, &ep->shared) {
        const struct file *file = list_entry(it, struct watch, in_below)->file;
        if (!look() || (file->watches->looked != visit && too_many_ways(file)))
            return true;
        file->watches->looked = visit;
    }
    LIST_FOREACH(it, &ep->inner)
        if (!look() || too_many_below(epoll_of(list_entry(it, struct watch, in_below)->file)))
            return true;
    return false;
}

// Of a watch that has just been linked, with an epoll above or below.
static cold bool too_wide(const struct watch *w, struct epoll *inner)
{
    search();
    return inner ? too_many_below(inner) : too_many_ways(w->file);
}

// ---- links

// The one watch of a file gets company, or loses it.
static void not_alone(struct watch *w)
{
    w->ep->alone--;
    list_push_back(&w->ep->shared, &w->in_below);
}

static void alone(struct watch *w)
{
    list_remove(&w->in_below);
    w->ep->alone++;
}

// links_lock held.
static void link_locked(struct watch *w, struct epoll *inner)
{
    struct watch *others = w->file->watches;
    if (inner) {
        list_push_back(&w->ep->inner, &w->in_below);
    } else if (!others) {
        w->ep->alone++;
    } else {
        if (!others->next)
            not_alone(others);
        list_push_back(&w->ep->shared, &w->in_below);
    }
    w->back = &w->file->watches;
    w->next = w->file->watches;
    if (w->next)
        w->next->back = &w->next;
    w->file->watches = w;
    w->ep->user->watches++;
}

// links_lock held.
static void unlink_locked(struct watch *w)
{
    *w->back = w->next;
    if (w->next)
        w->next->back = w->back;
    struct watch *others = w->file->watches;
    if (w->file->ops != &epoll_ops && !others) {
        w->ep->alone--;
    } else {
        list_remove(&w->in_below);
        if (w->file->ops != &epoll_ops && !others->next)
            alone(others);
    }
    w->ep->user->watches--;
}

long epoll_link(struct file *epoll, struct watch *w)
{
    struct epoll *inner = w->file->ops == &epoll_ops ? epoll_of(w->file) : NULL;
    long r = 0;
    spin_lock(&links_lock);
    w->ep->file = epoll;
    if (unlikely(inner != NULL) && too_deep(inner, w->ep)) {
        r = -ELOOP;
    } else if (unlikely(w->ep->user->watches >= max_watches)) {
        r = -ENOSPC;
    } else {
        link_locked(w, inner);
        if (unlikely(inner || epoll->watches) && too_wide(w, inner)) {
            unlink_locked(w);
            r = -EINVAL;
        }
    }
    spin_unlock(&links_lock);
    return r;
}

void epoll_unlink(struct watch *w)
{
    spin_lock(&links_lock);
    unlink_locked(w);
    spin_unlock(&links_lock);
}

void epoll_unlink_file(struct epoll *ep)
{
    spin_lock(&links_lock);
    ep->file = NULL;
    spin_unlock(&links_lock);
}

struct epoll *epoll_watching(struct file *file)
{
    spin_lock(&links_lock);
    struct epoll *ep = file->watches ? file->watches->ep : NULL;
    if (ep)
        atomic_add32(&ep->refs, 1);
    spin_unlock(&links_lock);
    return ep;
}

struct watch *epoll_unlink_one_of(struct epoll *ep, struct file *file)
{
    spin_lock(&links_lock);
    struct watch *w = file->watches;
    while (w && w->ep != ep)
        w = w->next;
    if (w)
        unlink_locked(w);
    spin_unlock(&links_lock);
    return w;
}
