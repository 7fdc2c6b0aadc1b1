// SPDX-License-Identifier: MIT
// Where the points are, and the tables that decide what they do: see tracer.h.
//
// listeners[point] and holders[point] have a bit for each use. A hart that comes by says that it is
// inside, fences, reads them; who takes a bit out fences and waits until each hart was outside once.
#include "task/thread.h"

#include "trace/held.h"
#include "trace/tracer.h"

#include "arch/cpu.h"
#include "async/task.h"
#include "lib/errno.h"
#include "lib/init.h"
#include "lib/log.h"
#include "page/heap.h"
#include "session/number.h"

#include <string.h>

enum { CALL_RING = 128 };

static struct tracer tracers[TRACERS];
static struct trace_use uses[USES];
static uint64_t next_id;
static size_t memory_used;
static uint32_t listeners[POINTS], holders[POINTS];
static struct trace_ring *calls_of[WIRE_SESSIONS]; // of each session per hart

static struct {
    uint32_t now;
    uint32_t line[15];
} inside[MAX_HARTS];

// ---- where the point is

// A use that holds keeps what is told from going on, unless another one has, or there is no room to tell of it.
static bool keep_call(const struct trace_use *u, struct trace_event *e, bool held)
{
    const struct trace_point *point = u->point;
    struct task *t = current_task();
    struct trace_ring *ring = &calls_of[u->tracer->session][e->hart];
    u->hits[e->hart]++;
    e->held = false;
    if (!trace_ring_room(ring)) {
        u->lost[e->hart]++;
        return false;
    }
    e->held = u->hold && !held;
    if (e->held && point->parks)
        atomic_or32(&t->attn, ATTN_HOLD); // before anybody can know of it and take it away
    trace_ring_put(ring, e);
    return e->held;
}

static void keep_event(const struct trace_use *u, const struct trace_event *e)
{
    struct trace_ring *r = &u->tracer->ring[e->hart];
    u->hits[e->hart]++;
    if (trace_ring_room(r))
        trace_ring_put(r, e);
    else
        u->lost[e->hart]++;
}

static bool deliver(const struct trace_use *u, struct trace_event *e, bool held)
{
    if (!filter_passes(&u->filter, e))
        return false;
    switch (u->tracer->kind) {
    case TRACER_CALLS:
        return keep_call(u, e, held);
    case TRACER_COUNTS:
        u->hits[e->hart]++;
        agg_add(&u->tracer->table[e->hart], e);
        return false;
    case TRACER_EVENTS:
        keep_event(u, e);
        return false;
    case TRACER_FUNCTION:
        u->hits[e->hart]++;
        u->tracer->tell(e);
        return false;
    case TRACER_FREE:
        break;
    }
    return false;
}

static bool come_by(const struct trace_point *point, const uint64_t args[TRACE_ARGS],
                    const uint32_t *masks)
{
    uint32_t hart = hart_index();
    const struct task *t = current_task();
    store_relaxed(&inside[hart].now, 1);
    fence_full();
    uint32_t index = (uint32_t)(point - SET_BEGIN(trace_points));
    struct trace_event e = {.at = time_ticks(),
                            .task = t ? t->id : 0,
                            .pid = t && t->thread ? t->thread->process->pid : 0,
                            .point = (uint8_t)index,
                            .hart = (uint8_t)hart};
    memcpy(e.arg, args, sizeof e.arg);
    bool held =
        false; // by the first that wants it; the others, perhaps another session's, are told
    for (uint32_t mask = load_acquire(&masks[index]); mask; mask &= mask - 1) {
        e.use = (uint8_t)__builtin_ctz(mask);
        held |= deliver(&uses[e.use], &e, held);
    }
    store_release(&inside[hart].now, 0);
    return held;
}

static bool on_point(const struct trace_point *point, const uint64_t args[TRACE_ARGS])
{
    return come_by(point, args, listeners);
}

static bool on_hold(const struct trace_point *point, const uint64_t args[TRACE_ARGS])
{
    const struct task *t = current_task();
    if (point->parks && (!t || !t->thread || held_pass(t->id, point, args[0])))
        return false;
    return come_by(point, args, holders);
}

// ---- the monitor's side

static void wait_outside(void)
{
    fence_full();
    for (uint32_t i = 0, turns = 0; i < hart_count; i++)
        while (load_acquire(&inside[i].now)) {
            ipi_serve();
            cpu_relax_long(&turns);
        }
}

static void listen(const struct trace_point *point)
{
    uint32_t i = (uint32_t)(point - SET_BEGIN(trace_points));
    store_release(&point->state->handler, listeners[i] ? on_point : NULL);
    store_release(&point->state->hold, holders[i] ? on_hold : NULL);
    if (point->changed)
        point->changed();
}

static void set_listening(uint32_t slot, bool on)
{
    const struct trace_use *u = &uses[slot];
    uint32_t *mask = &(u->hold ? holders : listeners)[u->point - SET_BEGIN(trace_points)];
    store_release(mask, on ? *mask | 1u << slot : *mask & ~(1u << slot));
    listen(u->point);
}

int tracer_new(enum tracer_kind kind, struct tracer **out)
{
    for (unsigned i = 0; i < TRACERS; i++)
        if (tracers[i].kind == TRACER_FREE) {
            tracers[i] =
                (struct tracer){.kind = kind, .session = session_number(), .id = ++next_id};
            *out = &tracers[i];
            return 0;
        }
    return -ENOSPC;
}

static size_t bytes_needed(const struct tracer *tr, uint32_t ring)
{
    if (tr->kind == TRACER_COUNTS)
        return (hart_count + 1) * (sizeof(struct agg_table) + agg_bytes(&tr->shape));
    return hart_count * (sizeof(struct trace_ring) + ring * sizeof(struct trace_event));
}

static void lay_out_counts(struct tracer *tr)
{
    tr->table = tr->memory;
    char *rows = (char *)&tr->table[hart_count + 1];
    for (uint32_t i = 0; i <= hart_count; i++)
        agg_init(&tr->table[i], &tr->shape, rows + i * agg_bytes(&tr->shape));
}

// Each ring is a block of its own: together they may be more than the heap gives in one piece.
static bool lay_out_events(struct tracer *tr, uint32_t ring)
{
    tr->ring = tr->memory;
    for (uint32_t i = 0; i < hart_count; i++) {
        struct trace_event *slots = kzalloc((size_t)ring * sizeof *slots);
        if (!slots)
            return false;
        trace_ring_init(&tr->ring[i], slots, ring);
    }
    return true;
}

static void free_memory(struct tracer *tr)
{
    for (uint32_t i = 0; tr->ring && i < hart_count; i++)
        kfree(tr->ring[i].slot);
    kfree(tr->memory);
    memory_used -= tr->bytes;
}

// What it has, also when it fails, tracer_free gives back.
int tracer_reserve(struct tracer *tr, uint32_t ring)
{
    size_t bytes = bytes_needed(tr, ring);
    bool counts = tr->kind == TRACER_COUNTS;
    if (bytes > TRACER_MEMORY - memory_used)
        return -ENOSPC;
    tr->memory = kzalloc(counts ? bytes : hart_count * sizeof *tr->ring);
    if (!tr->memory)
        return -ENOMEM;
    tr->bytes = bytes;
    memory_used += bytes;
    if (!counts)
        return lay_out_events(tr, ring) ? 0 : -ENOMEM;
    lay_out_counts(tr);
    return 0;
}

int tracer_use(struct tracer *tr, const struct trace_point *point, const struct trace_filter *f,
               bool hold)
{
    for (uint32_t i = 0; i < USES; i++) {
        struct trace_use *u = &uses[i];
        if (u->point)
            continue;
        u->point = point;
        u->filter = *f;
        u->tracer = tr;
        u->hold = hold;
        memset(u->hits, 0, hart_count * sizeof *u->hits);
        memset(u->lost, 0, hart_count * sizeof *u->lost);
        tr->uses |= 1u << i;
        return 0;
    }
    return -ENOSPC;
}

void tracer_start(struct tracer *tr)
{
    tr->began = time_ticks();
    tr->running = true;
    for (uint32_t m = tr->uses; m; m &= m - 1)
        set_listening((uint32_t)__builtin_ctz(m), true);
}

void tracer_stop(struct tracer *tr)
{
    if (!tr->running)
        return;
    for (uint32_t m = tr->uses; m; m &= m - 1)
        set_listening((uint32_t)__builtin_ctz(m), false);
    wait_outside();
    tr->ended = time_ticks();
    tr->running = false;
}

// Events of uses that are gone stay in the rings of calls, but are nobody's any more.
static void forget_calls(uint32_t of)
{
    struct trace_ring *calls = calls_of[session_number()];
    for (uint32_t h = 0; h < hart_count; h++)
        for (uint32_t i = calls[h].head; i != load_acquire(&calls[h].tail); i++) {
            struct trace_event *e = &calls[h].slot[i & (CALL_RING - 1)];
            if (e->use < USES && of >> e->use & 1) {
                tracer_let_go(e, false);
                e->use = USES;
                e->held = false;
            }
        }
}

void tracer_free(struct tracer *tr)
{
    tracer_stop(tr);
    if (tr->kind == TRACER_CALLS)
        forget_calls(tr->uses);
    for (uint32_t m = tr->uses; m; m &= m - 1)
        uses[__builtin_ctz(m)].point = NULL;
    free_memory(tr);
    *tr = (struct tracer){.kind = TRACER_FREE};
}

void tracers_reset(void)
{
    held_reset();
    for (unsigned i = 0; i < TRACERS; i++)
        if (tracers[i].kind != TRACER_FREE && tracers[i].session == session_number())
            tracer_free(&tracers[i]);
}

struct tracer *tracer_find(uint64_t id)
{
    for (unsigned i = 0; i < TRACERS; i++)
        if (tracers[i].kind != TRACER_FREE && tracers[i].id == id)
            return &tracers[i];
    return NULL;
}

struct tracer *tracer_at(unsigned i)
{
    return &tracers[i];
}

struct trace_use *tracer_uses(unsigned i)
{
    return &uses[i];
}

static void add_use(struct tracer_totals *sum, const struct trace_use *u)
{
    for (uint32_t h = 0; h < hart_count; h++) {
        sum->hits += load_relaxed(&u->hits[h]);
        sum->lost += load_relaxed(&u->lost[h]);
    }
}

struct tracer_totals tracer_totals(const struct tracer *tr)
{
    struct tracer_totals sum = {0, 0};
    for (uint32_t m = tr->uses; m; m &= m - 1)
        add_use(&sum, &uses[__builtin_ctz(m)]);
    return sum;
}

struct tracer_totals trace_point_totals(const struct trace_point *p)
{
    struct tracer_totals sum = {0, 0};
    for (unsigned i = 0; i < USES; i++)
        if (uses[i].point == p)
            add_use(&sum, &uses[i]);
    return sum;
}

const struct agg_table *tracer_merge(struct tracer *tr)
{
    struct agg_table *all = &tr->table[hart_count];
    memset(all->memory, 0, agg_bytes(&tr->shape));
    all->used = 0;
    for (uint32_t h = 0; h < hart_count; h++)
        agg_merge(all, &tr->table[h]);
    return all;
}

bool tracer_next_call(struct trace_event *e)
{
    struct trace_ring *r = trace_rings_oldest(calls_of[session_number()], hart_count);
    if (!r)
        return false;
    *e = *trace_ring_peek(r);
    trace_ring_take(r);
    held_take(e);
    return true;
}

bool tracers_open(unsigned session)
{
    size_t n = hart_count;
    struct trace_ring *calls =
        kzalloc(n * (sizeof *calls + CALL_RING * sizeof(struct trace_event)));
    if (!calls)
        return false;
    struct trace_event *slots = (struct trace_event *)(calls + n);
    for (uint32_t h = 0; h < n; h++)
        trace_ring_init(&calls[h], slots + (size_t)h * CALL_RING, CALL_RING);
    calls_of[session] = calls;
    return true;
}

void tracers_close(unsigned session)
{
    kfree(calls_of[session]);
    calls_of[session] = NULL;
}

static void tracers_init(void)
{
    size_t n = hart_count;
    uint64_t *counts = kzalloc((size_t)2 * USES * n * sizeof *counts);
    if (!counts || !tracers_open(0) || SET_COUNT(trace_points) > POINTS)
        panic("monitor: no memory for trace points, or more than %d of them", POINTS);
    for (uint32_t i = 0; i < USES; i++) {
        uses[i].hits = counts + 2 * i * n;
        uses[i].lost = uses[i].hits + n;
    }
}
INIT(INIT_LATE, tracers_init);
