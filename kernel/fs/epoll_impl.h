// SPDX-License-Identifier: MIT
// Inside of epolls: the ready list (epoll.c) and how watches come and go (epoll_watch.c).
#pragma once

#include "fs/epoll.h"
#include "fs/poll.h"

#include <sys/tree.h>

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
    struct list in_inner;       // ep->inner if the file is an epoll; links_lock
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

    struct file *file; // its own, NULL: gone; links_lock
    struct list inner; // watches of epolls; links_lock
    uint64_t visit;    // links_lock, as height: which search has been here, and what it found
    uint32_t height;
};

// ready_lock held. Puts it on the ready list; true: somebody was woken for it.
bool epoll_make_ready(struct epoll *ep, struct watch *w, bool first);
// poll_entry.notify of watches.
bool epoll_on_event(struct poll_entry *e, uint32_t events);
void epoll_release(struct file *file);
