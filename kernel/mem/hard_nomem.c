// SPDX-License-Identifier: MIT
// HARD_NOMEM builds: when the system has come up, one allocation in n fails, of frames and of heap.
//
// Not each n-th: a fork needs more than a dozen, and would meet its end every time it is tried.
//
// A kernel that cannot even start shows nothing, so the failures begin a second after boot.
// `nomem=N` on the command line says how often (97; 0: never).
#ifdef HARD_NOMEM
#include "async/timer.h"
#include "lib/dt.h"
#include "lib/init.h"
#include "lib/log.h"
#include "lib/mix.h"
#include "page/frame.h"

#include <stdlib.h>

static struct timer start_timer;
static uint32_t every;

static bool hit(void)
{
    static uint32_t calls;
    return mix64(atomic_add32(&calls, 1) + 1) % every == 0;
}

static void hard_nomem_begin(struct timer *tm)
{
    (void)tm;
    char value[12];
    every = boot_arg("nomem", value, sizeof value) ? (uint32_t)atoi(value) : 97;
    static struct alloc_failure failure = {.fails = hit};
    if (every)
        alloc_failure_add(&failure);
}

static void hard_nomem_start(void)
{
    log_warn("HARD_NOMEM: allocations will fail");
    timer_arm(&start_timer, 1000000000, hard_nomem_begin);
}
INIT(INIT_USER, hard_nomem_start);
#endif
