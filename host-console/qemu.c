// SPDX-License-Identifier: MIT
// Starts the machine with its UART on a socket of ours, and ends it.

#include "client.h"
#include "console.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { POWER_OFF_MS = 15000, ARGS_MAX = 64 };

struct arguments {
    const char *arg[ARGS_MAX];
    int n;
};

static void add(struct arguments *a, const char *s)
{
    if (a->n < ARGS_MAX - 1)
        a->arg[a->n++] = s;
}

static void add_pair(struct arguments *a, const char *option, const char *value)
{
    add(a, option);
    add(a, value);
}

// QEMU reads a comma in a file name as the end of the value, two as one comma.
static const char *quoted(const char *name)
{
    char *s = malloc(2 * strlen(name) + 1), *p = s;

    if (!s)
        abort();
    for (; *name; name++) {
        *p++ = *name;
        if (*name == ',')
            *p++ = ',';
    }
    *p = 0;
    return s;
}

static void build_arguments(struct arguments *a, const struct machine *m, int fd)
{
    add(a, "qemu-system-riscv64");
    add_pair(a, "-M", "virt");
    add_pair(a, "-smp", format_text("%u", m->harts));
    add_pair(a, "-m", m->memory);
    add_pair(a, "-display", "none");
    add_pair(a, "-monitor", "none");
    add_pair(a, "-nic", "none"); // its timers keep `-icount` from waiting for the line
    add(a, "-no-reboot");
    add_pair(a, "-global", "virtio-mmio.force-legacy=false");
    add_pair(a, "-kernel", m->kernel);
    if (m->initrd)
        add_pair(a, "-initrd", m->initrd);
    if (m->append)
        add_pair(a, "-append", m->append);
    add_pair(a, "-chardev", format_text("socket,id=line,fd=%d", fd));
    add_pair(a, "-serial", "chardev:line");
    if (m->disk) {
        add_pair(a, "-drive",
                 format_text("file=%s,format=raw,if=none,id=disk0%s", quoted(m->disk),
                             m->scratch_disk ? ",snapshot=on" : ""));
        add_pair(a, "-device", "virtio-blk-device,drive=disk0");
    }
    add_pair(a, "-device", "virtio-rng-device");
    if (m->icount)
        add_pair(a, "-icount", "shift=0,sleep=off");
    for (unsigned i = 0; i < m->more_n; i++)
        add(a, m->more[i]);
    a->arg[a->n] = NULL;
}

static void become_qemu(const struct machine *m, int fd)
{
    struct arguments a = {.n = 0};
    sigset_t none;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0); // ^C is for kmon and the guest, not for the machine
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    build_arguments(&a, m, fd);
    execvp(a.arg[0], (char *const *)a.arg);
    fprintf(stderr, "kmon: cannot start %s: %s\n", a.arg[0], strerror(errno));
    _exit(127);
}

void qemu_start(struct console *c, const struct machine *m)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        console_fail(c, EXIT_CONNECT, "no socket: %s", strerror(errno));
    c->icount = m->icount;
    c->qemu = fork();
    if (c->qemu < 0) {
        c->qemu = 0;
        console_fail(c, EXIT_CONNECT, "no process: %s", strerror(errno));
    }
    if (c->qemu == 0) {
        int fd = dup(pair[1]); // without close-on-exec
        become_qemu(m, fd);
    }
    close(pair[1]);
    c->await_ready = c->booting = true;
    c->started_ms = clock_ms();
    console_attach(c, pair[0]);
}

void qemu_kill(struct console *c)
{
    if (!c->qemu)
        return;
    kill(c->qemu, SIGKILL);
    waitpid(c->qemu, &c->qemu_status, 0);
    c->qemu = 0;
}

static bool ended(struct console *c, void *arg)
{
    (void)arg;
    if (!c->closed || waitpid(c->qemu, &c->qemu_status, WNOHANG) != c->qemu)
        return false;
    c->qemu = 0;
    return true;
}

// The line closes a moment before the process is gone.
static bool reap(struct console *c, uint64_t until)
{
    while (c->qemu && clock_ms() < until) {
        if (ended(c, NULL))
            return true;
        if (!c->closed)
            console_wait(c, ended, NULL, until);
        else
            usleep(2000);
    }
    return !c->qemu;
}

bool qemu_power_off(struct console *c)
{
    uint64_t until = clock_ms() + POWER_OFF_MS;

    if (!c->qemu)
        return true;
    c->deadline_ms = UINT64_MAX;
    if (!c->closed && c->welcome && !c->panicked)
        client_post(c, "poweroff");
    else if (!c->closed)
        until = 0;
    if (reap(c, until))
        return true;
    qemu_kill(c);
    return false;
}
