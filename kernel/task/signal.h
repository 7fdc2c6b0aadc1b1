// SPDX-License-Identifier: MIT
// Signals inside the task room: what thread.h does not show to others.
#pragma once

#include "async/async.h"
#include "task/thread.h"

enum {
    SA_NOCLDSTOP = 1,
    SA_NOCLDWAIT = 2,
    SA_SIGINFO = 4,
    SA_EXPOSE_TAGBITS = 0x800,
    SA_ONSTACK = 0x08000000,
    SA_RESTART = 0x10000000,
    SA_NODEFER = 0x40000000,
};
#define SA_RESETHAND  0x80000000u
#define SS_AUTODISARM (1u << 31)
enum { SI_USER = 0, SI_KERNEL = 0x80, SI_QUEUE = -1, SI_TIMER = -2, SI_TKILL = -6 };
enum { CLD_EXITED = 1, CLD_KILLED, CLD_DUMPED, CLD_TRAPPED, CLD_STOPPED, CLD_CONTINUED };
enum { SS_ONSTACK = 1, SS_DISABLE = 2, MINSIGSTKSZ_K = 2048 };

#define SIGMASK(sig)    (1ul << ((sig)-1))
#define SIG_UNBLOCKABLE (SIGMASK(SIGKILL) | SIGMASK(SIGSTOP))
#define IGNORED_BY_DEFAULT                                                                         \
    (SIGMASK(SIGCHLD) | SIGMASK(SIGURG) | SIGMASK(SIGWINCH) | SIGMASK(SIGCONT))
#define STOP_SIGNALS (SIGMASK(SIGSTOP) | SIGMASK(SIGTSTP) | SIGMASK(SIGTTIN) | SIGMASK(SIGTTOU))
// Those whose default action dumps core (signal(7)).
#define CORE_SIGNALS                                                                               \
    (SIGMASK(SIGQUIT) | SIGMASK(SIGILL) | SIGMASK(SIGTRAP) | SIGMASK(SIGABRT) | SIGMASK(SIGBUS) |  \
     SIGMASK(SIGFPE) | SIGMASK(SIGSEGV) | SIGMASK(SIGSYS) | SIGMASK(SIGXCPU) | SIGMASK(SIGXFSZ))

struct sighand *sighand_new(void);
struct sighand *sighand_copy(struct sighand *from); // fork; NULL: out of memory
void sighand_get(struct sighand *sh);
void sighand_put(struct sighand *sh);
void sighand_to_default(struct sighand *sh); // what is handled; ignored stays ignored

// ---- pending sets (sigqueue.c); sighand.lock held where they can be seen by others
void sigpending_init(struct sigpending *p);
void sigpending_free(struct sigpending *p);
void sigpending_flush(struct sigpending *p, sigset which);
// Adds a signal to a set of process `to`, whose user is charged. -EAGAIN: over RLIMIT_SIGPENDING (or
// out of memory) and its details, which matter, would be lost.
int sigpending_add(struct sigpending *p, const struct process *to, int sig,
                   const struct siginfo_k *info);
// An entry that belongs to a timer, charged as others are. NULL: over the limit, or no memory.
struct sigqueue *sigqueue_new_owned(const struct process *to);
// Queues it with info and so many overruns (info->uid); one that waits already gets all as overruns.
void sigpending_add_owned(struct sigpending *p, struct sigqueue *q, const struct siginfo_k *info);
void sigqueue_release(struct sigqueue *q);          // freed now, or when it is taken
int32_t sigqueue_overrun(const struct sigqueue *q); // of the signal that was taken last
void sigqueue_reset(struct sigqueue *q);            // to 0
// Takes the next one of `set`: faults first, then by number, in the order sent. 0: there is none.
int sigpending_take(struct sigpending *p, sigset set, struct siginfo_k *info);

// Takes the next deliverable signal of the thread: its number, 0 none. Fills info and, for a
// handler, the action (SA_RESETHAND applied).
int signal_take(struct thread *th, struct siginfo_k *info, struct sigaction_k *action);
// Takes a pending signal of `set` (sigtimedwait): its number or 0.
int signal_take_from(struct thread *th, sigset set, struct siginfo_k *info);
void signal_set_action(struct thread *th, int sig, const struct sigaction_k *new);
// process.lock held: what was sent to the process and was to be taken by a thread that is gone.
void signal_pass_on(struct process *p);
// What it blocks newly and was sent to the process goes to a sibling. No lock held.
void signal_set_blocked(struct thread *th, sigset blocked);
// There is no stack for the handler of sig: SIGSEGV, which is fatal if that was the one.
void signal_no_frame(struct thread *th, int sig);
// Sets or clears ATTN_SIGNAL by what is deliverable now.
void signal_recalculate(struct thread *th);
sigset signal_all_pending(struct thread *th);
void signal_exec_reset(struct thread *th); // handlers to default, altstack off

// In ticks, until when a wait of ns lasts; one that is restarted keeps its end (thread.restart_until).
static inline uint64_t signal_wait_end(struct thread *th, uint64_t ns)
{
    uint64_t until = th->restart_until ? th->restart_until : time_ticks() + ns_to_ticks(ns);
    th->restart_until = 0;
    return until;
}

// Sends with the entry of a timer. th NULL: to the process.
int signal_send_owned(struct process *p, struct thread *th, struct sigqueue *q,
                      const struct siginfo_k *info);

// ---- stopping (stop.c)
void process_stop(struct process *p, int sig);         // by a signal that was taken
void process_continue_locked(struct process *p);       // process_tree_lock and process.lock held
void process_tell_continued_locked(struct process *p); // process_tree_lock held: it was stopped
void process_park(struct thread *th);         // it enters user mode no more until continued
void process_stop_goes_on(struct process *p); // one more thread is parked or leaves; no lock held

// To the process, by who holds process_tree_lock.
int signal_send_tree_locked(struct process *p, int sig, const struct siginfo_k *info);

// What a caller may send, and as whom (syscall/signal.c).
// May the caller send it, or ask with 0 whether it may? 0; -EINVAL: no such signal, -EPERM.
long check_signal(const struct process *to, int sig);
long check_signal_by(const struct process *to, const struct credentials *its, int sig);
struct siginfo_k info_of_caller(int code);
// To every process of the group that the caller may signal; pgid 0: to all but init and the caller. sig 0
// only asks. 0; -ESRCH: there is nobody, -EPERM: it may signal none of them, -EINVAL: no such signal.
long kill_group(uint32_t pgid, int sig, const struct siginfo_k *info);
// The siginfo a caller gives for process or thread `id`: 0, -EINVAL, -EFAULT, -ECOMMIT; -EPERM: it is forged.
long queued_info(va_t va, int32_t id, struct siginfo_k *out);

// Linux's layout of siginfo, 128 bytes.
struct siginfo_user {
    int32_t signo, error, code, pad;
    uint64_t field[14]; // the unions of siginfo_k, then utime and stime
};
void siginfo_to_user(const struct siginfo_k *info, struct siginfo_user *out);

// Builds the frame of a handler on the user's stack and points the trap frame at it. 0 or -EFAULT.
ASYNC_DECL(sigframe_push, struct thread *th; const struct siginfo_k *info;
           const struct sigaction_k *action;);
