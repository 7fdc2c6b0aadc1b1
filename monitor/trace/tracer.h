// SPDX-License-Identifier: MIT
// Tracers: who listens to trace points, and what becomes of what they tell.
//
// A tracer has one use for each point it listens to, with the filter of that point. Its kind says
// what becomes of an event: Lua is called back later (k.on), it is counted (k.trace), it is kept
// (k.events), or a function is told. Where the point is, only C runs, without a lock: what it writes is the hart's own, and
// the tables it reads change only while nobody is inside (tracer_stop waits for that). All other
// functions are for the sessions' tasks alone, which run by turns on one hart.
//
// Everything is bounded: TRACERS, USES, and TRACER_MEMORY bytes for all of them. A session's end or reset
// gives back what it has.
#pragma once

#include "trace/aggregate.h"
#include "trace/filter.h"
#include "trace/ring.h"

enum { TRACERS = 16, USES = 32, POINTS = 64, TRACER_MEMORY = 16 << 20 };

enum tracer_kind { TRACER_FREE, TRACER_CALLS, TRACER_COUNTS, TRACER_EVENTS, TRACER_FUNCTION };
enum { TRACER_NOBODYS = UINT8_MAX }; // the session of one that outlives sessions

struct tracer {
    enum tracer_kind kind;
    bool running;
    unsigned session;                          // whose: that one is called back, and ends it
    uint64_t id;                               // never used again
    uint64_t began, ended;                     // ticks
    uint32_t uses;                             // bit per slot
    struct agg_shape shape;                    // COUNTS; AGG_NONE values where a point has none
    uint32_t functions;                        // COUNTS: what is shown of them (counts.c)
    struct agg_table *table;                   // COUNTS: per hart, then one to merge into
    struct trace_ring *ring;                   // EVENTS: per hart
    void (*tell)(const struct trace_event *e); // FUNCTION: called where the point is
    void *memory;
    size_t bytes; // of memory, with the rings
};

struct trace_use {
    const struct trace_point *point; // NULL: free
    struct trace_filter filter;
    struct tracer *tracer;
    bool hold;             // CALLS: what it tells of waits until it was called back
    uint64_t *hits, *lost; // per hart
};

// For the session that runs. -ENOSPC: all are used. Not yet listening.
int tracer_new(enum tracer_kind kind, struct tracer **out);
// For COUNTS, with shape set; for EVENTS: size of each hart's ring, a power of two. -ENOMEM, -ENOSPC
// (more than TRACER_MEMORY).
int tracer_reserve(struct tracer *tr, uint32_t ring);
// -ENOSPC: all uses are used.
int tracer_use(struct tracer *tr, const struct trace_point *point, const struct trace_filter *f,
               bool hold);
void tracer_start(struct tracer *tr);
// When it returns nothing more is written for it.
void tracer_stop(struct tracer *tr);
// Stops it and gives back what it has. What it holds is let go.
void tracer_free(struct tracer *tr);
void tracers_reset(void); // all of the session that runs
// What a session's callbacks need, reserved so that they work when there is no memory left. False: there is none now.
// After tracers_reset by the session it may be given back; any context.
bool tracers_open(unsigned session);
void tracers_close(unsigned session);

struct tracer *tracer_find(uint64_t id);   // NULL: there is none
struct tracer *tracer_at(unsigned i);      // of TRACERS; may be TRACER_FREE
struct trace_use *tracer_uses(unsigned i); // of USES

struct tracer_totals {
    uint64_t hits, lost; // what passed its filters; how many of these found no room
};
struct tracer_totals tracer_totals(const struct tracer *tr);
struct tracer_totals trace_point_totals(const struct trace_point *p); // of all who listen to it

// COUNTS: the table of all harts together, valid until the next call for it.
const struct agg_table *tracer_merge(struct tracer *tr);

// CALLS: the running session's next event, oldest first. It may be of a tracer that is gone: then it was let go.
bool tracer_next_call(struct trace_event *e);
// What an event holds goes on. `pass`: the task is not held at the same point again, once.
void tracer_let_go(const struct trace_event *e, bool pass);
