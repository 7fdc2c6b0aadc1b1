// SPDX-License-Identifier: MIT
// Pseudo terminals: /dev/ptmx and both ends' life. What the slave does as a terminal is tty_file.c's.
//
// There is no buffer between the ends but the line discipline's two rings: what the slave writes waits in
// the output ring until the master reads it, what the master writes is typed. A full ring holds the writer.
// When the master closes, the terminal is hung up; when the slave's last file closes, the master reads what
// is left and then gets EIO, until somebody opens the slave again.
#include "fs/pty.h"

#include "fs/fsctx.h"
#include "fs/poll.h"
#include "mem/user.h"
#include "page/heap.h"
#include "task/thread.h"

#include <stdio.h>

enum { CHUNK = 128, TIOCGPTPEER = 0x5441 };
#define TIOCGPTN   0x80045430u
#define TIOCSPTLCK 0x40045431u
#define TIOCSIG    0x40045436u
#define TIOCGPTLCK 0x80045439u

uint32_t pts_gid = UINT32_MAX, pts_mode = 0600;
static struct spinlock ptys_lock = SPINLOCK_INIT("ptys");
static struct list ptys = LIST_INIT(ptys);

static inline struct pty *pty_of(const struct file *master)
{
    return container_of(tty_file_of(master)->tty, struct pty, tty);
}

// ---- the terminal's side

static void wake_master_locked(struct pty *p, uint32_t events)
{
    if (events & POLLIN)
        waitq_wake_all(&p->readers);
    if (events & POLLOUT)
        waitq_wake_all(&p->writers);
    poll_wake(&p->pollers, events);
}

static void pty_output(struct tty *tty)
{
    spin_lock(&tty->lock);
    if (ldisc_out_held(&tty->ld))
        wake_master_locked(container_of(tty, struct pty, tty), POLLIN | POLLRDNORM);
    spin_unlock(&tty->lock);
}

static void pty_input_taken(struct tty *tty)
{
    if (ldisc_in_room(&tty->ld))
        wake_master_locked(container_of(tty, struct pty, tty), POLLOUT | POLLWRNORM);
}

static void pty_opened(struct tty *tty, bool on)
{
    struct pty *p = container_of(tty, struct pty, tty);
    p->slave_closed = !on;
    if (!on)
        wake_master_locked(p, POLLIN | POLLRDNORM | POLLHUP);
}

static void pty_free(struct tty *tty)
{
    struct pty *p = container_of(tty, struct pty, tty);
    spin_lock(&ptys_lock);
    list_remove(&p->all);
    spin_unlock(&ptys_lock);
    kfree(p);
}

static const struct tty_driver pty_driver = {
    .output = pty_output,
    .input_taken = pty_input_taken,
    .opened = pty_opened,
    .free = pty_free,
    .pty = true,
};

// ---- numbers

static inline struct pty *entry_of(struct list *it)
{
    return list_entry(it, struct pty, all);
}

// Takes the lowest free number. False: there is none.
static bool add(struct pty *p)
{
    struct list *at = &ptys;
    p->index = 0;
    spin_lock(&ptys_lock);
    while (at->next != &ptys && entry_of(at->next)->index == p->index) {
        at = at->next;
        p->index++;
    }
    bool ok = p->index < PTY_MAX;
    if (ok)
        list_insert_after(at, &p->all);
    spin_unlock(&ptys_lock);
    return ok;
}

static struct pty *find_locked(uint32_t index)
{
    LIST_FOREACH(it, &ptys)
        if (entry_of(it)->index == index && entry_of(it)->named)
            return entry_of(it);
    return NULL;
}

struct pty *pty_find(uint32_t index)
{
    spin_lock(&ptys_lock);
    struct pty *p = find_locked(index);
    if (p && !ref_get_unless_zero(&p->tty.refs))
        p = NULL;
    spin_unlock(&ptys_lock);
    return p;
}

uint32_t pty_next(uint32_t from)
{
    uint32_t found = UINT32_MAX;
    spin_lock(&ptys_lock);
    LIST_FOREACH(it, &ptys)
        if (entry_of(it)->index >= from && entry_of(it)->named) {
            found = entry_of(it)->index;
            break;
        }
    spin_unlock(&ptys_lock);
    return found;
}

void pty_store_owner(uint32_t index, const struct vnode *v)
{
    spin_lock(&ptys_lock);
    struct pty *p = find_locked(index);
    if (p) {
        p->mode = v->mode & S_IALLUGO;
        p->uid = v->uid;
        p->gid = v->gid;
    }
    spin_unlock(&ptys_lock);
}

bool pty_owner(uint32_t index, uint32_t *mode, uint32_t *uid, uint32_t *gid)
{
    spin_lock(&ptys_lock);
    const struct pty *p = find_locked(index);
    if (p) {
        *mode = p->mode;
        *uid = p->uid;
        *gid = p->gid;
    }
    spin_unlock(&ptys_lock);
    return p;
}

static int pty_new(const struct credentials *cred, struct pty **out)
{
    struct pty *p = kzalloc(sizeof *p);
    if (!p)
        return -ENOMEM;
    tty_init(&p->tty, &pty_driver, 0);
    p->tty.ld.direct = true;
    p->tty.ld.termios.c_cflag &= ~(uint32_t)HUPCL;
    waitq_init(&p->readers);
    waitq_init(&p->writers);
    waitq_init(&p->pollers);
    p->locked = true;
    p->mode = pts_mode;
    p->uid = cred->fsuid;
    p->gid = pts_gid == UINT32_MAX ? cred->fsgid : pts_gid;
    p->made_ns = vnode_now_ns();
    if (!add(p)) {
        kfree(p);
        return -ENOSPC;
    }
    p->tty.dev = MAKEDEV(PTS_MAJOR, p->index);
    *out = p;
    return 0;
}

static void set_named(struct pty *p, bool on)
{
    spin_lock(&ptys_lock);
    p->named = on;
    spin_unlock(&ptys_lock);
}

// ---- the master

ASYNC_IMPL(ptm_open, file_open, struct pty *p; long r;)
{
    ASYNC_BEGIN(ptm_open);
    struct tty_file *of = kzalloc(sizeof *of);
    f->r = of ? pty_new(&t->thread->process->cred, &f->p) : -ENOMEM;
    if (f->r < 0) {
        kfree(of);
        ASYNC_RETURN(f->r);
    }
    *of = (struct tty_file){.tty = &f->p->tty, .master = true};
    f->file->priv = of;
    set_named(f->p, true);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

static void ptm_release(struct file *file)
{
    if (!file->priv)
        return; // the open failed
    struct pty *p = pty_of(file);
    set_named(p, false);
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
        if ((size_t)f->r < f->n)
            break; // a bad page behind the first ones
    }
    ASYNC_RETURN(f->got > 0 ? (long)f->got : f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// Types as much of it as there is room for.
static size_t type(struct tty *tty, const uint8_t *buf, size_t n)
{
    unsigned bits = 0;
    size_t i = 0;
    spin_lock(&tty->lock);
    while (i < n && ldisc_in_room(&tty->ld))
        bits |= ldisc_input(&tty->ld, buf[i++]);
    tty_wake_locked(tty, bits);
    spin_unlock(&tty->lock);
    tty_act(tty, bits);
    return i;
}

ASYNC_IMPL(ptm_write, file_write, size_t written; size_t have; size_t off; long r;
           uint8_t chunk[CHUNK];)
{
    ASYNC_BEGIN(ptm_write);
    f->written = 0;
    f->r = 0;
    while (f->r >= 0 && f->buf->left > 0) {
        AWAIT(f->r, iobuf_in_all, f->buf, f->chunk, f->buf->left < CHUNK ? f->buf->left : CHUNK);
        if (f->r <= 0)
            break;
        f->have = (size_t)f->r;
        f->off = 0;
        for (;;) {
            f->off += type(&pty_of(f->file)->tty, f->chunk + f->off, f->have - f->off);
            if (f->off == f->have)
                break;
            AWAIT(f->r, ptm_wait, f->file, false);
            if (f->r < 0)
                break;
        }
        f->written += f->off;
        YIELD();
    }
    ASYNC_RETURN(f->written > 0 ? (long)f->written : f->r);
    ASYNC_FINALLY;
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
    tty_signal(load_relaxed(&p->tty.pgrp), (int)sig);
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

// ---- the slave

ASYNC_IMPL(pts_open, file_open, struct pty *p; long r;)
{
    ASYNC_BEGIN(pts_open);
    f->p = pty_find(DEV_MINOR(f->file->vnode->rdev));
    if (!f->p)
        ASYNC_RETURN(-EIO); // closed just now
    f->r = load_relaxed(&f->p->locked) ? -EIO : tty_file_open(f->file, &f->p->tty);
    if (f->r == 0 && f->file->readable && !(f->file->flags & O_NOCTTY))
        tty_take_at_open(&f->p->tty, t);
    tty_put(&f->p->tty);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

const struct file_ops pts_file_ops = {
    .open = &pts_open_fn,
    .read = &tty_read_fn,
    .write = &tty_write_fn,
    .ioctl = &tty_ioctl_fn,
    .poll = tty_poll,
    .release = tty_file_release,
    .flags = FILE_OPS_STREAM,
};
