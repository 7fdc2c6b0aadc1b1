// SPDX-License-Identifier: MIT
// Watches of epolls: made, changed, and gone with the epoll or with the file.
#include "fs/anon.h"
#include "fs/epoll_impl.h"
#include "page/heap.h"

enum { EPOLL_DEPTH = 5, RELEASE_AT_ONCE = 256 };

static struct spinlock links_lock = SPINLOCK_INIT("epoll links"); // which file is watched by whom
static uint64_t visit; // the present search's; links_lock

static int compare(const struct watch *a, const struct watch *b)
{
    if (a->file != b->file)
        return a->file < b->file ? -1 : 1;
    return (a->fd > b->fd) - (a->fd < b->fd);
}
RB_GENERATE_STATIC(watch_tree, watch, node, compare)

static void epoll_put(struct epoll *ep)
{
    if (atomic_add32(&ep->refs, -1u) == 1)
        kfree(ep);
}

// ---- watches come and go; ep->lock held

static struct watch *find(struct epoll *ep, struct file *file, int32_t fd)
{
    struct watch key;
    key.file = file;
    key.fd = fd;
    return RB_FIND(watch_tree, &ep->watches, &key);
}

// links_lock held. How many epolls are below ep in a row; EPOLL_DEPTH at least if `upper` is one of them.
static uint32_t height_of(struct epoll *ep, const struct epoll *upper, uint32_t depth)
{
    if (ep == upper || depth > EPOLL_DEPTH)
        return EPOLL_DEPTH;
    if (ep->visit == visit)
        return ep->height;
    ep->visit = visit;
    ep->height = 0;
    LIST_FOREACH(it, &ep->inner) {
        const struct watch *w = list_entry(it, struct watch, in_inner);
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
        uint32_t d = depth_of(w->ep) + 1;
        if (d > ep->height)
            ep->height = d;
    }
    return ep->height;
}

// links_lock held.
static bool too_deep(struct epoll *inner, struct epoll *outer)
{
    visit++;
    uint32_t below = height_of(inner, outer, 0);
    visit++;
    return below + 1 + depth_of(outer) >= EPOLL_DEPTH;
}

static void unlink_locked(struct watch *w)
{
    *w->back = w->next;
    if (w->next)
        w->next->back = w->back;
    list_remove(&w->in_inner);
}

static long link_watch(struct file *epoll, struct watch *w)
{
    struct epoll *inner = w->file->ops == &epoll_ops ? epoll_of(w->file) : NULL;
    long r = 0;
    spin_lock(&links_lock);
    w->ep->file = epoll;
    if (inner && too_deep(inner, w->ep))
        r = -ELOOP;
    if (!r) {
        w->back = &w->file->watches;
        w->next = w->file->watches;
        if (w->next)
            w->next->back = &w->next;
        w->file->watches = w;
        if (inner)
            list_push_back(&w->ep->inner, &w->in_inner);
    }
    spin_unlock(&links_lock);
    return r;
}

// ep->lock held. Nobody is told by it any more, and it is freed.
static void drop(struct epoll *ep, struct watch *w)
{
    poll_remove(&w->entry);
    spin_lock(&ep->ready_lock);
    if (w->ready) {
        list_remove(&w->in_ready);
        ep->nready--;
    }
    spin_unlock(&ep->ready_lock);
    RB_REMOVE(watch_tree, &ep->watches, w);
    ep->count--;
    kfree(w);
}

static void unlink_watch(struct watch *w)
{
    spin_lock(&links_lock);
    unlink_locked(w);
    spin_unlock(&links_lock);
}

// Registers with the file and asks it; what is ready already is told.
static void begin(struct watch *w)
{
    struct poll_list pl = {
        .max = 1, .entry = &w->entry, .events = w->events, .notify = epoll_on_event};
    if (w->file->ops->poll(w->file, &pl) & w->events)
        epoll_on_event(&w->entry, POLL_ANY);
}

static void set_events(struct watch *w, const struct epoll_event_k *ev)
{
    w->events = (ev->events | POLLERR | POLLHUP) & ~EPOLLWAKEUP;
    w->data = ev->data;
}

long epoll_add(struct file *epoll, struct file *file, int32_t fd, const struct epoll_event_k *ev)
{
    struct epoll *ep = epoll_of(epoll);
    struct watch *w = kzalloc(sizeof *w);
    if (!w)
        return -ENOMEM;
    w->ep = ep;
    w->file = file;
    w->fd = fd;
    list_init(&w->in_inner);
    set_events(w, ev);
    spin_lock(&ep->lock);
    long r = RB_FIND(watch_tree, &ep->watches, w) ? -EEXIST : link_watch(epoll, w);
    if (!r) {
        RB_INSERT(watch_tree, &ep->watches, w);
        ep->count++;
        begin(w);
    }
    spin_unlock(&ep->lock);
    if (r)
        kfree(w);
    return r;
}

long epoll_modify(struct epoll *ep, struct file *file, int32_t fd, const struct epoll_event_k *ev)
{
    spin_lock(&ep->lock);
    struct watch *w = find(ep, file, fd);
    long r = !w ? -ENOENT : w->events & EPOLLEXCLUSIVE ? -EINVAL : 0;
    if (!r) {
        poll_remove(&w->entry);
        set_events(w, ev);
        begin(w);
    }
    spin_unlock(&ep->lock);
    return r;
}

long epoll_remove(struct epoll *ep, struct file *file, int32_t fd)
{
    spin_lock(&ep->lock);
    struct watch *w = find(ep, file, fd);
    if (w) {
        unlink_watch(w);
        drop(ep, w);
    }
    spin_unlock(&ep->lock);
    return w ? 0 : -ENOENT;
}

// ---- the file goes

// The epoll of the first watch, referenced. It is there: it unlinks its watches before it goes.
static struct epoll *watched_by(struct file *file)
{
    spin_lock(&links_lock);
    struct epoll *ep = file->watches ? file->watches->ep : NULL;
    if (ep)
        atomic_add32(&ep->refs, 1);
    spin_unlock(&links_lock);
    return ep;
}

// ep->lock held: a watch of the file is in ep as long as it is linked. NULL: the epoll was faster.
static struct watch *unlink_one_of(struct epoll *ep, struct file *file)
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

void epoll_forget(struct file *file)
{
    struct epoll *ep;
    while ((ep = watched_by(file))) {
        struct watch *w;
        spin_lock(&ep->lock);
        while ((w = unlink_one_of(ep, file)))
            drop(ep, w);
        spin_unlock(&ep->lock);
        epoll_put(ep);
    }
}

// ---- the epoll goes

// Some of its watches; false: there were none left.
static bool release_some(struct epoll *ep)
{
    struct watch *w = NULL;
    spin_lock(&ep->lock);
    for (int i = 0; i < EPOLL_CHUNK && (w = RB_ROOT(&ep->watches)); i++) {
        unlink_watch(w);
        drop(ep, w);
    }
    spin_unlock(&ep->lock);
    return w != NULL;
}

ASYNC_DECL(epoll_release_many, struct epoll *ep;);
ASYNC(epoll_release_many, )
{
    ASYNC_BEGIN(epoll_release_many);
    while (release_some(f->ep))
        YIELD();
    epoll_put(f->ep);
    ASYNC_FINALLY;
    ASYNC_END;
}

void epoll_release(struct file *file)
{
    struct epoll *ep = epoll_of(file);
    if (!ep)
        return;
    spin_lock(&links_lock);
    ep->file = NULL;
    spin_unlock(&links_lock);
    if (ep->count > RELEASE_AT_ONCE && SPAWN("epoll closer", epoll_release_many, ep))
        return;
    while (release_some(ep))
        ;
    epoll_put(ep);
}

long epoll_new(uint32_t flags)
{
    struct epoll *ep = kzalloc(sizeof *ep);
    if (!ep)
        return -ENOMEM;
    ep->refs = 1;
    spin_init(&ep->lock, "epoll");
    spin_init(&ep->ready_lock, "epoll ready");
    RB_INIT(&ep->watches);
    list_init(&ep->ready);
    list_init(&ep->inner);
    waitq_init(&ep->waiters);
    waitq_init(&ep->pollers);
    long fd = anon_open(&epoll_ops, ep, flags);
    if (fd < 0)
        kfree(ep);
    return fd;
}
