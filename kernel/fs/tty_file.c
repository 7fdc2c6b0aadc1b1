// SPDX-License-Identifier: MIT
// Terminals as open files: /dev/console, /dev/tty and /dev/ttyS0.
//
// Bytes go through a small buffer in the frame, because the tty's lock is not held across a copy
// that may have to wait for a user page. What was already taken is reported when a signal or a
// bad page ends the transfer.
#include "dev/uart.h"
#include "fs/file.h"
#include "fs/poll.h"
#include "fs/tty_impl.h"

enum { CHUNK = 128, WRITE_TURN = 16384, NS_PER_DECISECOND = 100000000 };
enum { DEV_TTY = 5 << 8 | 0, DEV_TTYS0 = 4 << 8 | 64 };

ASYNC_IMPL_DECL(tty_ioctl); // tty_ioctl.c

static bool is_dev_tty(const struct file *file)
{
    return file->vnode && file->vnode->rdev == DEV_TTY;
}

// Linux: opening a terminal makes it the controlling one of a session leader that has none;
// /dev/console never does, /dev/tty must already be there.
ASYNC_IMPL(tty_open, file_open, )
{
    ASYNC_BEGIN(tty_open);
    struct tty_caller c = tty_caller(t);
    struct tty *tty = &tty_console;
    if (is_dev_tty(f->file))
        ASYNC_RETURN(tty_is_controlling(tty, &c) ? 0 : -ENXIO);
    if (f->file->vnode->rdev == DEV_TTYS0 && !(f->file->flags & O_NOCTTY) && c.pid != 0 &&
        c.pid == c.sid) {
        spin_lock(&tty->lock);
        if (tty->session == 0) {
            tty->session = c.sid;
            tty->pgrp = c.pgrp;
        }
        spin_unlock(&tty->lock);
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// How a read in raw mode ends: after `need` bytes, or when no byte came for `timeout_ns`.
struct read_rule {
    uint64_t timeout_ns; // 0: for ever
    size_t need;         // 1 in canonical mode
    bool canonical;
    bool first_too; // the timeout runs before the first byte already
};

static struct read_rule read_rule_of(struct tty *tty, size_t count)
{
    spin_lock(&tty->lock);
    const struct termios2 *tio = &tty->ld.termios;
    struct read_rule rule = {.need = 1, .canonical = tio->c_lflag & ICANON};
    if (!rule.canonical) {
        size_t min = tio->c_cc[VMIN];
        rule.need = min < count ? min : count;
        rule.timeout_ns = (uint64_t)tio->c_cc[VTIME] * NS_PER_DECISECOND;
        rule.first_too = min == 0;
    }
    spin_unlock(&tty->lock);
    return rule;
}

ASYNC_IMPL(tty_read, file_read, struct read_rule rule; struct deadline d; size_t got; long n;
           long off; long r; bool end; uint8_t chunk[CHUNK];)
{
    ASYNC_BEGIN(tty_read);
    f->got = 0;
    f->r = 0;
    while (f->buf->left > 0) {
        f->r = tty_check_read(&tty_console, t);
        if (f->r < 0)
            break;
        f->rule = read_rule_of(&tty_console, f->buf->left + f->got);

        spin_lock(&tty_console.lock);
        f->n = ldisc_read(&tty_console.ld, f->chunk, f->buf->left < CHUNK ? f->buf->left : CHUNK,
                          &f->end);
        spin_unlock(&tty_console.lock);
        if (f->n >= 0) {
            AWAIT(f->r, iobuf_out_all, f->buf, f->chunk, (size_t)f->n);
            if (f->r < 0)
                break;
            f->got += (size_t)f->r;
            if (f->r < f->n)
                break; // a bad page behind the first ones
            f->r = 0;
            if (f->end && (f->rule.canonical || f->got >= f->rule.need))
                break;
            continue;
        }
        if (f->got >= f->rule.need && f->got > 0)
            break;
        if (f->rule.need == 0 && f->rule.timeout_ns == 0)
            break;
        if (f->file->flags & O_NONBLOCK) {
            f->r = -EAGAIN;
            break;
        }
        if (f->rule.timeout_ns && (f->got > 0 || f->rule.first_too))
            AWAIT_WITHIN(f->r, &f->d, f->rule.timeout_ns, tty_wait_input, &tty_console);
        else
            AWAIT(f->r, tty_wait_input, &tty_console);
        if (f->r == -ETIMEDOUT) {
            f->r = 0;
            break;
        }
        if (f->r < 0)
            break;
    }
    ASYNC_RETURN(f->got > 0 || f->r == 0 ? (long)f->got : f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

static long check_write(struct task *t)
{
    bool tostop = load_relaxed(&tty_console.ld.termios.c_lflag) & TOSTOP;
    return tostop ? tty_check_change(&tty_console, t) : 0;
}

static size_t put_some(const uint8_t *buf, size_t n)
{
    spin_lock(&tty_console.lock);
    size_t put = ldisc_write(&tty_console.ld, buf, n);
    spin_unlock(&tty_console.lock);
    if (put > 0)
        uart_kick();
    return put;
}

ASYNC_IMPL(tty_write, file_write, size_t written; size_t have; size_t off; long r; size_t turn;
           uint8_t chunk[CHUNK];)
{
    ASYNC_BEGIN(tty_write);
    f->written = f->turn = 0;
    f->r = check_write(t);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (!mutex_trylock(&tty_console.write_lock, t)) {
        if (f->file->flags & O_NONBLOCK)
            ASYNC_RETURN(-EAGAIN);
        AWAIT(f->r, mutex_lock, &tty_console.write_lock, true);
        if (f->r < 0)
            ASYNC_RETURN(-ERESTARTSYS);
    }
    while (f->r >= 0 && f->buf->left > 0) {
        f->have = f->buf->left < CHUNK ? f->buf->left : CHUNK;
        AWAIT(f->r, iobuf_in_all, f->buf, f->chunk, f->have);
        if (f->r <= 0)
            break;
        f->have = (size_t)f->r;
        f->off = 0;
        for (;;) {
            f->off += put_some(f->chunk + f->off, f->have - f->off);
            if (f->off == f->have)
                break;
            if (f->file->flags & O_NONBLOCK)
                f->r = -EAGAIN;
            else
                AWAIT(f->r, tty_wait_output, &tty_console, false);
            if (f->r < 0)
                break;
        }
        f->written += f->off;
        f->turn += f->off;
        if (f->turn >= WRITE_TURN) {
            f->turn = 0;
            YIELD();
        }
    }
    ASYNC_RETURN(f->written > 0 ? (long)f->written : f->r);
    ASYNC_FINALLY;
    if (mutex_held(&tty_console.write_lock, t))
        mutex_unlock(&tty_console.write_lock, t);
    ASYNC_END;
}

static uint32_t tty_poll(struct file *file, struct poll_list *pl)
{
    struct tty *tty = &tty_console;
    (void)file;
    spin_lock(&tty->lock);
    if (pl)
        poll_add(pl, &tty->lock, &tty->pollers, POLL_ANY);
    const struct termios2 *tio = &tty->ld.termios;
    long need = tio->c_lflag & ICANON || tio->c_cc[VTIME] || !tio->c_cc[VMIN] ? 0 : tio->c_cc[VMIN];
    uint32_t mask = 0;
    if (ldisc_readable(&tty->ld) >= need)
        mask |= POLLIN | POLLRDNORM;
    if (ldisc_out_room(&tty->ld))
        mask |= POLLOUT | POLLWRNORM;
    spin_unlock(&tty->lock);
    return mask;
}

static const struct file_ops tty_file_ops = {
    .open = &tty_open_fn,
    .read = &tty_read_fn,
    .write = &tty_write_fn,
    .ioctl = &tty_ioctl_fn,
    .poll = tty_poll,
    .flags = FILE_OPS_STREAM,
};
CHARDEV(tty, 5, 0, 0666, &tty_file_ops);
CHARDEV(console, 5, 1, 0600, &tty_file_ops);
CHARDEV(ttyS0, 4, 64, 0660, &tty_file_ops);
