// SPDX-License-Identifier: MIT
// epoll(7): sets of watched files, and a list of those that may be ready.
#pragma once

#include "fs/file.h"

enum {
    EPOLL_CTL_ADD = 1,
    EPOLL_CTL_DEL = 2,
    EPOLL_CTL_MOD = 3,
};
#define EPOLLEXCLUSIVE (1u << 28)
#define EPOLLWAKEUP    (1u << 29)
#define EPOLLONESHOT   (1u << 30)
#define EPOLLET        (1u << 31)

struct epoll_event_k {
    uint32_t events, pad;
    uint64_t data;
};
_Static_assert(sizeof(struct epoll_event_k) == 16, "epoll_event");

struct epoll;

extern const struct file_ops epoll_ops;
static inline struct epoll *epoll_of(const struct file *file)
{
    return file->priv;
}

long epoll_new(uint32_t flags); // O_CLOEXEC or 0: a descriptor, or a negative errno
// Watches `file`, which is descriptor fd, no more or otherwise. Plain. 0, -EEXIST, -ENOENT, -EINVAL,
// -ELOOP, -ENOMEM.
long epoll_add(struct file *epoll, struct file *file, int32_t fd, const struct epoll_event_k *ev);
long epoll_modify(struct epoll *ep, struct file *file, int32_t fd, const struct epoll_event_k *ev);
long epoll_remove(struct epoll *ep, struct file *file, int32_t fd);

enum { EPOLL_CHUNK = 64 }; // files looked at in one go

uint32_t epoll_ready_count(const struct epoll *ep); // that may be ready, at a glance
// Copies out up to max events of files that are ready: how many, -EFAULT, -ECOMMIT. Plain. *look_at says
// at how many files of those that may be ready, and is counted down: those by level come up again.
long epoll_take(struct epoll *ep, va_t out, uint32_t max, uint32_t *look_at);
// The calling thread's epoll_pwait without a limit of time and found nothing: it waits without a frame. What the plain handler
// returns.
long epoll_wait_light(struct file *file);
// Until some file may be ready: 0, or -EINTR.
ASYNC_DECL(epoll_sleep, struct epoll *ep;);

// The last reference to a watched file goes: nobody watches it any more.
void epoll_forget(struct file *file);
