// SPDX-License-Identifier: MIT
// Watches of epolls: made, changed, shown, and gone with the epoll or with the file.
#include "fs/anon.h"
#include "fs/epoll_impl.h"
#include "fs/proc.h"
#include "page/heap.h"
#include "task/thread.h"

enum { RELEASE_AT_ONCE = 256 };

static int compare(const struct watch *a, const struct watch *b)
{
    if (a->file != b->file)
        return a->file < b->file ? -1 : 1;
    return (a->fd > b->fd) - (a->fd < b->fd);
}
RB_GENERATE_STATIC(watch_tree, watch, node, compare)

static void epoll_put(struct epoll *ep)
{
    if (atomic_add32(&ep->refs, -1u) == 1) {
        epoll_user_put(ep->user);
        kfree(ep);
    }
}

// ---- watches come and go; ep->lock held

static struct watch *find(struct epoll *ep, struct file *file, int32_t fd)
{
    struct watch key;
    key.file = file;
    key.fd = fd;
    return RB_FIND(watch_tree, &ep->watches, &key);
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
    struct watch *w = kmalloc(sizeof *w);
    if (!w)
        return -ENOMEM;
    w->ep = ep;
    w->file = file;
    w->fd = fd;
    w->ready = false;
    set_events(w, ev);
    spin_lock(&ep->lock);
    long r = RB_FIND(watch_tree, &ep->watches, w) ? -EEXIST : epoll_link(epoll, w);
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
        epoll_unlink(w);
        drop(ep, w);
    }
    spin_unlock(&ep->lock);
    return w ? 0 : -ENOENT;
}

// ---- shown

struct shown {
    const struct file *file; // the key, with fd: as a number only
    int32_t fd;
    uint32_t events;
    uint64_t data, pos, ino, dev;
};

// The first watch after the one *at shows. False: there is none.
static bool next_shown(struct epoll *ep, struct shown *at)
{
    struct watch key;
    key.file = (struct file *)at->file;
    key.fd = at->fd + 1;
    spin_lock(&ep->lock);
    const struct watch *w = RB_NFIND(watch_tree, &ep->watches, &key);
    if (w)
        *at = (struct shown){w->file,
                             w->fd,
                             w->events,
                             w->data,
                             w->file->pos,
                             w->file->vnode->ino,
                             w->file->vnode->super->dev};
    spin_unlock(&ep->lock);
    return w != NULL;
}

void epoll_show(struct file *file, struct text *out)
{
    struct shown at = {.fd = -1};
    while (!out->failed && next_shown(epoll_of(file), &at))
        text_printf(out, "tfd: %8d events: %8x data: %16lx  pos:%lu ino:%lx sdev:%lx\n", (int)at.fd,
                    (unsigned)at.events, (unsigned long)at.data, (unsigned long)at.pos,
                    (unsigned long)at.ino,
                    (unsigned long)(DEV_MAJOR(at.dev) << 20 | DEV_MINOR(at.dev)));
}

// ---- the file goes

void epoll_forget(struct file *file)
{
    struct epoll *ep;
    while ((ep = epoll_watching(file))) {
        struct watch *w;
        spin_lock(&ep->lock);
        while ((w = epoll_unlink_one_of(ep, file)))
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
        epoll_unlink(w);
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
    epoll_unlink_file(ep);
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
    ep->user = epoll_user_get(cred_current()->uid);
    if (!ep->user) {
        kfree(ep);
        return -ENOMEM;
    }
    ep->refs = 1;
    spin_init(&ep->lock, "epoll");
    spin_init(&ep->ready_lock, "epoll ready");
    RB_INIT(&ep->watches);
    list_init(&ep->ready);
    list_init(&ep->inner);
    list_init(&ep->shared);
    waitq_init(&ep->waiters);
    waitq_init(&ep->pollers);
    long fd = anon_open(&epoll_ops, ep, flags);
    if (fd < 0)
        epoll_put(ep);
    return fd;
}
