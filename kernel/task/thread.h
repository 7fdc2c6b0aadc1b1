// SPDX-License-Identifier: MIT
// Threads and processes: what others may see of a user task.
//
// A thread is a task whose root frame is the user loop. What only the thread itself touches (its
// trap frame while it runs, its FP state) needs no lock. A process is a thread group: what its
// threads share. Both are refcounted; a pid names a thread or a process (pid of the leader) until
// its last reference as a zombie is reaped.
//
// Locks, outer to inner: process.timer_lock -> process_tree_lock (parents, children, groups, sessions, pid table) ->
// process.lock -> sighand.lock. None is held across an await.
#pragma once

#include "arch/fpu.h"
#include "arch/trap_frame.h"
#include "async/epoch.h"
#include "async/task.h"
#include "async/wait.h"
#include "fs/path_ref.h"
#include "lib/list.h"

struct space;
struct tty;
struct fd_table;
struct fs_context;
struct vnode;
struct process;

enum { THREAD_SIZE = 2560, NSIG = 64 };
typedef uint64_t sigset; // bit n-1: signal n

struct sigaction_k {
    uint64_t handler; // user address, 0 SIG_DFL, 1 SIG_IGN
    uint64_t flags;
    sigset mask;
};

struct siginfo_k { // what a queued signal carries; the unions lie as in Linux's siginfo
    int32_t signo, error, code, pad;
    union {
        struct {
            int32_t pid;
            uint32_t uid;
        };
        uint64_t addr; // of a fault
    };
    union {
        int32_t status; // of a child
        uint64_t value;
    };
    uint64_t utime, stime; // of a child, in clock ticks of 10 ms
};

struct sigpending {
    sigset set;
    struct list queue; // struct sigqueue
};

// Signal actions; shared by CLONE_SIGHAND.
struct sighand {
    uint32_t refs;
    struct spinlock lock; // guards actions and the pending sets of its threads and process
    struct waitq pollers; // of signalfds, by its processes; lock
    struct sigaction_k action[NSIG];
};

// Supplementary groups, sorted; never changed.
struct group_set {
    uint32_t refs, count;
    uint32_t gid[];
};

// Who a thread is. Threads and processes share it, so it never changes once a thread has it, but is replaced.
struct credentials {
    uint32_t refs; // atomic
    uint32_t uid, euid, suid, fsuid, gid, egid, sgid, fsgid;
    struct group_set *groups; // referenced; NULL: none
    uint64_t effective, permitted, inheritable, bounding,
        ambient;    // bit per capability: task/caps.h
    bool keep_caps; // the permitted ones, when no user id is root's any more
};

enum { SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE = 5, SCHED_DEADLINE };

// What sched_setattr(2) and setpriority(2) set: kept and inherited, but all threads are scheduled alike.
struct sched_setting {
    int8_t nice; // -20 .. 19
    uint8_t policy;
    bool reset_on_fork; // a child has the policy, but no better niceness than 0
};

// Processor time: how long, and what it was seen to be spent with, in samples (task/cputime.h).
struct cpu_use {
    uint64_t ticks, user, system;
};
struct cpu_times { // in ticks
    uint64_t user, system;
};

// What the first thread leaves when it ends: it can be asked for, and set, until the process is reaped.
struct leader {
    struct sched_setting sched;
    uint64_t affinity; // as in struct task
    struct cpu_times times;
};

enum { RLIM_COUNT = 16 };
struct rlimit_k {
    uint64_t cur, max;
};

struct process {
    uint32_t refs;
    uint32_t pid;
    struct spinlock lock;
    struct list threads;         // thread.in_process; process.lock
    uint32_t nthreads, nleaving; // of these, nleaving have begun to exit; lock
    struct list workers;         // of its threads (worker.h), thread.in_process; lock
    struct list workers_awaited; // who waits for its own (worker.c); lock
    uint32_t nworkers;           // lock
    struct process *parent;      // process_tree_lock
    struct list children, in_parent;
    struct list all;           // list of processes, by pid; process_tree_lock
    struct process *hash_next; // pid table
    struct epoch_item epoch;   // readers of that table may still know it
    uint32_t pgid, sid;
    struct tty *tty; // the controlling terminal, referenced; NULL: none; process_tree_lock
    int32_t
        tty_old_pgrp; // of a leader: the foreground group of the terminal it lost; process_tree_lock
    struct sighand *sighand;
    struct sigpending pending; // sent to the process as a whole
    struct waitq child_exit;   // waiters in wait4; process_tree_lock guards
    struct space *space;       // of the running image; NULL in a zombie
    // Of the running image, referenced and kept from writers (vnode.writers); no dentry before the
    // first exec; lock.
    struct path exe;
    char comm[16];
    struct credentials cred; // who others take it for: a copy of its first thread's, no groups
    struct rlimit_k rlimit[RLIM_COUNT];
    uint32_t exit_signal;  // what its parent is told its end by, SIGCHLD mostly: see exit.c
    uint32_t execs;        // programs it has run since it was born; process_tree_lock
    uint32_t parent_execs; // those of its parent when it was born; process_tree_lock
    uint32_t exit_status;  // as wait4 reports it
    uint8_t exiting, zombie, stop_reported, continued, dumpable;
    uint8_t
        over_nproc; // it became a user that had too many processes: it runs no program; its own threads'
    uint8_t headless;          // its first thread has ended, others may go on; lock
    struct leader leader;      // when it is headless
    uint8_t stopped;           // the signal that stops it, 0 none; lock
    uint8_t stop_complete;     // all its threads are parked; lock
    uint8_t stop_taken;        // a stop signal was taken and no SIGCONT came since: see stop.c
    uint32_t nparked;          // threads that have parked for the present stop; lock
    uint8_t reaped;            // its pid is nobody's or another's now; process_tree_lock
    struct waitq ended;        // pollers of its pidfds; process_tree_lock
    struct event *exec_waiter; // in the frame of a thread in exec: set when it is alone; lock
    uint64_t start_ns;
    struct cpu_use used;         // by ended threads; lock
    struct cpu_times said;       // last, of all threads' time; lock
    struct cpu_times child_time; // of children that were waited for, and theirs; process_tree_lock
    uint64_t min_faults, maj_faults; // of spaces left behind
    uint64_t waits, preempted;       // of ended threads: polls that ended by waiting, by the slice
    uint64_t max_resident;           // largest number of frames a space left behind has had
    uint64_t cmin_faults, cmaj_faults; // and the same of children that were waited for
    uint64_t cwaits, cpreempted, cmax_resident;
    uint32_t maker;          // tid of the parent's thread whose child it is; process_tree_lock
    uint8_t bereaved;        // see family.c; process_tree_lock
    uint8_t death_signal;    // sent when that thread ends, 0 none (PR_SET_PDEATHSIG)
    uint8_t child_subreaper; // adopts its descendants' orphans
    va_t arg_start, arg_end, env_start, env_end;
    struct spinlock timer_lock; // taken before process_tree_lock and process.lock
    struct list timers;         // struct ptimer; timer_lock
    int32_t next_timer;         // id of the next one; timer_lock
    uint32_t cpu_timers;        // how many of them run by processor time; timer_lock
    uint32_t no_new_privs, personality;
    int16_t oom_adj; // /proc/PID/oom_score_adj, inherited: -1000 never ended, 1000 first
};

struct thread {
    struct trap_frame tf; // first: the trap path knows
    struct fpu fpu;
    struct task task;
    struct process *process; // for the thread's life
    struct space *space;     // referenced
    struct fd_table *files;  // referenced; shared by CLONE_FILES
    struct fs_context *fs;   // referenced; shared by CLONE_FS
    // Referenced. Replaced by the thread itself, under process.lock, with which others read it.
    const struct credentials *cred;
    uint32_t tid;
    uint32_t exit_code;
    struct list in_process;
    struct event *vfork_done; // in the parent's frame, set at exec or exit; process.lock
    union {
        struct thread *hash_next; // tid table
        struct thread *maker; // of a worker (task.helps), which no table lists: for whom it acts
    };
    struct epoch_item epoch;       // readers of that table may still know it
    sigset blocked, saved_blocked; // saved: restored after sigsuspend / ppoll
    sigset waiting; // what sigtimedwait unblocks: it neither acts on the thread nor is dropped
    bool restore_blocked;
    bool parked;     // for the present stop; process.lock
    int16_t restart; // ERESTART* code of the call to be restarted, 0 none
    struct sched_setting sched;
    uint8_t forced;         // its own fault's signal, which is pending; 0: none; sighand.lock
    uint64_t restart_until; // ticks to which a restarted sleep goes on, 0: it starts
    struct sigpending pending;
    va_t altstack_sp;
    uint64_t altstack_size;
    uint32_t altstack_flags; // as it was set; there is none when the size is 0
    int32_t
        forced_code; // what that one says: it lies here, since there may be no memory for an entry
    uint64_t forced_addr;
    va_t clear_child_tid, set_child_tid;
    va_t robust_list;
    va_t sigreturn_va;     // of the trampoline in this space
    uint32_t preempted;    // how often its slice was over
    uint64_t timer_slack;  // ns, as prctl was told
    struct cpu_times said; // last, of its time; process.lock
    uint64_t light[7];     // of its light wait: LIGHT_STATE
    // All that is left of THREAD_SIZE, a size class of the heap: the worst case of every call that may wait for long
    // (futex, wait4, ppoll, nanosleep, read of a pipe), so that a blocked thread is one block.
    _Alignas(8) char arena[]; // of its frames
};

// What a kind of light wait keeps of a thread that waits.
#define LIGHT_STATE(th, type)                                                                      \
    ({                                                                                             \
        _Static_assert(sizeof(type) <= sizeof(th)->light, "it must fit into every thread");        \
        (type *)(th)->light;                                                                       \
    })

static inline struct thread *thread_current(void)
{
    return hart_self.current->thread;
}
static inline struct process *process_current(void)
{
    return thread_current()->process;
}
// Whose signals matter to what t does: its own thread's, or those of whom that acts for (worker.h). Not for a kernel task.
static inline struct thread *thread_served(const struct task *t)
{
    return unlikely(t->helps) ? t->thread->maker : t->thread;
}

extern struct spinlock process_tree_lock;

// A reference to the program that p runs; false if there is none (*out has no dentry then).
bool process_exe(struct process *p, struct path *out);
void process_drop_exe(struct process *p);
// What a process ran, if anything: it may be written again.
void process_exe_put(const struct path *exe);
void process_get(struct process *p);
void process_put(struct process *p);
// ---- credentials (task/credentials.c)

// The calling thread's, which only itself replaces. Task context.
static inline const struct credentials *cred_current(void)
{
    return thread_current()->cred;
}
// Nobody's: all ids 0, no capabilities, one reference. NULL: no memory.
struct credentials *cred_new(void);
const struct credentials *cred_get(const struct credentials *c);
void cred_put(const struct credentials *c); // NULL is fine
void group_set_put(struct group_set *set);  // NULL is fine
// A copy of the caller's, to be changed and given to cred_commit. NULL: no memory.
struct credentials *cred_prepare(void);
// r < 0: forgets it. Else it is the caller's from now on. Returns r; -ENOMEM: new is NULL.
long cred_commit(struct credentials *new, long r);
// process.lock held. th is the caller; the reference moves in, what it had is the caller's to put.
void cred_commit_locked(struct thread *th, const struct credentials *new);
// Who p is for others from now on. process.lock, or before p is linked.
void cred_show(struct process *p, const struct credentials *c);

// Referenced, or NULL. By pid of a process; by tid of a thread.
struct process *process_find(uint32_t pid);
struct thread *thread_find(uint32_t tid);
// The descriptors of its first thread that has any, referenced (fd_table_put). NULL: all have ended. Any context.
struct fd_table *process_files(struct process *p);
// May the caller look into it, as a debugger may (ptrace(2), "Ptrace access mode checking")?
bool process_may_look_into(const struct process *p);
// By its own number or that of any of its threads, as most calls take them.
struct process *process_of(uint32_t id);
void thread_put(struct thread *th);

// By the number of a thread: itself, or the process whose first thread it was, and which has its number still.
struct thread_ref {
    struct process *process; // referenced
    struct thread *thread;   // referenced; NULL: it has ended
};
bool thread_ref_get(uint32_t tid, struct thread_ref *out); // 0: the caller. false: there is none
void thread_ref_put(struct thread_ref *ref);
static inline struct sched_setting *thread_ref_sched(const struct thread_ref *ref)
{
    return ref->thread ? &ref->thread->sched : &ref->process->leader.sched;
}
void cred_of(const struct thread_ref *ref, struct credentials *out); // a copy, without groups
// Cut off after 15 bytes. The first thread's is its process's as well.
void thread_set_name(struct thread *th, const char *name);
// Calls fn for processes with pid >= from in order, under process_tree_lock, until it returns false.
void process_foreach(uint32_t from, bool (*fn)(struct process *, void *), void *arg);
// The same for all processes with no lock held: p is referenced during the call. For what takes
// process_tree_lock itself, such as sending signals.
void process_visit(bool (*fn)(struct process *, void *), void *arg);

// ---- signals (task/signal.c)
// info may be NULL (then SI_KERNEL). Any context. 0, -ESRCH, -EAGAIN (queue limit).
int signal_send_process(struct process *p, int sig, const struct siginfo_k *info);
int signal_send_thread(struct thread *th, int sig, const struct siginfo_k *info);
int signal_send_group(uint32_t pgid, int sig, const struct siginfo_k *info); // -ESRCH: none
// A fault of the current thread: cannot be blocked or ignored.
void signal_force_fault(struct thread *th, int sig, int code, uint64_t addr);
bool signal_pending(const struct thread *th); // something deliverable

enum {
    SIGHUP = 1,
    SIGINT = 2,
    SIGQUIT = 3,
    SIGILL = 4,
    SIGTRAP = 5,
    SIGABRT = 6,
    SIGBUS = 7,
    SIGFPE = 8,
    SIGKILL = 9,
    SIGUSR1 = 10,
    SIGSEGV = 11,
    SIGUSR2 = 12,
    SIGPIPE = 13,
    SIGALRM = 14,
    SIGTERM = 15,
    SIGSTKFLT = 16,
    SIGCHLD = 17,
    SIGCONT = 18,
    SIGSTOP = 19,
    SIGTSTP = 20,
    SIGTTIN = 21,
    SIGTTOU = 22,
    SIGURG = 23,
    SIGXCPU = 24,
    SIGXFSZ = 25,
    SIGVTALRM = 26,
    SIGPROF = 27,
    SIGWINCH = 28,
    SIGIO = 29,
    SIGPWR = 30,
    SIGSYS = 31,
};
enum {
    RLIMIT_CPU,
    RLIMIT_FSIZE,
    RLIMIT_DATA,
    RLIMIT_STACK,
    RLIMIT_CORE,
    RLIMIT_RSS,
    RLIMIT_NPROC,
    RLIMIT_NOFILE,
    RLIMIT_MEMLOCK,
    RLIMIT_AS,
    RLIMIT_LOCKS,
    RLIMIT_SIGPENDING,
    RLIMIT_MSGQUEUE,
    RLIMIT_NICE,
    RLIMIT_RTPRIO,
    RLIMIT_RTTIME
};
