// SPDX-License-Identifier: MIT
// One table; $1 and $2 are the words behind the name, a name in quotes; &2 is one that is an address. Names of tasks may have
// spaces: words that are too many belong to the task, which is the first argument.
#include "shorthand.h"

#include "console.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *arguments, *lua;
} words[] = {
    {"ps", "", "k.tasks()"},
    {"bt", "TASK", "k.task($1):backtrace()"},
    {"map", "TASK",
     "local t = k.task($1) if not t.space then error(tostring(t) .. \" has no address space\", 0) "
     "end return t.space:map()"},
    {"walk", "TASK ADDRESS",
     "local t = k.task($1) if not t.space then error(tostring(t) .. \" has no address space\", 0) "
     "end return t.space.pt:walk(&2)"},
    {"queues", "", "k.queues()"},
    {"ring", "QUEUE", "k.queue($1):ring()"},
    {"tls", "", "k.tls()"},
    {"harts", "", "k.harts"},
    {"log", "", "k.log:tail(20)"},
    {"journal", "", "k.journal()"},
    {"faults", "",
     "k.spaces():sort(\"faults\", true):take(10):map(function(s) return {space = tostring(s), "
     "faults = s.faults, major = s.major, copies = s.cow_copies} end):list()"},
};

static char *list(void)
{
    char *out = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&out, &n);

    if (!f)
        abort();
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        fprintf(f, "  :%-8s%-14s%s\n", words[i].name, words[i].arguments, words[i].lua);
    fputs("  an ADDRESS is hexadecimal, as listings show it, with 0x or without\n"
          "  with --lua they print the Lua instead of running it",
          f);
    fclose(f);
    return out;
}

static unsigned count_words(const char *s)
{
    unsigned n = *s != 0;

    for (; *s; s++)
        n += *s == ' ';
    return n;
}

// A number as it is, a name as a string.
static void put_word(FILE *f, const char *word)
{
    if (*word >= '0' && *word <= '9') {
        fputs(word, f);
        return;
    }
    fputc('"', f);
    for (; *word; word++)
        fprintf(f, *word == '"' || *word == '\\' ? "\\%c" : "%c", *word);
    fputc('"', f);
}

// Hexadecimal digits are that, also when all are decimal ones: listings show 10000-191000 and no 0x.
static void put_address(FILE *f, const char *word)
{
    if (word[strspn(word, "0123456789abcdefABCDEF")] == 0)
        fprintf(f, "0x%s", word);
    else
        put_word(f, word);
}

static char *fill(const char *lua, char *const *given)
{
    char *out = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&out, &n);

    if (!f)
        abort();
    for (; *lua; lua++) {
        if (*lua == '$')
            put_word(f, given[*++lua - '1']);
        else if (*lua == '&')
            put_address(f, given[*++lua - '1']);
        else
            fputc(*lua, f);
    }
    fclose(f);
    return out;
}

const char *shorthand_name(unsigned i)
{
    return i < sizeof words / sizeof *words ? words[i].name : NULL;
}

// The last of the words in a text; the text is without it then.
static char *cut_last(char *text)
{
    char *space = strrchr(text, ' ');

    if (!space)
        return NULL;
    *space = 0;
    return space + 1;
}

// `rest` as the arguments of the i-th; false: they are too few or too many.
static bool take_arguments(size_t i, char *rest, char *given[2])
{
    unsigned wanted = count_words(words[i].arguments), count = count_words(rest);

    given[0] = rest;
    given[1] = wanted == 2 && count >= 2 ? cut_last(rest) : NULL;
    if (count == wanted)
        return true;
    return count > wanted && strncmp(words[i].arguments, "TASK", 4) == 0 &&
           !(*rest >= '0' && *rest <= '9');
}

enum shorthand shorthand(const char *line, size_t n, char **text)
{
    char copy[256], rest[256] = "", *given[2], *save = NULL, *name, *w;
    enum shorthand what = SHORTHAND_RUN;

    snprintf(copy, sizeof copy, "%.*s", (int)(n - 1), line + 1);
    name = strtok_r(copy, " ", &save);
    while ((w = strtok_r(NULL, " ", &save))) {
        if (strcmp(w, "--lua") == 0)
            what = SHORTHAND_SAY;
        else // no longer than copy, which they are of
            strcat(strcat(rest, *rest ? " " : ""), w);
    }
    if (name && strcmp(name, "help") == 0) {
        *text = list();
        return SHORTHAND_SAY;
    }
    for (size_t i = 0; name && i < sizeof words / sizeof *words; i++) {
        if (strcmp(words[i].name, name) != 0)
            continue;
        if (take_arguments(i, rest, given)) {
            *text = fill(words[i].lua, given);
            return what;
        }
        *text = format_text("usage: :%s %s", name, words[i].arguments);
        return SHORTHAND_WRONG;
    }
    *text = format_text("no shorthand :%s (:help lists them)", name ? name : "");
    return SHORTHAND_WRONG;
}
