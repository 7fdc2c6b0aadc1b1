// SPDX-License-Identifier: MIT
// The terminal's ioctls (Linux asm-generic numbers, ioctl_tty(2)).
//
// Job control is checked before anything changes or an argument is looked at; TCSETSW and TCSETSF wait
// until output is sent; then a plain function does the work under the tty's lock. The master of a pseudo
// terminal comes here, too: most of it is about the terminal, whichever end is asked.
#include "fs/poll.h"
#include "fs/tty_impl.h"
#include "mem/user.h"
#include "task/caps.h"

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
    TIOCSTI = 0x5412,
    TIOCGWINSZ = 0x5413,
    TIOCSWINSZ = 0x5414,
    FIONREAD = 0x541b,
    TIOCNOTTY = 0x5422,
    TIOCGETD = 0x5424,
    TCSBRKP = 0x5425,
    TIOCGSID = 0x5429,
    TIOCVHANGUP = 0x5437,
    TIOCGPTPEER = 0x5441, // to a master, which has no other
};
#define TCGETS2  0x802c542au
#define TCSETS2  0x402c542bu
#define TCSETSW2 0x402c542cu
#define TCSETSF2 0x402c542du
#define TIOCGDEV 0x80045432u

enum { TCIFLUSH, TCOFLUSH, TCIOFLUSH };
enum { TCOOFF, TCOON, TCIOFF, TCION };
enum { TTY_IOCTL_BYTES = 44 };
union tty_arg {
    uint8_t bytes[TTY_IOCTL_BYTES];
    struct termios2 termios;
    struct winsize_k winsize;
    int32_t number;
};

enum { CHANGES = 1, DRAINS = 2, FLUSHES = 4, OWN_END = 8 }; // OWN_END: not for a master
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
    {TIOCNOTTY, 0, 0, OWN_END},
    {TIOCSTI, 1, 0, OWN_END},
    {TIOCVHANGUP, 0, 0, OWN_END},
    {TIOCGPGRP, 0, 4, 0},
    {TIOCSPGRP, 4, 0, CHANGES},
    {TIOCGSID, 0, 4, 0},
    {TIOCOUTQ, 0, 4, 0},
    {FIONREAD, 0, 4, 0},
    {TIOCGETD, 0, 4, 0},
    {TIOCGDEV, 0, 4, 0},
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

// ---- flow and settings

// A master's input is the terminal's output; what it has written is the terminal's at once.
static long flush_queues(const struct tty_file *of, uint64_t which)
{
    struct tty *tty = of->tty;
    uint8_t sink[64];
    if (which > TCIOFLUSH)
        return -EINVAL;
    spin_lock(&tty->lock);
    if (of->master && which != TCOFLUSH)
        while (tty_pull_locked(tty, sink, sizeof sink) > 0)
            ;
    if (!of->master && which != TCOFLUSH) {
        ldisc_flush_input(&tty->ld);
        tty_input_taken_locked(tty);
    }
    if (!of->master && which != TCIFLUSH) {
        ldisc_flush_output(&tty->ld);
        tty_wake_locked(tty, LDISC_OUT_READY);
    }
    spin_unlock(&tty->lock);
    return 0;
}

// TCIOFF and TCION ask the other side to pause, with the characters that it knows. Nobody listens to them on the UART.
static long flow(const struct tty_file *of, uint64_t what)
{
    struct tty *tty = of->tty;
    if (what > TCION)
        return -EINVAL;
    if (of->master)
        return 0;
    spin_lock(&tty->lock);
    if (what <= TCOON)
        tty->ld.stopped = what == TCOOFF;
    else if (tty->driver->pty)
        ldisc_send(&tty->ld, tty->ld.termios.c_cc[what == TCIOFF ? VSTOP : VSTART]);
    tty_wake_locked(tty, LDISC_OUT_READY);
    spin_unlock(&tty->lock);
    tty->driver->output(tty);
    return 0;
}

static long set_termios(struct tty *tty, const struct command *cmd, union tty_arg *arg)
{
    spin_lock(&tty->lock);
    if (cmd->in == TERMIOS_BYTES) {
        arg->termios.c_ispeed = tty->ld.termios.c_ispeed;
        arg->termios.c_ospeed = tty->ld.termios.c_ospeed;
    }
    if (cmd->flags & FLUSHES) {
        ldisc_flush_input(&tty->ld);
        tty_input_taken_locked(tty);
    }
    unsigned bits = ldisc_set_termios(&tty->ld, &arg->termios);
    tty_wake_locked(tty, bits);
    spin_unlock(&tty->lock);
    tty_act(tty, bits);
    return 0;
}

// TIOCSTI: as if it had been typed.
static long type(struct tty *tty, struct task *t, uint8_t byte)
{
    if (!tty_is_controlling(tty, t) && !caps_have(t->thread->cred, CAP_SYS_ADMIN))
        return -EPERM;
    spin_lock(&tty->lock);
    unsigned bits = ldisc_input(&tty->ld, byte);
    tty_wake_locked(tty, bits);
    tty_input_taken_locked(tty); // it may have been one that removes
    spin_unlock(&tty->lock);
    tty_act(tty, bits);
    return 0;
}

static long hang_up(struct tty *tty, struct task *t)
{
    if (!caps_have(t->thread->cred, CAP_SYS_ADMIN))
        return -EPERM;
    tty_hang_up(tty, false);
    return 0;
}

// ---- answers

static void get(const struct tty_file *of, uint32_t nr, union tty_arg *arg)
{
    struct tty *tty = of->tty;
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
    case TIOCGDEV:
        arg->number = (int32_t)tty->dev;
        break;
    case TIOCOUTQ:
        arg->number = of->master ? 0 : (int32_t)ldisc_out_pending(&tty->ld);
        break;
    case FIONREAD:
        arg->number = (int32_t)(of->master ? ldisc_out_held(&tty->ld) : ldisc_pending(&tty->ld));
        break;
    default:
        arg->number = 0; // TIOCGETD: N_TTY
    }
    spin_unlock(&tty->lock);
}

static long control(struct task *t, struct file *file, const struct command *cmd, uint64_t value,
                    union tty_arg *arg)
{
    const struct tty_file *of = tty_file_of(file);
    struct tty *tty = of->tty;
    if (cmd->in >= TERMIOS_BYTES)
        return set_termios(tty, cmd, arg);
    switch (cmd->nr) {
    case TIOCSCTTY:
        return tty_set_controlling(tty, t, file->readable, value == 1);
    case TIOCNOTTY:
        return tty_give_up(tty, t);
    case TIOCSPGRP:
        return tty_set_foreground(tty, t, arg->number);
    case TIOCSWINSZ:
        tty_change_winsize(tty, &arg->winsize);
        return 0;
    case TIOCSTI:
        return type(tty, t, arg->bytes[0]);
    case TIOCVHANGUP:
        return hang_up(tty, t);
    case TCFLSH:
        return flush_queues(of, value);
    case TCXONC:
        return flow(of, value);
    case TCSBRK:
    case TCSBRKP:
        return 0;
    case TIOCGPGRP:
    case TIOCGSID:
        if (!of->master && !tty_is_controlling(tty, t))
            return -ENOTTY;
        if (cmd->nr == TIOCGSID && load_relaxed(&tty->session) == 0)
            return -ENOTTY;
    }
    get(of, cmd->nr, arg);
    return 0;
}

// May the caller ask for it from where it is? The order of the answers is Linux's.
static long check(const struct tty_file *of, const struct command *command, struct task *t)
{
    bool set_group = command->nr == TIOCSPGRP;
    if (tty_file_hung(of))
        return set_group ? -ENOTTY : -EIO;
    if (of->master && (command->flags & OWN_END))
        return -ENOTTY;
    long r = command->flags & CHANGES ? tty_check_change(of->tty, t) : 0;
    return r == -EIO && set_group ? -ENOTTY : r;
}

ASYNC(tty_control, const struct command *command; struct tty_file *of; union tty_arg u; long r;
      long w;)
{
    ASYNC_BEGIN(tty_control);
    f->of = tty_file_of(f->file);
    f->command = command_of(f->cmd);
    if (!f->command)
        ASYNC_RETURN(tty_file_hung(f->of) || f->cmd == TIOCGPTPEER ? -EIO : -ENOTTY);
    f->r = check(f->of, f->command, t);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    memset(&f->u, 0, sizeof(f->u));
    if (f->command->in > 0) {
        AWAIT(f->r, user_read, t->thread->space, &f->u, f->arg, f->command->in);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    if (f->command->flags & DRAINS) {
        AWAIT(f->r, tty_wait_output, f->of, true);
        if (f->r < 0) // tcdrain is not restarted
            ASYNC_RETURN(f->command->in > 0 ? f->r : -EINTR);
    }
    f->r = control(t, f->file, f->command, f->arg, &f->u);
    if (f->r == 0 && f->command->out > 0) {
        AWAIT(f->w, user_write, t->thread->space, f->arg, &f->u, f->command->out);
        f->r = f->w;
    }
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(tty_ioctl, file_ioctl, long r;)
{
    ASYNC_BEGIN(tty_ioctl);
    AWAIT(f->r, tty_control, f->file, f->cmd, f->arg);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
