// SPDX-License-Identifier: MIT
// k.ttys(): the terminals that there are, whose they are, and what waits in them.
#include "class/classes.h"
#include "fs/pty.h"
#include "lib/errno.h"

#include <lauxlib.h>
#include <stdio.h>

struct tty_view {
    char name[16];
    int32_t session, group;
    uint32_t files, references, hangups, readers, writers;
    uint32_t input, lines, output;
    uint64_t dropped;
    uint16_t rows, columns;
    bool canonical, echo, stopped, gone;
};

static uint32_t count(const struct waitq *q)
{
    uint32_t n = 0;
    LIST_FOREACH(it, &q->head)
        n++;
    return n;
}

static void look(struct tty *tty, struct tty_view *v)
{
    const struct ldisc *ld = &tty->ld;
    spin_lock(&tty->lock);
    *v = (struct tty_view){
        .session = tty->session,
        .group = tty->pgrp,
        .files = tty->opens,
        .references = tty->refs - 1, // ours
        .hangups = tty->hangups,
        .readers = count(&tty->readers),
        .writers = count(&tty->writers),
        .input = ld->head - ld->tail,
        .lines = ld->lines,
        .output = ldisc_out_held(ld),
        .dropped = ld->dropped,
        .rows = tty->winsize.rows,
        .columns = tty->winsize.cols,
        .canonical = ld->termios.c_lflag & ICANON,
        .echo = ld->termios.c_lflag & ECHO,
        .stopped = ld->stopped,
        .gone = tty->gone,
    };
    spin_unlock(&tty->lock);
}

static long tty_copy(const struct class_key *key, void *out)
{
    struct tty_view *v = out;
    struct tty *tty = tty_find(key->id);
    if (!tty)
        return -ENOENT;
    look(tty, v);
    if (tty->driver->pty)
        snprintf(v->name, sizeof v->name, "pts/%u", (unsigned)DEV_MINOR(tty->dev));
    else
        snprintf(v->name, sizeof v->name, "ttyS%u", (unsigned)DEV_MINOR(tty->dev) - 64);
    tty_put(tty);
    return 0;
}

static size_t tty_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    size_t n = 0;
    for (uint64_t id; n < max && (id = tty_next(from)) != UINT64_MAX; from = id + 1)
        out[n++] = (struct class_key){id, owner};
    return n;
}

static void tty_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct tty_view *v = copy;
    (void)key;
    snprintf(buf, n, "%s: session %d, %d in front, %u files, %u bytes in, %u out%s%s", v->name,
             (int)v->session, (int)v->group, (unsigned)v->files, (unsigned)v->input,
             (unsigned)v->output, v->stopped ? ", stopped" : "", v->gone ? ", gone" : "");
}

static const struct class_field fields[] = {
    FIELD(struct tty_view, name, "below /dev"),
    FIELD(struct tty_view, session, "whose controlling terminal it is, 0: nobody's"),
    FIELD(struct tty_view, group, "the process group in the foreground"),
    FIELD(struct tty_view, files, "open files of it; a master is none"),
    FIELD(struct tty_view, references, "those, the processes it controls, and the driver's"),
    FIELD(struct tty_view, hangups, "how often it was hung up"),
    FIELD(struct tty_view, readers, "tasks that wait for input"),
    FIELD(struct tty_view, writers, "tasks that wait to write"),
    FIELD(struct tty_view, input, "bytes typed and not read"),
    FIELD(struct tty_view, lines, "whole lines among them"),
    FIELD(struct tty_view, output, "bytes written that the other side has not taken"),
    FIELD(struct tty_view, dropped, "bytes typed that found no room"),
    FIELD(struct tty_view, rows, "of its window"),
    FIELD(struct tty_view, columns, "of its window"),
    FIELD(struct tty_view, canonical, "it is read line by line"),
    FIELD(struct tty_view, echo, "it shows what is typed"),
    FIELD(struct tty_view, stopped, "its output is, by ^S"),
    FIELD(struct tty_view, gone, "its master was closed"),
    {0},
};

CLASS(tty, .name = "Tty", .doc = "a terminal, a pseudo terminal's slave among them",
      .place = "struct tty, kernel/fs/tty_impl.h", .example = "k.ttys():first()",
      .size = sizeof(struct tty_view), .copy = tty_copy, .keys = tty_keys, .line = tty_line,
      .fields = fields);

static int k_ttys(lua_State *L)
{
    class_push_list(L, class_tty, 0);
    return 1;
}
MONITOR_API(ttys, "ttys", "k.ttys() -> list of Tty", "the terminals, the console's first",
            "k.ttys()", k_ttys, NULL);
