// SPDX-License-Identifier: MIT
// k.policy: the rules of the scheduler (async/policy.h) as a list; assigning one is a change like any other.
//
// A change names a policy by its place in a small ring of those that were set last; what has fallen out of it cannot be
// undone any more. Where a rule says which harts to run on, the tasks it is about are moved at once, and get back what
// they had when another policy comes; who is born meanwhile inherits, and gets that as well.
#include "async/policy.h"

#include "class/classes.h"
#include "class/options.h"
#include "lib/errno.h"
#include "lib/init.h"
#include "session/journal.h"
#include "session/session.h"
#include "task/thread.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

enum { KEPT = 16, MOVED = 128, MS_MOST = 1000 };

struct policy {
    uint64_t number; // from 1; 0 is the one without rules
    uint32_t n;
    struct policy_rule rule[POLICY_RULES];
    uint64_t harts[POLICY_RULES]; // 0: any
};

static struct policy kept[KEPT]; // the one in force is among them
static uint64_t newest, current;
static struct moved {
    uint32_t task;
    uint64_t harts, was;
} moved[MOVED];
static unsigned moves;
static uint32_t newest_task; // when they were moved

static uint32_t group_of(const struct task *t)
{
    return t->thread ? t->thread->process->pid : 0;
}

static const struct policy *policy_of(uint64_t number)
{
    static const struct policy none;
    const struct policy *p = number ? &kept[number % KEPT] : &none;
    return p->number == number ? p : NULL;
}

// ---- applying

static void note(const struct task *t, uint64_t harts, uint64_t was)
{
    if (moves == MOVED)
        return;
    moved[moves++] = (struct moved){t->id, harts, was};
}

static void set_harts(uint32_t task, uint64_t harts)
{
    struct task *t = task_find(task);
    if (!t)
        return;
    task_set_affinity(t, harts);
    task_put(t);
}

struct born {
    uint32_t from;
    unsigned n;
    struct moved task[32];
};

// Who was born under the rules has inherited what they say; but a session is pinned, whatever they say.
static bool note_born(struct task *t, void *arg)
{
    struct born *b = arg;
    uint64_t harts = load_relaxed(&t->affinity);
    for (unsigned i = 0; i < moves && !session_is_task(t); i++)
        if (moved[i].harts == harts) {
            b->task[b->n++] = (struct moved){t->id, harts, moved[i].was};
            break;
        }
    b->from = t->id + 1;
    return b->n < sizeof b->task / sizeof *b->task;
}

static void put_back(void)
{
    struct born b = {.from = newest_task + 1};
    do {
        b.n = 0;
        task_foreach(b.from, note_born, &b);
        for (unsigned i = 0; i < b.n; i++)
            set_harts(b.task[i].task, b.task[i].was);
    } while (b.n);
    for (unsigned i = moves; i-- > 0;) // two rules may have moved one task
        set_harts(moved[i].task, moved[i].was);
    moves = 0;
}

struct mover {
    const struct policy_rule *rule;
    uint64_t harts;
    unsigned met;
};

static bool is_meant(const struct policy_rule *r, const struct task *t)
{
    return r->task ? t->id == r->task : t->thread && group_of(t) == r->group;
}

// Under the list lock: only notes.
static bool note_meant(struct task *t, void *arg)
{
    const struct mover *m = arg;
    if (is_meant(m->rule, t))
        note(t, m->harts, load_relaxed(&t->affinity));
    return true;
}

static bool note_newest(struct task *t, void *arg)
{
    (void)arg;
    newest_task = t->id;
    return true;
}

static bool count_meant(struct task *t, void *arg)
{
    struct mover *m = arg;
    m->met += is_meant(m->rule, t);
    return true;
}

static void move(const struct policy_rule *rule, uint64_t harts)
{
    struct mover m = {rule, harts, 0};
    unsigned from = moves;
    task_foreach(0, note_meant, &m);
    for (unsigned i = from; i < moves; i++)
        set_harts(moved[i].task, harts);
}

static bool is_meant_monitor(const struct policy_rule *r)
{
    for (unsigned i = 0; i < WIRE_SESSIONS; i++)
        if (session_task_of(i) && is_meant(r, session_task_of(i)))
            return true;
    return false;
}

static long set_validate(struct change *c)
{
    const struct policy *p = policy_of(c->arg[0]);
    if (!p) {
        snprintf(c->why, sizeof c->why, "that policy is forgotten");
        return -ENOENT;
    }
    snprintf(c->text, sizeof c->text, "schedule by %u rules", p->n);
    struct mover m = {0};
    for (uint32_t i = 0; i < p->n; i++) {
        m.rule = &p->rule[i];
        if (p->harts[i])
            task_foreach(0, count_meant, &m);
        if (p->harts[i] && is_meant_monitor(m.rule))
            snprintf(c->why, sizeof c->why, "the monitor stays where it is");
    }
    if (m.met > MOVED)
        snprintf(c->why, sizeof c->why, "the rules would move %u tasks, more than %d", m.met,
                 MOVED);
    return *c->why ? -EINVAL : 0;
}

static long set_apply(struct change *c);
static const struct change_kind set_kind = {"policy.set", MODE_RW, set_validate, set_apply};

static long set_apply(struct change *c)
{
    const struct policy *p = policy_of(c->arg[0]);
    put_back();
    task_foreach(0, note_newest, NULL);
    policy_set(p->rule, p->n);
    for (uint32_t i = 0; i < p->n; i++)
        if (p->harts[i])
            move(&p->rule[i], p->harts[i]);
    c->undo = &set_kind;
    c->undo_arg[0] = current;
    current = p->number;
    return 0;
}

// ---- Lua

static uint64_t number_of(lua_State *L, const char *name, uint64_t usual, lua_Integer most)
{
    return (uint64_t)options_integer(L, -1, name, (lua_Integer)usual, 1, most);
}

// The rule's table is on top.
static void read_rule(lua_State *L, struct policy *p)
{
    struct policy_rule *r = &p->rule[p->n];
    uint64_t task = 0;
    static const char *const known[] = {"task", "pid", "weight", "harts", "deadline_ms", NULL};
    options_check(L, -1, known);
    *r = (struct policy_rule){.weight = (uint32_t)number_of(L, "weight", 1, POLICY_WEIGHT_MOST)};
    if (options_object(L, -1, "task", class_task, &task))
        r->task = (uint32_t)task;
    r->group = (uint32_t)number_of(L, "pid", 0, INT32_MAX);
    if (!r->task == !r->group)
        luaL_error(L, "a rule is about a task or a pid");
    r->deadline = number_of(L, "deadline_ms", 0, MS_MOST) * 1000000;
    uint64_t all = hart_count < 64 ? (1ul << hart_count) - 1 : ~0ul;
    p->harts[p->n++] = number_of(L, "harts", 0, (lua_Integer)(all & INT64_MAX));
}

static int k_policy_set(lua_State *L)
{
    struct policy p = {0};
    class_check_assigned(L, "policy", "table");
    lua_Integer n = luaL_len(L, 1);
    if (n > POLICY_RULES)
        return luaL_error(L, "a policy has at most %d rules", POLICY_RULES);
    for (lua_Integer i = 1; i <= n; i++) {
        if (lua_geti(L, 1, i) != LUA_TTABLE)
            return luaL_error(L, "a policy is a list of rules, each a table");
        read_rule(L, &p);
        lua_pop(L, 1);
    }
    if (p.n) { // from here on no Lua: another session, or the list itself, may have set one while it was read
        do
            p.number = ++newest;
        while (current && p.number % KEPT == current % KEPT); // which may stay in force
        kept[p.number % KEPT] = p;
    }
    change_make(L, &(struct change){.kind = &set_kind, .arg = {p.n ? p.number : 0}});
    return 0;
}

static int k_policy(lua_State *L)
{
    const struct policy p = *policy_of(current); // another session may set one meanwhile
    lua_newtable(L);
    for (uint32_t i = 0; i < p.n; i++) {
        const struct policy_rule *r = &p.rule[i];
        lua_createtable(L, 0, 4);
        if (r->task) {
            class_push(L, class_task, (struct class_key){r->task, 0});
            lua_setfield(L, -2, "task");
        } else {
            class_set_int(L, "pid", r->group);
        }
        class_set_int(L, "weight", r->weight);
        if (p.harts[i])
            class_set_int(L, "harts", p.harts[i]);
        if (r->deadline)
            class_set_int(L, "deadline_ms", r->deadline / 1000000);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    class_set_columns(L, "task pid> weight> harts> deadline_ms>");
    return 1;
}
MONITOR_API(
    policy, "policy", NULL,
    "rules of the scheduler: list of {task= or pid=, weight=, harts=, deadline_ms=}; assign another to change them",
    "k.policy = {{pid = 5, weight = 3}, {task = k.task(\"sh\"), deadline_ms = 2}}", k_policy,
    k_policy_set);

static void policy_init(void)
{
    policy_group = group_of;
}
INIT(INIT_LATE, policy_init);
