// SPDX-License-Identifier: MIT
// Signals inside the task room: what thread.h does not show to others.
#pragma once

#include "async/async.h"
#include "task/thread.h"

enum {
    SA_NOCLDSTOP = 1,
    SA_NOCLDWAIT = 2,
    SA_SIGINFO = 4,
    SA_ONSTACK = 0x08000000,
    SA_RESTART = 0x10000000,
    SA_NODEFER = 0x40000000,
};
#define SA_RESETHAND 0x80000000u
enum { SI_USER = 0, SI_KERNEL = 0x80, SI_QUEUE = -1, SI_TIMER = -2, SI_TKILL = -6 };
enum { CLD_EXITED = 1, CLD_KILLED, CLD_DUMPED, CLD_TRAPPED, CLD_STOPPED, CLD_CONTINUED };
enum { SS_ONSTACK = 1, SS_DISABLE = 2, MINSIGSTKSZ_K = 2048 };

#define SIGMASK(sig)    (1ul << ((sig)-1))
#define SIG_UNBLOCKABLE (SIGMASK(SIGKILL) | SIGMASK(SIGSTOP))

struct sigqueue {
    struct list link;
    struct siginfo_k info;
};

struct sighand *sighand_new(void);
struct sighand *sighand_copy(struct sighand *from); // fork; NULL: out of memory
void sighand_get(struct sighand *sh);
void sighand_put(struct sighand *sh);
void sighand_to_default(struct sighand *sh); // what is handled; ignored stays ignored
void sigpending_init(struct sigpending *p);
void sigpending_free(struct sigpending *p);

// Takes the next deliverable signal of the thread: its number, 0 none. Fills info and, for a
// handler, the action (SA_RESETHAND applied).
int signal_take(struct thread *th, struct siginfo_k *info, struct sigaction_k *action);
// Takes a pending signal of `set` (sigtimedwait): its number or 0.
int signal_take_from(struct thread *th, sigset set, struct siginfo_k *info);
void signal_set_action(struct thread *th, int sig, const struct sigaction_k *new);
// process.lock held: what was sent to the process and was to be taken by a thread that is gone.
void signal_pass_on(struct process *p);
void signal_set_blocked(struct thread *th, sigset blocked);
// Sets or clears ATTN_SIGNAL by what is deliverable now.
void signal_recalculate(struct thread *th);
sigset signal_all_pending(struct thread *th);
void signal_exec_reset(struct thread *th); // handlers to default, altstack off

// What a caller may send, and as whom (syscall/signal.c).
bool may_signal(const struct process *to, int sig);
struct siginfo_k info_of_caller(int code);
// The siginfo a caller gives for process `pid`: 0, -EINVAL, -EFAULT, -ECOMMIT; -EPERM: it is forged.
long queued_info(va_t va, int32_t pid, int32_t sig, struct siginfo_k *out);

// Linux's layout of siginfo, 128 bytes.
struct siginfo_user {
    int32_t signo, error, code, pad;
    uint64_t field[14];
};
void siginfo_to_user(const struct siginfo_k *info, struct siginfo_user *out);

// Builds the frame of a handler on the user's stack and points the trap frame at it. 0 or -EFAULT.
ASYNC_DECL(sigframe_push, struct thread *th; const struct siginfo_k *info;
           const struct sigaction_k *action;);
