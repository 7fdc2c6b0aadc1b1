// SPDX-License-Identifier: MIT
// epoll: what is refused, level and edge, one shot, order, nested ones, and how watches end.
#include "abi.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/time.h>

#define WAIT(ep, events, max) syscall(SYS_epoll_pwait, ep, events, max, 0, NULL, 8)

enum { MAX = 16, MANY = 500 };

static char block[65536];

static long put(int fd, uint64_t n)
{
    return write(fd, &n, sizeof n);
}

static int control(int ep, int op, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event ev = {.events = events, .data.u64 = data};
    return epoll_ctl(ep, op, fd, &ev);
}

static int add(int ep, int fd, uint32_t events, uint64_t data)
{
    return control(ep, EPOLL_CTL_ADD, fd, events, data);
}

// What is ready now, in order, as data=events.
static void shows(const char *key, int ep)
{
    struct epoll_event ev[MAX];
    char text[400];
    int n = epoll_wait(ep, ev, MAX, 0), len = 0;

    if (n < 0) {
        say(key, "%s", errno_name(errno));
        return;
    }
    text[0] = 0;
    for (int i = 0; i < n; i++)
        len += snprintf(text + len, sizeof text - len, " %lu=0x%x", (unsigned long)ev[i].data.u64,
                        ev[i].events);
    say(key, "%d%s", n, text);
}

static void test_refusals(void)
{
    int ep = epoll_create1(0), event = eventfd(0, 0), file, fds[2];
    struct epoll_event ev = {.events = EPOLLIN};

    VALUE("create with unknown flags", syscall(SYS_epoll_create1, 1));
    VALUE("closes on exec", fcntl(epoll_create1(EPOLL_CLOEXEC), F_GETFD));
    file = open("file", O_RDWR | O_CREAT, 0600);
    if (pipe(fds) < 0)
        return;
    VALUE("add a file", add(ep, file, EPOLLIN, 0));
    VALUE("add a directory", add(ep, open(".", O_RDONLY), EPOLLIN, 0));
    VALUE("add /dev/null", add(ep, open("/dev/null", O_RDWR), EPOLLIN, 0));
    VALUE("add /dev/zero", add(ep, open("/dev/zero", O_RDWR), EPOLLIN, 0));
    VALUE("add a path", add(ep, open(".", O_PATH), EPOLLIN, 0));
    VALUE("add nothing open", add(ep, 99, EPOLLIN, 0));
    VALUE("add to nothing open", add(99, event, EPOLLIN, 0));
    VALUE("add to a pipe", add(fds[0], event, EPOLLIN, 0));
    VALUE("add a file to a pipe", add(fds[0], file, EPOLLIN, 0));
    VALUE("add itself", add(ep, ep, EPOLLIN, 0));
    VALUE("add from nowhere", syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, event, NULL));
    VALUE("from nowhere to nothing open", syscall(SYS_epoll_ctl, 99, EPOLL_CTL_ADD, event, NULL));
    VALUE("an unknown operation", control(ep, 4, event, EPOLLIN, 0));
    VALUE("change what is not there", control(ep, EPOLL_CTL_MOD, event, EPOLLIN, 0));
    VALUE("remove what is not there", control(ep, EPOLL_CTL_DEL, event, EPOLLIN, 0));
    VALUE("add", add(ep, event, EPOLLIN, 1));
    VALUE("add again", add(ep, event, EPOLLOUT, 2));
    VALUE("add another descriptor of it", add(ep, dup(event), EPOLLIN, 3));
    VALUE("remove without an event", syscall(SYS_epoll_ctl, ep, EPOLL_CTL_DEL, event, NULL));
    VALUE("remove again", syscall(SYS_epoll_ctl, ep, EPOLL_CTL_DEL, event, NULL));

    VALUE("wait for none", WAIT(ep, &ev, 0));
    VALUE("wait for less", WAIT(ep, &ev, -1));
    VALUE("wait for too many", WAIT(ep, &ev, INT32_MAX / 16 + 1));
    VALUE("wait at nothing open", WAIT(99, &ev, 1));
    VALUE("wait for none at nothing open", WAIT(99, &ev, 0));
    VALUE("wait at a pipe", WAIT(fds[0], &ev, 1));
    VALUE("wait into the kernel", WAIT(ep, -4096L, 1));
    VALUE("into the kernel at a pipe", WAIT(fds[0], -4096L, 1));
    VALUE("into the kernel at nothing", WAIT(99, -4096L, 1));
    VALUE("wait into nowhere", WAIT(ep, NULL, 1));
    put(event, 1);
    VALUE("an event into nowhere", WAIT(ep, NULL, 1));
    VALUE("is still there", epoll_wait(ep, &ev, 1, 0));
    VALUE("a mask of seven bytes", syscall(SYS_epoll_pwait, ep, &ev, 0, 0, block, 7));
    VALUE("no mask of seven bytes", syscall(SYS_epoll_pwait, ep, &ev, 1, 0, NULL, 7));
    VALUE("a mask that is nowhere", syscall(SYS_epoll_pwait, ep, &ev, 0, 0, 8, 8));
    VALUE("read it", read(ep, block, 8));
    VALUE("write it", write(ep, block, 8));
    char path[40], name[64] = "";
    snprintf(path, sizeof path, "/proc/self/fd/%d", ep);
    OK("readlink", readlink(path, name, sizeof name - 1));
    say("its name", "%s", name);
    while (--ep > 2)
        close(ep);
    for (int fd = 3; fd < 30; fd++)
        close(fd);
}

static void test_level(void)
{
    int ep = epoll_create1(0), fds[2];

    if (pipe(fds) < 0)
        return;
    add(ep, fds[0], EPOLLIN, 1);
    add(ep, fds[1], EPOLLOUT, 2);
    shows("the write end", ep);
    shows("the write end again", ep);
    VALUE("write", write(fds[1], "ab", 2));
    shows("both ends", ep);
    VALUE("read one", read(fds[0], block, 1));
    shows("still both", ep);
    VALUE("read the other", read(fds[0], block, 1));
    shows("the write end only", ep);
    OK("no interest", control(ep, EPOLL_CTL_MOD, fds[1], 0, 2));
    shows("none", ep);
    VALUE("write more", write(fds[1], "c", 1));
    OK("remove", control(ep, EPOLL_CTL_DEL, fds[0], 0, 0));
    shows("after it is removed", ep);
    OK("add when it is ready", add(ep, fds[0], EPOLLIN | EPOLLRDNORM, 3));
    shows("is shown at once", ep);
    close(fds[1]);
    shows("hung up, with data", ep);
    VALUE("read the rest", read(fds[0], block, 9));
    shows("hung up", ep);
    OK("hung up without interest", control(ep, EPOLL_CTL_MOD, fds[0], 0, 4));
    shows("hung up all the same", ep);
    close(fds[0]);
    shows("and closed", ep);
    if (pipe(fds) < 0)
        return;
    add(ep, fds[1], 0, 5);
    close(fds[0]);
    shows("no reader", ep);
    close(fds[1]);
    close(ep);
}

static void test_edge(void)
{
    int ep = epoll_create1(0), fds[2], event = eventfd(0, EFD_NONBLOCK);

    if (pipe2(fds, O_NONBLOCK) < 0)
        return;
    add(ep, fds[0], EPOLLIN | EPOLLET, 1);
    add(ep, fds[1], EPOLLOUT | EPOLLET, 2);
    shows("edge, the write end once", ep);
    shows("edge, then not", ep);
    VALUE("edge, write", write(fds[1], "ab", 2));
    shows("edge, the read end", ep);
    VALUE("edge, read a part", read(fds[0], block, 1));
    shows("edge, what is left is no news", ep);
    VALUE("edge, write more", write(fds[1], "c", 1));
    shows("edge, but this is", ep);
    VALUE("edge, write twice", write(fds[1], "d", 1) + write(fds[1], "e", 1));
    shows("edge, is told once", ep);
    OK("edge, change it", control(ep, EPOLL_CTL_MOD, fds[0], EPOLLIN | EPOLLET, 3));
    shows("edge, tells again", ep);
    while (read(fds[0], block, sizeof block) > 0)
        ;
    while (write(fds[1], block, 4096) > 0)
        ;
    shows("edge, filled", ep);
    while (read(fds[0], block, sizeof block) > 0)
        ;
    shows("edge, emptied", ep);
    close(fds[1]);
    shows("edge, hung up", ep);
    shows("edge, hung up once", ep);

    add(ep, event, EPOLLIN | EPOLLOUT | EPOLLET, 4);
    shows("edge, an eventfd", ep);
    put(event, 1);
    shows("edge, it is written", ep);
    put(event, 1);
    shows("edge, it is written again", ep);
    get_count(event);
    shows("edge, it is read", ep);
    put(event, 0);
    shows("edge, 0 is written", ep);
    put(event, 1);
    get_count(event);
    shows("edge, written and read", ep);
    control(ep, EPOLL_CTL_MOD, event, EPOLLOUT | EPOLLET, 5);
    shows("edge, interest in room", ep);
    put(event, 1);
    shows("edge, a write makes none", ep);
    get_count(event);
    shows("edge, a read does", ep);
    close(event);
    close(fds[0]);
    close(ep);
}

static void test_oneshot(void)
{
    int ep = epoll_create1(0), event = eventfd(0, EFD_NONBLOCK);

    add(ep, event, EPOLLIN | EPOLLONESHOT, 1);
    put(event, 1);
    shows("oneshot", ep);
    shows("oneshot, no more", ep);
    put(event, 1);
    shows("oneshot, not for a write", ep);
    VALUE("oneshot, it is there still", add(ep, event, EPOLLIN, 1));
    OK("oneshot, armed again", control(ep, EPOLL_CTL_MOD, event, EPOLLIN | EPOLLONESHOT, 2));
    shows("oneshot, tells at once", ep);
    shows("oneshot, again no more", ep);
    get_count(event);
    OK("oneshot, armed while not ready",
       control(ep, EPOLL_CTL_MOD, event, EPOLLIN | EPOLLONESHOT | EPOLLET, 3));
    shows("oneshot, nothing yet", ep);
    put(event, 1);
    put(event, 1);
    shows("oneshot, now", ep);
    shows("oneshot, and only now", ep);
    close(event);
    close(ep);
}

static void test_order(void)
{
    int ep = epoll_create1(0), event[4], seen[MANY] = {0}, twice = 0, n = 0;
    struct epoll_event ev[MANY + 100];
    static int many[MANY];

    for (int i = 0; i < 4; i++) {
        event[i] = eventfd(0, EFD_NONBLOCK);
        add(ep, event[i], EPOLLIN | (i == 3 ? EPOLLET : 0), i);
    }
    put(event[2], 1);
    put(event[0], 1);
    put(event[3], 1);
    put(event[1], 1);
    char text[64] = "";
    for (int i = 0; i < 7; i++) {
        n = epoll_wait(ep, ev, 1, 0);
        snprintf(text + strlen(text), sizeof text - strlen(text), " %d",
                 n == 1 ? ev[0].data.fd : -1);
    }
    say("one at a time they take turns", "%s", text);
    shows("all in order", ep);
    get_count(event[0]);
    shows("without the first", ep);
    for (int i = 0; i < 4; i++)
        close(event[i]);
    shows("all closed", ep);
    for (int i = 0; i < MANY; i++) {
        many[i] = eventfd(1, EFD_NONBLOCK);
        add(ep, many[i], EPOLLIN, i);
    }
    VALUE("many at once", n = epoll_wait(ep, ev, MANY + 100, 0));
    for (int i = 0; i < n; i++)
        twice += seen[ev[i].data.fd]++ != 0;
    VALUE("that are there twice", twice);
    VALUE("as many as there is room", epoll_wait(ep, ev, 100, 0));
    VALUE("many again, with a timeout", epoll_wait(ep, ev, MANY + 100, 1000));
    for (int i = 0; i < MANY; i++)
        get_count(many[i]);
    VALUE("none of many", epoll_wait(ep, ev, MANY, 0));
    put(many[7], 1);
    VALUE("one of many", epoll_wait(ep, ev, MANY, -1));
    for (int i = 0; i < MANY; i++)
        close(many[i]);
    close(ep);
}

static void test_ends(void)
{
    int ep = epoll_create1(0), event = eventfd(1, 0), copy = dup(event), other;

    add(ep, event, EPOLLIN, 1);
    OK("close one of two descriptors", close(event));
    shows("it is still watched", ep);
    VALUE("by a number that is not open", control(ep, EPOLL_CTL_DEL, event, 0, 0));
    VALUE("not by the other", control(ep, EPOLL_CTL_DEL, copy, 0, 0));
    other = eventfd(1, 0);
    YES("the number is used again", other == event);
    VALUE("for another file", add(ep, other, EPOLLIN, 2));
    shows("both are watched", ep);
    OK("the first one's number again", dup2(copy, other));
    shows("then the first only", ep);
    VALUE("and it can be removed", control(ep, EPOLL_CTL_DEL, other, 0, 0));
    shows("nothing is left", ep);
    add(ep, copy, EPOLLIN, 3);
    pid_t pid = fork();
    if (pid == 0) {
        put(eventfd(0, 0), 1);
        close(copy);
        _exit(0);
    }
    say_end("a child closes its own", pid);
    shows("the parent's is watched", ep);
    pid = fork();
    if (pid == 0)
        pause();
    close(copy);
    close(other);
    shows("a child keeps it open", ep);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    shows("it has ended", ep);

    int fds[2];
    if (pipe(fds) < 0)
        return;
    CHILD("a child adds to the common epoll", {
        add(ep, fds[0], EPOLLIN, 4);
        VALUE("the child writes", write(fds[1], "x", 1));
    });
    shows("the parent sees it", ep);
    event = eventfd(1, EFD_CLOEXEC);
    add(ep, event, EPOLLIN, 5);
    CHILD("a child closes the epoll and ends", close(ep));
    shows("and the parent has all", ep);
    close(ep);
    VALUE("the pipe is as it was", read(fds[0], block, 1));
}

static void test_nested(void)
{
    int inner = epoll_create1(0), outer = epoll_create1(0), event = eventfd(0, EFD_NONBLOCK),
        chain[8], n = 0, star = epoll_create1(0);

    OK("nest", add(outer, inner, EPOLLIN, 1));
    VALUE("a circle of two", add(inner, outer, EPOLLIN, 2));
    add(inner, event, EPOLLIN, 3);
    shows("nested, nothing", outer);
    put(event, 1);
    shows("nested, the outer", outer);
    shows("nested, the outer by level", outer);
    shows("nested, the inner", inner);
    get_count(event);
    shows("nested, read", outer);
    OK("nested, by edge", control(outer, EPOLL_CTL_MOD, inner, EPOLLIN | EPOLLET, 4));
    put(event, 1);
    shows("nested, edge", outer);
    shows("nested, once", outer);
    put(event, 1);
    shows("nested, and again", outer);
    close(event);
    shows("nested, closed", outer);
    close(inner);
    shows("nested, the inner closed", outer);
    close(outer);

    chain[0] = epoll_create1(0);
    for (n = 1; n < 8; n++) {
        chain[n] = epoll_create1(0);
        if (add(chain[n], chain[n - 1], EPOLLIN, n) < 0)
            break;
    }
    say("nested, so many upwards", "%d, then %s", n, errno_name(errno));
    VALUE("nested, none below either", add(chain[0], star, EPOLLIN, 0));
    VALUE("nested, a circle of many", add(chain[0], chain[n - 1], EPOLLIN, 0));
    event = eventfd(1, 0);
    OK("nested, at the bottom", add(chain[0], event, EPOLLIN, 9));
    shows("nested, seen at the top", chain[n - 1]);
    for (int i = 0; i <= n; i++)
        close(chain[i]);
    chain[0] = epoll_create1(0);
    for (n = 1; n < 8; n++) {
        chain[n] = epoll_create1(0);
        if (add(chain[n - 1], chain[n], EPOLLIN, n) < 0)
            break;
    }
    say("nested, so many downwards", "%d, then %s", n, errno_name(errno));
    for (int i = 0; i <= n; i++)
        close(chain[i]);
    int branch[4];
    for (int i = 0; i < 4; i++) {
        branch[i] = epoll_create1(0);
        add(star, branch[i], EPOLLIN, i);
        add(branch[i], event, EPOLLIN, i);
    }
    shows("nested, a star", star);
    close(event);
    shows("nested, its middle is gone", star);
    for (int i = 0; i < 4; i++)
        close(branch[i]);
    close(star);
}

static void test_exclusive(void)
{
    int ep = epoll_create1(0), other = epoll_create1(0), event = eventfd(0, EFD_NONBLOCK);

    VALUE("exclusive and oneshot", add(ep, event, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 1));
    VALUE("exclusive and urgent", add(ep, event, EPOLLPRI | EPOLLEXCLUSIVE, 1));
    VALUE("an epoll, exclusive", add(ep, other, EPOLLIN | EPOLLEXCLUSIVE, 1));
    VALUE("exclusive", add(ep, event, EPOLLIN | EPOLLET | EPOLLEXCLUSIVE, 1));
    VALUE("changed", control(ep, EPOLL_CTL_MOD, event, EPOLLIN, 1));
    VALUE("changed to exclusive", control(ep, EPOLL_CTL_MOD, event, EPOLLIN | EPOLLEXCLUSIVE, 1));
    VALUE("exclusive at the other", add(other, event, EPOLLIN | EPOLLEXCLUSIVE, 2));
    put(event, 1);
    shows("nobody waits: the one", ep);
    shows("and the other", other);
    VALUE("wakeup is no matter", add(ep, epoll_create1(0), EPOLLIN | EPOLLWAKEUP, 3));
    close(event);
    close(other);
    close(ep);
}

int main(void)
{
    test_refusals();
    test_level();
    test_edge();
    test_oneshot();
    test_order();
    test_ends();
    test_nested();
    test_exclusive();
    return 0;
}
