// SPDX-License-Identifier: MIT
// Credentials: who may look into whom, and supplementary groups, sets that processes share until one of them sets
// its own.
#include "task/caps.h"

#include "page/heap.h"

struct group_set *group_set_of(struct process *p)
{
    uint64_t outer = epoch_enter();
    struct group_set *set;
    do {
        set = load_acquire(&p->cred.groups); // again, when a sibling has just replaced it
    } while (set && !ref_get_unless_zero(&set->refs));
    epoch_leave(outer);
    return set;
}

static void group_set_free(struct epoch_item *item)
{
    kfree(container_of(item, struct group_set, epoch));
}

void group_set_put(struct group_set *set)
{
    if (set && atomic_add32(&set->refs, -1u) == 1)
        epoch_retire(&set->epoch, group_set_free);
}

void process_set_groups(struct process *p, struct group_set *set)
{
    spin_lock(&p->lock);
    struct group_set *old = p->cred.groups;
    store_release(&p->cred.groups, set);
    spin_unlock(&p->lock);
    group_set_put(old);
}

bool process_may_look_into(const struct process *p)
{
    const struct credentials *me = &process_current()->cred, *c = &p->cred;
    return p == process_current() || caps_have(me, CAP_SYS_PTRACE) ||
           (me->uid == c->uid && me->uid == c->euid && me->uid == c->suid && me->gid == c->gid &&
            me->gid == c->egid && me->gid == c->sgid);
}
