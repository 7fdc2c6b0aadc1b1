// SPDX-License-Identifier: MIT
// Pseudo terminals: their life and numbers, and the slave, which is a terminal like others (tty_file.c).
// The master: ptm.c.
//
// There is no buffer between the ends but the line discipline's two rings: what the slave writes waits in
// the output ring until the master reads it, what the master writes is typed. A full ring holds the writer.
// When the master closes, the terminal is hung up; when the slave's last file closes, the master reads what
// is left and then gets EIO, until somebody opens the slave again.
#include "fs/pty.h"

#include "fs/path.h"
#include "fs/poll.h"
#include "page/heap.h"
#include "task/thread.h"

uint32_t pts_gid = UINT32_MAX, pts_mode = 0600;
static struct spinlock ptys_lock = SPINLOCK_INIT("ptys");
static struct list ptys = LIST_INIT(ptys);

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

size_t pty_list(uint32_t from, uint32_t *index, size_t max)
{
    size_t n = 0;
    spin_lock(&ptys_lock);
    for (struct list *it = ptys.next; it != &ptys && n < max; it = it->next)
        if (entry_of(it)->index >= from && entry_of(it)->named)
            index[n++] = entry_of(it)->index;
    spin_unlock(&ptys_lock);
    return n;
}

// The terminal that v stands for, which may be without a name by now; NULL: it is no more. Its number may be another's.
static struct pty *of_vnode_locked(const struct vnode *v)
{
    LIST_FOREACH(it, &ptys)
        if (entry_of(it)->tty.id == (uintptr_t)v->priv)
            return entry_of(it);
    return NULL;
}

static bool load_owner_locked(const struct pty *p, struct vnode *v)
{
    if (!p)
        return false;
    v->mode = S_IFCHR | p->mode;
    v->uid = p->uid;
    v->gid = p->gid;
    return true;
}

bool pty_load_owner(struct vnode *v)
{
    spin_lock(&ptys_lock);
    bool found = load_owner_locked(of_vnode_locked(v), v);
    spin_unlock(&ptys_lock);
    return found;
}

void pty_store_owner(const struct vnode *v)
{
    spin_lock(&ptys_lock);
    struct pty *p = of_vnode_locked(v);
    if (p) {
        p->mode = v->mode & S_IALLUGO;
        p->uid = v->uid;
        p->gid = v->gid;
    }
    spin_unlock(&ptys_lock);
}

// ---- for the monitor

struct tty *tty_find(uint64_t id)
{
    struct tty *found = NULL;
    if (id == tty_console.id) {
        tty_get(&tty_console);
        return &tty_console;
    }
    spin_lock(&ptys_lock);
    LIST_FOREACH(it, &ptys)
        if (entry_of(it)->tty.id == id && ref_get_unless_zero(&entry_of(it)->tty.refs))
            found = &entry_of(it)->tty;
    spin_unlock(&ptys_lock);
    return found;
}

uint64_t tty_next(uint64_t from)
{
    uint64_t next = from <= tty_console.id ? tty_console.id : UINT64_MAX;
    spin_lock(&ptys_lock);
    LIST_FOREACH(it, &ptys) {
        uint64_t id = entry_of(it)->tty.id;
        if (id >= from && id < next)
            next = id;
    }
    spin_unlock(&ptys_lock);
    return next;
}

// ---- birth

int pty_new(const struct credentials *cred, struct pty **out)
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
    mutex_init(&p->type_lock, "pty type");
    p->locked = true;
    p->mode = pts_mode & S_IALLUGO;
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

void pty_set_named(struct pty *p, bool on)
{
    spin_lock(&ptys_lock);
    p->named = on;
    spin_unlock(&ptys_lock);
}

// ---- the slave

// What the vnode said to who was let through may be old: another vnode, or the terminal's number another's, since.
static int find_to_open(const struct file *file, struct pty **out)
{
    uint32_t want = (file->readable ? R_OK : 0) | (file->writable ? W_OK : 0);
    spin_lock(&ptys_lock);
    struct pty *p = of_vnode_locked(file->vnode);
    int r = p && p->named ? 0 : -EIO;
    if (r == 0 && load_owner_locked(p, file->vnode))
        r = vnode_permission(file->vnode, want);
    if (r == 0 && !ref_get_unless_zero(&p->tty.refs))
        r = -EIO; // closed just now
    spin_unlock(&ptys_lock);
    *out = p;
    return r;
}

ASYNC_IMPL(pts_open, file_open, struct pty *p; long r;)
{
    ASYNC_BEGIN(pts_open);
    f->r = find_to_open(f->file, &f->p);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
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
