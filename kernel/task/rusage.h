// SPDX-License-Identifier: MIT
// Resource usage as Linux reports it (getrusage(2), wait4(2), times(2)).
#pragma once

#include "task/thread.h"

struct rusage_user {
    struct {
        int64_t sec, usec;
    } utime, stime;
    int64_t maxrss, ixrss, idrss, isrss, minflt, majflt, nswap, inblock, oublock, msgsnd, msgrcv,
        nsignals, nvcsw, nivcsw;
};

// A process that has ended: its threads' times are summed. Lock: none needed for a zombie.
void rusage_of_zombie(const struct process *p, struct rusage_user *out);
