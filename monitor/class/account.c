// SPDX-License-Identifier: MIT
// k.account(): how much there is of everything that could leak, as exact counts.
//
// First the name cache is emptied of what nobody uses, and each hart gives back what it keeps of
// frames and heap objects (lib/stock.h), so that equal states have equal counts. Slabs and free
// frames are left out: how full slabs are is chance.
#include "async/epoch.h"
#include "class/class.h"
#include "fs/dentry.h"
#include "fs/file.h"
#include "lib/stock.h"
#include "mem/space.h"
#include "page/heap.h"
#include "session/session.h"
#include "task/process.h"

#include <lauxlib.h>
#include <stdio.h>

static void all_harts_give_back(void)
{
    uint32_t request = stocks_ask();
    while (!stocks_given(request))
        fiber_yield(session_fiber());
}

static void empty_name_cache(void)
{
    if (session_await(mutex_lock, &super_mutex, false) < 0) // keeps supers from being unmounted
        return;
    LIST_FOREACH(it, &super_list)
        while (dentry_forget_super(list_entry(it, struct super, all)))
            fiber_yield(session_fiber());
    LIST_FOREACH(it, &super_list)
        session_await(vnode_reaper_flush, list_entry(it, struct super, all), false);
    mutex_unlock(&super_mutex, session_task());
}

static void count_frames(lua_State *L)
{
    struct frame_stats s;
    uint64_t pinned = 0, end = (frame_end - frame_base) >> PAGE_SHIFT;
    frame_count_kinds(&s);
    class_set_int(L, "frames anon", s.kind[FRAME_ANON]);
    class_set_int(L, "frames table", s.kind[FRAME_TABLE]);
    class_set_int(L, "frames kernel", s.kind[FRAME_KERNEL]);
    class_set_int(L, "frames cache", s.kind[FRAME_CACHE]);
    fiber_yield(session_fiber());
    for (uint64_t i = 0; i < end; i++) {
        const struct page *pg = &frame_pages[i];
        uint8_t order = load_relaxed(&pg->order), kind = load_relaxed(&pg->kind);
        if (kind == FRAME_FREE && order <= FRAME_ORDER_MAX)
            i += (1ul << order) - 1;
        else if (kind != FRAME_SLAB && kind != FRAME_FREE) // which keep something else there
            pinned += load_relaxed(&pg->pins);
    }
    class_set_int(L, "pins", pinned);
}

static void count_heap(lua_State *L)
{
    struct heap_stats s;
    char name[24];
    heap_stats_get(&s);
    for (int i = 0; i < HEAP_CLASSES; i++) {
        snprintf(name, sizeof name, "heap %04u", s.cls[i].size);
        class_set_int(L, name, s.cls[i].used);
    }
    class_set_int(L, "heap large", s.large_frames);
}

struct population {
    uint64_t tasks, spaces, processes, threads, descriptors;
};

static bool count_task(struct task *t, void *arg)
{
    (void)t;
    ((struct population *)arg)->tasks++;
    return true;
}

static bool count_space(struct space *s, void *arg)
{
    (void)s;
    ((struct population *)arg)->spaces++;
    return true;
}

// Descriptors of a table that threads share count once for each.
static bool count_process(struct process *p, void *arg)
{
    struct population *n = arg;
    n->processes++;
    n->threads += p->nthreads;
    spin_lock(&p->lock);
    PROCESS_THREADS(it, p)
    if (thread_entry(it)->files)
        n->descriptors += load_relaxed(&thread_entry(it)->files->open);
    spin_unlock(&p->lock);
    return true;
}

static void count_population(lua_State *L)
{
    struct population n = {0};
    task_foreach(0, count_task, &n);
    space_foreach(0, count_space, &n);
    process_foreach(0, count_process, &n);
    class_set_int(L, "tasks", n.tasks);
    class_set_int(L, "spaces", n.spaces);
    class_set_int(L, "processes", n.processes);
    class_set_int(L, "threads", n.threads);
    class_set_int(L, "descriptors", n.descriptors);
}

static void count_names(lua_State *L)
{
    uint64_t vnodes = 0, supers = 0;
    spin_lock(&super_lock);
    LIST_FOREACH(it, &super_list) {
        struct super *super = list_entry(it, struct super, all);
        supers++;
        spin_lock(&super->lock);
        LIST_FOREACH(v, &super->vnodes)
            vnodes++;
        spin_unlock(&super->lock);
    }
    spin_unlock(&super_lock);
    class_set_int(L, "supers", supers);
    class_set_int(L, "vnodes", vnodes);
    class_set_int(L, "dentries", dentry_count());
}

// What waits to be freed; when nothing runs, nothing does.
static void count_epochs(lua_State *L)
{
    struct epoch_stats s;
    epoch_stats_get(&s);
    class_set_int(L, "epochs pending", s.retired - s.freed);
}

static int k_account(lua_State *L)
{
    empty_name_cache();
    all_harts_give_back();
    lua_newtable(L);
    count_population(L);
    count_names(L);
    count_frames(L);
    count_heap(L);
    count_epochs(L);
    class_set_names(L, "k.account()", "");
    return 1;
}
MONITOR_API(account, "account", "k.account() -> {name = count}",
            "how much there is of all that could leak: what is equal before and after work",
            "k.account()", k_account, NULL);
