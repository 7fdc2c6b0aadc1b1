// SPDX-License-Identifier: MIT
// What the tty's files share: the terminal itself, its waits, its job control checks.
#pragma once

#include "async/async.h"
#include "async/wait_async.h"
#include "fs/ldisc.h"
#include "fs/tty.h"
#include "lib/spinlock.h"

struct winsize_k {
    uint16_t rows, cols, xpixel, ypixel;
};

// Everything is guarded by `lock`, which is taken under the uart lock (tty_tx_pull): who holds it
// must not kick the UART, send signals or log.
struct tty {
    struct spinlock lock;
    struct ldisc ld;
    struct waitq readers, writers, pollers;
    struct mutex write_lock; // one write at a time: lines of several programs do not mix
    int32_t session, pgrp;   // 0: nobody's
    struct winsize_k winsize;
};
extern struct tty tty_console;

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

struct tty_caller {
    int32_t pid, pgrp, sid; // all 0 while there is no task room
};
struct tty_caller tty_caller(struct task *t);

// Is tty the controlling terminal of the caller?
bool tty_is_controlling(const struct tty *tty, const struct tty_caller *c);
int tty_check_pgrp(int32_t pgrp, int32_t sid); // 0, -EPERM, -ESRCH

// Job control: 0 go on; -ERESTARTSYS a signal was sent to the caller's group; -EIO.
long tty_check_read(struct tty *tty, struct task *t);
long tty_check_change(struct tty *tty, struct task *t); // ioctls; writes when TOSTOP is set

void tty_signal(int32_t pgrp, int sig); // no lock held; pgrp 0: nobody
// Does what ldisc_* asked for with its LDISC_* bits. Lock held / not held.
void tty_wake_locked(struct tty *tty, unsigned bits);
void tty_act(struct tty *tty, unsigned bits);

// 0 when there is something to read, -ERESTARTSYS.
ASYNC_DECL(tty_wait_input, struct tty *tty;);
// 0 when there is room to write (or, drained: when everything is sent), -ERESTARTSYS.
ASYNC_DECL(tty_wait_output, struct tty *tty; bool drained;);

// tty_ioctl.c: the plain part, after arguments were copied in and output was drained.
enum { TTY_IOCTL_BYTES = 44 };
union tty_arg {
    uint8_t bytes[TTY_IOCTL_BYTES];
    struct termios2 termios;
    struct winsize_k winsize;
    int32_t number;
};
