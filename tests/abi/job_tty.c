// SPDX-License-Identifier: MIT
// Sessions, controlling terminals and job control, on pseudo terminals of its own.
#include "abi.h"
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>

static char name[64]; // of the slave
static int master, slave;

static void make_pair(void)
{
    master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || unlockpt(master) < 0 || ptsname_r(master, name, sizeof name) != 0)
        say("harness", "no pseudo terminal: %s", errno_name(errno));
}

// The statements as the leader of a new session whose terminal `slave` is.
#define SESSION(key, ...)                                                                          \
    do {                                                                                           \
        make_pair();                                                                               \
        CHILD(key, setsid(); slave = open(name, O_RDWR); __VA_ARGS__);                             \
        close(master);                                                                             \
    } while (0)

// A child in a group of its own.
static pid_t job(void)
{
    pid_t pid = fork();

    if (pid == 0)
        setpgid(0, 0);
    else
        setpgid(pid, pid);
    return pid;
}

static void say_wait(const char *key, pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, WUNTRACED | WCONTINUED) < 0 && errno == EINTR)
        ;
    say_status(key, status);
}

// How the statements do as a background job: it stops, or says what they gave as its exit code. Then it is gone.
#define BACKGROUND(key, ...)                                                                       \
    do {                                                                                           \
        pid_t job_ = job();                                                                        \
        if (job_ == 0) {                                                                           \
            errno = 0;                                                                             \
            _exit((__VA_ARGS__) < 0 ? errno : 0);                                                  \
        }                                                                                          \
        say_wait(key, job_);                                                                       \
        kill(job_, SIGKILL);                                                                       \
        waitpid(job_, NULL, 0);                                                                    \
    } while (0)

static bool has_terminal(void)
{
    int fd = open("/dev/tty", O_RDWR);

    close(fd);
    return fd >= 0;
}

static int set_mode(tcflag_t on, tcflag_t off)
{
    struct termios t;

    tcgetattr(slave, &t);
    t.c_lflag = (t.c_lflag | on) & ~off;
    return tcsetattr(slave, TCSANOW, &t);
}

static void type(const char *text)
{
    if (write(master, text, strlen(text)) < 0)
        say("harness", "cannot type: %s", errno_name(errno));
}

// What a process was sent, in the order of arrival: it writes a letter per signal to the gate.
static struct gate told;
static volatile sig_atomic_t letters;

static void tell(int sig)
{
    char c = sig == SIGHUP     ? 'H'
             : sig == SIGCONT  ? 'C'
             : sig == SIGINT   ? 'I'
             : sig == SIGWINCH ? 'W'
                               : '?';

    if (write(told.fds[1], &c, 1) != 1)
        _exit(1);
    letters++;
}

static void tell_of(int sig)
{
    struct sigaction action = {.sa_handler = tell, .sa_flags = SA_RESTART};

    sigfillset(&action.sa_mask);
    sigaction(sig, &action, NULL);
}

static void tell_of_hangup(void)
{
    tell_of(SIGHUP);
    tell_of(SIGCONT);
}

static void until_in_front(void)
{
    while (tcgetpgrp(slave) != getpid())
        sched_yield();
}

// A job's beginning: it tells of a hang-up, and says that it has the foreground.
static void be_in_front(struct gate *ready)
{
    tell_of_hangup();
    until_in_front();
    pass(ready);
}

// So many letters, or what there is until everybody who could write has gone.
static void say_told(const char *key, size_t most)
{
    char text[16] = "";
    size_t n = 0;

    if (most == 0) {
        close(told.fds[1]);
        most = sizeof text - 1;
    }
    while (n < most && read(told.fds[0], text + n, 1) == 1)
        n++;
    say(key, "<%s>", text);
}

// ---- whose it becomes

static void test_taking(void)
{
    char line[300];
    int nr = 0, tpgid = 0, fd;
    struct stat st;

    make_pair();
    CHILD("with O_NOCTTY", setsid(); slave = open(name, O_RDWR | O_NOCTTY);
          YES("O_NOCTTY, taken", has_terminal()); OK("TIOCSCTTY", ioctl(slave, TIOCSCTTY, 0));
          YES("taken then", has_terminal()); OK("once more", ioctl(slave, TIOCSCTTY, 0)));
    CHILD("with O_WRONLY", setsid(); slave = open(name, O_WRONLY);
          YES("O_WRONLY, taken", has_terminal());
          CHILD("as nobody", if (setresuid(1, 1, 1) < 0) _exit(1);
                VALUE("TIOCSCTTY by no leader", ioctl(slave, TIOCSCTTY, 0)));
          setresuid(-1, 1, -1); VALUE("TIOCSCTTY, not readable", ioctl(slave, TIOCSCTTY, 0));
          setresuid(-1, 0, -1); VALUE("by root", ioctl(slave, TIOCSCTTY, 0)));
    CHILD("with O_RDONLY", setsid(); slave = open(name, O_RDONLY);
          YES("O_RDONLY, taken", has_terminal()));
    CHILD("by no leader", slave = open(name, O_RDWR); VALUE("tcgetsid", tcgetsid(slave)));
    close(master);
    SESSION("a leader", {
        YES("it has it", has_terminal());
        YES("its session", tcgetsid(slave) == getpid());
        YES("its group", tcgetpgrp(slave) == getpgrp());
        fd = open("/proc/self/stat", O_RDONLY);
        line[read(fd, line, sizeof line - 1)] = 0;
        sscanf(strrchr(line, ')') + 2, "%*c %*d %*d %*d %d %d", &nr, &tpgid);
        fstat(slave, &st);
        YES("/proc shows it", (dev_t)nr == st.st_rdev);
        YES("and its group", tpgid == getpgrp());
        fd = open("/dev/tty", O_RDWR);
        fstat(fd, &st);
        say("/dev/tty is", "%d:%d", major(st.st_rdev), minor(st.st_rdev));
        VALUE("bytes through /dev/tty", write(fd, "x", 1));
        CHILD("a member", YES("inherits it", has_terminal()); setsid();
              YES("a new session has it", has_terminal()); VALUE("tcgetpgrp", tcgetpgrp(slave));
              VALUE("steals it", ioctl(slave, TIOCSCTTY, 2)));
        int first = slave, first_master = master;
        make_pair();
        slave = open(name, O_RDWR);
        VALUE("a second terminal", tcgetsid(slave));
        VALUE("cannot be taken", ioctl(slave, TIOCSCTTY, 0));
        slave = first;
        close(master);
        master = first_master;
    });
    struct gate g = gate_make(), done = gate_make();
    make_pair();
    CHILD(
        "opened after a fork", setsid(); if (fork() == 0) {
            wait_for_pass(&g);
            YES("who was there before has it", has_terminal());
            pass(&done);
            _exit(0);
        } slave = open(name, O_RDWR);
        pass(&g); wait_for_pass(&done));
    close(master);
}

static void test_stealing(void)
{
    struct gate ready = gate_make(), stolen = gate_make();

    make_pair();
    pid_t victim = fork();
    if (victim == 0) {
        setsid();
        slave = open(name, O_RDWR);
        pid_t member = fork();
        if (member)
            pass(&ready);
        wait_for_pass(&stolen);
        YES(member ? "victim has it" : "victim's member has it", has_terminal());
        VALUE(member ? "victim's tcgetpgrp" : "victim's member's tcgetpgrp", tcgetpgrp(slave));
        if (member)
            waitpid(member, NULL, 0);
        _exit(0);
    }
    wait_for_pass(&ready);
    CHILD("thief", setsid(); slave = open(name, O_RDWR); YES("taken by an open", has_terminal());
          VALUE("without a claim", ioctl(slave, TIOCSCTTY, 0));
          VALUE("argument 2", ioctl(slave, TIOCSCTTY, 2)); setresuid(-1, 1, -1);
          VALUE("thief as nobody", ioctl(slave, TIOCSCTTY, 1)); setresuid(-1, 0, -1);
          VALUE("as root", ioctl(slave, TIOCSCTTY, 1)); YES("has it", tcgetsid(slave) == getpid());
          pass(&stolen); pass(&stolen); until_state(victim, 'Z'));
    say_end("victim", victim);
    close(master);
}

// ---- who is in the foreground

static void test_foreground(void)
{
    struct gate g = gate_make();

    SESSION("foreground", {
        pid_t other = job(), stranger, member;
        if (other == 0)
            for (;;)
                pause();
        if ((stranger = fork()) == 0) {
            setsid();
            pass(&g);
            for (;;)
                pause();
        }
        wait_for_pass(&g);
        if ((member = fork()) == 0)
            for (;;)
                pause();
        signal(SIGTTOU, SIG_IGN);
        VALUE("group of nobody", tcsetpgrp(slave, 0x3fffffff));
        VALUE("group 0", tcsetpgrp(slave, 0));
        VALUE("group -5", tcsetpgrp(slave, -5));
        VALUE("group of another session", tcsetpgrp(slave, stranger));
        VALUE("bad pointer", syscall(SYS_ioctl, slave, TIOCSPGRP, 8));
        VALUE("a member that leads no group", tcsetpgrp(slave, member));
        VALUE("the other job", tcsetpgrp(slave, other));
        YES("is it", tcgetpgrp(slave) == other);
        VALUE("a group of the session by its master", tcsetpgrp(master, getpgrp()));
        VALUE("tcgetpgrp, bad pointer", syscall(SYS_ioctl, slave, TIOCGPGRP, 8));
        signal(SIGTTOU, SIG_DFL);
        VALUE("back from the background", tcsetpgrp(slave, getpgrp()));
        CHILD("another session", setsid(); VALUE("not its terminal", tcsetpgrp(slave, getpgrp()));
              VALUE("nor with a bad pointer", syscall(SYS_ioctl, slave, TIOCSPGRP, 8));
              VALUE("nor negative", tcsetpgrp(slave, -1)));
        kill(other, SIGKILL);
        kill(stranger, SIGKILL);
        kill(member, SIGKILL);
        waitpid(other, NULL, 0);
        VALUE("a group that is gone", tcsetpgrp(slave, other));
    });
}

// ---- the background

static void test_background(void)
{
    struct winsize size = {5, 6, 0, 0};
    struct termios t;
    int out;
    char c;

    SESSION("background", {
        type("line\n");
        BACKGROUND("read", read(slave, &c, 1));
        BACKGROUND("read through /dev/tty", read(open("/dev/tty", O_RDONLY), &c, 1));
        BACKGROUND("read, nonblocking", (fcntl(slave, F_SETFL, O_NONBLOCK), read(slave, &c, 1)));
        fcntl(slave, F_SETFL, 0);
        BACKGROUND("read, SIGTTIN ignored", (signal(SIGTTIN, SIG_IGN), read(slave, &c, 1)));
        BACKGROUND("read, SIGTTIN blocked", (signal_mask(SIG_BLOCK, SIGTTIN), read(slave, &c, 1)));
        BACKGROUND("write", write(slave, "x", 1));
        BACKGROUND("tcgetattr", tcgetattr(slave, &t));
        BACKGROUND("tcsetattr", set_mode(0, 0));
        BACKGROUND("tcsetattr, bad pointer", syscall(SYS_ioctl, slave, TCSETS, 8));
        BACKGROUND("tcsetattr, SIGTTOU ignored", (signal(SIGTTOU, SIG_IGN), set_mode(0, 0)));
        BACKGROUND("tcsetattr, SIGTTOU blocked", (signal_mask(SIG_BLOCK, SIGTTOU), set_mode(0, 0)));
        BACKGROUND("tcsetattr of the master", (slave = master, set_mode(0, 0)));
        BACKGROUND("tcsetpgrp", tcsetpgrp(slave, getpid()));
        BACKGROUND("tcsetpgrp, bad pointer", syscall(SYS_ioctl, slave, TIOCSPGRP, 8));
        BACKGROUND("tcsetpgrp, SIGTTOU blocked",
                   (signal_mask(SIG_BLOCK, SIGTTOU), tcsetpgrp(slave, getppid())));
        BACKGROUND("tcflush", tcflush(slave, TCOFLUSH));
        BACKGROUND("tcflow", tcflow(slave, TCOON));
        BACKGROUND("tcdrain", tcdrain(slave));
        BACKGROUND("tcsendbreak", tcsendbreak(slave, 0));
        BACKGROUND("TIOCSWINSZ", ioctl(slave, TIOCSWINSZ, &size));
        BACKGROUND("FIONREAD", ioctl(slave, FIONREAD, &out));
        set_mode(TOSTOP, 0);
        BACKGROUND("write, TOSTOP", write(slave, "x", 1));
        BACKGROUND("write, TOSTOP, SIGTTOU ignored",
                   (signal(SIGTTOU, SIG_IGN), write(slave, "x", 1)));
        BACKGROUND("write, TOSTOP, SIGTTOU blocked",
                   (signal_mask(SIG_BLOCK, SIGTTOU), write(slave, "x", 1)));
        BACKGROUND("write through the master", write(master, "x", 1));
        set_mode(0, TOSTOP);
        // In the foreground it goes on where it stopped.
        pid_t pid = job();
        if (pid == 0)
            _exit(read(slave, &c, 1) == 1 ? c : 1);
        say_wait("a job that reads", pid);
        signal(SIGTTOU, SIG_IGN);
        tcsetpgrp(slave, pid);
        kill(pid, SIGCONT);
        say_end("is brought to the foreground and reads", pid);
        tcsetpgrp(slave, getpgrp());
        tcflush(slave, TCIFLUSH);
        // Who waits since it was there stays a reader.
        pid = job();
        if (pid == 0) {
            until_in_front();
            _exit(read(slave, &c, 1) == 1 ? c : 1);
        }
        tcsetpgrp(slave, pid);
        until_state(pid, 'S');
        tcsetpgrp(slave, getpgrp());
        type("Z\n");
        say_wait("a reader that lost the foreground", pid);
    });
}

// A job whose parent is of no other group of the session: nobody could continue it.
static void test_orphans(void)
{
    struct gate g = gate_make();
    char c;

    SESSION("orphans", {
        pid_t middle = fork();
        if (middle == 0) {
            pid_t parent = getpid();
            if (job() == 0) {
                while (getppid() == parent)
                    sched_yield();
                VALUE("orphan reads", read(slave, &c, 1));
                VALUE("orphan sets", set_mode(0, 0));
                VALUE("orphan takes the foreground", tcsetpgrp(slave, getpid()));
                VALUE("orphan drains", tcdrain(slave));
                signal(SIGTTOU, SIG_IGN);
                VALUE("orphan, SIGTTOU ignored", set_mode(TOSTOP, 0));
                signal(SIGTTOU, SIG_DFL);
                VALUE("orphan writes", write(slave, "x", 1));
                raise(SIGTSTP);
                raise(SIGTTIN);
                say("orphan", "is not stopped");
                pass(&g);
                _exit(0);
            }
            _exit(0);
        }
        waitpid(middle, NULL, 0);
        wait_for_pass(&g);
    });
}

// ---- keys and windows

static void test_keys(void)
{
    struct winsize size = {10, 20, 30, 40};

    told = gate_make();
    SESSION("keys", {
        struct gate ready = gate_make();
        pid_t front = job();
        if (front == 0) {
            tell_of(SIGINT);
            tell_of(SIGWINCH);
            pass(&ready);
            for (;;)
                pause();
        }
        pid_t back = job();
        if (back == 0) {
            pass(&ready);
            for (;;)
                pause();
        }
        wait_for_pass(&ready);
        wait_for_pass(&ready);
        signal(SIGTTOU, SIG_IGN);
        tcsetpgrp(slave, front);
        type("\003");
        say_told("^C", 1);
        ioctl(slave, TIOCSWINSZ, &size);
        say_told("a new size", 1);
        ioctl(slave, TIOCSWINSZ, &size);
        size.ws_xpixel++;
        ioctl(master, TIOCSWINSZ, &size);
        say_told("and another, once", 1);
        ioctl(master, TIOCSIG, SIGINT);
        say_told("TIOCSIG", 1);
        type("\032");
        say_wait("^Z", front);
        kill(front, SIGCONT);
        say_wait("goes on", front);
        type("\034");
        say_wait("^\\", front);
        type("\003");
        kill(back, SIGTERM);
        say_wait("nobody in the foreground", back);
        if (fork() == 0)
            _exit(0);
        tcsetpgrp(slave, getpgrp());
        set_mode(0, ISIG);
        type("\003");
        set_mode(ISIG, 0);
        type("\003");
        pause();
    });
    say_told("no more", 0);
}

// ---- losing it

static void test_notty(void)
{
    told = gate_make();
    SESSION("TIOCNOTTY", {
        struct gate ready = gate_make(), gone = gate_make();
        CHILD("by a member", OK("it goes", ioctl(slave, TIOCNOTTY));
              YES("member has it", has_terminal());
              VALUE("gone once more", ioctl(slave, TIOCNOTTY)));
        YES("leader has it still", has_terminal());
        signal(SIGTTOU, SIG_IGN);
        pid_t pid = job();
        if (pid == 0) {
            be_in_front(&ready);
            wait_for_pass(&gone);
            YES("the job has it", has_terminal());
            _exit(0);
        }
        tcsetpgrp(slave, pid);
        wait_for_pass(&ready);
        tell_of(SIGHUP);
        OK("by the leader", ioctl(slave, TIOCNOTTY));
        say_told("its foreground group is told", 2);
        YES("leader has it", has_terminal());
        pass(&gone);
        say_end("the job", pid);
        VALUE("the terminal lives", write(slave, "x", 1));
        OK("it can be taken again", ioctl(slave, TIOCSCTTY, 0));
        YES("in the foreground is the leader", tcgetpgrp(slave) == getpgrp());
    });
    say_told("nobody else", 0);
}

// The leader exits, with a job in the foreground and one that is stopped.
static void test_leader_exits(void)
{
    struct gate ready = gate_make(), gone = gate_make(), done = gate_make();
    int status;

    told = gate_make();
    make_pair();
    pid_t leader = fork();
    if (leader == 0) {
        setsid();
        slave = open(name, O_RDWR);
        signal(SIGTTOU, SIG_IGN);
        pid_t front = job();
        if (front == 0) {
            be_in_front(&ready);
            wait_for_pass(&gone);
            YES("member has the terminal", has_terminal());
            VALUE("member writes", write(slave, "x", 1));
            VALUE("member's tcgetpgrp", tcgetpgrp(slave));
            pass(&done);
            _exit(0);
        }
        tcsetpgrp(slave, front);
        wait_for_pass(&ready);
        _exit(0);
    }
    waitpid(leader, &status, 0);
    say_status("leader", status);
    say_told("foreground group is told", 1);
    pass(&gone);
    wait_for_pass(&done);
    say_told("that was all", 0);
    VALUE("the terminal is free", tcgetpgrp(master));
    close(master);

    told = gate_make();
    make_pair();
    leader = fork();
    if (leader == 0) {
        setsid();
        slave = open(name, O_RDWR);
        pid_t back = job();
        if (back == 0) {
            tell_of_hangup();
            raise(SIGTSTP);
            while (letters < 2)
                sched_yield();
            _exit(0);
        }
        waitpid(back, &status, WUNTRACED);
        _exit(0);
    }
    waitpid(leader, NULL, 0);
    say_told("a stopped job is told", 2);
    close(master);
}

static const char *keys(int by, const char *what)
{
    static const char *const how[] = {"master closed", "TIOCVHANGUP", "vhangup"};
    static char key[100];

    snprintf(key, sizeof key, "%s, %s", how[by], what);
    return key;
}

// The master closes under a session: its leader is told, and the foreground group when that exits.
static void test_hang_up(void)
{
    struct gate set = gate_make(), ready = gate_make(), gone = gate_make();
    char c;

    for (int by = 0; by < 3; by++) {
        told = gate_make();
        make_pair();
        pid_t leader = fork();
        if (leader == 0) {
            if (by == 0)
                close(master);
            setsid();
            slave = open(name, O_RDWR);
            signal(SIGTTOU, SIG_IGN);
            pid_t front = job();
            if (front == 0) {
                be_in_front(&set);
                while (letters < 2)
                    sched_yield();
                _exit(0);
            }
            tcsetpgrp(slave, front);
            wait_for_pass(&set);
            tell_of_hangup();
            pass(&ready);
            if (by == 1)
                OK("TIOCVHANGUP", ioctl(slave, TIOCVHANGUP));
            if (by == 2) {
                CHILD("nobody may", if (setresuid(1, 1, 1) == 0) VALUE("vhangup", vhangup());
                      VALUE("TIOCVHANGUP by nobody", ioctl(slave, TIOCVHANGUP)));
                OK("vhangup by root", vhangup());
            }
            wait_for_pass(&gone);
            YES(keys(by, "it has the terminal"), has_terminal());
            VALUE(keys(by, "read"), read(slave, &c, 1));
            VALUE(keys(by, "write"), write(slave, "x", 1));
            VALUE(keys(by, "tcgetpgrp"), tcgetpgrp(slave));
            _exit(0);
        }
        wait_for_pass(&ready);
        if (by == 0)
            close(master);
        say_told(keys(by, "leader is told"), 2);
        pass(&gone);
        say_end(keys(by, "leader"), leader);
        say_told(keys(by, "then the foreground"), 2);
        if (by > 0)
            close(master);
    }
}

int main(void)
{
    alarm(100);
    signal(SIGQUIT, SIG_DFL); // a shell may ignore it
    test_taking();
    test_stealing();
    test_foreground();
    test_background();
    test_orphans();
    test_keys();
    test_notty();
    test_leader_exits();
    test_hang_up();
    return 0;
}
