// SPDX-License-Identifier: MIT
// The task: what the executor runs, and what others may see of it.
//
// State is bits, one atomic read-modify-write per transition:
//   RUNNING  one hart (or borrower) owns the frames;  QUEUED  it is in a run queue, or, together
//   with RUNNING, was woken while it ran and is queued when it leaves.  0: idle, waits for a wake.
//   NEW  its maker is not done with it: it can be found, and woken, but goes nowhere before task_start.
// A wake is one amoor of QUEUED in every case. The frames belong to whoever set RUNNING, those of a new one to its maker.
//
// `attn` asks the owner for something. Setting a bit is an amoor followed by a wake and, for a
// task that may be in user mode, an IPI (task_attention does all three).
#pragma once

#include "arch/atomic.h"
#include "arch/cpu.h"
#include "async/timer.h"
#include "lib/list.h"
#include "lib/spinlock.h"

struct frame;
struct async_fn;
struct thread;

enum { TASK_RUNNING = 1, TASK_QUEUED = 2, TASK_DEAD = 4, TASK_NEW = 8 };

enum task_attn {
    ATTN_CANCEL = 1,    // unwind to the catcher (user loop) or to the end
    ATTN_SIGNAL = 2,    // interruptible waits end with -EINTR; user loop delivers
    ATTN_STOP = 4,      // interruptible waits end, and it parks at the user border (job control)
    ATTN_HOLD = 8,      // park now: no poll until released (borrowers, freeze)
    ATTN_DEADLINE = 16, // some armed deadline has fired
    ATTN_RESCHED = 32,  // the slice is over and somebody else is ready
    ATTN_SUSPEND = 64,  // park at the user border until the monitor resumes it
    ATTN_CLOCK = 256,   // its process has timers that run by processor time: look at them
    ATTN_MOVE = 128,    // its affinity has changed: go on elsewhere if it may not run here
    ATTN_LOSE = 512,    // a fault on purpose: its next wake is lost. Set while it is borrowed
};

// What the executor sees to before a task goes on. Looked at when the task is RUNNING: who sets ATTN_HOLD and finds it not
// RUNNING relies on that.
enum { ATTN_BEFORE_POLL = ATTN_HOLD | ATTN_MOVE | ATTN_CANCEL | ATTN_DEADLINE | ATTN_LOSE };

// Bits only the running task sets for itself, tested with attn in one load on the trap path.
enum task_local_flag {
    LOCAL_ASYNC = 1,   // a first try would have to wait
    LOCAL_YIELD = 2,   // sched_yield
    LOCAL_COMMIT = 4,  // a user page was absent
    LOCAL_KEEP_A0 = 8, // the call has set all registers (sigreturn, execve)
    LOCAL_WAIT = 16,   // a light wait has begun, or goes on
};

// A wait without a frame, for the waits that must be fast and small: a plain handler has entered a wait queue with a
// waiter that lies in its thread (thread.light), and the user loop parks where it is. See syscall_wait.
struct light_wait {
    const char *name, *file, *what; // for who looks: the function that waits, and for what
    uint32_t line;
    // The thread was woken, or must leave. What the call returns, out of the queue; or with LOCAL_WAIT set: it goes on
    // waiting. `leave`: it must not wait here, and -ERETRY says that nothing has come. Owner only.
    long (*woken)(struct thread *th, bool leave);
};
#define LIGHT_WAIT(fn, what)                                                                       \
    static long fn(struct thread *th, bool leave);                                                 \
    static const struct light_wait fn##_wait = {#fn, __FILE__, what, __LINE__, fn}

struct deadline {
    struct frame *frame; // the frame whose callees are unwound
    struct deadline *outer;
    struct timer timer;
    struct task *task;
    uint32_t fired;
    bool wall; // it is that of a struct wall_deadline
};

// A deadline by CLOCK_REALTIME: it moves when that clock is set.
struct wall_deadline {
    struct deadline deadline;
    struct list link;
    uint64_t until; // ns of that clock
};

struct task {
    struct frame *top; // the leaf: the only frame that can run
    char *sp, *limit;  // arena: first free byte, end of the present segment
    long result;       // what the last finished async function returned
    union {
        struct {
            uint32_t local; // enum task_local_flag
            uint32_t attn;  // enum task_attn
        };
        uint64_t flags;
    };
    uint32_t state;
    uint32_t refs;                  // atomic
    uint32_t shield;                // > 0: cancel, deadline and signals wait
    uint32_t hart;                  // index of the hart it last ran on
    uint64_t affinity;              // bit per hart it may run on; AFFINITY_ANY: all there are
    uint32_t id;                    // never reused while boot lasts
    uint32_t fail_nth, kill_nth;    // task/inject.c: counted down by allocations and waits; 0: off
    struct task *queue_next;        // run queue link
    struct frame *catcher;          // cancel unwinds down to, not including, this frame
    struct deadline *deadline;      // innermost first
    struct thread *thread;          // NULL for a kernel task
    void *locals;                   // task-local block
    const struct light_wait *light; // what the root waits for without a frame, NULL: nothing
    char *segment;                  // overflow segment of the arena, NULL when none
    char *segment_sp, *segment_limit; // sp and limit to return to
    uint64_t since; // ticks when it last left a hart; while it runs, when that began
    uint64_t polls; // how often it ran
    uint64_t ticks; // how long; while it runs, less when that began: below 0 (task_ticks)
    uint32_t user_samples, system_samples; // of a thread: what it was seen doing (async/sample.h)
    struct {
        va_t va;
        uint64_t len;
        uint32_t access;
    } commit;                       // what -ECOMMIT asked for (mem/user.h)
    void (*release)(struct task *); // called when the last reference goes
    struct list all;                // task list, under task_list_lock
    uint64_t traced_at;   // ticks when the call or fault it is in began, if somebody listens
    uint16_t traced_what; // the call's number, or the fault's kind
    bool nudged;          // HARD_WAKE: its wait has had the wake that means nothing
    bool helps;           // its thread acts for another (task/worker.h)
    uint32_t faults;      // page faults of its user code
    char name[24];
    char *arena; // arena_size bytes; frames of the root and of small calls
    uint32_t arena_size;
    uint32_t magic; // TASK_MAGIC
#ifdef LOCK_ORDER
    struct mutex *mutexes; // that it holds, the last first
#endif
};
enum { TASK_MAGIC = 0x7a5c0de5 };

// How long t has run, the poll that runs now included, on whatever hart it does. Any context; t is referenced or listed.
uint64_t task_ticks(const struct task *t);

#define AFFINITY_ANY (~0ul)
static inline bool task_may_run_on(const struct task *t, uint32_t hart)
{
    return load_relaxed(&t->affinity) >> hart & 1;
}

#define current_task() (hart_self.current)

// Makes t (zeroed memory of the caller's, with its arena) a task whose root is fn(args), which task_start, once, lets go.
// Takes the first reference. -ENOMEM; error of a TASK_LOCAL ctor.
int task_init(struct task *t, const char *name, void *arena, size_t arena_size,
              const struct async_fn *fn, const void *args, size_t args_size);
void task_start(struct task *t);

// Allocates a kernel task with its arena, starts it. The task frees itself at the end.
// Returns NULL when out of memory. SPAWN("flusher", flusher, args...)
struct task *task_spawn(const char *name, const struct async_fn *fn, const void *args, size_t n);
#define SPAWN(name, root, ...)                                                                     \
    task_spawn(name, &root##_fn, &(struct root##_args){__VA_ARGS__}, sizeof(struct root##_args))

static inline void task_get(struct task *t)
{
    atomic_add32(&t->refs, 1);
}
void task_put(struct task *t);

void executor_enqueue(struct task *t); // async/executor.c
// Called after the kill_nth-th poll of a task that ended in a wait.
extern void (*task_kill_hook)(struct task *t);

// Callable from anywhere, also under spinlocks and from interrupt work. t must be referenced or
// known alive through the lock that guards its waiter.
static inline void task_wake(struct task *t)
{
    if (atomic_or32(&t->state, TASK_QUEUED) == 0)
        executor_enqueue(t);
}

// Where t may run from its next poll on; one hart at least. A task that runs elsewhere is told, and
// leaves at its next safe point: until then it is misplaced.
void task_set_affinity(struct task *t, uint64_t harts);
static inline bool task_is_misplaced(const struct task *t)
{
    return (load_acquire(&t->state) & TASK_RUNNING) && !task_may_run_on(t, load_relaxed(&t->hart));
}

// Sets attention bits, wakes, and sends an IPI when t is running on another hart.
void task_attention(struct task *t, uint32_t bits);
// The same, but a task that waits is not woken: it finds the bits before it enters user mode.
void task_attention_later(struct task *t, uint32_t bits);
void task_attention_clear(struct task *t, uint32_t bits);
static inline void task_cancel(struct task *t)
{
    task_attention(t, ATTN_CANCEL);
}

// True when an interruptible wait of the running task must end with -EINTR (or -ERESTARTSYS).
static inline bool task_interrupted(const struct task *t)
{
    return (load_relaxed(&t->attn) & (ATTN_SIGNAL | ATTN_CANCEL | ATTN_STOP)) && !t->shield;
}
// True when a killable wait must end.
static inline bool task_killed(const struct task *t)
{
    return (load_relaxed(&t->attn) & ATTN_CANCEL) && !t->shield;
}

// Records for the dispatcher what a copy found absent, and sets LOCAL_COMMIT; returns -ECOMMIT.
long task_note_commit(va_t va, uint64_t len, uint32_t access);

// To look at or change a task that may be blocked for ever: idle -> RUNNING with the caller as its
// runner. False when it is queued or running (hold it first), new or dead. Release queues it if it was
// woken meanwhile. No await in between.
bool task_borrow(struct task *t);
void task_release(struct task *t);

// ATTN_HOLD: after task_hold the task takes no further step once task_is_parked(); no wake is lost.
void task_hold(struct task *t);
void task_unhold(struct task *t);
static inline bool task_is_parked(const struct task *t)
{
    return !(load_acquire(&t->state) & TASK_RUNNING);
}

// Arena. Dispatch reserves a handler's worst case before it runs: afterwards AWAIT cannot fail.
// task_reserve: -ENOMEM. task_trim gives an overflow segment back: no frame may be in it.
int task_reserve(struct task *t, size_t bytes);
void task_trim_segment(struct task *t);
static inline void task_trim(struct task *t)
{
    if (unlikely(t->segment != NULL))
        task_trim_segment(t);
}
struct frame *async_grow(struct task *t, size_t size);

// Runs FINALLY of every frame above `stop`, leaf first. Owner only.
void async_unwind(struct task *t, struct frame *stop);

void deadline_arm(struct task *t, struct frame *frame, struct deadline *d, uint64_t ns);
void deadline_arm_wall(struct task *t, struct frame *frame, struct wall_deadline *d,
                       uint64_t until);
void deadline_disarm(struct task *t, struct deadline *d);
void deadlines_clock_was_set(void); // whoever sets CLOCK_REALTIME calls it then

// All tasks: fn is called under task_list_lock, in order of id, until it returns false.
extern struct spinlock task_list_lock;
void task_foreach(uint32_t from_id, bool (*fn)(struct task *, void *), void *arg);
struct task *task_find(uint32_t id); // referenced, or NULL
// The task behind t (NULL: the first), NULL at the end. Panic only: no lock, and what it finds may be broken.
const struct task *task_next_unlocked(const struct task *t);

// "waiting", "ready", "running", ...: of a task's state and attn.
const char *task_state_name(uint32_t state, uint32_t attn);

// The async backtrace of a borrowed, parked or own task: copies out up to max steps, leaf first.
// A light wait is the first step, without a frame.
struct async_step {
    const char *function, *file, *what;
    uint32_t line, frame_size;
    const void *frame;
};
size_t task_backtrace(const struct task *t, struct async_step *out, size_t max);
