// SPDX-License-Identifier: MIT
// Pipes: ends, capacity, atomicity, non-blocking, named ones, what poll and select say of them, and what is left for the
// next reader by one that is interrupted.
#include "abi.h"
#include <poll.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/uio.h>

static char block[128 << 10];

static void test_ends(void)
{
    int fds[2];
    char text[8] = "";

    VALUE("pipe2 with odd flags", pipe2(fds, 0x7));
    OK("pipe", pipe(fds));
    VALUE("write", write(fds[1], "hello", 5));
    VALUE("short read", read(fds[0], text, 2));
    VALUE("rest", read(fds[0], text, 8));
    say("text", "%s", text);
    VALUE("read the write end", read(fds[1], text, 1));
    VALUE("write the read end", write(fds[0], "x", 1));
    VALUE("write nothing", write(fds[1], "", 0));
    if (write(fds[1], "left", 4) != 4)
        say("harness", "write");
    close(fds[1]);
    VALUE("what is left", read(fds[0], text, 8));
    VALUE("then the end", read(fds[0], text, 8));
    VALUE("and again", read(fds[0], text, 8));
}

static void test_nonblocking(void)
{
    int fds[2], left = 0;
    char text[8];
    long total = 0;

    OK("pipe2 NONBLOCK", pipe2(fds, O_NONBLOCK | O_CLOEXEC));
    VALUE("its flags", fcntl(fds[0], F_GETFL) & O_NONBLOCK);
    VALUE("closes on exec", fcntl(fds[0], F_GETFD));
    VALUE("read from empty", read(fds[0], text, 8));
    for (long n; (n = write(fds[1], block, 4096)) > 0;)
        total += n;
    say("full after", "%ld, %s", total, errno_name(errno));
    VALUE("one more byte", write(fds[1], block, 1));
    VALUE("FIONREAD", ioctl(fds[0], FIONREAD, &left));
    say("waiting to be read", "%d", left);
    VALUE("make room", read(fds[0], block, 4096));
    VALUE("a large write gets what fits", write(fds[1], block, 8192));
    while (read(fds[0], block, sizeof block) > 0)
        ;
    VALUE("F_GETPIPE_SZ", fcntl(fds[0], F_GETPIPE_SZ));
}

// Writes of up to PIPE_BUF bytes by several writers never mix.
static void test_atomic(void)
{
    int fds[2], mixed = 0, count[4] = {0};

    if (pipe(fds) < 0)
        return;
    for (int i = 0; i < 4; i++) {
        if (fork() == 0) {
            memset(block, 'a' + i, 4096);
            for (int j = 0; j < 30; j++)
                if (write(fds[1], block, 4096) != 4096)
                    _exit(1);
            _exit(0);
        }
    }
    close(fds[1]);
    size_t have = 0;
    for (ssize_t n; (n = read(fds[0], block + have, 4096 - have)) > 0;) {
        have += n;
        if (have < 4096)
            continue;
        for (int i = 1; i < 4096; i++)
            mixed += block[i] != block[0];
        if (block[0] >= 'a' && block[0] <= 'd')
            count[block[0] - 'a']++;
        have = 0;
    }
    while (wait(NULL) > 0)
        ;
    say("atomic writes", "%d %d %d %d, %d mixed", count[0], count[1], count[2], count[3], mixed);
}

static void test_blocking_write(void)
{
    int fds[2];
    long seen = 0;

    if (pipe(fds) < 0)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        _exit(write(fds[1], block, sizeof block) == sizeof block ? 0 : 1);
    }
    close(fds[1]);
    static char part[1000];
    for (long n; (n = read(fds[0], part, sizeof part)) > 0;)
        seen += n;
    say("a write larger than the pipe", "%ld", seen);
    say_end("its writer", pid);
}

static void poll_shows(const char *key, int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    int n = poll(&p, 1, 0);

    say(key, "%d%s%s%s%s%s", n, p.revents & POLLIN ? " IN" : "", p.revents & POLLOUT ? " OUT" : "",
        p.revents & POLLHUP ? " HUP" : "", p.revents & POLLERR ? " ERR" : "",
        p.revents & POLLNVAL ? " NVAL" : "");
}

static void test_poll(void)
{
    int fds[2], other[2];
    char text[8];

    if (pipe2(fds, O_NONBLOCK) < 0 || pipe(other) < 0)
        return;
    poll_shows("poll empty", fds[0], POLLIN);
    poll_shows("poll writable", fds[1], POLLOUT);
    if (write(fds[1], "x", 1) != 1)
        say("harness", "write");
    poll_shows("poll filled", fds[0], POLLIN | POLLOUT);
    poll_shows("poll asks nothing", fds[0], 0);
    while (write(fds[1], block, 4096) > 0)
        ;
    poll_shows("poll full", fds[1], POLLOUT);
    while (read(fds[0], block, sizeof block) > 0)
        ;
    int copy = dup(fds[0]);
    close(fds[1]);
    poll_shows("poll without writer", copy, POLLIN);
    close(copy);
    close(fds[0]);
    poll_shows("poll closed", fds[0], POLLIN);
    poll_shows("poll negative", -1, POLLIN);
    int file = open("file", O_RDWR | O_CREAT, 0600);
    poll_shows("poll a file", file, POLLIN | POLLOUT);
    close(other[0]);
    poll_shows("poll without reader", other[1], POLLOUT);
    VALUE("poll nothing", poll(NULL, 0, 0));
    VALUE("poll with a short timeout", poll(NULL, 0, 1));
    VALUE("ppoll with a negative timeout", ppoll(NULL, 0, &(struct timespec){-1, 0}, NULL));

    if (pipe(fds) < 0 || pipe(other) < 0)
        return;
    struct pollfd two[2] = {{fds[0], POLLIN, 0}, {other[0], POLLIN, 0}};
    pid_t pid = fork();
    if (pid == 0)
        _exit(write(other[1], "x", 1) != 1);
    VALUE("poll waits for the second", poll(two, 2, -1));
    say("revents", "%d %d", two[0].revents, two[1].revents);
    say_end("writer", pid);
    fd_set in, out;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(fds[0], &in);
    FD_SET(other[0], &in);
    FD_SET(fds[1], &out);
    VALUE("select", select(32, &in, &out, NULL, NULL));
    say("select's sets", "%d %d %d", FD_ISSET(fds[0], &in) != 0, FD_ISSET(other[0], &in) != 0,
        FD_ISSET(fds[1], &out) != 0);
    FD_ZERO(&in);
    FD_SET(30, &in);
    VALUE("select on nothing open", select(32, &in, NULL, NULL, &(struct timeval){0, 0}));
    VALUE("select with a negative count", select(-1, NULL, NULL, NULL, NULL));
    VALUE("read it", read(other[0], text, 8));
}

static void test_named(void)
{
    char text[16] = "";

    OK("mkfifo", mkfifo("fifo", 0600));
    VALUE("mkfifo twice", mkfifo("fifo", 0600));
    VALUE("open for writing without a reader", open("fifo", O_WRONLY | O_NONBLOCK));
    int in;
    OK("open for reading without a writer", in = open("fifo", O_RDONLY | O_NONBLOCK));
    VALUE("read without a writer", read(in, text, 8));
    pid_t pid = fork();
    if (pid == 0) {
        int out = open("fifo", O_WRONLY);
        _exit(write(out, "through it", 10) != 10);
    }
    say_end("writer of the fifo", pid);
    VALUE("read through the fifo", read(in, text, 15));
    say("through the fifo", "%s", text);
    OK("unlink the fifo", unlink("fifo"));
}

// ---- two readers wait: whom a byte wakes takes it or leaves it to the other

enum { ROUNDS = 40, TOOK = 1, INTERRUPTED = 2, LOST = 3 };

static void on_usr1(int sig)
{
    (void)sig;
}

static void on_alarm(int sig)
{
    (void)sig;
    _exit(LOST);
}

static pid_t start_reader(int fd, bool vector)
{
    struct sigaction no_restart = {.sa_handler = on_usr1};
    struct iovec part = {block, 1};
    pid_t pid = fork();

    if (pid == 0) {
        sigaction(SIGUSR1, &no_restart, NULL);
        signal(SIGALRM, on_alarm);
        alarm(20);
        long n = vector ? readv(fd, &part, 1) : read(fd, block, 1);
        _exit(n == 1 ? TOOK : errno == EINTR ? INTERRUPTED : 4);
    }
    until_state(pid, 'S');
    return pid;
}

static int end_of(pid_t pid)
{
    int status = 0;

    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int left_in(int fd)
{
    int n = -1;

    ioctl(fd, FIONREAD, &n);
    return n;
}

// A signal and a byte come to the first of two. True: if it left the byte there, the second got it.
static bool second_gets_it(int sig, bool vector, bool byte_first)
{
    int fds[2];

    if (pipe(fds) < 0)
        return false;
    pid_t first = start_reader(fds[0], vector), second = start_reader(fds[0], vector);
    if (byte_first && write(fds[1], "x", 1) != 1)
        return false;
    kill(first, sig);
    if (!byte_first && write(fds[1], "x", 1) != 1)
        return false;
    int end = end_of(first);
    // Who is killed may have taken it: then the second gets another. It may have the first one already.
    bool more = end == TOOK || (end == -SIGKILL && left_in(fds[0]) == 0);
    if (more && write(fds[1], "y", 1) != 1)
        return false;
    bool right = (end == TOOK || end == INTERRUPTED || end == -SIGKILL) && end_of(second) == TOOK;
    right &= end == -SIGKILL || left_in(fds[0]) == 0;
    close(fds[0]);
    close(fds[1]);
    return right;
}

static void test_two_readers(void)
{
    int lost[2][2] = {0}, fds[2], alone = 0;

    for (int i = 0; i < 4 * ROUNDS && !lost[0][0] && !lost[0][1] && !lost[1][0] && !lost[1][1]; i++)
        lost[i & 1][i >> 1 & 1] = !second_gets_it(i & 1 ? SIGKILL : SIGUSR1, i & 2, i & 4);
    say("lost by who is interrupted", "%d, %d by readv", lost[0][0], lost[0][1]);
    say("lost by who is killed", "%d, %d by readv", lost[1][0], lost[1][1]);
    for (int i = 0; i < ROUNDS; i++) {
        if (pipe(fds) < 0)
            return;
        pid_t first = start_reader(fds[0], i & 1), second = start_reader(fds[0], i & 2);
        if (write(fds[1], "ab", 2) != 2)
            return;
        alone += end_of(first) != TOOK;
        alone += end_of(second) != TOOK;
        close(fds[0]);
        close(fds[1]);
    }
    say("of two bytes at once, not taken", "%d", alone);
}

int main(void)
{
    test_ends();
    test_nonblocking();
    test_atomic();
    test_blocking_write();
    test_poll();
    test_named();
    test_two_readers();
    return 0;
}
