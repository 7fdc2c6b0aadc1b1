// SPDX-License-Identifier: MIT
// The command line.
#include "verbs.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TIMEOUT_MS = 60000 };

// The value of an option, as the next word or behind "=".
static const char *value(struct console *c, char ***at, const char *equals)
{
    const char *option = **at;

    if (equals)
        return equals + 1;
    if (!(*at)[1])
        console_fail(c, EXIT_USAGE, "%s needs a value", option);
    return *++*at;
}

static unsigned number(struct console *c, const char *option, const char *text, unsigned least,
                       unsigned most)
{
    char *end;
    unsigned long v = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end || v < least || v > most)
        console_fail(c, EXIT_USAGE, "%s is a number from %u to %u, not \"%s\"", option, least, most,
                     text);
    return (unsigned)v;
}

static const char *memory(struct console *c, const char *text)
{
    char *end;
    unsigned long v = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || v == 0 || (*end && (!strchr("MG", *end) || end[1])))
        console_fail(c, EXIT_USAGE, "--mem is a size like 512M or 2G, not \"%s\"", text);
    return text;
}

uint64_t option_seconds(struct console *c, const char *option, const char *text)
{
    char *end;
    double v = strtod(text, &end);

    if (end == text || (*end && strcmp(end, "s") != 0) || !(v >= 0.001) || v > 1e6)
        console_fail(c, EXIT_USAGE, "%s is a number of seconds, not \"%s\"", option, text);
    return (uint64_t)(v * 1000);
}

static bool is(const char *word, const char *option, const char *equals)
{
    size_t n = equals ? (size_t)(equals - word) : strlen(word);

    return strlen(option) == n && memcmp(word, option, n) == 0;
}

const char *option_value(const struct options *o, const char *name)
{
    const struct verb_option *x = o->verb->options;

    for (unsigned i = 0; x && x[i].name; i++)
        if (strcmp(x[i].name, name) == 0)
            return o->set[i];
    return NULL;
}

static bool of_verb(struct options *o, struct console *c, char ***at, const char *equals)
{
    const struct verb_option *x = o->verb->options;

    for (unsigned i = 0; x && x[i].name; i++)
        if (is(**at, x[i].name, x[i].value ? equals : NULL)) {
            o->set[i] = x[i].value ? value(c, at, equals) : "";
            return true;
        }
    return false;
}

// True when the word was an option that stands anywhere before a script's own arguments.
static bool common(struct options *o, struct console *c, char ***at, const char *equals)
{
    const char *w = **at;

    if (is(w, "--timeout", equals)) {
        const char *text = value(c, at, equals);
        o->timeout_ms = strcmp(text, "none") ? option_seconds(c, "--timeout", text) : UINT64_MAX;
        o->timeout_set = true;
    } else if (is(w, "--share", equals)) {
        o->share = value(c, at, equals);
    } else if (is(w, "--verbose", NULL)) {
        o->verbose = true;
    } else {
        return false;
    }
    return true;
}

static bool of_machine(struct options *o, struct console *c, char ***at, const char *equals)
{
    struct machine *m = &o->machine;
    const char *w = **at;

    if (is(w, "--smp", equals))
        m->harts = number(c, "--smp", value(c, at, equals), 1, 8);
    else if (is(w, "--mem", equals))
        m->memory = memory(c, value(c, at, equals));
    else if (is(w, "--disk", equals))
        m->disk = value(c, at, equals);
    else if (is(w, "--initrd", equals))
        m->initrd = value(c, at, equals);
    else if (is(w, "--kernel", equals))
        m->kernel = value(c, at, equals);
    else if (is(w, "--append", equals))
        m->append = value(c, at, equals);
    else if (is(w, "--qemu", equals) && m->more_n < MACHINE_MORE)
        m->more[m->more_n++] = value(c, at, equals);
    else if (is(w, "--icount", NULL))
        m->icount = true;
    else
        return false;
    return true;
}

// In the folder kmon lies in.
static const char *beside(const char *name)
{
    char exe[PATH_MAX], *path;
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);

    if (n <= 0)
        return NULL;
    exe[n] = 0;
    *strrchr(exe, '/') = 0;
    if (asprintf(&path, "%s/%s", exe, name) < 0)
        abort();
    return path;
}

const char *options_built(const char *name)
{
    const char *path = beside(name);

    return path && access(path, R_OK) == 0 ? path : NULL;
}

static const char *usual_kernel(void)
{
    const char *set = getenv("TIDEPOOL_KERNEL");

    return set && *set ? set : options_built("kernel/tidepool.elf");
}

const char *options_socket(void)
{
    const char *set = getenv("TIDEPOOL_LINE");

    return set && *set ? set : beside("line");
}

static void need_file(struct console *c, const char *what, const char *path)
{
    if (path && access(path, R_OK) < 0)
        console_fail(c, EXIT_USAGE, "the %s %s cannot be read: %m", what, path);
}

static void complete_machine(struct options *o, struct console *c)
{
    struct machine *m = &o->machine;

    if (!m->kernel && !(m->kernel = usual_kernel()))
        console_fail(c, EXIT_USAGE, "no kernel beside kmon (say make, or --kernel ELF)");
    if (!m->harts)
        m->harts = m->icount ? 1 : 4;
    if (!m->initrd)
        m->initrd = options_built("initrd.cpio");
    if (!m->disk) {
        m->disk = options_built("disk.img");
        m->scratch_disk = true;
    }
    if (m->initrd && strcmp(m->initrd, "none") == 0)
        m->initrd = NULL;
    if (m->disk && strcmp(m->disk, "none") == 0)
        m->disk = NULL;
    need_file(c, "kernel", m->kernel);
    need_file(c, "initrd", m->initrd);
    need_file(c, "disk image", m->disk);
}

static void take_words(struct options *o, struct console *c, char **at)
{
    const struct verb *verb = o->verb;

    o->args = at;
    for (; *at; at++) {
        const char *equals = strchr(*at, '=');
        // Behind a script's name all words are the script's; "-1" is an expression.
        if ((o->nargs > 0 && verb->most < 0) || **at != '-')
            o->args[o->nargs++] = *at;
        else if (of_verb(o, c, &at, equals) || common(o, c, &at, equals))
            continue;
        else if ((*at)[1] == '-')
            console_fail(c, EXIT_USAGE, "%s knows no option %s", verb->name, *at);
        else
            o->args[o->nargs++] = *at;
    }
    if (o->nargs < verb->least)
        console_fail(c, EXIT_USAGE, "%s needs %s", verb->name, verb->needs);
    if (verb->most >= 0 && o->nargs > verb->most)
        console_fail(c, EXIT_USAGE, "%s takes %d argument%s, \"%s\" is one too many", verb->name,
                     verb->most, verb->most == 1 ? "" : "s", o->args[verb->most]);
}

static void take_verb(struct options *o, struct console *c, char **at)
{
    const char *name = *at ? *at++ : "tty";

    o->verb = verb_find(name);
    if (!o->verb)
        console_fail(c, EXIT_USAGE, "\"%s\" is no verb (kmon help lists them)", name);
    take_words(o, c, at);
    if (!o->timeout_set)
        o->timeout_ms = o->verb->endless ? UINT64_MAX : TIMEOUT_MS;
    if (o->share && o->on != ON_QEMU && o->on != ON_LINE)
        console_fail(c, EXIT_USAGE,
                     "--share goes with qemu and connect: who has the line shares it");
}

// Where the kernel is.
static char **take_place(struct options *o, struct console *c, char **at)
{
    const char *place = *at;

    o->on = strcmp(place, "qemu") == 0      ? ON_QEMU
            : strcmp(place, "connect") == 0 ? ON_LINE
                                            : ON_SHARED;
    if (o->on == ON_SHARED && !verb_find(place) && *place != '-')
        console_fail(c, EXIT_USAGE, "\"%s\": say `kmon qemu`, `kmon connect` or a verb (kmon help)",
                     place);
    at += o->on != ON_SHARED;
    if (o->on == ON_LINE) {
        if (!*at || **at == '-')
            console_fail(c, EXIT_USAGE, "connect needs an address: unix:/path or pty:/dev/...");
        o->address = *at++;
    }
    for (; *at && strncmp(*at, "--", 2) == 0; at++) {
        const char *equals = strchr(*at, '=');
        if (o->on == ON_SHARED && is(*at, "--dump", equals)) {
            o->on = ON_DUMP;
            o->address = value(c, &at, equals);
            continue;
        }
        if (!common(o, c, &at, equals) && !(o->on == ON_QEMU && of_machine(o, c, &at, equals)))
            console_fail(c, EXIT_USAGE, "%s knows no option %s",
                         o->on == ON_SHARED ? "kmon" : place, *at);
    }
    return at;
}

void options_parse(struct options *o, struct console *c, int argc, char **argv)
{
    *o = (struct options){.machine = {.memory = "512M"}};
    if (argc < 2)
        console_fail(c, EXIT_USAGE, "say what to do (kmon help)");
    if (strcmp(argv[1], "--help") == 0) {
        verb_usage();
        exit(EXIT_OK);
    }
    take_verb(o, c, take_place(o, c, argv + 1));
    if (o->verb->offline || o->on == ON_DUMP)
        return;
    if (o->on == ON_QEMU)
        complete_machine(o, c);
    else
        o->machine.kernel = usual_kernel();
    if (o->on == ON_SHARED && asprintf((char **)&o->address, "unix:%s", options_socket()) < 0)
        abort();
}
