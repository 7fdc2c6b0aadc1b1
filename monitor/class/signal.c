// SPDX-License-Identifier: MIT
// Signals of a thread: what it does with each, which it blocks, which have come. The id is the number.
#include "class/classes.h"
#include "lib/errno.h"
#include "task/thread.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

struct signal_view {
    char name[16];
    const char *action;
    uint64_t handler, flags, mask;
    uint32_t number;
    bool blocked, pending, pending_process, awaited;
};

static const char *const names[] = {
    [SIGHUP] = "HUP",   [SIGINT] = "INT",       [SIGQUIT] = "QUIT", [SIGILL] = "ILL",
    [SIGTRAP] = "TRAP", [SIGABRT] = "ABRT",     [SIGBUS] = "BUS",   [SIGFPE] = "FPE",
    [SIGKILL] = "KILL", [SIGUSR1] = "USR1",     [SIGSEGV] = "SEGV", [SIGUSR2] = "USR2",
    [SIGPIPE] = "PIPE", [SIGALRM] = "ALRM",     [SIGTERM] = "TERM", [SIGSTKFLT] = "STKFLT",
    [SIGCHLD] = "CHLD", [SIGCONT] = "CONT",     [SIGSTOP] = "STOP", [SIGTSTP] = "TSTP",
    [SIGTTIN] = "TTIN", [SIGTTOU] = "TTOU",     [SIGURG] = "URG",   [SIGXCPU] = "XCPU",
    [SIGXFSZ] = "XFSZ", [SIGVTALRM] = "VTALRM", [SIGPROF] = "PROF", [SIGWINCH] = "WINCH",
    [SIGIO] = "IO",     [SIGPWR] = "PWR",       [SIGSYS] = "SYS",
};
enum { NAMED = sizeof names / sizeof *names };

int class_signal_number(const char *name)
{
    if (strncmp(name, "SIG", 3) == 0)
        name += 3;
    for (int i = 1; i < NAMED; i++)
        if (names[i] && strcmp(names[i], name) == 0)
            return i;
    return 0;
}

void class_signal_name(char out[16], int sig)
{
    if (sig > 0 && sig < NAMED && names[sig])
        snprintf(out, 16, "%s", names[sig]);
    else
        snprintf(out, 16, "RT%d", sig - NAMED);
}

// Lock order: process.lock, sighand.lock (task/thread.h).
static void look(const struct thread *th, unsigned sig, struct signal_view *v)
{
    struct process *p = th->process;
    sigset bit = 1ul << (sig - 1);
    *v = (struct signal_view){.number = sig, .action = "default"};
    class_signal_name(v->name, (int)sig);
    spin_lock(&p->lock); // it may run a program and replace the table
    if (p->sighand) {
        spin_lock(&p->sighand->lock);
        const struct sigaction_k *a = &p->sighand->action[sig - 1];
        v->action = a->handler > 1 ? "handled" : a->handler ? "ignored" : "default";
        v->handler = a->handler > 1 ? a->handler : 0;
        v->flags = a->flags;
        v->mask = a->mask;
        v->blocked = th->blocked & bit;
        v->awaited = th->waiting & bit;
        v->pending = th->pending.set & bit;
        v->pending_process = p->pending.set & bit;
        spin_unlock(&p->sighand->lock);
    }
    spin_unlock(&p->lock);
}

static long signal_copy(const struct class_key *key, void *out)
{
    struct task *t = key->owner <= UINT32_MAX ? task_find((uint32_t)key->owner) : NULL;
    bool is = t && t->thread && !(load_relaxed(&t->state) & TASK_DEAD) && key->id - 1 < NSIG;
    if (is)
        look(t->thread, (unsigned)key->id, out);
    if (t)
        task_put(t);
    return is ? 0 : -ENOENT;
}

static size_t signal_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    size_t n = 0;
    for (uint64_t i = from ? from : 1; i <= NSIG && n < max; i++)
        out[n++] = (struct class_key){i, owner};
    return n;
}

static void signal_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct signal_view *v = copy;
    (void)key;
    snprintf(buf, n, "%s: %s%s%s%s", v->name, v->action, v->blocked ? ", blocked" : "",
             v->pending ? ", pending" : "", v->pending_process ? ", pending for the process" : "");
}

static void push_task(lua_State *L, const struct class_key *key, const void *copy)
{
    (void)copy;
    class_push(L, class_task, (struct class_key){key->owner, 0});
}

static const struct class_field fields[] = {
    FIELD(struct signal_view, number, "from 1 to 64"),
    FIELD(struct signal_view, name, "without SIG"),
    FIELD(struct signal_view, action, "default, ignored or handled"),
    FIELD_ADDRESS(struct signal_view, handler, "its function in the program, 0: none"),
    FIELD_ADDRESS(struct signal_view, flags, "SA_*"),
    FIELD_ADDRESS(struct signal_view, mask, "what is blocked while it is handled"),
    FIELD(struct signal_view, blocked, "by this thread"),
    FIELD(struct signal_view, awaited, "this thread is in sigtimedwait for it"),
    FIELD(struct signal_view, pending, "it was sent to this thread, and not taken yet"),
    FIELD(struct signal_view, pending_process, "the same, to the whole process"),
    FIELD_OTHER("task", "Task", "whose signal it is", push_task),
    {0},
};

CLASS(signal, .name = "Signal", .doc = "a signal as one thread has it",
      .place = "struct sigaction_k, kernel/task/thread.h", .gone = "is of a thread that exited",
      .example = "k.pid(1).signals[17]", .size = sizeof(struct signal_view), .copy = signal_copy,
      .keys = signal_keys, .line = signal_line, .fields = fields);
