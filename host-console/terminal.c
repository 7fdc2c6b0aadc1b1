// SPDX-License-Identifier: MIT
// The user's terminal: keys through, output through, Ctrl-] to the monitor's prompt and back.
#include "terminal.h"

#include "console.h"
#include "record.h"
#include "repl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { KEY_ESCAPE = 0x1d }; // Ctrl-]
enum { QUIET_MS = 500 };

static struct termios saved;
static bool is_raw;

void terminal_size(uint16_t *rows, uint16_t *cols)
{
    struct winsize ws = {0};

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) < 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &ws) < 0)
        ws = (struct winsize){0};
    *rows = ws.ws_row & 0x3fff;
    *cols = ws.ws_col & 0x3fff;
}

static void (*undo_more)(void);

void terminal_at_restore(void (*undo)(void))
{
    undo_more = undo;
}

void terminal_restore(void)
{
    if (undo_more)
        undo_more();
    if (is_raw)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
    is_raw = false;
}

void terminal_raw(void)
{
    static bool registered;
    struct termios raw;

    if (is_raw || tcgetattr(STDIN_FILENO, &saved) < 0)
        return;
    raw = saved;
    cfmakeraw(&raw);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    is_raw = true;
    if (!registered)
        atexit(terminal_restore);
    registered = true;
}

bool terminal_colour(int fd)
{
    const char *no = getenv("NO_COLOR");

    return isatty(fd) && !(no && *no);
}

static void show(struct console *c, const uint8_t *data, size_t n)
{
    fwrite(data, 1, n, stdout);
    fflush(stdout);
    record_terminal(c, data, n);
}

static struct {
    bool eof, prompt;
    uint8_t waiting[4096]; // read from stdin, not yet taken by the line
    size_t n;
    uint64_t busy_ms; // when something of stdin was last on its way
} keys;

static void pass_keys(struct console *c)
{
    uint8_t *escape = isatty(STDIN_FILENO) ? memchr(keys.waiting, KEY_ESCAPE, keys.n) : NULL;
    size_t n = escape ? (size_t)(escape - keys.waiting) : keys.n;

    if (!console_type(c, keys.waiting, n))
        return;
    keys.prompt = escape != NULL;
    n += escape != NULL;
    memmove(keys.waiting, keys.waiting + n, keys.n - n);
    keys.n -= n;
}

bool terminal_keys_wait(void)
{
    return keys.n != 0;
}

int terminal_take_key(void)
{
    int key = keys.n ? keys.waiting[0] : -1;

    if (keys.n)
        memmove(keys.waiting, keys.waiting + 1, --keys.n);
    return key;
}

static void read_keys(struct console *c)
{
    ssize_t n;

    if (keys.n == 0) {
        n = read(STDIN_FILENO, keys.waiting, sizeof keys.waiting);
        if (n <= 0) {
            keys.eof = true;
            console_watch_stdin(c, false);
            return;
        }
        keys.n = (size_t)n;
    }
    pass_keys(c);
    if (keys.n)
        console_watch_stdin(c, false);
}

static bool something_happened(struct console *c, void *arg)
{
    (void)arg;
    if (keys.n && !keys.prompt) {
        pass_keys(c);
        if (keys.n == 0 && !keys.eof)
            console_watch_stdin(c, true);
    }
    if (keys.prompt)
        return true;
    if (keys.n || c->out.len || !wire_sender_idle(&c->sender))
        keys.busy_ms = clock_ms();
    uint64_t busy = keys.busy_ms > c->heard_ms ? keys.busy_ms : c->heard_ms;
    return keys.eof && !c->qemu && clock_ms() >= busy + QUIET_MS;
}

static void hooks(struct console *c)
{
    c->on_tty = c->on_text = c->on_log = show;
    c->on_repl = show;
    c->on_stdin = read_keys;
}

// Before the kernel listens, and without a monitor, keys go to a plain line.
int terminal_verb(struct console *c)
{
    enum wait_result r = WAIT_OK;

    c->terminal_only = true;
    hooks(c);
    if (isatty(STDIN_FILENO))
        terminal_raw();
    console_watch_stdin(c, true);
    for (;;) {
        r = console_wait(c, something_happened, NULL,
                         keys.eof ? clock_ms() + QUIET_MS : UINT64_MAX);
        if (r == WAIT_TIMEOUT && clock_ms() < c->deadline_ms)
            continue;
        if (r == WAIT_INTERRUPTED) {
            console_type(c, "\3", 1); // ^C from outside: stdin is no terminal
            continue;
        }
        if (r != WAIT_OK || !keys.prompt)
            break;
        keys.prompt = false;
        console_watch_stdin(c, false);
        if (c->welcome)
            repl_run(c);
        else
            fputs("\r\nkmon: the kernel's monitor does not answer (yet)\r\n", stdout);
        hooks(c);
        terminal_raw();
        console_watch_stdin(c, true);
    }
    terminal_restore();
    if (r == WAIT_PANIC || r == WAIT_TIMEOUT)
        console_fail_wait(c, r, "the terminal was open");
    return EXIT_OK;
}
