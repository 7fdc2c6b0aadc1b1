// SPDX-License-Identifier: MIT
// sh and tty: the guest's user terminal.
#include "client.h"
#include "guest.h"
#include "terminal.h"
#include "verbs.h"

#include <stdio.h>
#include <string.h>

static int run_sh(struct console *c, const struct options *o)
{
    struct guest_run run;
    enum wait_result r;
    bool interrupted = false;

    console_connect(c);
    client_terminal(c, true);
    if (guest_start(c, &run, o->args[0], strlen(o->args[0])) < 0)
        console_fail(
            c, EXIT_USAGE,
            "the command line is longer than 60000 bytes: put it into a file in the guest");
    run.stream = true;
    while ((r = console_wait(c, guest_ended, &run, UINT64_MAX)) == WAIT_INTERRUPTED) {
        if (interrupted || !run.begun)
            console_fail(c, EXIT_INTERRUPTED, "interrupted");
        console_type(c, "\3", 1);
        interrupted = true;
    }
    fflush(stdout);
    if (r == WAIT_TIMEOUT && !run.begun)
        console_fail(c, EXIT_TIMEOUT, "timeout: no shell of the guest took the command");
    if (r != WAIT_OK)
        console_fail_wait(c, r, "the command ran");
    return interrupted ? EXIT_INTERRUPTED : run.status;
}
VERB(sh, .args = "COMMAND", .help = "a command line in the guest's shell; ends with its status",
     .needs = "a command line", .least = 1, .most = 1, .run = run_sh);

static int run_tty(struct console *c, const struct options *o)
{
    (void)o;
    return terminal_verb(c);
}
VERB(tty, .help = "the user's terminal; Ctrl-] opens the monitor (this is the default)",
     .endless = true, .run = run_tty);
