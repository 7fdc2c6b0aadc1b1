// SPDX-License-Identifier: MIT
// Pseudo terminals: their numbers and names, both ends' reads, writes, polls and ioctls, what a slow end
// does to the other, and how either end's going shows at the other.
//
// Sessions and job control on one: job_tty.c.
#include "abi.h"
#include <dirent.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <termios.h>

static char name[64];

// A new pair, unlocked: the master, and the slave if it is wanted.
static int open_pair(int *slave)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);

    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 ||
        ptsname_r(master, name, sizeof name) != 0) {
        say("harness", "no pseudo terminal: %s", errno_name(errno));
        _exit(1);
    }
    if (slave)
        *slave = open(name, O_RDWR | O_NOCTTY);
    return master;
}

// What a read gets, with its control characters made visible.
static void say_read(const char *key, int fd, size_t most)
{
    char in[300], out[1300];
    size_t n = 0;

    errno = 0;
    ssize_t r = read(fd, in, most < sizeof in ? most : sizeof in);
    for (ssize_t i = 0; i < r; i++)
        n += snprintf(out + n, sizeof out - n, in[i] >= ' ' && in[i] < 127 ? "%c" : "\\%o",
                      (unsigned char)in[i]);
    out[n] = 0;
    if (r < 0)
        say(key, "%s", errno_name(errno));
    else
        say(key, "%ld <%s>", (long)r, out);
}

static void put(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        say("harness", "short write: %s", errno_name(errno));
}

// Until the end has so many bytes to read: Linux carries them over by a worker of its own.
static void until_bytes(int fd, int n)
{
    int there = 0;

    while (ioctl(fd, FIONREAD, &there) == 0 && there < n)
        sched_yield();
}

static void say_poll(const char *key, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI};
    char text[64] = "";

    poll(&p, 1, 0);
    const struct {
        int bit;
        const char *name;
    } bits[] = {{POLLIN, "IN "},   {POLLOUT, "OUT "}, {POLLPRI, "PRI "},
                {POLLERR, "ERR "}, {POLLHUP, "HUP "}, {POLLNVAL, "NVAL "}};
    for (size_t i = 0; i < COUNT(bits); i++)
        if (p.revents & bits[i].bit)
            strcat(text, bits[i].name);
    say(key, "<%s>", text);
}

static void set_modes(int fd, tcflag_t local, tcflag_t output)
{
    struct termios t;

    tcgetattr(fd, &t);
    t.c_lflag = local;
    t.c_oflag = output;
    t.c_cc[VMIN] = 1;
    t.c_cc[VTIME] = 0;
    tcsetattr(fd, TCSANOW, &t);
}

// ---- names

static bool listed(const char *number)
{
    DIR *dir = opendir("/dev/pts");
    struct dirent *e;
    bool found = false;

    while (dir && (e = readdir(dir)))
        found |= !strcmp(e->d_name, number);
    if (dir)
        closedir(dir);
    return found;
}

static void test_names(void)
{
    struct stat st, again;
    struct statfs fs;
    int lock = -1;
    unsigned number = 99999, other;

    int master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    YES("a master", master >= 0);
    OK("TIOCGPTN", ioctl(master, TIOCGPTN, &number));
    OK("TIOCGPTLCK", ioctl(master, TIOCGPTLCK, &lock));
    say("locked at first", "%d", lock);
    snprintf(name, sizeof name, "/dev/pts/%u", number);
    VALUE("open while locked", open(name, O_RDWR | O_NOCTTY));
    VALUE("peer while locked", ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY));
    lock = 0;
    OK("TIOCSPTLCK", ioctl(master, TIOCSPTLCK, &lock));
    VALUE("lock, bad pointer", syscall(SYS_ioctl, master, TIOCSPTLCK, 8));
    VALUE("number, bad pointer", syscall(SYS_ioctl, master, TIOCGPTN, 8));
    OK("stat", stat(name, &st));
    YES("a character device", S_ISCHR(st.st_mode));
    say("major", "%u", major(st.st_rdev));
    YES("minor is the number", minor(st.st_rdev) == number);
    YES("of the user", st.st_uid == geteuid());
    YES("inode is the number and 3", st.st_ino == number + 3);
    YES("listed", listed(name + 9));
    YES("ptmx is listed", listed("ptmx"));
    OK("statfs", statfs("/dev/pts", &fs));
    say("file system", "0x%lx", (unsigned long)fs.f_type);
    int slave = open(name, O_RDWR | O_NOCTTY);
    YES("a slave", slave >= 0);
    YES("isatty, slave", isatty(slave));
    YES("isatty, master", isatty(master));
    YES("ttyname", ttyname(slave) && !strcmp(ttyname(slave), name));
    OK("fchmod", fchmod(slave, 0604));
    OK("stat again", stat(name, &again));
    say("mode", "%o", again.st_mode & 07777);
    OK("chown", chown(name, 7, 8));
    OK("fstat", fstat(slave, &st));
    say("owner", "%u %u", st.st_uid, st.st_gid);
    int peer = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    YES("a peer", peer >= 0);
    YES("which closes on exec", fcntl(peer, F_GETFD) == FD_CLOEXEC);
    OK("fstat of it", fstat(peer, &again));
    YES("the same node", again.st_ino == st.st_ino && again.st_dev == st.st_dev);
    VALUE("TIOCGPTN of a slave", ioctl(slave, TIOCGPTN, &other));
    VALUE("TIOCSPTLCK of a slave", ioctl(slave, TIOCSPTLCK, &lock));
    VALUE("TIOCGPTPEER of a slave", ioctl(slave, TIOCGPTPEER, O_RDWR));
    int second = open_pair(NULL);
    OK("a second one", ioctl(second, TIOCGPTN, &other));
    YES("of another number", other != number);
    VALUE("unlink", unlink(name));
    VALUE("mkdir", mkdir("/dev/pts/new", 0700));
    VALUE("create", open("/dev/pts/file", O_CREAT | O_RDWR, 0600));
    VALUE("leading zero", open("/dev/pts/00", O_RDWR | O_NOCTTY));
    VALUE("no such number", open("/dev/pts/99999", O_RDWR | O_NOCTTY));
    VALUE("pts/ptmx as nobody", (setresuid(-1, 1, -1), open("/dev/pts/ptmx", O_RDWR)));
    if (setresuid(-1, 0, -1) < 0)
        return;
    VALUE("seek, master", lseek(master, 0, SEEK_SET));
    VALUE("pread, slave", pread(slave, name, 1, 0));
    close(second);
    close(peer);
    close(slave);
    close(master);
    snprintf(name, sizeof name, "/dev/pts/%u", number);
    VALUE("its name is gone", stat(name, &st));
    master = open_pair(NULL);
    ioctl(master, TIOCGPTN, &other);
    YES("its number is used again", other == number);
    close(master);
}

// ---- bytes

static void test_bytes(void)
{
    int slave, master = open_pair(&slave), n;

    put(slave, "one\ntwo\n");
    until_bytes(master, 10);
    say_poll("poll, master with bytes", master);
    OK("FIONREAD, master", ioctl(master, FIONREAD, &n));
    say("bytes", "%d", n);
    say_read("a part", master, 6);
    say_read("and the rest", master, 300);
    say_poll("poll, master without", master);
    say_poll("poll, slave without", slave);
    put(master, "typed\n");
    until_bytes(slave, 6);
    say_poll("poll, slave with a line", slave);
    say_read("the slave's line", slave, 300);
    until_bytes(master, 7);
    say_read("its echo", master, 300);
    put(master, "abc\177\177xyz\025new\004");
    until_bytes(slave, 3);
    say_read("edited", slave, 300);
    put(master, "l1\nl2\nl3\n");
    until_bytes(slave, 9);
    say_read("one line a read", slave, 300);
    say_read("and a part of one", slave, 2);
    say_read("and its rest", slave, 300);
    tcflush(slave, TCIFLUSH);
    put(master, "\004");
    say_read("end of file", slave, 300);

    tcflush(master, TCIFLUSH);
    set_modes(slave, 0, 0);
    put(master, "\003\r\n\177\004");
    until_bytes(slave, 5);
    say_read("raw", slave, 300);
    put(slave, "a\nb");
    until_bytes(master, 3);
    say_read("raw output", master, 300);
    put(master, "1234567");
    until_bytes(slave, 7);
    say_read("three of seven", slave, 3);
    OK("FIONREAD, slave", ioctl(slave, FIONREAD, &n));
    say("left", "%d", n);
    OK("tcflush", tcflush(slave, TCIFLUSH));
    OK("FIONREAD, flushed", ioctl(slave, FIONREAD, &n));
    say("left then", "%d", n);
    OK("TIOCOUTQ", ioctl(slave, TIOCOUTQ, &n));
    OK("tcdrain", tcdrain(slave));
    VALUE("write nothing, slave", write(slave, "", 0));
    VALUE("write nothing, master", write(master, "", 0));
    VALUE("read nothing", read(master, &n, 0));
    VALUE("write from nowhere, slave", syscall(SYS_write, slave, 8, 10));
    VALUE("write from nowhere, master", syscall(SYS_write, master, 8, 10));
    fcntl(master, F_SETFL, O_NONBLOCK);
    fcntl(slave, F_SETFL, O_NONBLOCK);
    say_read("nothing for the master", master, 10);
    say_read("nothing for the slave", slave, 10);
    close(slave);
    close(master);
}

// ---- modes: whichever end is asked, it is the slave's terminal

static void test_modes(void)
{
    int slave, master = open_pair(&slave), n;
    struct termios t, u;
    struct winsize size = {0}, seen = {9, 9, 9, 9};

    OK("tcgetattr, master", tcgetattr(master, &t));
    OK("tcgetattr, slave", tcgetattr(slave, &u));
    YES("are the same",
        t.c_iflag == u.c_iflag && t.c_lflag == u.c_lflag && !memcmp(t.c_cc, u.c_cc, sizeof t.c_cc));
    say("at first", "%x %x %x %x", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag);
    t.c_lflag &= ~ECHO;
    OK("tcsetattr, master", tcsetattr(master, TCSAFLUSH, &t));
    tcgetattr(slave, &u);
    YES("no echo", !(u.c_lflag & ECHO));
    put(master, "silent\n");
    say_read("line", slave, 300);
    fcntl(master, F_SETFL, O_NONBLOCK);
    say_read("without echo", master, 10);
    OK("window", ioctl(master, TIOCGWINSZ, &seen));
    say("is at first", "%d %d %d %d", seen.ws_row, seen.ws_col, seen.ws_xpixel, seen.ws_ypixel);
    size = (struct winsize){24, 80, 640, 480};
    OK("set it", ioctl(master, TIOCSWINSZ, &size));
    OK("get it", ioctl(slave, TIOCGWINSZ, &seen));
    say("is now", "%d %d %d %d", seen.ws_row, seen.ws_col, seen.ws_xpixel, seen.ws_ypixel);
    VALUE("bad pointer", syscall(SYS_ioctl, slave, TIOCSWINSZ, 8));
    VALUE("TIOCGPGRP, slave of nobody", ioctl(slave, TIOCGPGRP, &n));
    OK("TIOCGPGRP, master", ioctl(master, TIOCGPGRP, &n));
    say("group", "%d", n);
    VALUE("TIOCGSID, slave", ioctl(slave, TIOCGSID, &n));
    VALUE("TIOCGSID, master", ioctl(master, TIOCGSID, &n));
    VALUE("TIOCNOTTY, master", ioctl(master, TIOCNOTTY));
    VALUE("TIOCNOTTY, slave", ioctl(slave, TIOCNOTTY));
    n = getpgrp();
    VALUE("TIOCSPGRP, slave", ioctl(slave, TIOCSPGRP, &n));
    VALUE("TIOCSCTTY by no leader", ioctl(slave, TIOCSCTTY, 0));
    OK("TIOCGETD", ioctl(slave, TIOCGETD, &n));
    say("discipline", "%d", n);
    unsigned dev = 0;
    struct stat st;
    fstat(slave, &st);
    OK("TIOCGDEV", ioctl(slave, TIOCGDEV, &dev));
    YES("is its number", dev == st.st_rdev);
    VALUE("TIOCSIG of no key", ioctl(master, TIOCSIG, SIGUSR1));
    VALUE("TIOCSIG for nobody", ioctl(master, TIOCSIG, SIGINT));
    VALUE("TCFLSH 3", ioctl(slave, TCFLSH, 3));
    VALUE("TCXONC 4", ioctl(slave, TCXONC, 4));
    VALUE("no such ioctl, slave", ioctl(slave, 0x5499, 0));
    VALUE("no such ioctl, master", ioctl(master, 0x5499, 0));
    VALUE("TCGETS, bad pointer", syscall(SYS_ioctl, slave, TCGETS, 8));

    // Output that is stopped waits; what was written before does not.
    fcntl(slave, F_SETFL, O_NONBLOCK);
    put(slave, "before");
    put(master, "\023");
    say_poll("poll, stopped", slave);
    VALUE("write, stopped", write(slave, "x", 1));
    until_bytes(master, 6);
    say_read("written before", master, 10);
    put(master, "\021");
    say_poll("poll, going on", slave);
    VALUE("write, going on", write(slave, "y", 1));
    until_bytes(master, 1);
    say_read("written after", master, 10);
    OK("TCOOFF", tcflow(slave, TCOOFF));
    VALUE("write then", write(slave, "x", 1));
    OK("TCOON", tcflow(slave, TCOON));
    VALUE("write again", write(slave, "z", 1));
    OK("TCIOFF", tcflow(slave, TCIOFF));
    OK("TCION", tcflow(slave, TCION));
    until_bytes(master, 3);
    say_read("asks to pause", master, 10);
    VALUE("TIOCSTI", ioctl(slave, TIOCSTI, "q"));
    VALUE("TIOCSTI of a newline", ioctl(slave, TIOCSTI, "\n"));
    say_read("typed by itself", slave, 10);
    close(slave);
    close(master);
}

// ---- a slow end

// Fills a pipe's way through the pair: writes until it would wait.
static long fill(int fd, char c)
{
    char block[512];
    long n = 0, r;

    memset(block, c, sizeof block);
    while ((r = write(fd, block, sizeof block)) > 0)
        n += r;
    return errno == EAGAIN ? n : -1;
}

static void test_slow(void)
{
    int slave, master = open_pair(&slave), status;
    struct epoll_event ev = {.events = EPOLLOUT}, got;
    char block[4096];

    set_modes(slave, 0, 0);
    fcntl(slave, F_SETFL, O_NONBLOCK);
    fcntl(master, F_SETFL, O_NONBLOCK);
    long n = fill(slave, 's');
    YES("output is bounded", n >= 1024 && n < 100000);
    say_poll("slave full", slave);
    long m = fill(master, 'm');
    YES("input is bounded", m >= 1024 && m < 100000);
    say_poll("master full", master);
    int ep = epoll_create1(0);
    epoll_ctl(ep, EPOLL_CTL_ADD, slave, &ev);
    VALUE("epoll, full", epoll_wait(ep, &got, 1, 0));
    // All of it comes through, once both ends read.
    pid_t pid = fork();
    if (pid == 0) {
        fcntl(slave, F_SETFL, 0);
        long total = 0;
        while (total < m) {
            ssize_t r = read(slave, block, sizeof block);
            if (r <= 0 || block[0] != 'm')
                _exit(1);
            total += r;
        }
        _exit(total == m ? 0 : 2);
    }
    fcntl(master, F_SETFL, 0);
    long total = 0;
    while (total < n) {
        ssize_t r = read(master, block, sizeof block);
        if (r <= 0 || block[0] != 's')
            break;
        total += r;
    }
    YES("all output came", total == n);
    VALUE("epoll, empty", epoll_wait(ep, &got, 1, 10000));
    waitpid(pid, &status, 0);
    say_status("all input came", status);
    say_poll("slave goes on", slave);
    say_poll("master goes on", master);

    // Writers that wait are woken, and 200,000 bytes each way arrive as they were.
    enum { BYTES = 200000 };
    fcntl(slave, F_SETFL, 0);
    for (int way = 0; way < 2; way++) {
        int from = way ? master : slave, to = way ? slave : master;
        pid = fork();
        if (pid == 0) {
            for (int i = 0; i < BYTES; i += 1000) {
                for (int k = 0; k < 1000; k++)
                    block[k] = 'A' + (i + k) % 53;
                if (write(from, block, 1000) != 1000)
                    _exit(1);
            }
            _exit(0);
        }
        int at = 0, wrong = 0;
        while (at < BYTES) {
            ssize_t r = read(to, block, 777);
            if (r <= 0)
                break;
            for (ssize_t k = 0; k < r; k++)
                wrong += block[k] != 'A' + (at + (int)k) % 53;
            at += r;
        }
        say(way ? "to the slave" : "to the master", "%d bytes, %d wrong", at, wrong);
        say_end(way ? "master's writer" : "slave's writer", pid);
    }
    close(ep);
    close(slave);
    close(master);
}

// ---- waiting and being told

static void on_signal(int sig)
{
    (void)sig;
}

static void test_waiting(void)
{
    int slave, master = open_pair(&slave);
    char c;

    pid_t pid = fork();
    if (pid == 0)
        _exit(read(slave, &c, 1) == 1 ? c : 1);
    until_state(pid, 'S');
    put(master, "A\n");
    say_end("a slave that waits", pid);
    tcflush(slave, TCIOFLUSH);
    tcflush(master, TCIFLUSH);
    pid = fork();
    if (pid == 0)
        _exit(read(master, &c, 1) == 1 ? c : 1);
    until_state(pid, 'S');
    put(slave, "B");
    say_end("a master that waits", pid);
    pid = fork();
    if (pid == 0) {
        struct pollfd p[2] = {{slave, POLLIN, 0}, {master, POLLIN, 0}};
        _exit(poll(p, 2, 20000) * 10 + !!(p[0].revents & POLLIN));
    }
    until_state(pid, 'S');
    tcsetattr(slave, TCSANOW, &(struct termios){.c_cflag = B38400 | CS8 | CREAD, .c_cc[VMIN] = 1});
    put(master, "C");
    say_end("who polls both", pid);
    read(slave, &c, 1);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &action, NULL);
    for (int i = 0; i < 2; i++) {
        pid = fork();
        if (pid == 0)
            _exit(read(i ? master : slave, &c, 1) < 0 ? errno : 0);
        until_state(pid, 'S');
        kill(pid, SIGUSR1);
        say_end(i ? "a master's wait is interrupted" : "a slave's wait is interrupted", pid);
        pid = fork();
        if (pid == 0) {
            alarm(0);
            _exit(read(i ? master : slave, &c, 1) < 0);
        }
        until_state(pid, 'S');
        kill(pid, SIGKILL);
        say_end(i ? "and ended" : "and killed", pid);
    }
    close(slave);
    close(master);
}

// ---- ends that go

static void test_slave_goes(void)
{
    int slave, master = open_pair(NULL);
    char c;

    fcntl(master, F_SETFL, O_NONBLOCK);
    say_poll("poll before the first open", master);
    say_read("read before", master, 10);
    put(master, "early\n");
    slave = open(name, O_RDWR | O_NOCTTY);
    say_read("was typed early", slave, 10);
    until_bytes(master, 7);
    put(slave, "last words");
    int again = dup(slave), other = open(name, O_RDWR | O_NOCTTY);
    close(slave);
    close(again);
    say_poll("one of two is left", master);
    until_bytes(master, 17);
    close(other);
    say_poll("poll after the last close", master);
    say_read("what is left", master, 300);
    say_poll("poll then", master);
    say_read("and then", master, 10);
    VALUE("write into nobody", write(master, "kept\n", 5));
    until_bytes(master, 6); // its echo
    slave = open(name, O_RDWR | O_NOCTTY);
    say_poll("opened again", master);
    say_read("was kept", slave, 10);
    fcntl(master, F_SETFL, 0);
    tcflush(master, TCIFLUSH);
    pid_t pid = fork();
    if (pid == 0) {
        close(slave);
        _exit(read(master, &c, 1) < 0 ? errno : 0);
    }
    until_state(pid, 'S');
    close(slave);
    say_end("a master that waits while the slave goes", pid);
    close(master);
}

static void test_master_goes(void)
{
    int slave, master = open_pair(&slave), n;
    struct termios t;
    char c;

    put(master, "never read\n");
    until_bytes(slave, 11);
    close(master);
    say_poll("poll, hung up", slave);
    say_read("read, hung up", slave, 10);
    VALUE("write, hung up", write(slave, "x", 1));
    VALUE("tcgetattr, hung up", tcgetattr(slave, &t));
    VALUE("FIONREAD, hung up", ioctl(slave, FIONREAD, &n));
    VALUE("unknown ioctl, hung up", ioctl(slave, 0x5499, 0));
    n = getpgrp();
    VALUE("TIOCSPGRP, hung up", ioctl(slave, TIOCSPGRP, &n));
    VALUE("isatty, hung up", isatty(slave));
    VALUE("open, hung up", open(name, O_RDWR | O_NOCTTY));
    close(slave);

    master = open_pair(&slave);
    for (int i = 0; i < 2; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            close(master);
            set_modes(slave, ICANON, 0);
            if (i == 0)
                _exit(read(slave, &c, 1) < 0 ? errno : 0);
            while (write(slave, name, sizeof name) > 0)
                ;
            _exit(errno);
        }
        until_state(pid, 'S');
        close(master);
        say_end(i ? "a slave that waits to write" : "a slave that waits to read", pid);
        close(slave);
        master = open_pair(&slave);
    }
    struct epoll_event ev = {.events = EPOLLIN}, got = {0};
    int ep = epoll_create1(0);
    epoll_ctl(ep, EPOLL_CTL_ADD, slave, &ev);
    VALUE("epoll, nothing yet", epoll_wait(ep, &got, 1, 0));
    close(master);
    VALUE("epoll, hung up", epoll_wait(ep, &got, 1, 10000));
    say("events", "0x%x", got.events);
    close(ep);
    close(slave);
    int many[40];
    for (int i = 0; i < 40; i++)
        many[i] = open_pair(NULL);
    YES("forty of them", many[39] >= 0);
    for (int i = 0; i < 40; i++)
        close(many[i]);
}

// Two that write to a master, and two that read lines from its slave: neither mix.
static void test_whole_lines(void)
{
    enum { LINE = 300, LINES = 100 };
    int slave, master = open_pair(&slave);
    char text[LINE + 100];
    pid_t pid[4];

    set_modes(slave, ICANON, 0);
    for (int i = 0; i < 4; i++) {
        if ((pid[i] = fork()) != 0)
            continue;
        memset(text, 'a' + i, LINE - 1);
        text[LINE - 1] = '\n';
        for (int n = 0; i < 2 && n < LINES; n++)
            if (write(master, text, LINE) != LINE)
                _exit(1);
        while (i >= 2) {
            ssize_t r = read(slave, text, sizeof text);
            if (r == 2 && text[0] == 'q')
                break;
            for (ssize_t k = 1; k < LINE - 1; k++)
                if (r != LINE || text[k] != text[0])
                    _exit(2);
        }
        _exit(0);
    }
    say_end("a writer of lines", pid[0]);
    say_end("another one", pid[1]);
    put(master, "q\n");
    put(master, "q\n");
    say_end("a reader of lines", pid[2]);
    say_end("another reader", pid[3]);
    close(slave);
    close(master);
}

// A file that only names a terminal does not keep it, nor its number: it never stands for the next one.
static void test_stale_name(void)
{
    char old[64], link[64];
    struct stat st;
    int master = open_pair(NULL);

    OK("give it away", chown(name, 7, 8));
    int named = open(name, O_PATH);
    snprintf(link, sizeof link, "/proc/self/fd/%d", named);
    int slave = open(link, O_RDWR | O_NOCTTY);
    YES("opened by a file that names it", slave >= 0);
    close(slave);
    OK("and again", chown(name, 9, 9));
    CHILD(
        "the old owner", if (setresuid(7, 7, 7) == 0) {
            VALUE("opens", open(link, O_RDWR | O_NOCTTY));
            VALUE("chmods", chmod(link, 0666));
        });
    close(master);
    strcpy(old, name);
    master = open_pair(NULL);
    YES("the number is taken again", !strcmp(old, name));
    VALUE("open, stale", open(link, O_RDWR | O_NOCTTY));
    chmod(link, 0666);
    OK("stat the next", stat(name, &st));
    say("mode of the next", "%o", st.st_mode & 07777);
    close(named);
    close(master);
}

int main(void)
{
    alarm(100);
    test_names();
    test_bytes();
    test_modes();
    test_slow();
    test_waiting();
    test_slave_goes();
    test_master_goes();
    test_whole_lines();
    test_stale_name();
    return 0;
}
