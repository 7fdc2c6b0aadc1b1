// SPDX-License-Identifier: MIT
// Timers of processes that send signals: timer_create(2) and setitimer(2).
#pragma once

#include "task/signal.h"

enum { SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD, SIGEV_THREAD_ID = 4 };
enum { ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF };

enum { PTIMER_CPU_LIMIT = -4 }; // the id of the one that RLIMIT_CPU has
#define PTIMER_USER_TIME                                                                           \
    0x80000000u // a clock of ITIMER_VIRTUAL alone: what process_times (cputime.h) says of user mode

struct ptimer_spec {
    int32_t id;     // of an interval timer: -1 - ITIMER_*
    uint32_t clock; // CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_{PROCESS,THREAD}_CPUTIME_ID
    uint32_t owner; // tid of whose processor time it is, for the last
    int32_t notify, signo;
    uint32_t tid; // SIGEV_THREAD_ID: whom to signal
    uint64_t value;
    bool value_is_id; // the number chosen takes its place
};

struct ptimer_setting {
    uint64_t value, interval; // ns; value 0: it does not run
};

// All without locks held, by a thread of process p.

// A new timer; spec.id is chosen unless it is below 0. Its id, or -EAGAIN: over RLIMIT_SIGPENDING.
long ptimer_create(struct process *p, struct ptimer_spec *spec);
long ptimer_delete(struct process *p, int32_t id); // -EINVAL: there is none
// Either of was and new may be NULL; absolute: new.value is a time of its clock. -EINVAL: there is none.
long ptimer_set(struct process *p, int32_t id, const struct ptimer_setting *new, bool absolute,
                struct ptimer_setting *was);
long ptimer_overrun(struct process *p, int32_t id);
void ptimers_delete(struct process *p, bool interval_timers_too);
void ptimers_check_cpu(struct thread *th); // ATTN_CLOCK
void ptimers_clock_was_set(void);          // CLOCK_REALTIME
// RLIMIT_CPU bites: SIGXCPU each second from the soft limit on, SIGKILL at the hard one. By any thread, or
// before p has any: makes what the limit needs (0, -EAGAIN), lets p->rlimit count from now on.
long ptimer_need_cpu_limit(struct process *p);
void ptimer_limit_cpu(struct process *p);
