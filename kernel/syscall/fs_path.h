// SPDX-License-Identifier: MIT
// Path arguments of system calls: a directory descriptor and a text in user memory.
#pragma once

#include "fs/file.h"
#include "fs/fsctx.h"
#include "task/thread.h"

struct path_arg {
    char *text;               // kernel copy
    struct file *dir;         // referenced; NULL: the working directory, or text is absolute
    const struct path *start; // dir's path or NULL, as path_walk takes it
};

// Copies the text in and resolves dirfd. empty_ok: with AT_EMPTY_PATH and "", dir may be any file.
// 0, -EFAULT, -ENAMETOOLONG, -ENOMEM, -EBADF, -ENOTDIR. Zero *out before; path_arg_put in FINALLY.
ASYNC_DECL(path_arg_get, int32_t dirfd; va_t text; bool empty_ok; struct path_arg *out;);
void path_arg_put(struct path_arg *arg);

// A path argument and the walk to what it names; flags are WALK_*. at is referenced after 0.
struct target {
    struct path_arg arg;
    struct path at;
    bool found;
};
// Zero *out before; target_put in FINALLY.
ASYNC_DECL(target_find, int32_t dirfd; va_t text; uint32_t flags; struct target *out;);
void target_put(struct target *target);

// Plain handlers: a short text on the stack. 0, -EAGAIN (take the async way), or a final errno.
enum { SHORT_PATH = 256 };
struct short_path {
    char text[SHORT_PATH];
    struct file *dir; // as by fd_borrow
    bool referenced;
    const struct path *start;
};
long short_path_get(struct short_path *p, int32_t dirfd, va_t text);
static inline void short_path_put(struct short_path *p)
{
    if (p->dir)
        fd_unborrow(p->dir, p->referenced);
}
