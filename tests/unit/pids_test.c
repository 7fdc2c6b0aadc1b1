// SPDX-License-Identifier: MIT
// Numbers of processes come again after the last one, but for those that name somebody: a process, a group, a session.
// sources: kernel/task/pids.c kernel/lib/spinlock.c tests/unit/host.c
// flags: -DDEBUG -Ikernel/arch/riscv/include
#include "async/epoch.h"
#include "task/pids.h"
#include "task/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

// What lookups, of which there are none here, would end with.
struct epoch_slot epoch_slots[MAX_HARTS];
uint64_t epoch_now = 1;
void process_put(struct process *p)
{
    (void)p;
    abort();
}
void process_get(struct process *p)
{
    (void)p;
    abort();
}
void thread_put(struct thread *th)
{
    (void)th;
    abort();
}
void task_put(struct task *t)
{
    (void)t;
    abort();
}

static void names_are_not_given_again(void **state)
{
    (void)state;
    struct process *p = calloc(1, sizeof *p);
    p->pid = 400;
    p->pgid = 500; // the leaders of both have gone
    p->sid = 600;
    for (uint32_t n = 1; n < PID_MAX; n++)
        assert_int_equal(pids_take(0), n);
    pids_enter(p);
    for (uint32_t n = 2; n < PID_MAX; n++)
        if (n != p->pid && n != p->pgid && n != p->sid)
            assert_int_equal(pids_take(0), n);
    pids_leave(p);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_are_not_given_again)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
