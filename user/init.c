// SPDX-License-Identifier: MIT
// Process 1: mounts what a shell needs, keeps a shell on the console, and turns the machine off.
//
// It is the project's own, so that the start of user space is read in one page, and it answers the
// signals by which BusyBox's poweroff, reboot and halt ask process 1 for the end. The shutdown runs
// inside the signal handler: everything it calls is async-signal-safe, and no request can fall
// between a test of a flag and the wait that follows it.
//
// Words of the kernel command line it knows: run=PATH,ARGUMENT,... runs that in the shell's place and
// then powers off; bench is run=/etc/bench.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define CONSOLE  "/dev/console" // where there is no job control
#define TERMINAL "/dev/ttyS0"   // the same line
#define DISK     "/dev/vda"

static char command_line[2048];

// One write per message, so that lines of several processes do not mix.
static void say(const char *format, ...)
{
    char line[256] = "init: ";
    va_list args;

    va_start(args, format);
    int n = 6 + vsnprintf(line + 6, sizeof line - 7, format, args);
    va_end(args);
    if (n > (int)sizeof line - 2)
        n = sizeof line - 2;
    line[n++] = '\n';
    if (write(2, line, n) < 0)
        return; // there is nobody left to tell
}

static void open_console(const char *path)
{
    int fd = open(path, O_RDWR);

    if (fd < 0)
        fd = open(CONSOLE, O_RDWR);
    if (fd < 0)
        return;
    for (int i = 0; i < 3; i++)
        dup2(fd, i);
    if (fd > 2)
        close(fd);
}

static void mount_or_say(const char *source, const char *target, const char *type)
{
    mkdir(target, 0755);
    if (mount(source, target, type, 0, NULL) < 0 && errno != EBUSY)
        say("cannot mount %s on %s: %s", type, target, strerror(errno));
}

static void mount_disk(void)
{
    mkdir("/mnt", 0755);
    if (mount(DISK, "/mnt", "vfat", 0, NULL) == 0)
        return;
    switch (errno) {
    case ENOENT:
    case ENXIO:
    case ENODEV:
        say("no disk: %s is absent, /mnt stays empty (%s)", DISK, strerror(errno));
        break;
    case EINVAL:
        say("%s holds no FAT file system, /mnt stays empty (%s)", DISK, strerror(errno));
        break;
    default:
        say("%s cannot be read, /mnt stays empty (%s)", DISK, strerror(errno));
    }
}

static void read_command_line(void)
{
    int fd = open("/proc/cmdline", O_RDONLY);

    if (fd < 0)
        return;
    ssize_t n = read(fd, command_line, sizeof command_line - 1);
    if (n > 0)
        command_line[n] = 0;
    close(fd);
}

// The program that takes the shell's place, with its arguments; NULL if there is none.
static char **run_instead(void)
{
    static char *argv[32], bench[] = "/etc/bench";
    char *program = NULL, *rest;
    int n = 0;

    for (char *word = strtok_r(command_line, " \n", &rest); word;
         word = strtok_r(NULL, " \n", &rest)) {
        if (strncmp(word, "run=", 4) == 0)
            program = word + 4;
        else if (strcmp(word, "bench") == 0)
            program = bench;
    }
    if (!program)
        return NULL;
    for (char *part = strtok(program, ","); part && n < 31; part = strtok(NULL, ","))
        argv[n++] = part;
    return n > 0 ? argv : NULL;
}

// Starts `path` as the leader of a session that owns the console.
static pid_t start(const char *path, char *const argv[])
{
    pid_t pid = fork();

    if (pid < 0)
        say("cannot fork: %s", strerror(errno));
    if (pid != 0)
        return pid;
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    setsid();
    open_console(TERMINAL);
    ioctl(0, TIOCSCTTY, 0);
    execv(path, argv);
    say("cannot run %s: %s", path, strerror(errno));
    _exit(127);
}

// Waits for `pid`, and takes in the orphans that end meanwhile.
static int wait_for(pid_t pid)
{
    int status = 0;

    for (;;) {
        pid_t ended = wait(&status);
        if (ended == pid)
            return status;
        if (ended < 0 && errno == ECHILD)
            return -1;
    }
}

static void nap(long milliseconds)
{
    struct timespec t = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&t, NULL);
}

// Everybody gets a second to leave by itself.
static void end_all_processes(void)
{
    kill(-1, SIGTERM);
    kill(-1, SIGHUP);
    kill(-1, SIGCONT);
    for (int i = 0; i < 50; i++) {
        pid_t pid;
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
            ;
        if (pid < 0)
            return;
        nap(20);
    }
    kill(-1, SIGKILL);
    while (wait(NULL) > 0)
        ;
}

static void shut_down(int sig)
{
    if (getpid() != 1)
        _exit(128 + sig); // a child between fork and exec still has this handler

    int how = sig == SIGUSR1 ? RB_HALT_SYSTEM : sig == SIGTERM ? RB_AUTOBOOT : RB_POWER_OFF;

    end_all_processes();
    sync();
    umount("/mnt");
    tcdrain(1); // what was printed last is still on its way
    reboot(how);
    say("the kernel refuses to stop: %s", strerror(errno));
    for (;;)
        pause();
}

static void catch_requests(void)
{
    static const int requests[] = {SIGUSR1, SIGUSR2, SIGTERM};
    struct sigaction action = {.sa_handler = shut_down};

    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
        sigaction(requests[i], &action, NULL);
}

static void set_environment(void)
{
    setenv("PATH", "/bin:/sbin:/usr/bin:/usr/sbin", 1);
    setenv("HOME", "/root", 1);
    setenv("TERM", "vt100", 0);
    setenv("USER", "root", 1);
    mkdir("/root", 0700);
    if (chdir("/root") < 0 && chdir("/") < 0)
        say("no root directory: %s", strerror(errno));
}

static void keep_a_shell(void)
{
    char *const shell[] = {"-sh", NULL};

    for (;;) {
        time_t born = time(NULL);
        pid_t pid = start("/bin/sh", shell);
        if (pid > 0)
            wait_for(pid);
        if (time(NULL) - born < 1)
            nap(1000); // a shell that cannot live must not keep the machine busy
    }
}

int main(void)
{
    mount_or_say("devtmpfs", "/dev", "devtmpfs");
    open_console(CONSOLE);
    mount_or_say("proc", "/proc", "proc");
    mount_or_say("devpts", "/dev/pts", "devpts");
    mount_or_say("tmpfs", "/tmp", "tmpfs");
    catch_requests();
    set_environment();
    read_command_line();
    mount_disk();

    if (access("/etc/rcS", F_OK) == 0) {
        char *const rc[] = {"sh", "/etc/rcS", NULL};
        pid_t pid = start("/bin/sh", rc);
        if (pid > 0)
            wait_for(pid);
    }
    char **argv = run_instead();
    if (argv) {
        pid_t pid = start(argv[0], argv);
        int status = pid > 0 ? wait_for(pid) : -1;
        if (status != 0)
            say("%s ended with status 0x%x", argv[0], status);
        shut_down(SIGUSR2);
    }
    keep_a_shell();
}
