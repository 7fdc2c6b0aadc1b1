// SPDX-License-Identifier: MIT
// Inside of epolls: the ready list (epoll.c), how watches come and go (epoll_watch.c), and what limits them (epoll_links.c).
#pragma once

#include "fs/epoll.h"
#include "fs/poll.h"

#include <sys/tree.h>

enum { EPOLL_DEPTH = 5 }; // how many epolls may be in a row

#define EPOLL_MODES (EPOLLEXCLUSIVE | EPOLLWAKEUP | EPOLLONESHOT | EPOLLET)

struct watch {
    struct poll_entry entry; // in the file's queue
    struct epoll *ep;
    struct file *file;
    int32_t fd;
    uint32_t events; // wanted, and EPOLL_MODES; only these are left after a oneshot
    uint64_t data;
    RB_ENTRY(watch) node; // ep->watches
    struct list in_ready; // ep->ready_lock, as ready
    bool ready;
    struct watch *next, **back; // file->watches; links_lock
    struct list
        in_below;    // ep->inner; of a file that is no epoll ep->shared, or nowhere; links_lock
    uint64_t looked; // which search has been at its file; of the file's first
};

RB_HEAD(watch_tree, watch);

struct epoll {
    struct spinlock lock; // guards watches, and that they are there
    struct watch_tree watches;
    uint32_t count;
    uint32_t refs; // of its file, and of who is about to forget a file of its; atomic

    struct spinlock ready_lock; // guards what follows
    struct list ready;
    uint32_t nready;
    struct waitq waiters, pollers; // a waiter is in there only while nready is 0, or is being woken

    // links_lock (epoll_links.c):
    struct epoll_user *user;
    struct file *file;            // its own, NULL: gone
    struct list inner, shared;    // watches of epolls, and of other files that have more watches
    uint32_t alone;               // watches of files that have no other
    uint64_t visit, looked_below; // which search has been here; what it found:
    uint32_t height;
    uint32_t ways[EPOLL_DEPTH];
};

// ready_lock held. Puts it on the ready list; true: somebody was woken for it.
bool epoll_make_ready(struct epoll *ep, struct watch *w, bool first);
// poll_entry.notify of watches.
bool epoll_on_event(struct poll_entry *e, uint32_t events);
void epoll_release(struct file *file);
void epoll_show(struct file *file, struct text *out);

// ---- epoll_links.c

// Who is charged for the watches of an epoll; by every epoll once. NULL: no memory.
struct epoll_user *epoll_user_get(uint32_t uid);
void epoll_user_put(struct epoll_user *u);
// w->ep->lock held; w is new. -ELOOP: a circle, or too many epolls in a row. -ENOSPC: the user has too many
// watches. -EINVAL: too many ways lead up from some file.
long epoll_link(struct file *epoll, struct watch *w);
// w->ep->lock held.
void epoll_unlink(struct watch *w);
// The epoll's own file goes.
void epoll_unlink_file(struct epoll *ep);
// The epoll of the file's first watch, referenced. It is there: it unlinks its watches before it goes. NULL: none.
struct epoll *epoll_watching(struct file *file);
// ep->lock held: a watch of the file is in ep as long as it is linked. NULL: the epoll was faster.
struct watch *epoll_unlink_one_of(struct epoll *ep, struct file *file);
