// SPDX-License-Identifier: MIT
// Terminals: what goes in and out, and waiting for it; and the console, which is one: see tty.h.
#include "fs/tty.h"

#include "dev/uart.h"
#include "fs/poll.h"
#include "fs/tty_impl.h"
#include "lib/init.h"

static uint64_t last_id;

void tty_init(struct tty *tty, const struct tty_driver *driver, uint64_t dev)
{
    tty->id = atomic_add64(&last_id, 1) + 1;
    tty->refs = 1;
    tty->driver = driver;
    tty->dev = dev;
    spin_init(&tty->lock, "tty");
    ldisc_init(&tty->ld);
    waitq_init(&tty->readers);
    waitq_init(&tty->writers);
    waitq_init(&tty->pollers);
    mutex_init(&tty->write_lock, "tty write");
    mutex_init(&tty->read_lock, "tty read");
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

void tty_act(struct tty *tty, unsigned bits)
{
    if (bits & LDISC_OUT_READY)
        tty->driver->output(tty);
    if (bits & LDISC_SIGINT)
        tty_signal(tty, TTY_SIGINT);
    if (bits & LDISC_SIGQUIT)
        tty_signal(tty, TTY_SIGQUIT);
    if (bits & LDISC_SIGTSTP)
        tty_signal(tty, TTY_SIGTSTP);
}

void tty_input_taken_locked(struct tty *tty)
{
    if (tty->driver->input_taken)
        tty->driver->input_taken(tty);
}

size_t tty_pull_locked(struct tty *tty, uint8_t *buf, size_t max)
{
    size_t n = ldisc_pull(&tty->ld, buf, max);
    if (n > 0 && ldisc_out_room(&tty->ld)) {
        waitq_wake_all(&tty->writers);
        poll_wake(&tty->pollers, POLLOUT | POLLWRNORM);
    }
    return n;
}

void tty_change_winsize(struct tty *tty, const struct winsize_k *size)
{
    spin_lock(&tty->lock);
    bool changed = memcmp(&tty->winsize, size, sizeof *size) != 0;
    tty->winsize = *size;
    spin_unlock(&tty->lock);
    if (changed)
        tty_signal(tty, TTY_SIGWINCH);
}

// ---- the console

static void console_output(struct tty *tty)
{
    (void)tty;
    uart_kick();
}

static const struct tty_driver console_driver = {.output = console_output};
struct tty tty_console;

static void console_init(void)
{
    tty_init(&tty_console, &console_driver, MAKEDEV(4, 64));
}
INIT(INIT_EARLY, console_init);

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
    spin_lock(&tty_console.lock);
    size_t n = tty_pull_locked(&tty_console, buf, max);
    spin_unlock(&tty_console.lock);
    return n;
}

void tty_set_winsize(uint16_t rows, uint16_t cols)
{
    tty_change_winsize(&tty_console, &(struct winsize_k){.rows = rows, .cols = cols});
}

// ---- waiting. Whether a signal came is asked before each sleep: its wake may have been spent on another step of the task.

static bool input_ready(const struct tty_file *of)
{
    return ldisc_readable(&of->tty->ld) >= 0 || of->tty->gone || tty_file_hung(of);
}

ASYNC(tty_wait_input, struct waiter w; struct tty *tty; long r;)
{
    ASYNC_BEGIN(tty_wait_input);
    waiter_init(&f->w);
    f->tty = f->of->tty;
    f->r = 0;
    spin_lock(&f->tty->lock);
    while (!input_ready(f->of)) {
        if (task_interrupted(t)) {
            f->r = -ERESTARTSYS;
            break;
        }
        waitq_add(&f->tty->readers, &f->w, t);
        spin_unlock(&f->tty->lock);
        SUSPEND("terminal input");
        spin_lock(&f->tty->lock);
    }
    waitq_remove(&f->tty->readers, &f->w);
    spin_unlock(&f->tty->lock);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    waiter_finish(&f->tty->lock, &f->tty->readers, &f->w);
    ASYNC_END;
}

static bool output_ready(const struct tty_file *of, bool drained)
{
    const struct ldisc *ld = &of->tty->ld;
    return (drained ? ldisc_out_pending(ld) == 0 : ldisc_out_room(ld)) || tty_file_hung(of);
}

ASYNC(tty_wait_output, struct waiter w; struct tty *tty; long r;)
{
    ASYNC_BEGIN(tty_wait_output);
    waiter_init(&f->w);
    f->tty = f->of->tty;
    f->r = 0;
    spin_lock(&f->tty->lock);
    while (!output_ready(f->of, f->drained)) {
        if (task_interrupted(t)) {
            f->r = -ERESTARTSYS;
            break;
        }
        waitq_add(&f->tty->writers, &f->w, t);
        spin_unlock(&f->tty->lock);
        SUSPEND("terminal output");
        spin_lock(&f->tty->lock);
    }
    waitq_remove(&f->tty->writers, &f->w);
    spin_unlock(&f->tty->lock);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    waiter_finish(&f->tty->lock, &f->tty->writers, &f->w);
    ASYNC_END;
}
