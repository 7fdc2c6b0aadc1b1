// SPDX-License-Identifier: MIT
// The prompt. libedit edits; its key reader serves the line while it waits, so that nothing the
// kernel sends is left lying. What the user's terminal shows meanwhile is kept for the way back.
#include "repl.h"

#include "client.h"
#include "prompt.h"
#include "record.h"
#include "report.h"
#include "shorthand.h"
#include "terminal.h"

#include <histedit.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

enum { PROMPT_MS = 500, COMPLETE_MS = 150, HISTORY = 1000, BEGUN = 4096 };

static struct console *con;
static EditLine *el;
static History *history_;
static HistEvent event;
static char history_file[512];
static bool key_ready, leaving, abandoned, machine_gone;
static bool typing;        // a line stands on the screen, perhaps unfinished
static struct bytes kept;  // of the user's terminal
static struct bytes begun; // a line that a script has not ended

// ---- what arrives while the prompt stands

static void keep_tty(struct console *c, const uint8_t *data, size_t n)
{
    (void)c;
    bytes_add(&kept, data, n);
    if (kept.len > 256 * 1024)
        bytes_drop(&kept, kept.len - 128 * 1024);
}

// Where the cursor stands in what was typed, in columns from the first one of the prompt.
static size_t columns_typed(void)
{
    const LineInfo *line = el_line(el);
    size_t columns = strlen(prompt_text()), r;
    mbstate_t state = {0};
    wchar_t wc;

    for (const char *s = line->buffer; s < line->cursor; s += r) {
        r = mbrtowc(&wc, s, (size_t)(line->cursor - s), &state);
        if (r == 0 || r > (size_t)(line->cursor - s))
            r = 1;
        else
            columns += wcwidth(wc) > 0 ? (size_t)wcwidth(wc) : 0;
    }
    return columns;
}

// What was typed may take several rows.
static void erase_typed(void)
{
    uint16_t rows = 0, columns = 0;

    terminal_size(&rows, &columns);
    size_t up = columns ? columns_typed() / columns : 0;
    if (up)
        printf("\33[%zuA", up);
    fputs("\r\33[J", stdout);
}

static void above_prompt(struct console *c, const uint8_t *data, size_t n)
{
    if (typing)
        erase_typed();
    fwrite(data, 1, n, stdout);
    if (n && data[n - 1] != '\n')
        putchar('\n');
    fflush(stdout);
    record_aside(c, data, n);
    if (typing)
        el_set(el, EL_REFRESH);
}

// What scripts print beside the prompt comes in parts that end anywhere: whole lines of it.
static void scripts_above_prompt(struct console *c, const uint8_t *data, size_t n)
{
    const uint8_t *end = memrchr(data, '\n', n);
    size_t whole = end ? (size_t)(end - data) + 1 : begun.len + n > BEGUN ? n : 0;

    bytes_add(&begun, data, whole);
    if (whole) {
        if (typing)
            erase_typed();
        prompt_print(c, (const uint8_t *)begun.data, begun.len);
        if (!end)
            putchar('\n');
        if (typing)
            el_set(el, EL_REFRESH);
        begun.len = 0;
    }
    bytes_add(&begun, data + whole, n - whole);
}

static void end_begun(struct console *c)
{
    if (begun.len)
        scripts_above_prompt(c, (const uint8_t *)"\n", 1);
}

// ---- keys

static void key_came(struct console *c)
{
    (void)c;
    key_ready = true;
}

static bool key_there(struct console *c, void *arg)
{
    (void)c;
    (void)arg;
    return key_ready;
}

static int read_char(wchar_t *wc)
{
    mbstate_t state = {0};
    char byte;

    for (;;) {
        int key = terminal_take_key();
        byte = (char)key;
        if (key < 0 && read(STDIN_FILENO, &byte, 1) != 1)
            return 0;
        size_t r = mbrtowc(wc, &byte, 1, &state);
        if (r == (size_t)-1) {
            *wc = (unsigned char)byte;
            return 1;
        }
        if (r != (size_t)-2)
            return 1;
    }
}

static int get_key(EditLine *e, wchar_t *wc)
{
    enum wait_result r;

    (void)e;
    if (terminal_keys_wait())
        return read_char(wc);
    key_ready = false;
    console_watch_stdin(con, true);
    r = console_wait(con, key_there, NULL, UINT64_MAX);
    console_watch_stdin(con, false);
    if (r == WAIT_OK)
        return read_char(wc);
    if (r == WAIT_INTERRUPTED) {
        *wc = 3;
        return 1;
    }
    if (r != WAIT_CLOSED)
        console_fail_wait(con, r, "the prompt was open");
    machine_gone = true;
    return 0;
}

static unsigned char on_leave(EditLine *e, int ch)
{
    (void)e;
    (void)ch;
    leaving = true;
    return CC_EOF;
}

static unsigned char on_abandon(EditLine *e, int ch)
{
    (void)e;
    (void)ch;
    abandoned = true;
    return CC_NEWLINE;
}

// ---- completion

static size_t common_length(const char *a, size_t n, const char *b, size_t m)
{
    size_t i = 0;

    while (i < n && i < m && a[i] == b[i])
        i++;
    return i;
}

static unsigned char offer(struct cbor_in words, uint64_t count, const char *typed, size_t typed_n)
{
    struct cbor_in at = words;
    struct cbor_item w;
    const char *first = NULL;
    size_t n = 0;
    char insert[256];

    for (uint64_t i = 0; i < count && cbor_next(&at, &w) && w.type == CBOR_TEXT; i++) {
        n = first ? common_length(first, n, (const char *)w.data, w.n) : w.n;
        first = first ? first : (const char *)w.data;
    }
    if (first && n > typed_n && n - typed_n < sizeof insert && !memcmp(first, typed, typed_n)) {
        memcpy(insert, first + typed_n, n - typed_n);
        insert[n - typed_n] = 0;
        el_insertstr(el, insert);
        return CC_REFRESH;
    }
    if (count < 2)
        return CC_REFRESH_BEEP;
    putchar('\n');
    for (at = words; count-- && cbor_next(&at, &w) && w.type == CBOR_TEXT;)
        printf("%.*s  ", (int)w.n, (const char *)w.data);
    putchar('\n');
    return CC_REDISPLAY;
}

// ":wa" -> ":walk": known here.
static unsigned char complete_shorthand(const char *typed, size_t n)
{
    uint8_t memory[512];
    struct cbor_out o = {memory, sizeof memory, 0};
    const char *name;
    unsigned count = 0;

    for (unsigned i = 0; (name = shorthand_name(i)); i++)
        if (strncmp(name, typed, n) == 0) {
            cbor_str(&o, name);
            count++;
        }
    return offer(cbor_in(memory, o.len), count, typed, n);
}

static unsigned char on_complete(EditLine *e, int ch)
{
    const LineInfo *line = el_line(e);
    size_t cursor = (size_t)(line->cursor - line->buffer);
    struct request q;
    struct reply reply;
    struct cbor_in words;
    struct cbor_item array;
    uint64_t start;

    (void)ch;
    if (cursor > 0 && line->buffer[0] == ':' && !memchr(line->buffer, ' ', cursor))
        return complete_shorthand(line->buffer + 1, cursor - 1);
    request_begin(&q, "complete");
    request_text(&q, "line", line->buffer, (size_t)(line->lastchar - line->buffer));
    request_uint(&q, "cursor", cursor);
    if (!client_try(con, &q, &reply, COMPLETE_MS) || !reply.ok ||
        !cbor_find_uint(reply.result, "start", &start) || start > cursor ||
        !cbor_find(reply.result, "words", &words) || !cbor_next(&words, &array) ||
        array.type != CBOR_ARRAY)
        return CC_REFRESH_BEEP;
    return offer(words, array.n, line->buffer + start, cursor - start);
}

// ---- prompt, history

static char *show_prompt(EditLine *e)
{
    (void)e;
    return (char *)(uintptr_t)prompt_text();
}

static void name_history(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char folder[400];

    if (state && *state)
        snprintf(folder, sizeof folder, "%s/tidepool", state);
    else if (home && *home)
        snprintf(folder, sizeof folder, "%s/.local/state/tidepool", home);
    else
        return;
    for (char *p = folder + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = 0;
        mkdir(folder, 0700);
    }
    mkdir(folder, 0700);
    snprintf(history_file, sizeof history_file, "%s/history", folder);
}

static void set_up(void)
{
    setlocale(LC_CTYPE, "");
    el = el_init("kmon", stdin, stdout, stderr);
    history_ = history_init();
    if (!el || !history_)
        console_fail(con, EXIT_CONNECT, "no line editor for this terminal");
    history(history_, &event, H_SETSIZE, HISTORY);
    history(history_, &event, H_SETUNIQUE, 1);
    name_history();
    if (history_file[0])
        history(history_, &event, H_LOAD, history_file);
    el_set(el, EL_EDITOR, "emacs");
    el_set(el, EL_SIGNAL, 0);
    el_set(el, EL_HIST, history, history_);
    el_set(el, EL_PROMPT, show_prompt);
    el_set(el, EL_GETCFN, get_key);
    el_set(el, EL_ADDFN, "monitor-leave", "back to the user's terminal", on_leave);
    el_set(el, EL_ADDFN, "monitor-abandon", "forget this line", on_abandon);
    el_set(el, EL_ADDFN, "monitor-complete", "complete from the live kernel", on_complete);
    el_set(el, EL_BIND, "^]", "monitor-leave", NULL);
    el_set(el, EL_BIND, "^C", "monitor-abandon", NULL);
    el_set(el, EL_BIND, "^I", "monitor-complete", NULL);
}

// ---- evaluation

// While the kernel answers there is no prompt to print above.
static void print_aside(struct console *c, const uint8_t *data, size_t n)
{
    report_print(c, data, n);
    record_aside(c, data, n);
}

static void answer_begins(struct console *c)
{
    end_begun(c);
    c->on_log = c->on_text = print_aside;
    c->on_repl = prompt_print;
}

static void prompt_stands(struct console *c)
{
    c->on_log = c->on_text = above_prompt;
    c->on_repl = scripts_above_prompt;
}

static void take_line(const char *line, size_t n)
{
    prompt_take(con, line, n, answer_begins);
    prompt_stands(con);
}

static void read_lines(void)
{
    const char *line;
    int n;

    for (leaving = false; !leaving && !machine_gone;) {
        if (!prompt_is_open())
            prompt_refresh(con, PROMPT_MS);
        abandoned = false;
        typing = true;
        line = el_gets(el, &n);
        typing = false;
        if (abandoned) {
            prompt_give_up(con);
            continue;
        }
        if (!line || n <= 0)
            break;
        if (n > 1) {
            history(history_, &event, H_ENTER, line);
            if (history_file[0])
                history(history_, &event, H_SAVE, history_file);
        }
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == ' '))
            n--;
        if (n > 0 || prompt_is_open())
            take_line(line, (size_t)n);
    }
}

void repl_run(struct console *c)
{
    static const char greeting[] =
        "monitor: Lua in the kernel; name? for help, :help for shorthands, Ctrl-] goes back";

    con = c;
    prompt_give_up(c);
    c->on_tty = keep_tty;
    prompt_stands(c);
    c->on_stdin = key_came;
    terminal_restore();
    printf("\r\n%s\n", greeting);
    record_aside(c, greeting, strlen(greeting));
    if (!el)
        set_up();
    else
        el_set(el, EL_PREP_TERM, 1);
    read_lines();
    el_set(el, EL_PREP_TERM, 0);
    putchar('\n');
    end_begun(c);
    fwrite(kept.data ? kept.data : "", 1, kept.len, stdout);
    record_terminal(c, kept.data, kept.len);
    kept.len = 0;
    fflush(stdout);
}
