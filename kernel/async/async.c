// SPDX-License-Identifier: MIT
// Frames: growth, unwinding, deadlines, backtraces, and the worst case from the await points.
#include "async/async.h"

#include "lib/log.h"
#include "page/heap.h"

const struct await_point async_entry = {NULL, "entry", NULL, NULL, ASYNC_PC_ENTRY_, 0};
const struct await_point async_unwound = {NULL, "unwinding", NULL, NULL, ASYNC_PC_UNWIND_, 0};

void async_bad_pc(struct task *t, struct frame *frame)
{
    panic("%s: no resume point for %s:%lu in %s", t->name, frame->fn->file,
          (unsigned long)frame->at->line, frame->fn->name);
}

// ---- arena

// At most one overflow segment: dispatch reserves the worst case of a whole call in one piece.
static int segment_add(struct task *t, size_t bytes)
{
    REQUIRE(!t->segment);
    char *seg = kmalloc(bytes);
    if (!seg)
        return -ENOMEM;
    t->segment = seg;
    t->segment_sp = t->sp;
    t->segment_limit = t->limit;
    t->sp = seg;
    t->limit = seg + bytes;
    return 0;
}

int task_reserve(struct task *t, size_t bytes)
{
    if (likely((size_t)(t->limit - t->sp) >= bytes) && (!HARD_GROW || t->segment))
        return 0;
    return segment_add(t, bytes);
}

// After a cancelled call sp is back below the segment already.
void task_trim_segment(struct task *t)
{
    if (t->sp == t->segment)
        t->sp = t->segment_sp;
    t->limit = t->segment_limit;
    kfree(t->segment);
    t->segment = NULL;
}

// Only for tasks whose caller did not reserve: kernel tasks are given their worst case at birth, so
// this is reached by a root that awaits more than async_depth() of it, which the build excludes.
struct frame *async_grow(struct task *t, size_t size)
{
    panic("%s: arena exhausted: %lu bytes wanted in %s", t->name, (unsigned long)size,
          t->top ? t->top->fn->name : "?");
}

// ---- unwinding and deadlines

void async_unwind(struct task *t, struct frame *stop)
{
    uint32_t shield = t->shield;
    while (t->top != stop) {
        struct frame *f = t->top;
        while (t->deadline && t->deadline->frame == f)
            deadline_disarm(t, t->deadline);
        if (f->at != &async_entry) { // a frame that never ran has nothing to finish
            f->at = &async_unwound;
            f->fn->resume(t, f);
        }
        async_pop(t);
    }
    DEBUG_ASSERT(t->shield == shield);
    (void)shield;
}

static void deadline_fire(struct timer *tm)
{
    struct deadline *d = container_of(tm, struct deadline, timer);
    d->fired = 1;
    task_attention(d->task, ATTN_DEADLINE);
}

void deadline_arm(struct task *t, struct frame *frame, struct deadline *d, uint64_t ns)
{
    *d = (struct deadline){.frame = frame, .outer = t->deadline, .task = t};
    t->deadline = d;
    timer_arm(&d->timer, ns, deadline_fire);
}

static struct spinlock wall_lock = SPINLOCK_INIT("wall clock deadlines");
static struct list wall_deadlines = LIST_INIT(wall_deadlines); // whose timers wall_lock covers, too

// wall_lock held.
static void arm_wall(struct wall_deadline *w)
{
    uint64_t now = clock_realtime_ns();
    timer_arm(&w->deadline.timer, w->until > now ? w->until - now : 0, deadline_fire);
}

void deadline_arm_wall(struct task *t, struct frame *frame, struct wall_deadline *w, uint64_t until)
{
    w->deadline = (struct deadline){.frame = frame, .outer = t->deadline, .task = t, .wall = true};
    w->until = until;
    t->deadline = &w->deadline;
    spin_lock(&wall_lock);
    list_push_back(&wall_deadlines, &w->link);
    arm_wall(w);
    spin_unlock(&wall_lock);
}

void deadlines_clock_was_set(void)
{
    spin_lock(&wall_lock);
    LIST_FOREACH(it, &wall_deadlines) {
        struct wall_deadline *w = list_entry(it, struct wall_deadline, link);
        if (timer_cancel(&w->deadline.timer))
            arm_wall(w);
    }
    spin_unlock(&wall_lock);
}

static void disarm_wall(struct wall_deadline *w)
{
    spin_lock(&wall_lock);
    list_remove(&w->link);
    timer_cancel(&w->deadline.timer);
    spin_unlock(&wall_lock);
}

void deadline_disarm(struct task *t, struct deadline *d)
{
    REQUIRE(t->deadline == d);
    if (unlikely(d->wall))
        disarm_wall(container_of(d, struct wall_deadline, deadline));
    else
        timer_cancel(&d->timer);
    t->deadline = d->outer;
}

// ---- looking

size_t task_backtrace(const struct task *t, struct async_step *out, size_t max)
{
    size_t n = 0;
    const struct light_wait *w = t->light;
    if (w && n < max)
        out[n++] = (struct async_step){w->name, w->file, w->what, w->line, 0, NULL};
    for (const struct frame *f = t->top; f && n < max; f = f->parent) {
        const struct await_point *at = f->at;
        out[n++] = (struct async_step){f->fn->name, f->fn->file,
                                       at->what,    at->line ? (uint32_t)at->line : f->fn->line,
                                       f->fn->size, f};
    }
    return n;
}

// The functions on the way to one being looked at: meeting one of them again is recursion. Kept on the stack: harts may
// ask for the same function at the same time, and each finds the same.
struct path {
    const struct async_fn *fn;
    const struct path *up;
};

static long depth_below(const struct async_fn *fn, const struct path *up);

static long deepest_of(const struct await_point *a, const struct path *up)
{
    if (a->callee)
        return depth_below(a->callee, up);
    long deepest = 0;
    if (a->iface)
        SET_FOREACH(async_impls, struct async_impl, i) {
            long d = i->iface == a->iface ? depth_below(i->fn, up) : 0;
            if (d < 0)
                return d;
            deepest = d > deepest ? d : deepest;
        }
    return deepest;
}

static long depth_below(const struct async_fn *fn, const struct path *up)
{
    long deepest = 0, known = load_relaxed(fn->depth);
    if (known)
        return known;
    for (const struct path *p = up; p; p = p->up)
        if (p->fn == fn)
            return -1;
    const struct path here = {fn, up};
    SET_FOREACH(await_points, struct await_point, a) {
        if (!a->fn || *a->fn != fn)
            continue;
        long d = deepest_of(a, &here);
        if (d < 0)
            return d;
        deepest = d > deepest ? d : deepest;
    }
    deepest += fn->size;
    store_relaxed(fn->depth, deepest);
    return deepest;
}

long async_depth(const struct async_fn *fn)
{
    return depth_below(fn, NULL);
}
