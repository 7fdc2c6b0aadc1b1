// SPDX-License-Identifier: MIT
// What the terminals' files share: the terminal itself, its waits, its job control checks.
#pragma once

#include "async/async.h"
#include "async/wait_async.h"
#include "fs/file.h"
#include "fs/ldisc.h"
#include "fs/tty.h"
#include "lib/spinlock.h"

struct winsize_k {
    uint16_t rows, cols, xpixel, ypixel;
};

// What lies behind a terminal: a line, or the process that has a pseudo terminal's other end.
struct tty_driver {
    void (*output)(struct tty *tty);      // there is output, or it goes on. No lock held
    void (*input_taken)(struct tty *tty); // there may be room for input. Lock held. NULL: drops it
    void (*opened)(struct tty *tty,
                   bool on);       // its first file was opened, its last closed. Lock held. NULL
    void (*free)(struct tty *tty); // the last reference went. NULL: it stays for ever
    bool pty;
};

// Everything but what tty.h says is guarded by `lock`, which is taken under the uart lock (tty_tx_pull):
// who holds it must not kick the UART, send signals or log.
struct tty {
    uint32_t refs; // atomic: open files, processes that it controls, its driver
    const struct tty_driver *driver;
    uint64_t id; // of this terminal alone, from 1
    uint64_t dev;
    struct spinlock lock;
    struct ldisc ld;
    struct waitq readers, writers, pollers;
    struct mutex write_lock; // one write at a time: lines of several programs do not mix
    struct mutex read_lock;  // and one read: who begins a line gets all that it asked for
    int32_t session, pgrp;   // 0: nobody's; process_tree_lock, read without
    struct winsize_k winsize;
    uint32_t opens;   // files
    uint32_t hangups; // files that were opened before the last one are hung up
    bool gone; // the other end is closed for good: set, then it is hung up; nobody gets it any more
};
extern struct tty tty_console;

// What an open file of a terminal has in file.priv.
struct tty_file {
    struct tty *tty; // referenced
    uint32_t hangups;
    bool console; // /dev/console: no job control of reads and writes, and it cannot be hung up
    bool master;  // the other end of a pseudo terminal
};
static inline struct tty_file *tty_file_of(const struct file *file)
{
    return file->priv;
}

enum {
    TTY_SIGHUP = 1,
    TTY_SIGINT = 2,
    TTY_SIGQUIT = 3,
    TTY_SIGCONT = 18,
    TTY_SIGTSTP = 20,
    TTY_SIGTTIN = 21,
    TTY_SIGTTOU = 22,
    TTY_SIGWINCH = 28
};

void tty_init(struct tty *tty, const struct tty_driver *driver, uint64_t dev);
static inline void tty_get(struct tty *tty)
{
    atomic_add32(&tty->refs, 1);
}
static inline void tty_put(struct tty *tty)
{
    if (atomic_add32(&tty->refs, -1u) == 1)
        tty->driver->free(tty);
}

// Makes file an open file of tty (its own reference). 0, -ENOMEM, -EIO: it is gone.
int tty_file_open(struct file *file, struct tty *tty);
void tty_file_release(struct file *file);
static inline bool tty_file_hung(const struct tty_file *of)
{
    return load_relaxed(&of->tty->hangups) != of->hangups && !of->console && !of->master;
}

// ---- sessions and job control (tty_session.c)

bool tty_is_controlling(const struct tty *tty, struct task *t); // of the caller
struct tty *tty_current(struct task *t);                        // the caller's, referenced, or NULL
int tty_check_pgrp(int32_t pgrp, int32_t sid);                  // 0, -EPERM, -ESRCH
// What an open without O_NOCTTY does: tty becomes the terminal of a session leader without one.
void tty_take_at_open(struct tty *tty, struct task *t);
long tty_set_controlling(struct tty *tty, struct task *t, bool readable, bool steal); // TIOCSCTTY
long tty_give_up(struct tty *tty, struct task *t);                                    // TIOCNOTTY
long tty_set_foreground(struct tty *tty, struct task *t, int32_t pgrp);               // TIOCSPGRP
// All files but /dev/console's are dead from now on; the session loses it, its leader gets SIGHUP and
// SIGCONT, and, when that exits, the foreground group SIGHUP. No lock held, tty referenced.
void tty_hang_up(struct tty *tty, bool leader_exits);

// Job control: 0 go on; -ERESTARTSYS a signal was sent to the caller's group; -EIO.
long tty_check_read(const struct tty_file *of, struct task *t);
long tty_check_change(struct tty *tty, struct task *t); // ioctls; writes when TOSTOP is set

void tty_signal(const struct tty *tty, int sig); // to its foreground group. No lock held
// Does what ldisc_* asked for with its LDISC_* bits. Lock held / not held.
void tty_wake_locked(struct tty *tty, unsigned bits);
void tty_act(struct tty *tty, unsigned bits);
void tty_input_taken_locked(struct tty *tty); // read or flushed
// Up to max bytes of output for the other side. Lock held.
size_t tty_pull_locked(struct tty *tty, uint8_t *buf, size_t max);
void tty_change_winsize(struct tty *tty, const struct winsize_k *size);

// 0 when there is something to read or the file is hung up, -ERESTARTSYS.
ASYNC_DECL(tty_wait_input, const struct tty_file *of;);
// 0 when there is room to write (or, drained: when everything is sent) or it is hung up, -ERESTARTSYS.
ASYNC_DECL(tty_wait_output, const struct tty_file *of; bool drained;);

// tty_file.c, tty_ioctl.c (of either end)
ASYNC_IMPL_DECL(tty_read);
ASYNC_IMPL_DECL(tty_write);
ASYNC_IMPL_DECL(tty_ioctl);
ASYNC_DECL(tty_control, struct file *file; uint32_t cmd; uint64_t arg;);
uint32_t tty_poll(struct file *file, struct poll_list *pl);
