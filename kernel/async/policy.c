// SPDX-License-Identifier: MIT
// The table is guarded by a number that is odd while it is written: readers, who are between two polls or in a trap from
// user mode, never wait; they look at the number before and after.
#include "async/policy.h"

#include "async/task.h"

#include <string.h>

static uint64_t version;
static struct {
    uint32_t n;
    uint64_t shortest; // deadline, 0: there is none
    struct policy_rule rule[POLICY_RULES];
} table;
uint32_t (*policy_group)(const struct task *t);

void policy_set(const struct policy_rule *rules, uint32_t n)
{
    uint64_t shortest = 0;
    for (uint32_t i = 0; i < n; i++)
        if (rules[i].deadline && (!shortest || rules[i].deadline < shortest))
            shortest = rules[i].deadline;
    store_relaxed(&version, version + 1);
    fence_full();
    memcpy(table.rule, rules, n * sizeof *rules);
    store_relaxed(&table.n, n);
    store_relaxed(&table.shortest, shortest);
    fence_full();
    store_relaxed(&version, version + 1);
}

// The rule of the task comes before that of its group. False: there is none, or the table is being written.
static bool find(const struct task *t, struct policy_rule *out)
{
    uint64_t before = load_acquire(&version);
    uint32_t n = load_relaxed(&table.n), group;
    if (!n || (before & 1) || n > POLICY_RULES)
        return false;
    bool found = false;
    group = policy_group ? policy_group(t) : 0;
    for (uint32_t i = 0; i < n; i++) {
        struct policy_rule r = table.rule[i];
        if (r.task == t->id || (!found && group && r.group == group)) {
            *out = r;
            found = true;
        }
        if (r.task == t->id)
            break;
    }
    fence_full();
    return found && load_relaxed(&version) == before;
}

uint32_t policy_weight(const struct task *t)
{
    struct policy_rule r;
    return load_relaxed(&table.n) && find(t, &r) ? r.weight : 1;
}

bool policy_in_force(void)
{
    return load_relaxed(&table.n);
}

bool policy_has_deadline(const struct task *t)
{
    struct policy_rule r;
    return load_relaxed(&table.shortest) && find(t, &r) && r.deadline;
}

bool policy_is_kernels(const struct task *t)
{
    return !t->thread;
}

uint64_t policy_slice_ns(uint64_t usual)
{
    uint64_t shortest = load_relaxed(&table.shortest);
    return shortest && shortest < usual ? shortest : usual;
}
