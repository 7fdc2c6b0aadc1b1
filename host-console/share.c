// SPDX-License-Identifier: MIT
// --share and serve: the line is a broker's (broker.h), the verb its first client.
#include "share.h"

#include "broker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

// The verb's own process: to it the broker is the kernel.
static _Noreturn void be_client(struct console *c, const struct options *o, int fd)
{
    void (*on_log)(struct console *, const uint8_t *, size_t) = c->on_log;
    int code;

    prctl(PR_SET_PDEATHSIG, SIGHUP);
    close(c->epoll);
    close(c->signals);
    console_init(c);
    c->on_log = on_log;
    c->verbose = o->verbose;
    c->elf = o->machine.kernel;
    c->booting = c->await_ready = o->on == ON_QEMU;
    c->icount = o->machine.icount;
    console_attach(c, fd);
    if (o->timeout_ms != UINT64_MAX)
        c->deadline_ms = clock_ms() + o->timeout_ms;
    code = o->verb->run(c, o);
    fflush(stdout);
    console_bye(c);
    exit(code);
}

static int no_verb(struct console *c, const struct options *o)
{
    (void)c;
    (void)o;
    return EXIT_OK;
}
VERB(serve, .help = "only shares the line (--share), until the machine ends", .endless = true,
     .run = no_verb);

int share_run(struct console *c, const struct options *o,
              void (*open_line)(struct console *c, const struct options *o))
{
    const char *path = o->share ? o->share : options_socket();
    bool serve = o->verb->run == no_verb;
    int pair[2] = {-1, -1}, listener = broker_listen(c, path);
    pid_t child = 0;

    if (!serve) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 || (child = fork()) < 0)
            console_fail(c, EXIT_CONNECT, "no process: %s", strerror(errno));
        if (child == 0) {
            close(pair[0]);
            close(listener);
            be_client(c, o, pair[1]);
        }
        close(pair[1]);
        fcntl(pair[0], F_SETFL, O_NONBLOCK);
    }
    open_line(c, o);
    if (serve && o->timeout_ms != UINT64_MAX)
        c->deadline_ms = clock_ms() + o->timeout_ms;
    return broker_run(c, path, listener, child, pair[0]);
}
