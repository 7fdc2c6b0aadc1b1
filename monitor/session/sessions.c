// SPDX-License-Identifier: MIT
// Which sessions there are: opened and closed as the host wants.
//
// The first one is reserved at boot, so that the monitor works when the kernel is out of memory. Of the others
// only the stacks are: a page that was mapped in every space stays mapped.
#include "session/sessions.h"

#include "async/executor.h"
#include "class/class.h"
#include "lib/init.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "page/frame.h"
#include "session/journal.h"
#include "session/session.h"
#include "trace/tracer.h"

#include <stdio.h>
#include <string.h>

static struct session sessions[WIRE_SESSIONS];

// ---- who runs

struct session *session_self(void)
{
    return (struct session *)fiber_running();
}

unsigned session_number(void)
{
    return session_self()->number;
}

struct fiber *session_fiber(void)
{
    return fiber_running();
}

struct task *session_task(void)
{
    return &session_self()->task;
}

struct lua_limits *session_limits(void)
{
    return &session_self()->limits;
}

struct task *session_task_of(unsigned session)
{
    return load_acquire(&sessions[session].state) == SESSION_CLOSED && session
               ? NULL
               : &sessions[session].task;
}

bool session_is_task(const struct task *t)
{
    return t >= &sessions[0].task && t <= &sessions[WIRE_SESSIONS - 1].task;
}

// ---- memory

static void *alloc(size_t size)
{
    pa_t pa = frame_alloc_run(page_round_up(size) / PAGE_SIZE);
    return pa ? pa_to_kva(pa) : NULL;
}

static void give_back(void *p, size_t size)
{
    for (size_t at = 0; p && at < size; at += PAGE_SIZE)
        frame_unref(kva_to_pa((char *)p + at));
}

static void free_memory(struct session *s)
{
    give_back(s->heap, SESSION_HEAP);
    give_back(s->memory, sizeof *s->memory);
    tracers_close(s->number);
    s->heap = NULL;
    s->memory = NULL;
}

// What there is of it when it fails, free_memory gives back.
static bool reserve(struct session *s)
{
    s->heap = alloc(SESSION_HEAP);
    s->memory = alloc(sizeof *s->memory);
    return s->heap && s->memory && (s->number == 0 || tracers_open(s->number));
}

// ---- opening, closing

// The last that happens to a session's task.
static void task_is_gone(struct task *t)
{
    struct session *s = (struct session *)((char *)t - offsetof(struct session, task));
    store_release(&s->state, SESSION_GONE);
    link_tend();
}

static bool start(struct session *s)
{
    char name[sizeof s->task.name] = "monitor";
    if (s->number)
        snprintf(name, sizeof name, "monitor-%u", s->number + 1);
    memset(&s->task, 0, sizeof s->task);
    if (task_init(&s->task, name, s->memory->arena, SESSION_ARENA, &session_main_fn,
                  &(struct session_main_args){s}, sizeof(struct session_main_args)))
        return false;
    s->task.affinity = 1;
    s->task.release = task_is_gone;
    link_box_init(&s->box, s->number, s->memory->box);
    link_connect(s->number, &s->box);
    store_release(&s->state, SESSION_OPEN);
    task_start(&s->task);
    return true;
}

static void forget_rest(struct session *s)
{
    char *stack = s->fiber.stack;
    unsigned number = s->number;
    memset(s, 0, sizeof *s);
    s->fiber.stack = stack;
    s->number = number;
}

static bool open(struct session *s)
{
    if (s->number == 0) {
        store_release(&s->state, SESSION_OPEN);
        return true;
    }
    if (reserve(s) && start(s))
        return true;
    free_memory(s);
    return false;
}

static void close(struct session *s)
{
    store_release(&s->state, SESSION_ENDS);
    link_box_forget(&s->box, true);
    link_wake_senders();
}

static void clear_away(struct session *s)
{
    link_connect(s->number, NULL);
    free_memory(s);
    forget_rest(s); // CLOSED
}

bool sessions_tend(uint8_t wanted, uint8_t *open_now, uint8_t *refused)
{
    static uint8_t told;
    uint8_t was = told;
    *refused = told = 0;
    for (unsigned i = 0; i < WIRE_SESSIONS; i++) {
        struct session *s = &sessions[i];
        uint8_t bit = (uint8_t)(1u << i);
        if (load_acquire(&s->state) == SESSION_GONE)
            clear_away(s);
        if (load_acquire(&s->state) == SESSION_OPEN && !(wanted & bit))
            close(s);
        if (load_acquire(&s->state) == SESSION_CLOSED && (wanted & bit) && !open(s))
            *refused |= bit;
        uint32_t state = load_acquire(&s->state);
        if (state == SESSION_OPEN || (state != SESSION_CLOSED && !(wanted & bit)))
            told |= bit; // not one that ends and is wanted again: what is sent to it would be lost
    }
    *open_now = told;
    return told != was;
}

// ---- boot, panic

static void tell_changes(uint32_t max)
{
    struct journal_row *r;
    for (uint32_t i = 0; i < max && (r = journal_newest(i)); i++)
        panic_say("  change %u by session %u: %s%s\r\n", r->n, r->session, r->change.text,
                  r->undone_by ? " (undone)" : "");
}

static void sessions_init(void)
{
    panic_changes = tell_changes;
    for (unsigned i = 0; i < WIRE_SESSIONS; i++) {
        sessions[i].number = i;
        fiber_init(&sessions[i].fiber);
    }
    link_set_schema(class_schema_hash());
    if (!reserve(&sessions[0]) || !start(&sessions[0]))
        panic("monitor: no memory for its first session");
}
INIT(INIT_LATE, sessions_init);
