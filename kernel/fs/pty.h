// SPDX-License-Identifier: MIT
// Pseudo terminals, for the file system that names them.
//
// A pseudo terminal is a struct tty whose other end, the master, is an open file of /dev/ptmx. It lives as
// long as either end is open; its number is taken until then, but its name goes with the master.
#pragma once

#include "fs/tty_impl.h"

enum { PTS_MAJOR = 136, PTY_MAX = 4096 };

struct pty {
    struct tty tty; // first; what follows is guarded by its lock, if nothing is said
    struct waitq readers, writers, pollers; // of the master
    struct mutex type_lock;                 // one write to the master at a time
    uint32_t index;
    bool locked;             // by TIOCSPTLCK: the terminal cannot be opened
    bool slave_closed;       // it was open, and is no more
    struct list all;         // by index; ptys_lock, as the following
    bool named;              // the master is open
    uint32_t mode, uid, gid; // as /dev/pts shows it
    int64_t made_ns;
};

// With the gid and mode that mount options may give new ones.
extern uint32_t pts_gid, pts_mode; // gid UINT32_MAX: that of who opens the master
extern const struct file_ops pts_file_ops;

struct credentials;
// A new one, locked and without a name, its owner as cred says. 0; -ENOMEM, -ENOSPC.
int pty_new(const struct credentials *cred, struct pty **out);
void pty_set_named(struct pty *p, bool on);

// The one of this number, as long as it has a name: referenced (tty_put), or NULL.
struct pty *pty_find(uint32_t index);
// The numbers of the first `max` that have a name, from `from` on, in their order: how many these are.
size_t pty_list(uint32_t from, uint32_t *index, size_t max);
// A vnode of /dev/pts stands for the terminal whose id is in v->priv, and has no reference to it. Copies what is shown of
// the terminal into the vnode (false: it is no more), or from it (nothing happens then).
bool pty_load_owner(struct vnode *v);
void pty_store_owner(const struct vnode *v);

// All terminals, for the monitor: one by its id, referenced, or NULL; the least id from `from` on, UINT64_MAX: none.
struct tty *tty_find(uint64_t id);
uint64_t tty_next(uint64_t from);
