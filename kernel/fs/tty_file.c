// SPDX-License-Identifier: MIT
// Terminals as open files: /dev/console, /dev/tty and /dev/ttyS0, and what pseudo terminals have of it.
//
// Bytes go through a small buffer in the frame, because the tty's lock is not held across a copy
// that may have to wait for a user page. What was already taken is reported when a signal or a
// bad page ends the transfer.
#include "fs/poll.h"
#include "fs/tty_impl.h"
#include "page/heap.h"

enum { CHUNK = 128, TURN = 16384, NS_PER_DECISECOND = 100000000 };
enum { DEV_TTY = 5 << 8 | 0, DEV_CONSOLE = 5 << 8 | 1 };

int tty_file_open(struct file *file, struct tty *tty)
{
    struct tty_file *of = kzalloc(sizeof *of);
    if (!of)
        return -ENOMEM;
    of->tty = tty;
    of->console = file->vnode->rdev == DEV_CONSOLE;
    spin_lock(&tty->lock);
    bool gone = load_relaxed(&tty->gone); // set before the hang-up, which would not be this file's
    of->hangups = tty->hangups;
    if (!gone && tty->opens++ == 0 && tty->driver->opened)
        tty->driver->opened(tty, true);
    spin_unlock(&tty->lock);
    if (gone) {
        kfree(of);
        return -EIO;
    }
    tty_get(tty);
    file->priv = of;
    return 0;
}

void tty_file_release(struct file *file)
{
    struct tty_file *of = file->priv;
    if (!of)
        return; // the open failed
    struct tty *tty = of->tty;
    spin_lock(&tty->lock);
    if (--tty->opens == 0 && tty->driver->opened)
        tty->driver->opened(tty, false);
    spin_unlock(&tty->lock);
    tty_put(tty);
    kfree(of);
}

// Linux: opening a terminal makes it the controlling one of a session leader that has none, if it can
// read it; /dev/console never does, /dev/tty must already be there.
ASYNC_IMPL(tty_open, file_open, struct tty *tty; long r;)
{
    ASYNC_BEGIN(tty_open);
    uint64_t dev = f->file->vnode->rdev;
    f->tty = &tty_console;
    if (dev == DEV_TTY && !(f->tty = tty_current(t)))
        ASYNC_RETURN(-ENXIO);
    f->r = tty_file_open(f->file, f->tty);
    if (dev == DEV_TTY)
        tty_put(f->tty);
    else if (f->r == 0 && dev != DEV_CONSOLE && f->file->readable && !(f->file->flags & O_NOCTTY))
        tty_take_at_open(f->tty, t);
    ASYNC_RETURN(f->r);
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

// What is there now; -1: nothing. end: see ldisc_read.
static long take_some(struct tty *tty, uint8_t *buf, size_t n, bool *end)
{
    spin_lock(&tty->lock);
    long r = ldisc_read(&tty->ld, buf, n, end);
    if (r >= 0)
        tty_input_taken_locked(tty);
    spin_unlock(&tty->lock);
    return r;
}

ASYNC_IMPL(tty_read, file_read, struct tty_file *of; struct read_rule rule; struct deadline d;
           size_t got; size_t turn; long n; long r; bool end; uint8_t chunk[CHUNK];)
{
    ASYNC_BEGIN(tty_read);
    f->of = tty_file_of(f->file);
    f->got = f->turn = 0;
    f->r = 0;
    if (tty_file_hung(f->of))
        ASYNC_RETURN(0);
    f->r = tty_check_read(f->of, t); // once: who waits stays a reader, as in Linux
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (!mutex_trylock(&f->of->tty->read_lock, t)) {
        if (f->file->flags & O_NONBLOCK)
            ASYNC_RETURN(-EAGAIN);
        AWAIT(f->r, mutex_lock, &f->of->tty->read_lock, true);
        if (f->r < 0)
            ASYNC_RETURN(-ERESTARTSYS);
    }
    while (f->buf->left > 0) {
        f->rule = read_rule_of(f->of->tty, f->buf->left + f->got);
        f->n =
            take_some(f->of->tty, f->chunk, f->buf->left < CHUNK ? f->buf->left : CHUNK, &f->end);
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
            f->turn += (size_t)f->n;
            if (f->turn >= TURN) {
                f->turn = 0;
                YIELD();
            }
            continue;
        }
        if (f->got >= f->rule.need && f->got > 0)
            break;
        if (load_relaxed(&f->of->tty->gone)) {
            f->r = -EIO;
            break;
        }
        if (tty_file_hung(f->of))
            break;
        if (f->rule.need == 0 && f->rule.timeout_ns == 0)
            break;
        if (f->file->flags & O_NONBLOCK) {
            f->r = -EAGAIN;
            break;
        }
        if (f->rule.timeout_ns && (f->got > 0 || f->rule.first_too))
            AWAIT_WITHIN(f->r, &f->d, f->rule.timeout_ns, tty_wait_input, f->of);
        else
            AWAIT(f->r, tty_wait_input, f->of);
        if (f->r == -ETIMEDOUT) {
            f->r = 0;
            break;
        }
        if (f->r < 0)
            break;
    }
    ASYNC_RETURN(f->got > 0 || f->r == 0 ? (long)f->got : f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->of->tty->read_lock, t))
        mutex_unlock(&f->of->tty->read_lock, t);
    ASYNC_END;
}

static long check_write(const struct tty_file *of, struct task *t)
{
    bool tostop = load_relaxed(&of->tty->ld.termios.c_lflag) & TOSTOP;
    return tty_file_hung(of) ? -EIO : tostop && !of->console ? tty_check_change(of->tty, t) : 0;
}

static size_t put_some(struct tty *tty, const uint8_t *buf, size_t n)
{
    spin_lock(&tty->lock);
    size_t put = ldisc_write(&tty->ld, buf, n);
    spin_unlock(&tty->lock);
    if (put > 0)
        tty->driver->output(tty);
    return put;
}

ASYNC_IMPL(tty_write, file_write, struct tty_file *of; struct tty *tty; size_t written; size_t have;
           size_t off; long r; size_t turn; uint8_t chunk[CHUNK];)
{
    ASYNC_BEGIN(tty_write);
    f->of = tty_file_of(f->file);
    f->tty = f->of->tty;
    f->written = f->turn = 0;
    f->r = check_write(f->of, t);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (!mutex_trylock(&f->tty->write_lock, t)) {
        if (f->file->flags & O_NONBLOCK)
            ASYNC_RETURN(-EAGAIN);
        AWAIT(f->r, mutex_lock, &f->tty->write_lock, true);
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
            if (tty_file_hung(f->of)) {
                f->r = -EIO;
                break;
            }
            f->off += put_some(f->tty, f->chunk + f->off, f->have - f->off);
            if (f->off == f->have)
                break;
            if (f->file->flags & O_NONBLOCK)
                f->r = -EAGAIN;
            else
                AWAIT(f->r, tty_wait_output, f->of, false);
            if (f->r < 0)
                break;
        }
        f->written += f->off;
        f->turn += f->off;
        if (f->turn >= TURN) {
            f->turn = 0;
            YIELD();
        }
    }
    ASYNC_RETURN(f->written > 0 ? (long)f->written : f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->tty->write_lock, t))
        mutex_unlock(&f->tty->write_lock, t);
    ASYNC_END;
}

uint32_t tty_poll(struct file *file, struct poll_list *pl)
{
    const struct tty_file *of = tty_file_of(file);
    struct tty *tty = of->tty;
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
    if (tty_file_hung(of))
        mask = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLERR | POLLHUP;
    spin_unlock(&tty->lock);
    return mask;
}

static const struct file_ops tty_file_ops = {
    .open = &tty_open_fn,
    .read = &tty_read_fn,
    .write = &tty_write_fn,
    .ioctl = &tty_ioctl_fn,
    .poll = tty_poll,
    .release = tty_file_release,
    .flags = FILE_OPS_STREAM,
};
CHARDEV(tty, 5, 0, 0666, &tty_file_ops);
CHARDEV(console, 5, 1, 0600, &tty_file_ops);
CHARDEV(ttyS0, 4, 64, 0660, &tty_file_ops);
