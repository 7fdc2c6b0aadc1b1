// SPDX-License-Identifier: MIT
// The command line.
#include "verbs.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TIMEOUT_MS = 60000 };

static const char usage[] =
    "usage: kmon qemu [--smp N] [--mem M] [--disk IMG] [--initrd CPIO] [--kernel ELF] [--append ARGS]\n"
    "                 [--icount] [VERB ...]       boots a machine, does VERB, powers it off\n"
    "       kmon connect unix:/path|pty:/dev/pts/N [VERB ...]       on a kernel that runs\n"
    "\n"
    "verbs  tty                      the user's terminal; Ctrl-] opens the monitor (this is the default)\n"
    "       eval EXPR [--json]       a Lua expression or statement in the kernel\n"
    "       run FILE [ARG ...]       a script; `exec FILE|-` is the same\n"
    "       check FILE [ARG ...]     a script of tests; prints TAP\n"
    "       sh 'COMMAND LINE'        in the guest's shell; ends with its status\n"
    "\n"
    "       --timeout SECONDS|none   for any verb (60 s; none for tty)    --verbose  kernel log on stderr\n"
    "       --icount                 count instructions instead of time; one hart unless --smp says more\n"
    "       --disk none              no disk; without --disk: build/disk.img, changes are not kept\n"
    "\n"
    "exit   0 ok, 1 Lua error, 2 usage, 3 cannot connect, 4 timeout, 5 kernel panic, 6 protocol,\n"
    "       7 assertion failed, 130 interrupted\n";

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

static uint64_t seconds(struct console *c, const char *text)
{
    char *end;
    double v = strtod(text, &end);

    if (strcmp(text, "none") == 0)
        return UINT64_MAX;
    if (end == text || (*end && strcmp(end, "s") != 0) || !(v > 0) || v > 1e6)
        console_fail(c, EXIT_USAGE, "--timeout is a number of seconds or none, not \"%s\"", text);
    return (uint64_t)(v * 1000);
}

static bool is(const char *word, const char *option, const char *equals)
{
    size_t n = equals ? (size_t)(equals - word) : strlen(word);

    return strlen(option) == n && memcmp(word, option, n) == 0;
}

// True when the word was an option that stands anywhere before a script's own arguments.
static bool common(struct options *o, struct console *c, char ***at, const char *equals)
{
    const char *w = **at;

    if (is(w, "--timeout", equals)) {
        o->timeout_ms = seconds(c, value(c, at, equals));
        o->timeout_set = true;
    } else if (is(w, "--json", NULL)) {
        o->json = true;
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
    else if (is(w, "--icount", NULL))
        m->icount = true;
    else
        return false;
    return true;
}

// A file of the build kmon lies in; NULL when it is not there.
static const char *built(const char *name)
{
    char exe[PATH_MAX], *path;
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);

    if (n <= 0)
        return NULL;
    exe[n] = 0;
    *strrchr(exe, '/') = 0;
    if (asprintf(&path, "%s/%s", exe, name) < 0)
        abort();
    return access(path, R_OK) == 0 ? path : NULL;
}

static void need_file(struct console *c, const char *what, const char *path)
{
    if (path && access(path, R_OK) < 0)
        console_fail(c, EXIT_USAGE, "the %s %s cannot be read: %m", what, path);
}

static void complete_machine(struct options *o, struct console *c)
{
    struct machine *m = &o->machine;

    if (!m->kernel && !(m->kernel = built("kernel/tidepool.elf")))
        console_fail(c, EXIT_USAGE, "no kernel beside kmon (say make, or --kernel ELF)");
    if (!m->harts)
        m->harts = m->icount ? 1 : 4;
    if (!m->initrd)
        m->initrd = built("initrd.cpio");
    if (!m->disk) {
        m->disk = built("disk.img");
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

static void take_verb(struct options *o, struct console *c, char **at)
{
    const struct verb *verb;

    o->verb = *at ? *at++ : "tty";
    verb = verb_find(o->verb);
    if (!verb)
        console_fail(c, EXIT_USAGE, "\"%s\" is no verb (tty, eval, exec, run, check, sh)", o->verb);
    o->args = at;
    for (; *at; at++) {
        // Behind a script's name all words are the script's.
        if (strncmp(*at, "--", 2) == 0 && (o->nargs == 0 || verb->most >= 0)) {
            if (!common(o, c, &at, strchr(*at, '=')))
                console_fail(c, EXIT_USAGE, "%s knows no option %s", o->verb, *at);
        } else {
            o->args[o->nargs++] = *at;
        }
    }
    if (o->nargs < verb->least)
        console_fail(c, EXIT_USAGE, "%s needs %s", o->verb,
                     strcmp(o->verb, "eval") == 0 ? "an expression"
                     : strcmp(o->verb, "sh") == 0 ? "a command line"
                                                  : "a file");
    if (verb->most >= 0 && o->nargs > verb->most)
        console_fail(c, EXIT_USAGE, "%s takes %d argument%s, \"%s\" is one too many", o->verb,
                     verb->most, verb->most == 1 ? "" : "s", o->args[verb->most]);
    if (o->json && strcmp(o->verb, "eval") != 0)
        console_fail(c, EXIT_USAGE, "--json goes with eval");
    if (!o->timeout_set)
        o->timeout_ms = verb->endless ? UINT64_MAX : TIMEOUT_MS;
}

void options_parse(struct options *o, struct console *c, int argc, char **argv)
{
    char **at = argv + 1;

    *o = (struct options){.machine = {.memory = "512M"}};
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        fputs(usage, argc < 2 ? stderr : stdout);
        exit(argc < 2 ? EXIT_USAGE : EXIT_OK);
    }
    o->qemu = strcmp(*at, "qemu") == 0;
    if (!o->qemu && strcmp(*at, "connect") != 0)
        console_fail(c, EXIT_USAGE, "\"%s\": say `kmon qemu` or `kmon connect` (kmon --help)", *at);
    at++;
    if (!o->qemu) {
        if (!*at || **at == '-')
            console_fail(c, EXIT_USAGE, "connect needs an address: unix:/path or pty:/dev/...");
        o->address = *at++;
    }
    for (; *at && strncmp(*at, "--", 2) == 0; at++) {
        const char *equals = strchr(*at, '=');
        if (!common(o, c, &at, equals) && !(o->qemu && of_machine(o, c, &at, equals)))
            console_fail(c, EXIT_USAGE, "%s knows no option %s", argv[1], *at);
    }
    take_verb(o, c, at);
    if (o->qemu)
        complete_machine(o, c);
    else
        o->machine.kernel = built("kernel/tidepool.elf");
}
