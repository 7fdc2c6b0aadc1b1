// SPDX-License-Identifier: MIT
// The master of a pseudo terminal: an open file of /dev/ptmx. See pty.c.
#include "fs/fsctx.h"
#include "fs/poll.h"
#include "fs/pty.h"
#include "mem/user.h"
#include "page/heap.h"
#include "task/thread.h"

#include <stdio.h>

enum { CHUNK = 128, READ_MOST = 4096, TYPE_LINE = 8, TIOCGPTPEER = 0x5441 };
#define TIOCGPTN   0x80045430u
#define TIOCSPTLCK 0x40045431u
#define TIOCSIG    0x40045436u
#define TIOCGPTLCK 0x80045439u

static inline struct pty *pty_of(const struct file *master)
{
    return container_of(tty_file_of(master)->tty, struct pty, tty);
}

ASYNC_IMPL(ptm_open, file_open, struct pty *p; long r;)
{
    ASYNC_BEGIN(ptm_open);
    struct tty_file *of = kzalloc(sizeof *of);
    f->r = of ? pty_new(t->thread->cred, &f->p) : -ENOMEM;
    if (f->r < 0) {
        kfree(of);
        ASYNC_RETURN(f->r);
    }
    *of = (struct tty_file){.tty = &f->p->tty, .master = true};
    f->file->priv = of;
    pty_set_named(f->p, true);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

static void ptm_release(struct file *file)
{
    if (!file->priv)
        return; // the open failed
    struct pty *p = pty_of(file);
    pty_set_named(p, false);
    store_relaxed(&p->tty.gone, true);
    tty_hang_up(&p->tty, false);
    kfree(file->priv);
    tty_put(&p->tty);
}

// 0, -EIO nobody has the slave open, -EAGAIN. Lock held.
static long master_ready(const struct pty *p, bool for_output)
{
    if (for_output ? ldisc_out_held(&p->tty.ld) > 0 : ldisc_in_room(&p->tty.ld))
        return 0;
    return for_output && p->slave_closed ? -EIO : -EAGAIN;
}

ASYNC_DECL(ptm_wait, struct file *file; bool for_output;);
// Until the slave has written something, or input finds room: 0 or as above, -ERESTARTSYS.
ASYNC(ptm_wait, struct waiter w; struct pty *p; struct waitq *q; long r;)
{
    ASYNC_BEGIN(ptm_wait);
    waiter_init(&f->w);
    f->p = pty_of(f->file);
    f->q = f->for_output ? &f->p->readers : &f->p->writers;
    spin_lock(&f->p->tty.lock);
    for (;;) {
        f->r = master_ready(f->p, f->for_output);
        if (f->r == -EAGAIN && !(f->file->flags & O_NONBLOCK))
            f->r = task_interrupted(t) ? -ERESTARTSYS : 1;
        if (f->r <= 0)
            break;
        waitq_add(f->q, &f->w, t);
        spin_unlock(&f->p->tty.lock);
        SUSPEND("the other end of a pseudo terminal");
        spin_lock(&f->p->tty.lock);
    }
    waitq_remove(f->q, &f->w);
    spin_unlock(&f->p->tty.lock);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    waiter_finish(&f->p->tty.lock, f->q, &f->w);
    ASYNC_END;
}

static size_t take_output(struct tty *tty, uint8_t *buf, size_t n)
{
    spin_lock(&tty->lock);
    n = tty_pull_locked(tty, buf, n);
    spin_unlock(&tty->lock);
    return n;
}

ASYNC_IMPL(ptm_read, file_read, size_t got; size_t n; long r; uint8_t chunk[CHUNK];)
{
    ASYNC_BEGIN(ptm_read);
    f->got = 0;
    f->r = 0;
    while (f->buf->left > 0) {
        f->n = take_output(&pty_of(f->file)->tty, f->chunk,
                           f->buf->left < CHUNK ? f->buf->left : CHUNK);
        if (f->n == 0 && f->got > 0)
            break;
        if (f->n > 0)
            AWAIT(f->r, iobuf_out_all, f->buf, f->chunk, f->n);
        else
            AWAIT(f->r, ptm_wait, f->file, true);
        if (f->r < 0)
            break;
        f->got += (size_t)f->r;
        if ((size_t)f->r < f->n || f->got >= READ_MOST)
            break; // a bad page behind the first ones; or the slave may write on for ever
    }
    ASYNC_RETURN(f->got > 0 ? (long)f->got : f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// Types as much of it as there is room for; few bytes at a time where one may change a whole line, because the lock keeps
// interrupts off.
static size_t type(struct tty *tty, const uint8_t *buf, size_t n)
{
    unsigned bits = 0;
    size_t i = 0;
    spin_lock(&tty->lock);
    if (tty->ld.termios.c_lflag & ICANON && n > TYPE_LINE)
        n = TYPE_LINE;
    while (i < n && ldisc_in_room(&tty->ld))
        bits |= ldisc_input(&tty->ld, buf[i++]);
    tty_wake_locked(tty, bits);
    spin_unlock(&tty->lock);
    tty_act(tty, bits);
    return i;
}

ASYNC_IMPL(ptm_write, file_write, struct pty *p; size_t written; size_t have; size_t off; long r;
           uint8_t chunk[CHUNK];)
{
    ASYNC_BEGIN(ptm_write);
    f->p = pty_of(f->file);
    f->written = 0;
    f->r = 0;
    if (!mutex_trylock(&f->p->type_lock, t)) {
        if (f->file->flags & O_NONBLOCK)
            ASYNC_RETURN(-EAGAIN);
        AWAIT(f->r, mutex_lock, &f->p->type_lock, true);
        if (f->r < 0)
            ASYNC_RETURN(-ERESTARTSYS);
    }
    while (f->r >= 0 && f->buf->left > 0) {
        AWAIT(f->r, iobuf_in_all, f->buf, f->chunk, f->buf->left < CHUNK ? f->buf->left : CHUNK);
        if (f->r <= 0)
            break;
        f->have = (size_t)f->r;
        f->off = 0;
        for (;;) {
            f->off += type(&f->p->tty, f->chunk + f->off, f->have - f->off);
            if (f->off == f->have)
                break;
            YIELD();
            AWAIT(f->r, ptm_wait, f->file, false);
            if (f->r < 0)
                break;
        }
        f->written += f->off;
        YIELD();
    }
    ASYNC_RETURN(f->written > 0 ? (long)f->written : f->r);
    ASYNC_FINALLY;
    if (mutex_held(&f->p->type_lock, t))
        mutex_unlock(&f->p->type_lock, t);
    ASYNC_END;
}

static uint32_t ptm_poll(struct file *file, struct poll_list *pl)
{
    struct pty *p = pty_of(file);
    uint32_t mask = 0;
    spin_lock(&p->tty.lock);
    if (pl)
        poll_add(pl, &p->tty.lock, &p->pollers, POLL_ANY);
    if (ldisc_out_held(&p->tty.ld))
        mask |= POLLIN | POLLRDNORM;
    if (ldisc_in_room(&p->tty.ld))
        mask |= POLLOUT | POLLWRNORM;
    if (p->slave_closed)
        mask |= POLLHUP;
    spin_unlock(&p->tty.lock);
    return mask;
}

// ---- what only the master is asked

// TIOCSIG: as if the key had been pressed that the terminal has for it.
static long signal_foreground(struct pty *p, uint64_t sig)
{
    if (sig != TTY_SIGINT && sig != TTY_SIGQUIT && sig != TTY_SIGTSTP)
        return -EINVAL;
    tty_signal(&p->tty, (int)sig);
    return 0;
}

// Opens the slave, by its name, and puts it into the caller's table.
ASYNC_DECL(open_peer, struct pty *p; uint32_t flags;);
ASYNC(open_peer, char name[24]; struct file *file; long r;)
{
    ASYNC_BEGIN(open_peer);
    snprintf(f->name, sizeof f->name, "/dev/pts/%u", (unsigned)f->p->index);
    AWAIT(f->r, file_open_kernel, f->name, f->flags & ~(uint32_t)(O_CREAT | O_CLOEXEC), 0,
          &f->file);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->r = fd_install(t->thread->files, f->file, 0, t->thread->process->rlimit[RLIMIT_NOFILE].cur,
                      f->flags & O_CLOEXEC);
    if (f->r < 0)
        file_put(f->file);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(ptm_ioctl, file_ioctl, struct pty *p; int32_t number; long r;)
{
    ASYNC_BEGIN(ptm_ioctl);
    f->p = pty_of(f->file);
    f->number = f->cmd == TIOCGPTN ? (int32_t)f->p->index : load_relaxed(&f->p->locked);
    if (f->cmd == TIOCGPTN || f->cmd == TIOCGPTLCK) {
        AWAIT(f->r, user_write, t->thread->space, f->arg, &f->number, sizeof f->number);
    } else if (f->cmd == TIOCSPTLCK) {
        AWAIT(f->r, user_read, t->thread->space, &f->number, f->arg, sizeof f->number);
        if (f->r == 0)
            store_relaxed(&f->p->locked, f->number != 0);
    } else if (f->cmd == TIOCSIG) {
        f->r = signal_foreground(f->p, f->arg);
    } else if (f->cmd == TIOCGPTPEER) {
        AWAIT(f->r, open_peer, f->p, (uint32_t)f->arg);
    } else {
        AWAIT(f->r, tty_control, f->file, f->cmd, f->arg);
    }
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

static const struct file_ops ptm_file_ops = {
    .open = &ptm_open_fn,
    .read = &ptm_read_fn,
    .write = &ptm_write_fn,
    .ioctl = &ptm_ioctl_fn,
    .poll = ptm_poll,
    .release = ptm_release,
    .flags = FILE_OPS_STREAM,
};
CHARDEV(ptmx, 5, 2, 0666, &ptm_file_ops);
