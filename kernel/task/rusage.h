// SPDX-License-Identifier: MIT
// Resource usage as Linux reports it (getrusage(2), wait4(2), times(2)).
#pragma once

#include "mem/space.h"
#include "task/thread.h"

struct rusage_user {
    struct {
        int64_t sec, usec;
    } utime, stime;
    int64_t maxrss, ixrss, idrss, isrss, minflt, majflt, nswap, inblock, oublock, msgsnd, msgrcv,
        nsignals, nvcsw, nivcsw;
};

// Of a process, its ended and its living threads, and of the children it has waited for, as wait4
// reports it. Takes process.lock.
void rusage_of_child(struct process *p, struct rusage_user *out);

// Faults that needed no reading.
static inline uint64_t minor_faults(const struct space *s)
{
    return s->faults > s->major ? s->faults - s->major : 0;
}
