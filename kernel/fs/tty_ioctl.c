// SPDX-License-Identifier: MIT
// The terminal's ioctls (Linux asm-generic numbers, ioctl_tty(2)).
//
// Arguments are copied in first; job control is checked before anything changes; TCSETSW and
// TCSETSF wait until output is sent; then a plain function does the work under the tty's lock.
#include "dev/uart.h"
#include "fs/file.h"
#include "fs/poll.h"
#include "fs/tty_impl.h"
#include "mem/user.h"
#include "task/thread.h"

enum {
    TCGETS = 0x5401,
    TCSETS = 0x5402,
    TCSETSW = 0x5403,
    TCSETSF = 0x5404,
    TCSBRK = 0x5409,
    TCXONC = 0x540a,
    TCFLSH = 0x540b,
    TIOCSCTTY = 0x540e,
    TIOCGPGRP = 0x540f,
    TIOCSPGRP = 0x5410,
    TIOCOUTQ = 0x5411,
    TIOCGWINSZ = 0x5413,
    TIOCSWINSZ = 0x5414,
    FIONREAD = 0x541b,
    TIOCNOTTY = 0x5422,
    TIOCGETD = 0x5424,
    TCSBRKP = 0x5425,
    TIOCGSID = 0x5429,
};
#define TCGETS2  0x802c542au
#define TCSETS2  0x402c542bu
#define TCSETSW2 0x402c542cu
#define TCSETSF2 0x402c542du

enum { TCIFLUSH = 0, TCOFLUSH = 1, TCIOFLUSH = 2, TCOOFF = 0, TCOON = 1 };

enum { CHANGES = 1, DRAINS = 2, FLUSHES = 4 };
struct command {
    uint32_t nr;
    uint8_t in, out; // bytes copied
    uint8_t flags;
};
static const struct command commands[] = {
    {TCGETS, 0, TERMIOS_BYTES, 0},
    {TCGETS2, 0, 44, 0},
    {TCSETS, TERMIOS_BYTES, 0, CHANGES},
    {TCSETSW, TERMIOS_BYTES, 0, CHANGES | DRAINS},
    {TCSETSF, TERMIOS_BYTES, 0, CHANGES | DRAINS | FLUSHES},
    {TCSETS2, 44, 0, CHANGES},
    {TCSETSW2, 44, 0, CHANGES | DRAINS},
    {TCSETSF2, 44, 0, CHANGES | DRAINS | FLUSHES},
    {TCSBRK, 0, 0, CHANGES | DRAINS},
    {TCSBRKP, 0, 0, CHANGES | DRAINS},
    {TCXONC, 0, 0, CHANGES},
    {TCFLSH, 0, 0, CHANGES},
    {TIOCSCTTY, 0, 0, 0},
    {TIOCNOTTY, 0, 0, 0},
    {TIOCGPGRP, 0, 4, 0},
    {TIOCSPGRP, 4, 0, CHANGES},
    {TIOCGSID, 0, 4, 0},
    {TIOCOUTQ, 0, 4, 0},
    {FIONREAD, 0, 4, 0},
    {TIOCGETD, 0, 4, 0},
    {TIOCGWINSZ, 0, sizeof(struct winsize_k), 0},
    {TIOCSWINSZ, sizeof(struct winsize_k), 0, 0},
};

static const struct command *command_of(uint32_t nr)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (commands[i].nr == nr)
            return &commands[i];
    return NULL;
}

// ---- sessions

static long set_controlling(struct tty *tty, const struct tty_caller *c, bool steal)
{
    long r = 0;
    if (c->pid == 0 || c->pid != c->sid)
        return -EPERM;
    spin_lock(&tty->lock);
    if (tty->session != 0 && tty->session != c->sid && !steal) {
        r = -EPERM;
    } else if (tty->session != c->sid) {
        tty->session = c->sid;
        tty->pgrp = c->pgrp;
    }
    spin_unlock(&tty->lock);
    return r;
}

// Giving it up is the leader's to do; another process of the session just stops using it.
static long give_up(struct tty *tty, const struct tty_caller *c)
{
    if (!tty_is_controlling(tty, c))
        return -ENOTTY;
    if (c->pid == c->sid)
        tty_session_exit(c->sid);
    return 0;
}

static long set_foreground(struct tty *tty, const struct tty_caller *c, int32_t pgrp)
{
    if (!tty_is_controlling(tty, c))
        return -ENOTTY;
    if (pgrp <= 0)
        return -EINVAL;
    int r = tty_check_pgrp(pgrp, c->sid);
    if (r == 0)
        store_relaxed(&tty->pgrp, pgrp);
    return r;
}

// ---- flow and settings

static long flush_queues(struct tty *tty, uint64_t which)
{
    if (which > TCIOFLUSH)
        return -EINVAL;
    spin_lock(&tty->lock);
    if (which != TCOFLUSH)
        ldisc_flush_input(&tty->ld);
    if (which != TCIFLUSH) {
        ldisc_flush_output(&tty->ld);
        waitq_wake_all(&tty->writers);
        poll_wake(&tty->pollers, POLLOUT | POLLWRNORM);
    }
    spin_unlock(&tty->lock);
    return 0;
}

static long flow(struct tty *tty, uint64_t what)
{
    if (what > TCOON)
        return what <= 3 ? 0 : -EINVAL; // TCIOFF, TCION: the other side is not ours to stop
    spin_lock(&tty->lock);
    tty->ld.stopped = what == TCOOFF;
    spin_unlock(&tty->lock);
    uart_kick();
    return 0;
}

static long set_termios(struct tty *tty, const struct command *cmd, union tty_arg *arg)
{
    spin_lock(&tty->lock);
    if (cmd->in == TERMIOS_BYTES) {
        arg->termios.c_ispeed = tty->ld.termios.c_ispeed;
        arg->termios.c_ospeed = tty->ld.termios.c_ospeed;
    }
    if (cmd->flags & FLUSHES)
        ldisc_flush_input(&tty->ld);
    unsigned bits = ldisc_set_termios(&tty->ld, &arg->termios);
    tty_wake_locked(tty, bits);
    spin_unlock(&tty->lock);
    tty_act(tty, bits);
    return 0;
}

// ---- answers

static void get(struct tty *tty, uint32_t nr, union tty_arg *arg)
{
    spin_lock(&tty->lock);
    switch (nr) {
    case TCGETS:
    case TCGETS2:
        arg->termios = tty->ld.termios;
        break;
    case TIOCGWINSZ:
        arg->winsize = tty->winsize;
        break;
    case TIOCGPGRP:
        arg->number = tty->pgrp;
        break;
    case TIOCGSID:
        arg->number = tty->session;
        break;
    case TIOCOUTQ:
        arg->number = (int32_t)ldisc_out_pending(&tty->ld);
        break;
    case FIONREAD:
        arg->number = (int32_t)ldisc_pending(&tty->ld);
        break;
    default:
        arg->number = 0; // TIOCGETD: N_TTY
    }
    spin_unlock(&tty->lock);
}

static long control(struct task *t, const struct command *cmd, uint64_t value, union tty_arg *arg)
{
    struct tty *tty = &tty_console;
    struct tty_caller c = tty_caller(t);
    if (cmd->in >= TERMIOS_BYTES)
        return set_termios(tty, cmd, arg);
    switch (cmd->nr) {
    case TIOCSCTTY:
        return set_controlling(tty, &c, value == 1);
    case TIOCNOTTY:
        return give_up(tty, &c);
    case TIOCSPGRP:
        return set_foreground(tty, &c, arg->number);
    case TIOCSWINSZ:
        tty_set_winsize(arg->winsize.rows, arg->winsize.cols);
        return 0;
    case TCFLSH:
        return flush_queues(tty, value);
    case TCXONC:
        return flow(tty, value);
    case TCSBRK:
    case TCSBRKP:
        return 0;
    case TIOCGPGRP:
    case TIOCGSID:
        if (!tty_is_controlling(tty, &c))
            return -ENOTTY;
    }
    get(tty, cmd->nr, arg);
    return 0;
}

ASYNC_IMPL(tty_ioctl, file_ioctl, const struct command *command; union tty_arg u; long r; long w;)
{
    ASYNC_BEGIN(tty_ioctl);
    f->command = command_of(f->cmd);
    if (!f->command)
        ASYNC_RETURN(-ENOTTY);
    memset(&f->u, 0, sizeof(f->u));
    if (f->command->in > 0) {
        AWAIT(f->r, user_read, t->thread->space, &f->u, f->arg, f->command->in);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    if (f->command->flags & CHANGES) {
        f->r = tty_check_change(&tty_console, t);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    if (f->command->flags & DRAINS) {
        AWAIT(f->r, tty_wait_output, &tty_console, true);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    f->r = control(t, f->command, f->arg, &f->u);
    if (f->r == 0 && f->command->out > 0) {
        AWAIT(f->w, user_write, t->thread->space, f->arg, &f->u, f->command->out);
        f->r = f->w;
    }
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
