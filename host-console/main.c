// SPDX-License-Identifier: MIT
// kmon: the host's console of one Tidepool kernel.
#include "console.h"
#include "dump.h"
#include "share.h"
#include "verbs.h"

#include <stdio.h>
#include <sys/wait.h>

static int leave(struct console *c, const struct options *o, int code)
{
    fflush(stdout);
    if (o->on != ON_QEMU) {
        console_bye(c);
        return code;
    }
    if (c->panicked) {
        qemu_kill(c);
        return code;
    }
    if (!qemu_power_off(c)) {
        fputs("kmon: the machine did not power off and was killed\n", stderr);
        return code ? code : EXIT_TIMEOUT;
    }
    if (WIFEXITED(c->qemu_status) && WEXITSTATUS(c->qemu_status) == 0)
        return code;
    fprintf(stderr, "kmon: QEMU ended with status %d\n", c->qemu_status);
    return code ? code : EXIT_CONNECT;
}

static void print_log(struct console *c, const uint8_t *data, size_t n)
{
    if (c->verbose)
        fwrite(data, 1, n, stderr);
}

static void open_line(struct console *c, const struct options *o)
{
    if (o->on == ON_QEMU)
        qemu_start(c, &o->machine);
    else
        line_open(c, o->address);
}

int main(int argc, char **argv)
{
    static struct console c;
    struct options o;

    console_init(&c);
    options_parse(&o, &c, argc, argv);
    c.verbose = o.verbose;
    c.on_log = print_log;
    if (o.verb->prepare)
        o.verb->prepare(&c, &o);
    if (o.verb->offline)
        return o.verb->run(&c, &o);
    if (o.on == ON_DUMP)
        return dump_offline(&c, &o);
    c.elf = o.machine.kernel;
    if (share_wanted(&o))
        return leave(&c, &o, share_run(&c, &o, open_line));
    open_line(&c, &o);
    if (o.timeout_ms != UINT64_MAX)
        c.deadline_ms = clock_ms() + o.timeout_ms;
    return leave(&c, &o, o.verb->run(&c, &o));
}
