// SPDX-License-Identifier: MIT
// sources: kernel/fs/ldisc.c kernel/fs/ldisc_out.c kernel/fs/ldisc_read.c
// flags: -Wno-missing-field-initializers
// The line discipline against a table of what Linux's terminals do (each row was typed into a
// pseudo-terminal of Linux 6.18): what is typed, what shows on the screen, what a reader gets.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "fs/ldisc.h"

static struct ldisc ld;

static void type(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ldisc_input(&ld, (uint8_t)s[i]);
}

// Everything that went to the line so far.
static const char *screen(void)
{
    static char buf[2 * LDISC_OUT];
    size_t n = ldisc_pull(&ld, (uint8_t *)buf, sizeof(buf) - 1);
    buf[n] = 0;
    return buf;
}

// One read(2) of a large buffer; "-" when it would wait, "EOF" for 0.
static const char *line(void)
{
    static char buf[LDISC_IN + 1];
    bool end;
    long n = ldisc_read(&ld, (uint8_t *)buf, LDISC_IN, &end);
    if (n <= 0)
        return n < 0 ? "-" : "EOF";
    buf[n] = 0;
    return buf;
}

struct row {
    const char *name, *typed, *echoed, *read;
    uint32_t iflag_set, iflag_clear, lflag_set, lflag_clear, oflag_set, oflag_clear;
};

#define RUB "\b \b"
static const struct row table[] = {
    {"a line", "hi\n", "hi\r\n", "hi\n"},
    {"return is newline", "hi\r", "hi\r\n", "hi\n"},
    {"no newline, nothing to read", "hi", "hi", "-"},
    {"erase", "hex\177\177ello\n", "hex" RUB RUB "ello\r\n", "hello\n"},
    {"erase at the start", "\177\177a\n", "a\r\n", "a\n"},
    {"erase does not cross a line", "a\n\177b\n", "a\r\nb\r\n", "a\n"},
    {"erase of a control character", "\001\177b\n", "^A" RUB RUB "b\r\n", "b\n"},
    {"erase of a tab", "ab\t\177c\n", "ab\t\b\b\b\b\b\bc\r\n", "abc\n"},
    {"erase of UTF-8", "\303\251\177x\n", "\303\251" RUB "x\r\n", "x\n", .iflag_set = IUTF8},
    {"erase byte by byte without IUTF8", "\303\251\177x\n", "\303\251" RUB "x\r\n", "\303x\n"},
    {"kill", "abc\025d\n", "abc" RUB RUB RUB "d\r\n", "d\n"},
    {"kill without ECHOKE", "abc\025d\n", "abc^U\r\nd\r\n", "d\n", .lflag_clear = ECHOKE},
    {"erase without ECHOE", "ab\177\n", "ab^?\r\n", "a\n", .lflag_clear = ECHOE},
    {"word erase", "one two_3\027x\n", "one two_3" RUB RUB RUB RUB RUB "x\r\n", "one x\n"},
    {"word erase takes blanks before", "one  \027x\n", "one  " RUB RUB RUB RUB RUB "x\r\n", "x\n"},
    {"end of file", "\004", "", "EOF"},
    {"end of file behind text", "ab\004", "ab", "ab"},
    {"literal next", "\026\003\026\004x\n", "^\b^C^\b^Dx\r\n", "\003\004x\n"},
    {"literal newline does not end", "a\026\nb\n", "a^\b^Jb\r\n", "a\nb\n"},
    {"reprint", "ab\022c\n", "ab^R\r\nabc\r\n", "abc\n"},
    {"no echo", "pw\n", "", "pw\n", .lflag_clear = ECHO},
    {"ECHONL alone", "pw\n", "\r\n", "pw\n", .lflag_set = ECHONL, .lflag_clear = ECHO},
    {"control characters raw without ECHOCTL", "\001\n", "\001\r\n", "\001\n",
     .lflag_clear = ECHOCTL},
    {"no ICRNL", "a\r\n", "a^M\r\n", "a\r\n", .iflag_clear = ICRNL},
    {"IGNCR", "a\rb\n", "ab\r\n", "ab\n", .iflag_set = IGNCR},
    {"INLCR", "a\nb", "a^Mb", "-", .iflag_set = INLCR, .iflag_clear = ICRNL},
    {"no ONLCR", "a\n", "a\n", "a\n", .oflag_clear = ONLCR},
    {"no OPOST", "a\n", "a\n", "a\n", .oflag_clear = OPOST},
    {"ISTRIP", "\341\n", "a\r\n", "a\n", .iflag_set = ISTRIP},
    {"erase of a quoted newline", "\026\n\177x\n", "^\b^J" RUB RUB "x\r\n", "x\n"},
    {"kill with a tab", "a\tb\025c\n", "a\tb" RUB "\b\b\b\b\b\b\b" RUB "c\r\n", "c\n"},
    {"ignored nul", "a\026\001b\n", "a^\b^Ab\r\n", "a\001b\n"},
    {"word erase over a tab", "ab\tcd\027x\n", "ab\tcd" RUB RUB "x\r\n", "ab\tx\n"},
    {"kill with ECHOK off", "abc\025d\n", "abc^Ud\r\n", "d\n", .lflag_clear = ECHOK},
    {"end of line by EOL2 and reprint of a tab", "a\tb\022\n", "a\tb^R\r\na\tb\r\n", "a\tb\n"},
    {"any key restarts", "a\023b\n", "ab\r\n", "ab\n", .iflag_set = IXANY},
    {"lower case", "ABC\n", "abc\r\n", "abc\n", .iflag_set = IUCLC},
    {"upper case out", "abc\n", "ABC\r\n", "abc\n", .oflag_set = OLCUC},
    {"raw newline", "\n\r", "^J\r\n", "\n\n", .lflag_clear = ICANON},
    {"raw keeps editing keys", "a\025\027\026", "a^U^W^V", "a\025\027\026", .lflag_clear = ICANON},
    {"raw", "a\177\r", "a\177\r\n", "a\177\n", .lflag_clear = ICANON | ECHOCTL},
    {"interrupt drops the line", "abc\003d\n", "^Cd\r\n", "d\n"},
    {"interrupt without flush", "abc\003d\n", "abc^Cd\r\n", "abcd\n", .lflag_set = NOFLSH},
    {"no ISIG", "a\003\n", "a^C\r\n", "a\003\n", .lflag_clear = ISIG},
    {"no IEXTEN", "a\026\027\n", "a^V^W\r\n", "a\026\027\n", .lflag_clear = IEXTEN},
    {"stop and start are no input", "a\023\021b\n", "ab\r\n", "ab\n"},
    {"no IXON", "a\023b\n", "a^Sb\r\n", "a\023b\n", .iflag_clear = IXON},
};

static void run_row(const struct row *r)
{
    ldisc_init(&ld);
    struct termios2 tio = ld.termios;
    tio.c_iflag = (tio.c_iflag | r->iflag_set) & ~r->iflag_clear;
    tio.c_lflag = (tio.c_lflag | r->lflag_set) & ~r->lflag_clear;
    tio.c_oflag = (tio.c_oflag | r->oflag_set) & ~r->oflag_clear;
    ldisc_set_termios(&ld, &tio);
    type(r->typed, strlen(r->typed));
    const char *shown = screen(), *got = line();
    if (strcmp(shown, r->echoed) || strcmp(got, r->read)) {
        print_message("# %s: echoed \"%s\", read \"%s\"\n", r->name, shown, got);
        fail();
    }
}

static void behaviours(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        run_row(&table[i]);
}

static void several_lines(void **state)
{
    (void)state;
    ldisc_init(&ld);
    type("one\ntwo\nthr", 11);
    assert_int_equal(ldisc_pending(&ld), 8);
    assert_int_equal(ldisc_readable(&ld), 4);
    assert_string_equal(line(), "one\n");
    assert_string_equal(line(), "two\n");
    assert_string_equal(line(), "-");
    type("ee\n", 3);
    assert_string_equal(line(), "three\n");
}

static void short_reads(void **state)
{
    (void)state;
    uint8_t buf[8];
    bool end;
    ldisc_init(&ld);
    type("hello\nx\n", 8);
    assert_int_equal(ldisc_read(&ld, buf, 3, &end), 3);
    assert_memory_equal(buf, "hel", 3);
    assert_false(end);
    assert_int_equal(ldisc_read(&ld, buf, 2, &end), 2);
    assert_int_equal(ldisc_read(&ld, buf, 8, &end), 1);
    assert_int_equal(buf[0], '\n');
    assert_true(end);
    assert_string_equal(line(), "x\n");
}

// "abc^D" read with 3 bytes is not followed by an end of file; two ^D are one.
static void end_of_file_fits(void **state)
{
    (void)state;
    uint8_t buf[8];
    bool end;
    ldisc_init(&ld);
    type("abc\004", 4);
    assert_int_equal(ldisc_read(&ld, buf, 3, &end), 3);
    assert_true(end);
    assert_string_equal(line(), "-");
    type("abc\004\004", 5);
    assert_string_equal(line(), "abc");
    assert_string_equal(line(), "EOF");
    assert_string_equal(line(), "-");
    type("abc\n\004", 5);
    assert_int_equal(ldisc_read(&ld, buf, 4, &end), 4);
    assert_string_equal(line(), "EOF");
    assert_int_equal(ldisc_pending(&ld), 0);
}

static void signals(void **state)
{
    (void)state;
    ldisc_init(&ld);
    assert_true(ldisc_input(&ld, 3) & LDISC_SIGINT);
    assert_true(ldisc_input(&ld, 28) & LDISC_SIGQUIT);
    assert_true(ldisc_input(&ld, 26) & LDISC_SIGTSTP);
    assert_string_equal(screen(), "^Z"); // each signal flushes what was not yet sent
    ldisc_input(&ld, 19);
    assert_true(ldisc_input(&ld, 3) & LDISC_SIGINT);
    assert_string_equal(screen(), "^C"); // and ends a ^S
}

static void flow_control(void **state)
{
    (void)state;
    ldisc_init(&ld);
    ldisc_input(&ld, 19);
    assert_int_equal(ldisc_write(&ld, (const uint8_t *)"out", 3), 3);
    assert_string_equal(screen(), "");
    assert_true(ldisc_input(&ld, 17) & LDISC_OUT_READY);
    assert_string_equal(screen(), "out");
    struct termios2 tio = ld.termios;
    tio.c_iflag |= IXANY;
    ldisc_set_termios(&ld, &tio);
    ldisc_input(&ld, 19);
    assert_true(ldisc_input(&ld, 'x') & LDISC_OUT_READY);
    assert_string_equal(screen(), "x");
    ldisc_input(&ld, 19);
    tio.c_iflag &= ~(uint32_t)IXON;
    assert_true(ldisc_set_termios(&ld, &tio) & LDISC_OUT_READY);
}

static void wakes(void **state)
{
    (void)state;
    ldisc_init(&ld);
    assert_false(ldisc_input(&ld, 'a') & LDISC_WAKE);
    assert_true(ldisc_input(&ld, '\n') & LDISC_WAKE);
    struct termios2 tio = ld.termios;
    tio.c_lflag &= ~(uint32_t)ICANON;
    ldisc_set_termios(&ld, &tio);
    assert_true(ldisc_input(&ld, 'b') & LDISC_WAKE);
}

// What was typed ahead is not lost when a program changes the mode.
static void mode_switch(void **state)
{
    (void)state;
    ldisc_init(&ld);
    struct termios2 cooked = ld.termios, raw = ld.termios;
    raw.c_lflag &= ~(uint32_t)ICANON;
    type("half", 4);
    assert_true(ldisc_set_termios(&ld, &raw) & LDISC_WAKE);
    assert_string_equal(line(), "half");
    type("full\nmore", 9);
    assert_true(ldisc_set_termios(&ld, &cooked) & LDISC_WAKE);
    assert_string_equal(line(), "full\nmore");
    assert_string_equal(line(), "-");
    type("x\n", 2);
    assert_string_equal(line(), "x\n");
    type("two\nlines", 9);
    ldisc_set_termios(&ld, &raw);
    ldisc_set_termios(&ld, &cooked);
    assert_string_equal(line(), "two\nlines");
}

static void output(void **state)
{
    (void)state;
    ldisc_init(&ld);
    ldisc_write(&ld, (const uint8_t *)"a\tb\n", 4);
    assert_string_equal(screen(), "a\tb\r\n");
    ld.termios.c_oflag |= 014000; // XTABS
    ldisc_write(&ld, (const uint8_t *)"a\tb\n", 4);
    assert_string_equal(screen(), "a       b\r\n");
    ld.termios.c_oflag |= ONOCR | OCRNL;
    ldisc_write(&ld, (const uint8_t *)"\ra\rb", 4);
    assert_string_equal(screen(), "a\nb");
    ld.termios.c_oflag = 0;
    ldisc_write(&ld, (const uint8_t *)"a\tb\r\n", 5);
    assert_string_equal(screen(), "a\tb\r\n");
}

// A prompt moves the cursor: erasing a tab behind it goes back to where the tab began.
static void tab_behind_prompt(void **state)
{
    (void)state;
    ldisc_init(&ld);
    ldisc_write(&ld, (const uint8_t *)"$ ", 2);
    screen();
    type("a\t\177", 3);
    assert_string_equal(screen(), "a\t\b\b\b\b\b");
    type("\001\t\177", 3);
    assert_string_equal(screen(), "^A\t\b\b\b");
}

// Tabs erase to where they began, whatever stands between them.
static void kill_of_tabs(void **state)
{
    (void)state;
    ldisc_init(&ld);
    ldisc_write(&ld, (const uint8_t *)"$ ", 2);
    type("\tabc\t\t\001\t12345678\t", 17);
    screen();
    type("\025", 1);
    assert_string_equal(screen(), "\b\b\b\b\b\b\b\b" RUB RUB RUB RUB RUB RUB RUB RUB
                                  "\b\b\b\b\b\b" RUB RUB "\b\b\b\b\b\b\b\b"
                                  "\b\b\b\b\b" RUB RUB RUB "\b\b\b\b\b\b");
    for (unsigned round = 0; round < 200;
         round++) { // takes seconds if each tab looks at all others
        for (unsigned i = 0; i < LDISC_IN - 1; i++) {
            type("\t", 1);
            screen();
        }
        type("\025", 1);
        assert_int_equal(ld.head, ld.canon);
        screen();
    }
}

// A line that fills the buffer can still be ended, and nothing that was stored is lost.
static void full_line(void **state)
{
    (void)state;
    ldisc_init(&ld);
    for (unsigned i = 0; i < LDISC_IN + 100; i++) {
        ldisc_input(&ld, 'x');
        screen();
    }
    assert_int_equal(ld.dropped, 101);
    assert_true(ldisc_input(&ld, '\n') & LDISC_WAKE);
    assert_int_equal(ldisc_readable(&ld), LDISC_IN);
    const char *l = line();
    assert_int_equal(strlen(l), LDISC_IN);
    assert_int_equal(l[LDISC_IN - 1], '\n');
    type("ok\n", 3);
    assert_string_equal(line(), "ok\n");
}

static void full_output(void **state)
{
    (void)state;
    static uint8_t text[2 * LDISC_OUT];
    memset(text, '\n', sizeof(text));
    ldisc_init(&ld);
    size_t taken = ldisc_write(&ld, text, sizeof(text));
    assert_in_range(taken, 1000, LDISC_OUT / 2);
    assert_false(ldisc_out_room(&ld));
    assert_int_equal(ldisc_write(&ld, text, 10), 0);
    type("e", 1); // echo has room of its own
    const char *s = screen();
    assert_int_equal(strlen(s), 2 * taken + 1);
    assert_int_equal(s[2 * taken], 'e');
    assert_true(ldisc_out_room(&ld));
}

// Rings wrap many times; what goes in comes out.
static void wrap(void **state)
{
    (void)state;
    char want[32];
    ldisc_init(&ld);
    for (unsigned i = 0; i < 20000; i++) {
        int n = snprintf(want, sizeof(want), "line %u\n", i);
        type(want, (size_t)n);
        screen();
        assert_string_equal(line(), want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaviours),  cmocka_unit_test(several_lines),
        cmocka_unit_test(short_reads), cmocka_unit_test(end_of_file_fits),
        cmocka_unit_test(signals),     cmocka_unit_test(flow_control),
        cmocka_unit_test(wakes),       cmocka_unit_test(mode_switch),
        cmocka_unit_test(output),      cmocka_unit_test(tab_behind_prompt),
        cmocka_unit_test(full_line),   cmocka_unit_test(full_output),
        cmocka_unit_test(wrap),        cmocka_unit_test(kill_of_tabs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
