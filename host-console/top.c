// SPDX-License-Identifier: MIT
// top: the system at a glance, again and again. Each look is one request (top.lua); the keys are
// served between two.
#include "top.h"

#include "client.h"
#include "report.h"
#include "terminal.h"
#include "verbs.h"

#include <curses.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#include <unistd.h>

enum { ONCE_ROWS = 1000, ONCE_COLS = 160, KEY_ESC = 27 };

__asm__(".section .rodata\ntop_lua:\n.incbin \"host-console/top.lua\"\n.byte 0\n.previous\n");
extern const char top_lua[];

static struct top top;
static uint64_t every_ms = 1000;
static bool key_ready;

static void ignore(struct console *c, const uint8_t *data, size_t n)
{
    (void)c;
    (void)data;
    (void)n;
}

static struct reply ask(struct console *c, const char *mode, const char *source)
{
    struct request q;

    request_begin(&q, "eval");
    request_text(&q, "source", source, strlen(source));
    request_text(&q, "chunk", "=top", 4);
    request_text(&q, "mode", mode, strlen(mode));
    struct reply reply = client_finish(c, &q, "top was open");
    if (client_was_interrupted()) // although this look may have been whole already
        console_fail_wait(c, WAIT_INTERRUPTED, "top was open");
    return reply;
}

// The look, or null when the session does not have kmon_top (yet, or any more).
static json_t *ask_look(struct console *c, struct reply *reply)
{
    char source[160 + 2 * sizeof top.filter], quoted[2 * sizeof top.filter + 1], *p = quoted;
    struct cbor_in at;

    for (const char *s = top.filter; *s; s++) {
        if (*s == '"' || *s == '\\')
            *p++ = '\\';
        *p++ = *s;
    }
    *p = 0;
    snprintf(source, sizeof source, "rawget(_G, \"kmon_top\") and kmon_top(%lld, \"%s\", %u, %s)",
             (long long)top.chosen, quoted, top.rows < 200 ? top.rows : 200,
             top.stacks ? "true" : "false");
    *reply = ask(c, "json", source);
    return reply->ok && cbor_find(reply->result, "value", &at) ? report_json(&at) : NULL;
}

static json_t *look_at(struct console *c, int *code)
{
    struct reply reply;
    json_t *look = ask_look(c, &reply);

    *code = EXIT_OK;
    if (look && !json_is_object(look)) {
        json_decref(look);
        look = NULL;
        reply = ask(c, "script", top_lua);
        if (reply.ok)
            look = ask_look(c, &reply);
    }
    if (json_is_object(look))
        return look;
    terminal_restore();
    *code = reply.ok ? (int)EXIT_PROTOCOL : (int)report_failure(c, reply.result);
    return NULL;
}

// ---- on paper

static void print_line(unsigned row, const char *text, bool bright, void *arg)
{
    size_t n = strlen(text);

    (void)row;
    (void)bright;
    (void)arg;
    while (n > 0 && text[n - 1] == ' ')
        n--;
    printf("%.*s\n", (int)n, text);
}

static bool never(struct console *c, void *arg)
{
    (void)c;
    (void)arg;
    return false;
}

static int on_paper(struct console *c, bool once)
{
    int code;

    top.rows = ONCE_ROWS;
    top.cols = ONCE_COLS;
    top.paper = true;
    for (;;) {
        // The first look has nothing to be compared with.
        json_t *look = look_at(c, &code);
        if (!look)
            return code;
        bool first = top.looks == 0;
        top_take(&top, look);
        if (!first || !once) {
            for (enum top_view v = TOP_TASKS; v < TOP_VIEWS; v++) {
                top.view = v;
                top.bare = v != TOP_TASKS;
                top_draw(&top, look, print_line, NULL);
            }
            fflush(stdout);
        }
        json_decref(look);
        if (!first && once)
            return EXIT_OK;
        enum wait_result r = console_wait(c, never, NULL, clock_ms() + every_ms);
        if (r != WAIT_TIMEOUT || clock_ms() >= c->deadline_ms)
            console_fail_wait(c, r, "top was open");
    }
}

// ---- on a terminal

static void on_key(struct console *c)
{
    (void)c;
    key_ready = true;
}

static bool key_or_size(struct console *c, void *arg)
{
    return key_ready || c->resizes != *(unsigned *)arg;
}

static void type_filter(int key)
{
    size_t n = strlen(top.filter);

    if (key == '\n' || key == '\r' || key == KEY_ENTER) {
        top.typing = false;
    } else if (key == KEY_ESC) {
        top.typing = false;
        top.filter[0] = 0;
    } else if (key == KEY_BACKSPACE || key == 127 || key == 8) {
        top.filter[n ? n - 1 : 0] = 0;
    } else if (key >= 0x20 && key < 0x7f && n + 1 < sizeof top.filter) {
        top.filter[n] = (char)key;
        top.filter[n + 1] = 0;
    }
}

// False: it ends.
static bool take_key(int key)
{
    if (top.typing)
        type_filter(key);
    else if (key >= '1' && key < '1' + TOP_VIEWS)
        top.view = (enum top_view)(key - '1');
    else if (key == '\t')
        top.view = (top.view + 1) % TOP_VIEWS;
    else if (key == '/')
        top.typing = true;
    else if (key == 's')
        top.stacks = !top.stacks;
    else if (key == KEY_ESC)
        top.filter[0] = 0;
    else if ((key == KEY_DOWN || key == 'j'))
        top.selected++;
    else if ((key == KEY_UP || key == 'k') && top.selected)
        top.selected--;
    else if (key == 'q')
        return false;
    return true;
}

static void put_line(unsigned row, const char *text, bool bright, void *arg)
{
    (void)arg;
    if (bright)
        attron(A_BOLD);
    mvaddnstr((int)row, 0, text, (int)top.cols);
    attroff(A_BOLD);
    if (top.view != TOP_MAPS || strncmp(text, "  ", 2) != 0)
        return;
    for (const char *p = text; (p = strchr(p, TOP_LIT)) && p < text + top.cols; p++)
        mvchgat((int)row, (int)(p - text), 1, A_REVERSE, 0, NULL);
}

static void fit(void)
{
    uint16_t rows, cols;

    terminal_size(&rows, &cols);
    if (rows && cols && (rows != LINES || cols != COLS))
        resizeterm(rows, cols);
    top.rows = (unsigned)LINES;
    top.cols = (unsigned)COLS;
}

static void draw(const json_t *look)
{
    erase();
    top_draw(&top, look, put_line, NULL);
    refresh();
}

static void leave_screen(void)
{
    if (isendwin())
        return;
    endwin();
    if (!exit_ca_mode) { // what was shown stays: what follows stands below it
        putchar('\n');
        fflush(stdout);
    }
}

static bool serve_keys(struct console *c, json_t *look)
{
    uint64_t next = clock_ms() + every_ms;

    for (;;) {
        unsigned resizes = c->resizes;
        fit();
        draw(look);
        key_ready = false;
        console_watch_stdin(c, true);
        enum wait_result r = console_wait(c, key_or_size, &resizes, next);
        console_watch_stdin(c, false);
        if (r == WAIT_TIMEOUT && clock_ms() < c->deadline_ms)
            return true;
        if (r != WAIT_OK)
            console_fail_wait(c, r, "top was open");
        for (int key; key_ready && (key = getch()) != ERR;) {
            unsigned before = top.selected;
            if (!take_key(key))
                return false;
            if (top.selected != before) // the choice is of what is shown
                top_choose(&top, look);
        }
    }
}

static int on_screen(struct console *c)
{
    bool on = true;
    int code;

    if (!newterm(NULL, stdout, stdin))
        console_fail(c, EXIT_USAGE, "top cannot use this terminal; top --once needs none");
    terminal_at_restore(leave_screen);
    cbreak();
    noecho();
    nodelay(stdscr, TRUE);
    keypad(stdscr, TRUE);
    set_escdelay(25);
    curs_set(0);
    c->on_stdin = on_key;
    while (on) {
        fit();
        json_t *look = look_at(c, &code);
        if (!look)
            return code;
        top_take(&top, look);
        on = serve_keys(c, look);
        json_decref(look);
    }
    terminal_restore();
    return EXIT_OK;
}

static bool on_terminal(const struct options *o)
{
    return !option_value(o, "--once") && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
}

// A terminal that nobody knows, or whose cursor cannot be placed: before a machine is started in vain.
static void check_terminal(struct console *c)
{
    const char *name = getenv("TERM");
    int known;

    if (!name || !*name)
        console_fail(c, EXIT_USAGE,
                     "TERM does not say what terminal this is; top --once needs none");
    if (setupterm(NULL, STDOUT_FILENO, &known) == ERR || !tigetstr("cup"))
        console_fail(c, EXIT_USAGE,
                     "top cannot use a terminal of kind \"%s\"; top --once needs none", name);
}

static void prepare(struct console *c, const struct options *o)
{
    const char *every = option_value(o, "-n"), *filter = option_value(o, "--filter");

    top.stacks = option_value(o, "--stacks") != NULL;
    if (every)
        every_ms = option_seconds(c, "-n", every);
    if (filter && strlen(filter) >= sizeof top.filter)
        console_fail(c, EXIT_USAGE, "--filter has at most %zu characters", sizeof top.filter - 1);
    if (filter)
        strcpy(top.filter, filter);
    for (const char *p = top.filter; *p; p++)
        if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
            console_fail(c, EXIT_USAGE, "--filter is of printable ASCII characters");
    if (on_terminal(o))
        check_terminal(c);
}

static int run_top(struct console *c, const struct options *o)
{
    console_connect(c);
    c->on_text = ignore;
    return on_terminal(o) ? on_screen(c) : on_paper(c, option_value(o, "--once") != NULL);
}

static const struct verb_option top_options[] = {
    {"-n", "SECONDS", "how often (1)"},
    {"--once", NULL, "prints one look, of all views, and ends"},
    {"--filter", "TEXT", "only tasks with this in their name, state, wait or stack"},
    {"--stacks", NULL, "below each task the places of what it awaits"},
    {0},
};
VERB(top, .help = "harts, tasks and their awaits, address spaces, queues; again and again",
     .options = top_options, .endless = true, .prepare = prepare, .run = run_top);
