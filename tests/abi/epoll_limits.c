// SPDX-License-Identifier: MIT
// How many ways a wake may go through epolls, and what /proc/PID/fdinfo says of epolls, eventfds and their like.
//
// `epoll_limits few`, by tests/boot/epoll.lua, after the limit of watches was made small: what comes of it.
#include "abi.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

static int add(int ep, int fd)
{
    struct epoll_event ev = {.events = EPOLLIN};
    return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

static int del(int ep, int fd)
{
    return epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL);
}

static void close_all(void)
{
    closefrom(3);
}

// ---- ways

// A row of `depth` epolls over a file, as many as can be over its last: how many, and why no more.
static void test_width(const char *key, int depth)
{
    int event = eventfd(0, 0), row = event, n = 0;

    for (int i = 0; i < depth; i++) {
        int next = epoll_create1(0);
        if (add(next, row) < 0)
            say("harness", "add");
        row = next;
    }
    errno = 0;
    while (n < 600 && add(epoll_create1(0), row) == 0)
        n++;
    say(key, "%d, then %s", n, errno_name(errno));
    close_all();
}

static void test_late_file(void)
{
    int event = eventfd(0, 0), low = epoll_create1(0), high = epoll_create1(0), top[101];

    add(high, low);
    for (int i = 0; i < 101; i++)
        if (add(top[i] = epoll_create1(0), high) < 0)
            say("harness", "no file is below");
    VALUE("a file below too many", add(low, event));
    OK("one is taken away", del(top[7], high));
    VALUE("a file below enough", add(low, event));
    VALUE("one more above", add(top[7], high));
    OK("without the file", del(low, event));
    VALUE("one more, and no file", add(top[7], high));
    VALUE("the file above them is no matter", add(top[3], event));
    close_all();
}

// The ways of a file add up, also those through epolls that come later.
static void test_sum(void)
{
    int event = eventfd(0, 0), left = epoll_create1(0), right = epoll_create1(0), n = 0;
    int middle = epoll_create1(0), many[300];

    add(left, event);
    add(right, event);
    for (; n < 600 && add(epoll_create1(0), n % 3 ? left : right) == 0; n++)
        ;
    say("over either of two", "%d, then %s", n, errno_name(errno));
    close_all();
    event = eventfd(0, 0);
    middle = epoll_create1(0);
    for (int i = 0; i < 300; i++)
        if (add(many[i] = epoll_create1(0), event) < 0)
            say("harness", "a file in many epolls");
    for (n = 0; n < 300 && add(middle, many[n]) == 0; n++)
        ;
    say("many epolls in one", "%d", n);
    add(epoll_create1(0), middle);
    n = 0;
    while (n < 300 && add(epoll_create1(0), middle) == 0)
        n++;
    say("and that in others", "%d, then %s", n, errno_name(errno));
    close_all();
}

// ---- fdinfo

// The lines of a descriptor's file that are not told of every file: at most one, without the blanks.
static void shows(const char *key, int fd)
{
    char path[40], text[1000], out[1000] = "";
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    int info = open(path, O_RDONLY);
    ssize_t n = read(info, text, sizeof text - 1);

    close(info);
    text[n > 0 ? n : 0] = 0;
    for (char *save, *line = strtok_r(text, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        if (!strncmp(line, "pos:", 4) || !strncmp(line, "flags:", 6) ||
            !strncmp(line, "mnt_id:", 7) || !strncmp(line, "ino:", 4) ||
            !strncmp(line, "eventfd-id:", 11))
            continue;
        for (char *word_save, *word = strtok_r(line, " \t", &word_save); word;
             word = strtok_r(NULL, " \t", &word_save))
            if (strncmp(word, "ino:", 4) && strncmp(word, "sdev:", 5))
                snprintf(out + strlen(out), sizeof out - strlen(out), " %s", word);
    }
    say(key, "%s", out + (*out != 0));
}

static long long field(int fd, const char *name, int base)
{
    char path[40], text[1000];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    int info = open(path, O_RDONLY);
    ssize_t n = read(info, text, sizeof text - 1);

    close(info);
    text[n > 0 ? n : 0] = 0;
    char *at = strstr(text, name);
    return at ? strtoll(at + strlen(name), NULL, base) : -1;
}

static void test_fdinfo(void)
{
    struct stat st;
    sigset_t set;
    int file = open("fdinfo.tmp", O_RDWR | O_CREAT | O_APPEND, 0600),
        ep = epoll_create1(EPOLL_CLOEXEC);
    int event = eventfd(5, EFD_SEMAPHORE), plain = eventfd(0, EFD_NONBLOCK), timer, sig;

    VALUE("fdinfo, write", write(file, "12345", 5));
    VALUE("fdinfo, seek", lseek(file, 3, SEEK_SET));
    VALUE("fdinfo, pos", field(file, "pos:", 10));
    say("fdinfo, flags", "0%llo", field(file, "flags:", 8));
    fstat(file, &st);
    YES("fdinfo, mnt_id", field(file, "mnt_id:", 10) > 0);
    YES("fdinfo, ino", field(file, "\nino:", 10) == (long long)st.st_ino);
    shows("fdinfo, nothing else", file);
    say("fdinfo, closes on exec", "0%llo", field(ep, "flags:", 8) & O_CLOEXEC);
    say("fdinfo, not this one", "0%llo", field(event, "flags:", 8) & O_CLOEXEC);
    shows("fdinfo, an empty epoll", ep);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u64 = 0xabcdef0123456789};
    epoll_ctl(ep, EPOLL_CTL_ADD, event, &ev);
    char want[80], path[40];
    snprintf(want, sizeof want, "tfd: %8d events: %8x data: %16lx ", event,
             EPOLLIN | EPOLLET | EPOLLERR | EPOLLHUP, ev.data.u64);
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", ep);
    char text[400] = "";
    int info = open(path, O_RDONLY);
    ssize_t n = read(info, text, sizeof text - 1);
    YES("fdinfo, an epoll's watch", n > 0 && strstr(text, want));
    fstat(event, &st);
    snprintf(want, sizeof want, " pos:0 ino:%lx sdev:", (unsigned long)st.st_ino);
    YES("fdinfo, its place", strstr(text, want));
    close(info);
    for (int i = 0; i < 40; i++)
        add(ep, eventfd(0, 0));
    info = open(path, O_RDONLY);
    static char much[8192];
    int lines = 0, got = 0;
    while ((n = read(info, much + got, sizeof much - 1 - got)) > 0)
        got += n;
    for (char *at = much; (at = strstr(at, "tfd:")); at++)
        lines++;
    VALUE("fdinfo, many watches", lines);
    shows("fdinfo, an eventfd that counts one by one", event);
    shows("fdinfo, an eventfd", plain);
    timer = timerfd_create(CLOCK_MONOTONIC, 0);
    shows("fdinfo, a timerfd", timer);
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &(struct itimerspec){{3, 7}, {1000000000, 0}}, NULL);
    say("fdinfo, its flags", "0%llo", field(timer, "settime flags:", 8));
    YES("fdinfo, what is left", field(timer, "it_value: (", 10) > 900000000);
    say("fdinfo, interval", "%lld", field(timer, "it_interval: (3, ", 10));
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGTERM);
    sig = signalfd(-1, &set, 0);
    shows("fdinfo, a signalfd", sig);
    VALUE("fdinfo, nothing open", open("/proc/self/fdinfo/999", O_RDONLY));
    unlink("fdinfo.tmp");
    close_all();
}

// ---- few watches

static int adds(int ep, int n)
{
    int done = 0;

    errno = 0;
    while (done < n && add(ep, eventfd(0, 0)) == 0)
        done++;
    return done;
}

static int few(void)
{
    int one = epoll_create1(0), two = epoll_create1(0), event = eventfd(0, 0),
        there = eventfd(0, 0);

    add(one, there);
    VALUE("in one epoll", adds(one, 5));
    say("in another", "%d", adds(two, 100));
    say("why no more", "%s", errno_name(errno));
    VALUE("again what is there", add(one, there));
    pid_t pid = fork();
    if (pid == 0) {
        if (setuid(1000))
            return 1;
        VALUE("by another user to the same", add(one, event));
        say("to its own", "%d", adds(epoll_create1(0), 3));
        _exit(0);
    }
    say_end("the other", pid);
    close(two);
    VALUE("after one is closed", add(one, event));
    close_all();
    say("after all are", "%d", adds(epoll_create1(0), 100));
    return 0;
}

int main(int argc, char **argv)
{
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){4096, 4096});
    if (argc > 1 && !strcmp(argv[1], "few"))
        return few();
    test_width("over a file", 0);
    test_width("over one epoll", 1);
    test_width("over two", 2);
    test_width("over three", 3);
    test_width("over four", 4);
    test_late_file();
    test_sum();
    test_fdinfo();
    int fd = open("/proc/sys/fs/epoll/max_user_watches", O_RDONLY);
    char text[40] = "";
    YES("there is a limit of watches",
        read(fd, text, sizeof text - 1) > 0 && strtol(text, NULL, 10) > 1000);
    return 0;
}
