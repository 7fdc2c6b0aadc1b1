// SPDX-License-Identifier: MIT
// The terminal as files see it: reads and writes that wait, VMIN and VTIME, job control, hang-up.
// sources: tests/unit/host.c kernel/async/async.c kernel/async/task.c kernel/async/executor.c kernel/async/slice.c kernel/async/policy.c
// sources: kernel/async/timer.c kernel/async/wait.c kernel/lib/local.c kernel/lib/spinlock.c
// sources: kernel/fs/tty.c kernel/fs/tty_session.c kernel/fs/tty_file.c kernel/fs/ldisc.c kernel/fs/ldisc_out.c
// sources: kernel/fs/ldisc_read.c
// flags: -DDEBUG -DASYNC_CHECKED -Ikernel/arch/riscv/include
#include "fs/tty.h"

#include "async/executor.h"
#include "async/wait_async.h"
#include "fs/file.h"
#include "fs/poll.h"
#include "fs/tty_impl.h"
#include "host.h"
#include "lib/init.h"
#include "lib/local.h"
#include "page/heap.h"
#include "task/thread.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

// ---- what lies around the terminal

ASYNC_IFACE_DEFINE(file_open);
ASYNC_IFACE_DEFINE(file_read);
ASYNC_IFACE_DEFINE(file_write);
ASYNC_IFACE_DEFINE(file_ioctl);

ASYNC_IMPL(tty_ioctl, file_ioctl, )
{
    ASYNC_BEGIN(tty_ioctl);
    ASYNC_RETURN(-ENOTTY);
    ASYNC_FINALLY;
    ASYNC_END;
}

static long move(struct iobuf *b, size_t n)
{
    b->base += n;
    b->left -= n;
    return (long)n;
}

ASYNC(iobuf_out_all, )
{
    ASYNC_BEGIN(iobuf_out_all);
    memcpy((void *)f->buf->base, f->src, f->n);
    ASYNC_RETURN(move(f->buf, f->n));
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(iobuf_in_all, )
{
    ASYNC_BEGIN(iobuf_in_all);
    memcpy(f->dst, (const void *)f->buf->base, f->n);
    ASYNC_RETURN(move(f->buf, f->n));
    ASYNC_FINALLY;
    ASYNC_END;
}

static unsigned kicks;
void uart_kick(void)
{
    kicks++;
}

static void output(struct tty *tty)
{
    (void)tty;
    kicks++;
}
static unsigned taken;
static void input_taken(struct tty *tty)
{
    assert_true(spin_held(&tty->lock));
    taken++;
}
static const struct tty_driver driver = {.output = output, .input_taken = input_taken};

struct poll_entry *poll_add(struct poll_list *pl, struct spinlock *lock, struct waitq *q,
                            uint32_t can)
{
    assert_true(spin_held(lock));
    (void)can;
    struct poll_entry *e = &pl->entry[pl->used++];
    waiter_init(&e->w);
    waitq_add(q, &e->w, pl->task);
    return e;
}

void poll_wake_slow(struct waitq *q, uint32_t events)
{
    (void)events;
    waitq_wake_all(q);
}

// ---- the task room

struct spinlock process_tree_lock = SPINLOCK_INIT("process tree");
static struct process leader, me; // of session 10, and who reads and writes in it
static const struct credentials nobody;
static struct thread thread = {.process = &me, .cred = &nobody};
static bool ignoring, orphan;
static struct {
    int32_t pgrp;
    int sig;
} sent[16];
static unsigned nsent;

static void signal_pgrp(int32_t pgrp, int32_t sid, int sig)
{
    assert_true(pgrp < 0 ||
                sid == 10); // the session whose it was, even if that lost the terminal just now
    assert_int_equal(hart_self.lock_depth, 0);
    sent[nsent].pgrp = pgrp;
    sent[nsent++ % 16].sig = sig;
}

static void signal_leader(int32_t sid, int sig)
{
    signal_pgrp(-sid, sid, sig);
}

void process_foreach(uint32_t from, bool (*fn)(struct process *, void *), void *arg)
{
    (void)from;
    spin_lock(&process_tree_lock);
    fn(&leader, arg);
    fn(&me, arg);
    spin_unlock(&process_tree_lock);
}

void *kzalloc(size_t size)
{
    return calloc(1, size);
}

void kfree(void *p)
{
    free(p);
}

static int check_pgrp(int32_t pgrp, int32_t sid)
{
    return pgrp == sid ? 0 : -EPERM;
}

static bool ignores(struct task *t, int sig)
{
    (void)t;
    (void)sig;
    return ignoring;
}

static bool orphaned(struct task *t)
{
    (void)t;
    return orphan;
}

static const struct tty_job_ops job_ops = {signal_pgrp, signal_leader, check_pgrp, ignores,
                                           orphaned};

// ---- driving it

static void run_all(void)
{
    while (executor_step()) {
    }
}

static void pass_ms(uint64_t ms)
{
    host_ticks += ns_to_ticks(ms * 1000000);
    timers_run();
    run_all();
}

static void type(const char *s)
{
    for (; *s; s++)
        tty_rx((uint8_t)*s);
    run_all();
}

static const char *screen(void)
{
    static char buf[2 * LDISC_OUT];
    size_t n = tty_tx_pull((uint8_t *)buf, sizeof(buf) - 1);
    buf[n] = 0;
    run_all();
    return buf;
}

extern const struct chardev __start_set_chardevs[], __stop_set_chardevs[];

static const struct file_ops *ops(void)
{
    for (const struct chardev *c = __start_set_chardevs; c < __stop_set_chardevs; c++)
        if (!strcmp(c->name, "console"))
            return c->ops;
    return NULL;
}

enum { RUNNING = 99999 };
static struct vnode vnode;
static struct tty_file of;
static struct file file = {.vnode = &vnode, .priv = &of};
static char into[8192];

ASYNC_DECL(transfer, bool write; void *buf; size_t n; long *out;);
ASYNC(transfer, struct iobuf b; long r;)
{
    ASYNC_BEGIN(transfer);
    iobuf_kernel(&f->b, f->buf, f->n);
    if (f->write)
        AWAIT_VIA(f->r, file_write, ops()->write, &file, &f->b, 0);
    else
        AWAIT_VIA(f->r, file_read, ops()->read, &file, &f->b, 0);
    *f->out = f->r;
    ASYNC_FINALLY;
    ASYNC_END;
}

static struct task *start(bool write, void *buf, size_t n, long *out)
{
    *out = RUNNING;
    struct task *t = SPAWN("transfer", transfer, write, buf, n, out);
    t->thread = &thread; // somebody's: job control asks only for those
    run_all();
    return t;
}

static void set_raw(uint8_t min, uint8_t time)
{
    struct termios2 tio = tty_console.ld.termios;
    tio.c_lflag &= ~(uint32_t)(ICANON | ECHO);
    tio.c_cc[VMIN] = min;
    tio.c_cc[VTIME] = time;
    spin_lock(&tty_console.lock);
    ldisc_set_termios(&tty_console.ld, &tio);
    spin_unlock(&tty_console.lock);
}

static int setup(void **state)
{
    (void)state;
    static bool once;
    if (!once) {
        executor_init();
        locals_init();
        tty_set_job_ops(&job_ops);
        tty_init(&tty_console, &driver, MAKEDEV(4, 64));
        once = true;
    }
    ldisc_init(&tty_console.ld);
    tty_console.session = tty_console.pgrp = 10;
    tty_console.refs = 3;
    leader = (struct process){.pid = 10, .pgid = 10, .sid = 10, .tty = &tty_console};
    me = (struct process){.pid = 11, .pgid = 10, .sid = 10, .tty = &tty_console};
    of = (struct tty_file){.tty = &tty_console, .hangups = tty_console.hangups};
    ignoring = orphan = false;
    file.flags = 0;
    kicks = nsent = 0;
    memset(into, 0, sizeof(into));
    return 0;
}

// ---- tests

static void read_waits_for_a_line(void **state)
{
    (void)state;
    long r;
    start(false, into, 100, &r);
    type("ab");
    assert_int_equal(r, RUNNING);
    type("c\nmore\n");
    assert_int_equal(r, 4);
    assert_string_equal(into, "abc\n");
    start(false, into, 2, &r);
    assert_int_equal(r, 2);
    start(false, into, 100, &r);
    assert_int_equal(r, 3);
    start(false, into, 100, &r);
    type("\004");
    assert_int_equal(r, 0);
}

static void long_line_in_one_read(void **state)
{
    (void)state;
    long r;
    start(false, into, sizeof(into), &r);
    for (unsigned i = 0; i < 1000; i++)
        type("x");
    type("\n");
    assert_int_equal(r, 1001);
    assert_int_equal(into[999], 'x');
}

static void min_bytes(void **state)
{
    (void)state;
    long r;
    set_raw(3, 0);
    start(false, into, 10, &r);
    type("ab");
    pass_ms(10000);
    assert_int_equal(r, RUNNING);
    type("c");
    assert_int_equal(r, 3);
    type("defg");
    start(false, into, 2, &r); // fewer than MIN asked for: enough
    assert_int_equal(r, 2);
    start(false, into, 10, &r);
    assert_int_equal(r, RUNNING);
    type("h");
    assert_int_equal(r, 3);
}

static void min_and_time(void **state)
{
    (void)state;
    long r;
    set_raw(5, 2);
    start(false, into, 10, &r);
    pass_ms(1000); // the timer starts with the first byte
    assert_int_equal(r, RUNNING);
    type("a");
    pass_ms(150);
    assert_int_equal(r, RUNNING);
    type("b");
    pass_ms(150); // and starts again with each
    assert_int_equal(r, RUNNING);
    pass_ms(100);
    assert_int_equal(r, 2);
}

static void time_only(void **state)
{
    (void)state;
    long r;
    set_raw(0, 3);
    start(false, into, 10, &r);
    pass_ms(250);
    assert_int_equal(r, RUNNING);
    pass_ms(100);
    assert_int_equal(r, 0);
    start(false, into, 10, &r);
    type("q");
    assert_int_equal(r, 1);
    set_raw(0, 0);
    start(false, into, 10, &r);
    assert_int_equal(r, 0);
}

static void without_waiting(void **state)
{
    (void)state;
    long r;
    file.flags = O_NONBLOCK;
    start(false, into, 10, &r);
    assert_int_equal(r, -EAGAIN);
    type("x\n");
    start(false, into, 10, &r);
    assert_int_equal(r, 2);
}

static void signal_ends_a_read(void **state)
{
    (void)state;
    long r;
    struct task *t = start(false, into, 10, &r);
    task_attention(t, ATTN_SIGNAL);
    run_all();
    assert_int_equal(r, -ERESTARTSYS);
    set_raw(5, 0);
    t = start(false, into, 10, &r);
    type("ab");
    task_attention(t, ATTN_SIGNAL);
    run_all();
    assert_int_equal(r, 2); // what was taken is told
    t = start(false, into, 10, &r);
    task_cancel(t);
    run_all();
    type("later");
    assert_int_equal(r, RUNNING);
}

// Its wake was spent on an earlier step of the task.
static void signal_before_the_wait(void **state)
{
    (void)state;
    static char text[2 * LDISC_OUT];
    for (int i = 0; i < 2; i++) {
        long r = RUNNING;
        struct task *t = SPAWN("transfer", transfer, i, text, sizeof(text), &r);
        t->thread = &thread;
        atomic_or32(&t->attn, ATTN_SIGNAL);
        run_all();
        if (i)
            assert_in_range(r, 1000, LDISC_OUT);
        else
            assert_int_equal(r, -ERESTARTSYS);
    }
}

static void keys_signal_the_foreground(void **state)
{
    (void)state;
    tty_console.pgrp = 77;
    type("\003\034\032");
    assert_int_equal(nsent, 3);
    assert_int_equal(sent[0].pgrp, 77);
    assert_int_equal(sent[0].sig, TTY_SIGINT);
    assert_int_equal(sent[1].sig, TTY_SIGQUIT);
    assert_int_equal(sent[2].sig, TTY_SIGTSTP);
    tty_console.pgrp = 0;
    type("\003");
    assert_int_equal(nsent, 3);
}

static void write_waits_for_room(void **state)
{
    (void)state;
    static char text[3 * LDISC_OUT];
    memset(text, 'w', sizeof(text));
    long r;
    start(true, text, sizeof(text), &r);
    assert_int_equal(r, RUNNING);
    assert_true(kicks > 0);
    size_t total = 0;
    for (unsigned i = 0; i < 100 && r == RUNNING; i++)
        total += strlen(screen());
    total += strlen(screen());
    assert_int_equal(r, (long)sizeof(text));
    assert_int_equal(total, sizeof(text));
}

// ^C throws away what waits: who waited for room goes on.
static void flush_wakes_writers(void **state)
{
    (void)state;
    static char text[LDISC_OUT + 100];
    memset(text, 'w', sizeof(text));
    long r;
    start(true, text, sizeof(text), &r);
    assert_int_equal(r, RUNNING);
    type("\003");
    assert_int_equal(r, (long)sizeof(text));
}

static void writes_do_not_mix(void **state)
{
    (void)state;
    static char a[LDISC_OUT + 4000], b[300];
    memset(a, 'a', sizeof(a));
    memset(b, 'b', sizeof(b));
    long ra, rb;
    start(true, a, sizeof(a), &ra);
    start(true, b, sizeof(b), &rb);
    assert_int_equal(ra, RUNNING);
    static char all[3 * LDISC_OUT];
    for (unsigned i = 0; i < 20; i++)
        strcat(all, screen());
    assert_int_equal(ra, (long)sizeof(a));
    assert_int_equal(rb, (long)sizeof(b));
    assert_int_equal(strlen(all), sizeof(a) + sizeof(b));
    assert_ptr_equal(strchr(all, 'b'), all + sizeof(a));
    file.flags = O_NONBLOCK;
    type("\023");
    start(true, a, sizeof(a), &ra);
    assert_in_range(ra, 1000, LDISC_OUT);
    start(true, a, sizeof(a), &ra);
    assert_int_equal(ra, -EAGAIN);
}

static void background(void **state)
{
    (void)state;
    long r;
    me.pgid = 20;
    start(false, into, 10, &r);
    assert_int_equal(r, -ERESTARTSYS);
    assert_int_equal(sent[0].pgrp, 20);
    assert_int_equal(sent[0].sig, TTY_SIGTTIN);
    ignoring = true;
    start(false, into, 10, &r);
    assert_int_equal(r, -EIO);
    ignoring = false;
    orphan = true;
    start(false, into, 10, &r);
    assert_int_equal(r, -EIO);
    orphan = false;
    assert_int_equal(nsent, 1);

    start(true, "x", 1, &r);
    assert_int_equal(r, 1); // allowed without TOSTOP
    tty_console.ld.termios.c_lflag |= TOSTOP;
    start(true, "x", 1, &r);
    assert_int_equal(r, -ERESTARTSYS);
    assert_int_equal(sent[1].sig, TTY_SIGTTOU);
    ignoring = true;
    start(true, "x", 1, &r);
    assert_int_equal(r, 1);
    me.tty = NULL; // not our terminal: no job control
    ignoring = false;
    type("y\n");
    start(false, into, 10, &r);
    assert_int_equal(r, 2);
}

static void hang_up(void **state)
{
    (void)state;
    uint32_t dev;
    int32_t pgrp;
    long r, w;
    tty_console.pgrp = 33;
    tty_of_process(&me, &dev, &pgrp);
    assert_int_equal(dev, MAKEDEV(4, 64));
    assert_int_equal(pgrp, 33);
    tty_process_exit(&me);
    assert_int_equal(nsent, 0);
    assert_null(me.tty);
    assert_int_equal(tty_console.refs, 2);
    me.tty = &tty_console;
    tty_console.refs++;
    me.pgid = 33;
    start(false, into, 10, &r);
    tty_process_exit(&leader);
    run_all();
    assert_int_equal(r, 0); // who waited is told
    assert_int_equal(nsent, 3);
    assert_int_equal(sent[0].pgrp, -10);
    assert_int_equal(sent[0].sig, TTY_SIGHUP);
    assert_int_equal(sent[1].sig, TTY_SIGCONT);
    assert_int_equal(sent[2].pgrp, 33);
    assert_int_equal(sent[2].sig, TTY_SIGHUP);
    assert_null(me.tty);
    assert_null(leader.tty);
    assert_int_equal(tty_console.refs, 1);
    tty_of_process(&me, &dev, &pgrp);
    assert_int_equal(dev, 0);
    assert_int_equal(pgrp, -1);
    start(true, "x", 1, &w);
    assert_int_equal(w, -EIO);
    assert_int_equal(ops()->poll(&file, NULL) & POLLHUP, POLLHUP);
    of.console = true; // what init has open goes on
    start(true, "x", 1, &w);
    assert_int_equal(w, 1);
}

static void window(void **state)
{
    (void)state;
    tty_set_winsize(30, 90);
    tty_set_winsize(30, 90);
    assert_int_equal(nsent, 1);
    assert_int_equal(sent[0].sig, TTY_SIGWINCH);
}

static void polling(void **state)
{
    (void)state;
    struct poll_entry entry[4];
    struct poll_list pl = {.entry = entry, .max = 4};
    static char text[LDISC_OUT];
    long r;
    assert_int_equal(ops()->poll(&file, NULL), POLLOUT | POLLWRNORM);
    type("a");
    assert_int_equal(ops()->poll(&file, NULL), POLLOUT | POLLWRNORM);
    type("\n");
    assert_int_equal(ops()->poll(&file, NULL), POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
    start(false, into, 10, &r);
    set_raw(2, 0);
    type("a");
    assert_int_equal(ops()->poll(&file, NULL), POLLOUT | POLLWRNORM);
    type("b");
    assert_int_equal(ops()->poll(&file, NULL), POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
    start(false, into, 10, &r);

    struct task *t = start(false, into, 10, &r); // any task to be woken
    pl.task = t;
    screen();
    assert_int_equal(ops()->poll(&file, &pl), POLLOUT | POLLWRNORM);
    assert_int_equal(pl.used, 1);
    assert_true(entry[0].w.queued);
    type("z");
    assert_false(entry[0].w.queued);
    type("z");
    file.flags = O_NONBLOCK;
    start(true, text, sizeof(text), &r);
    assert_int_equal(ops()->poll(&file, NULL), 0);
}

// The other end closed while an open was on its way: nobody gets the terminal any more.
static void gone(void **state)
{
    (void)state;
    static struct tty tty;
    struct file late = {.vnode = &vnode};
    struct task t = {.thread = &thread};
    tty_init(&tty, &driver, 0);
    tty.gone = true;
    taken = 0;
    tty_hang_up(&tty, false);
    assert_int_equal(taken, 1); // who waits to type goes on
    assert_int_equal(tty_file_open(&late, &tty), -EIO);
    assert_null(late.priv);
    me.pid = me.sid = 11;
    me.tty = NULL;
    tty_take_at_open(&tty, &t);
    assert_null(me.tty);
    assert_int_equal(tty_set_controlling(&tty, &t, true, false), -EIO);
    assert_null(me.tty);
    assert_int_equal(tty.refs, 1);
    tty.gone = false;
    tty_take_at_open(&tty, &t);
    assert_ptr_equal(me.tty, &tty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(read_waits_for_a_line, setup),
        cmocka_unit_test_setup(long_line_in_one_read, setup),
        cmocka_unit_test_setup(min_bytes, setup),
        cmocka_unit_test_setup(min_and_time, setup),
        cmocka_unit_test_setup(time_only, setup),
        cmocka_unit_test_setup(without_waiting, setup),
        cmocka_unit_test_setup(signal_ends_a_read, setup),
        cmocka_unit_test_setup(signal_before_the_wait, setup),
        cmocka_unit_test_setup(keys_signal_the_foreground, setup),
        cmocka_unit_test_setup(write_waits_for_room, setup),
        cmocka_unit_test_setup(flush_wakes_writers, setup),
        cmocka_unit_test_setup(writes_do_not_mix, setup),
        cmocka_unit_test_setup(background, setup),
        cmocka_unit_test_setup(hang_up, setup),
        cmocka_unit_test_setup(window, setup),
        cmocka_unit_test_setup(polling, setup),
        cmocka_unit_test_setup(gone, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
