// SPDX-License-Identifier: MIT
// The console terminal: its two ends, its session, job control, and waiting for it: see tty.h.
#include "fs/tty.h"

#include "dev/uart.h"
#include "fs/poll.h"
#include "fs/tty_impl.h"
#include "lib/init.h"

enum { TTY_DEVICE = 5 << 8 | 1 };

struct tty tty_console = {
    .lock = SPINLOCK_INIT("tty"),
    .readers = {LIST_INIT(tty_console.readers.head)},
    .writers = {LIST_INIT(tty_console.writers.head)},
    .pollers = {LIST_INIT(tty_console.pollers.head)},
};
static const struct tty_job_ops *job;

static void tty_init(void)
{
    spin_lock(&tty_console.lock);
    ldisc_init(&tty_console.ld);
    mutex_init(&tty_console.write_lock, "tty write");
    spin_unlock(&tty_console.lock);
}
INIT(INIT_EARLY, tty_init);

void tty_set_job_ops(const struct tty_job_ops *ops)
{
    store_release(&job, ops);
}

// ---- the line's end

void tty_wake_locked(struct tty *tty, unsigned bits)
{
    if (bits & LDISC_WAKE)
        waitq_wake_all(&tty->readers);
    if ((bits & LDISC_OUT_READY) && ldisc_out_room(&tty->ld))
        waitq_wake_all(&tty->writers); // a signal may have flushed what they waited behind
    if (bits & (LDISC_WAKE | LDISC_OUT_READY))
        poll_wake(&tty->pollers, POLL_ANY);
}

void tty_signal(int32_t pgrp, int sig)
{
    const struct tty_job_ops *ops = load_acquire(&job);
    if (ops && pgrp > 0)
        ops->signal_pgrp(pgrp, sig);
}

void tty_act(struct tty *tty, unsigned bits)
{
    int32_t pgrp = load_relaxed(&tty->pgrp);
    if (bits & LDISC_OUT_READY)
        uart_kick();
    if (bits & LDISC_SIGINT)
        tty_signal(pgrp, TTY_SIGINT);
    if (bits & LDISC_SIGQUIT)
        tty_signal(pgrp, TTY_SIGQUIT);
    if (bits & LDISC_SIGTSTP)
        tty_signal(pgrp, TTY_SIGTSTP);
}

void tty_rx(uint8_t byte)
{
    struct tty *tty = &tty_console;
    spin_lock(&tty->lock);
    unsigned bits = ldisc_input(&tty->ld, byte);
    tty_wake_locked(tty, bits);
    spin_unlock(&tty->lock);
    tty_act(tty, bits);
}

size_t tty_tx_pull(uint8_t *buf, size_t max)
{
    struct tty *tty = &tty_console;
    spin_lock(&tty->lock);
    size_t n = ldisc_pull(&tty->ld, buf, max);
    if (n > 0 && ldisc_out_room(&tty->ld)) {
        waitq_wake_all(&tty->writers);
        poll_wake(&tty->pollers, POLLOUT | POLLWRNORM);
    }
    spin_unlock(&tty->lock);
    return n;
}

void tty_set_winsize(uint16_t rows, uint16_t cols)
{
    struct tty *tty = &tty_console;
    spin_lock(&tty->lock);
    bool changed = tty->winsize.rows != rows || tty->winsize.cols != cols;
    tty->winsize = (struct winsize_k){.rows = rows, .cols = cols};
    int32_t pgrp = tty->pgrp;
    spin_unlock(&tty->lock);
    if (changed)
        tty_signal(pgrp, TTY_SIGWINCH);
}

// ---- sessions and job control

struct tty_caller tty_caller(struct task *t)
{
    struct tty_caller c = {0};
    const struct tty_job_ops *ops = load_acquire(&job);
    if (ops && t->thread)
        ops->self(t, &c.pid, &c.pgrp, &c.sid);
    return c;
}

bool tty_is_controlling(const struct tty *tty, const struct tty_caller *c)
{
    return c->sid != 0 && c->sid == load_relaxed(&tty->session);
}

int tty_check_pgrp(int32_t pgrp, int32_t sid)
{
    const struct tty_job_ops *ops = load_acquire(&job);
    return ops ? ops->check_pgrp(pgrp, sid) : -ESRCH;
}

static bool in_background(const struct tty *tty, const struct tty_caller *c)
{
    int32_t pgrp = load_relaxed(&tty->pgrp);
    return tty_is_controlling(tty, c) && pgrp != 0 && pgrp != c->pgrp;
}

// POSIX XBD 11.1.4: who reads or changes the terminal from the background is stopped.
static long stop_caller(struct task *t, const struct tty_caller *c, int sig)
{
    if (job->orphaned && job->orphaned(t))
        return -EIO;
    job->signal_pgrp(c->pgrp, sig);
    return -ERESTARTSYS;
}

long tty_check_read(struct tty *tty, struct task *t)
{
    struct tty_caller c = tty_caller(t);
    if (!in_background(tty, &c))
        return 0;
    return job->ignores(t, TTY_SIGTTIN) ? -EIO : stop_caller(t, &c, TTY_SIGTTIN);
}

long tty_check_change(struct tty *tty, struct task *t)
{
    struct tty_caller c = tty_caller(t);
    if (!in_background(tty, &c) || job->ignores(t, TTY_SIGTTOU))
        return 0;
    return stop_caller(t, &c, TTY_SIGTTOU);
}

void tty_session_exit(int32_t sid)
{
    struct tty *tty = &tty_console;
    spin_lock(&tty->lock);
    bool ours = sid != 0 && tty->session == sid;
    int32_t pgrp = tty->pgrp;
    if (ours)
        tty->session = tty->pgrp = 0;
    spin_unlock(&tty->lock);
    if (ours) {
        tty_signal(pgrp, TTY_SIGHUP);
        tty_signal(pgrp, TTY_SIGCONT);
    }
}

uint32_t tty_of_session(int32_t sid)
{
    return sid != 0 && load_relaxed(&tty_console.session) == sid ? TTY_DEVICE : 0;
}

int32_t tty_foreground_pgrp(void)
{
    return load_relaxed(&tty_console.pgrp);
}

// ---- waiting

ASYNC(tty_wait_input, struct waiter w; long r;)
{
    ASYNC_BEGIN(tty_wait_input);
    waiter_init(&f->w);
    f->r = 0;
    spin_lock(&f->tty->lock);
    while (ldisc_readable(&f->tty->ld) < 0 && f->r == 0) {
        waitq_add(&f->tty->readers, &f->w, t);
        spin_unlock(&f->tty->lock);
        SUSPEND("terminal input");
        spin_lock(&f->tty->lock);
        waitq_remove(&f->tty->readers, &f->w);
        if (task_interrupted(t))
            f->r = -ERESTARTSYS;
    }
    spin_unlock(&f->tty->lock);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    waiter_finish(&f->tty->lock, &f->tty->readers, &f->w);
    ASYNC_END;
}

static bool output_ready(const struct tty *tty, bool drained)
{
    return drained ? ldisc_out_pending(&tty->ld) == 0 : ldisc_out_room(&tty->ld);
}

ASYNC(tty_wait_output, struct waiter w; long r;)
{
    ASYNC_BEGIN(tty_wait_output);
    waiter_init(&f->w);
    f->r = 0;
    spin_lock(&f->tty->lock);
    while (!output_ready(f->tty, f->drained) && f->r == 0) {
        waitq_add(&f->tty->writers, &f->w, t);
        spin_unlock(&f->tty->lock);
        SUSPEND("terminal output");
        spin_lock(&f->tty->lock);
        waitq_remove(&f->tty->writers, &f->w);
        if (task_interrupted(t))
            f->r = -ERESTARTSYS;
    }
    spin_unlock(&f->tty->lock);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    waiter_finish(&f->tty->lock, &f->tty->writers, &f->w);
    ASYNC_END;
}
