// SPDX-License-Identifier: MIT
// What a frame of top says; see the header.
#include "top.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LINE = 512, BAR = 24 };

static int64_t number(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

static const char *word(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));

    return s ? s : "";
}

static unsigned count(const json_t *look, const char *name)
{
    return (unsigned)json_array_size(json_object_get(look, name));
}

// ---- history

static char busy_letter(int64_t busy, int64_t all)
{
    static const char letters[] = " .:-=+*#";

    if (all <= 0 || busy <= 0)
        return ' ';
    return letters[busy >= all ? 7 : busy * 7 / all];
}

void top_choose(struct top *t, const json_t *look)
{
    unsigned tasks = count(look, "tasks");

    if (t->selected >= tasks)
        t->selected = tasks ? tasks - 1 : 0;
    t->chosen = number(json_array_get(json_object_get(look, "tasks"), t->selected), "id");
}

static void take_maps(struct top *t, json_t *look)
{
    int64_t task = number(look, "chosen_id");

    json_decref(t->maps_before);
    t->maps_before = task == t->mapped ? t->maps : NULL;
    if (task != t->mapped)
        json_decref(t->maps);
    t->maps = json_incref(json_object_get(look, "maps"));
    t->mapped = task;
}

void top_take(struct top *t, json_t *look)
{
    int64_t now = number(look, "ns");

    for (unsigned i = 0; i < TOP_HARTS && i < count(look, "harts"); i++) {
        const json_t *h = json_array_get(json_object_get(look, "harts"), i);
        int64_t idle = number(h, "idle_ns"), all = now - t->ns;
        memmove(t->history[i], t->history[i] + 1, TOP_HISTORY - 1);
        t->history[i][TOP_HISTORY - 1] =
            t->looks ? busy_letter(all - (idle - t->idle_ns[i]), all) : ' ';
        t->idle_ns[i] = idle;
    }
    top_choose(t, look);
    take_maps(t, look);
    t->ns = now;
    t->looks++;
}

// ---- lines

struct frame {
    const struct top *t;
    unsigned row, last; // rows below `last` are free
    void (*show)(unsigned row, const char *text, bool bright, void *arg);
    void *arg;
};

static void add(struct frame *f, bool bright, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void add(struct frame *f, bool bright, const char *fmt, ...)
{
    char text[LINE];
    va_list ap;

    if (f->row >= f->last)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
            *p = '?'; // a name may hold anything
    if (f->t->cols < sizeof text)
        text[f->t->cols] = 0;
    f->show(f->row++, text, bright, f->arg);
}

static void draw_harts(struct frame *f, const json_t *look)
{
    unsigned width = f->t->cols > 60 ? f->t->cols - 40 : 20;

    width = width < TOP_HISTORY ? width : TOP_HISTORY;
    for (unsigned i = 0; i < TOP_HARTS && i < count(look, "harts"); i++) {
        const json_t *h = json_array_get(json_object_get(look, "harts"), i);
        const char *past = f->t->history[i] + TOP_HISTORY - width;
        char line[TOP_HISTORY + 1];
        for (unsigned j = 0; j < width; j++)
            line[j] = past[j] ? past[j] : ' ';
        line[width] = 0;
        add(f, false, "hart %u [%s] %-16.16s %d queued", i, line,
            json_is_true(json_object_get(h, "idle")) ? "asleep" : word(h, "current"),
            (int)number(h, "queued"));
    }
}

static unsigned lines_of(const json_t *task)
{
    return 1 + (unsigned)json_array_size(json_object_get(task, "stack"));
}

// The first task to be shown, so that the selected one is in sight.
static unsigned first_shown(const struct frame *f, const json_t *tasks)
{
    unsigned room = f->last > f->row ? f->last - f->row : 0, from = f->t->selected;
    unsigned used = lines_of(json_array_get(tasks, from));

    while (from > 0 && (used += lines_of(json_array_get(tasks, from - 1))) <= room)
        from--;
    return from;
}

static void draw_tasks(struct frame *f, const json_t *look)
{
    const json_t *tasks = json_object_get(look, "tasks");

    add(f, true, "  %5s %-22s %-10s %4s %8s  awaits, the innermost first", "pid", "task", "state",
        "hart", "polls");
    for (unsigned i = first_shown(f, tasks); i < json_array_size(tasks); i++) {
        const json_t *t = json_array_get(tasks, i), *stack = json_object_get(t, "stack");
        int depth = 2 * (int)number(t, "depth");
        char name[48];
        depth = depth < 16 ? depth : 16;
        snprintf(name, sizeof name, "%*s%s", depth, "", word(t, "name"));
        add(f, i == f->t->selected, "%c %5d %-22.22s %-10.10s %4d %8lld  %s",
            i == f->t->selected ? '>' : ' ', (int)number(t, "pid"), name, word(t, "state"),
            (int)number(t, "hart"), (long long)number(t, "polls"), stack ? "" : word(t, "chain"));
        for (unsigned j = 0; j < json_array_size(stack); j++)
            add(f, false, "%*s%s %s", 8 + depth, "", j ? "<" : "-",
                json_string_value(json_array_get(stack, j)));
    }
}

// ---- an address space

static const json_t *map_at(const json_t *maps, const char *lo)
{
    for (unsigned i = 0; i < json_array_size(maps); i++)
        if (strcmp(word(json_array_get(maps, i), "lo"), lo) == 0)
            return json_array_get(maps, i);
    return NULL;
}

// A cell says where in the mapping pages are: none, some, all; and where some have come.
static void draw_cells(char out[BAR + 1], const struct top *t, const json_t *m)
{
    const json_t *cells = json_object_get(m, "cells"), *old = map_at(t->maps_before, word(m, "lo"));
    int64_t pages = number(m, "pages"), n = (int64_t)json_array_size(cells);
    bool same = old && number(old, "pages") == pages, fresh = t->maps_before && !old;

    memset(out, ' ', BAR);
    out[BAR] = 0;
    for (int64_t i = 0; i < n && i < BAR; i++) {
        size_t at = (size_t)i;
        int64_t there = json_integer_value(json_array_get(cells, at));
        int64_t before = json_integer_value(json_array_get(json_object_get(old, "cells"), at));
        bool lit = (same && there > before) || (fresh && there > 0);
        int64_t all = pages * (i + 1) / n - pages * i / n;
        out[i] = lit ? TOP_LIT : there == 0 ? '.' : there < all ? ':' : '#';
    }
}

static void draw_maps(struct frame *f, const json_t *look)
{
    add(f, true, "address space of %s   # there  : some  . not yet  %c came just now",
        word(look, "chosen"), TOP_LIT);
    if (count(look, "maps") == 0)
        add(f, false, "  it has none: a kernel task");
    for (unsigned i = 0; i < count(look, "maps"); i++) {
        const json_t *m = json_array_get(json_object_get(look, "maps"), i);
        char there[BAR + 1];
        draw_cells(there, f->t, m);
        add(f, false, "  %11s-%-11s %s [%s] %6lld of %-8lld %s", word(m, "lo"), word(m, "hi"),
            word(m, "perm"), there, (long long)number(m, "resident"), (long long)number(m, "pages"),
            word(m, "kind"));
    }
}

// The descriptors of its ring, in as many lines as they take.
static void draw_slots(struct frame *f, const char *slots)
{
    enum { MARGIN = 6, STEP = 8 };
    int width = f->t->cols > MARGIN + STEP ? (int)(f->t->cols - MARGIN) / STEP * STEP : STEP;
    size_t left = strlen(slots);

    for (; left > (size_t)width; slots += width, left -= (size_t)width)
        add(f, false, "    [%.*s]", width, slots);
    add(f, false, "    [%s]", slots);
}

static void draw_queues(struct frame *f, const json_t *look)
{
    add(f, true, "  %-8s %9s %6s %6s %8s %8s  . free # in flight = used", "queue", "in flight",
        "of", "held", "done", "kicks");
    for (unsigned i = 0; i < count(look, "queues"); i++) {
        const json_t *q = json_array_get(json_object_get(look, "queues"), i);
        add(f, false, "  %-8s %9d %6d %6d %8lld %8lld", word(q, "name"),
            (int)number(q, "in_flight"), (int)number(q, "size"), (int)number(q, "held"),
            (long long)number(q, "completions"), (long long)number(q, "kicks"));
        draw_slots(f, word(q, "slots"));
    }
}

static void draw_head(struct frame *f, const json_t *look)
{
    add(f, true, "tidepool %.3f s  %u harts  %lld tasks  mode %s", (double)f->t->ns / 1e9,
        count(look, "harts"), (long long)number(look, "total"), word(look, "mode"));
    draw_harts(f, look);
    add(f, false, "monitor: this look took %.2f ms of its hart; its heap %lld of %lld KiB",
        (double)number(look, "cost_ns") / 1e6, (long long)number(look, "used") / 1024,
        (long long)number(look, "size") / 1024);
}

void top_draw(const struct top *t, const json_t *look,
              void (*show)(unsigned row, const char *text, bool bright, void *arg), void *arg)
{
    static void (*const views[TOP_VIEWS])(struct frame *, const json_t *) = {draw_tasks, draw_maps,
                                                                             draw_queues};
    struct frame f = {t, 0, t->rows > 1 ? t->rows - 1 : t->rows, show, arg};

    if (!t->bare)
        draw_head(&f, look);
    views[t->view](&f, look);
    if (t->rows < 2 || t->bare || t->paper)
        return;
    f.row = t->rows - 1;
    f.last = t->rows;
    if (t->typing || t->filter[0])
        add(&f, true, "filter: %s%s", t->filter, t->typing ? "_" : "   (Esc: none)");
    else
        add(&f, true, "1 tasks  2 map  3 queues  s: stacks  up, down: choose  /: filter  q: end");
}
