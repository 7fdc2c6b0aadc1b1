// SPDX-License-Identifier: MIT
// ETXTBSY: who writes a file and who runs it keep each other out.
//
// The program runs copies of itself, with a word as first argument that says which part the copy plays.
#include "abi.h"
#include <elf.h>
#include <sys/mman.h>
#include <sys/stat.h>

static int tries(int fd)
{
    if (fd >= 0)
        close(fd);
    return fd < 0 ? -1 : 0;
}

#define OPENS(key, path, flags) VALUE(key, tries(open(path, flags)))

static void put(const char *path, const void *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);

    if (fd < 0 || write(fd, bytes, n) != (ssize_t)n)
        say("harness", "cannot write %s: %s", path, errno_name(errno));
    close(fd);
}

static uint8_t *self;
static size_t self_size;

static void read_self(void)
{
    int fd = open("/proc/self/exe", O_RDONLY);

    self_size = lseek(fd, 0, SEEK_END);
    self = mmap(NULL, self_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pread(fd, self, self_size, 0) != (ssize_t)self_size)
        say("harness", "cannot read myself");
    close(fd);
}

static void copy_self(const char *path)
{
    put(path, self, self_size);
}

// How an exec of it in a child ends: the program with "exit" ends with 11.
static void say_exec(const char *key, const char *path)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        execl(path, path, "exit", (char *)NULL);
        _exit(errno);
    }
    waitpid(pid, &status, 0);
    say(key, "%s", WEXITSTATUS(status) == 11 ? "ran" : errno_name(WEXITSTATUS(status)));
}

// ---- programs that run until they are told to go on

struct running {
    struct gate started, go;
    pid_t pid;
};

// part: "wait", "leave", "become". other: what the last one becomes.
static void start(struct running *r, const char *path, const char *part, const char *other)
{
    char a[16], b[16];

    if (pipe(r->started.fds) < 0 || pipe(r->go.fds) < 0)
        say("harness", "no pipes");
    snprintf(a, sizeof a, "%d", r->started.fds[1]);
    snprintf(b, sizeof b, "%d", r->go.fds[0]);
    r->pid = fork();
    if (r->pid == 0) {
        execl(path, path, part, a, b, other, (char *)NULL);
        _exit(errno);
    }
    close(r->started.fds[1]);
    close(r->go.fds[0]);
    wait_for_pass(&r->started); // or its end
}

static void finish(struct running *r, const char *key)
{
    pass(&r->go);
    say_end(key, r->pid);
    close(r->started.fds[0]);
    close(r->go.fds[1]);
}

static int play(char **argv)
{
    struct gate started = {{-1, argv[2] ? atoi(argv[2]) : -1}},
                go = {{argv[2] ? atoi(argv[3]) : -1, -1}};

    if (strcmp(argv[1], "exit") == 0)
        return 11;
    if (strcmp(argv[1], "held") == 0) // of a program that runs, see race()
        return open(argv[0], O_WRONLY) == -1 && errno == ETXTBSY ? 12 : 13;
    if (strcmp(argv[1], "leave") == 0 && fork() != 0)
        return 14; // the child goes on with the program
    if (strcmp(argv[1], "become") == 0)
        execl(argv[4], argv[4], "wait", argv[2], argv[3], (char *)NULL);
    pass(&started);
    wait_for_pass(&go);
    return 15;
}

// ---- writers keep execs out

static void test_written(void)
{
    char line[64];

    copy_self("p");
    int fd = open("p", O_WRONLY | O_CLOEXEC);
    say_exec("open for writing", "./p");
    int again = dup(fd);
    close(fd);
    say_exec("its duplicate is", "./p");
    close(again);
    say_exec("no longer", "./p");
    fd = open("p", O_RDONLY | O_CLOEXEC);
    say_exec("open for reading", "./p");
    close(fd);
    fd = open("p", O_RDWR | O_CLOEXEC);
    chmod("p", 0644);
    CHILD("neither executable nor free", setresuid(1000, 1000, 1000);
          execl("./p", "p", (char *)NULL); _exit(errno == EACCES ? 1 : 2));
    chmod("p", 0755);
    char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    say_exec("mapped for writing", "./p");
    mprotect(shared, PAGE, PROT_READ);
    say_exec("mapped by one who could", "./p");
    CHILD("unmapped by a child", munmap(shared, PAGE));
    say_exec("and mapped by its parent", "./p");
    munmap(shared, PAGE);
    say_exec("unmapped", "./p");
    fd = open("p", O_RDWR | O_CLOEXEC);
    shared = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    munmap(shared, PAGE);
    say_exec("half of a private mapping", "./p");
    munmap(shared + PAGE, PAGE);
    say_exec("none of it", "./p");
    fd = open("p", O_RDONLY | O_CLOEXEC);
    shared = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    say_exec("mapped for reading", "./p");
    munmap(shared, PAGE);
    CHILD("a child", open("p", O_WRONLY));
    say_exec("a child had it open", "./p");

    put("script", line, snprintf(line, sizeof line, "#!./p exit\n"));
    say_exec("script", "./script");
    fd = open("script", O_WRONLY | O_CLOEXEC);
    say_exec("script open for writing", "./script");
    close(fd);
    fd = open("p", O_WRONLY | O_CLOEXEC);
    say_exec("its interpreter open for writing", "./script");
    close(fd);
}

// A copy that names ./loader in the place of its notes.
static void test_loader(void)
{
    static const char loader[] = "./loader";
    uint8_t *copy = malloc(self_size + sizeof loader);
    Elf64_Ehdr *header = (Elf64_Ehdr *)copy;
    Elf64_Phdr *segment = (Elf64_Phdr *)(copy + sizeof *header);
    int i = 0;

    memcpy(copy, self, self_size);
    memcpy(copy + self_size, loader, sizeof loader);
    while (i < header->e_phnum && segment[i].p_type == PT_LOAD)
        i++;
    for (int j = 0; j < header->e_phnum; j++)
        if (segment[j].p_type == PT_GNU_STACK || segment[j].p_type == PT_NOTE)
            i = j;
    segment[i] = (Elf64_Phdr){.p_type = PT_INTERP,
                              .p_flags = PF_R,
                              .p_offset = self_size,
                              .p_filesz = sizeof loader,
                              .p_memsz = sizeof loader,
                              .p_align = 1};
    put("dynamic", copy, self_size + sizeof loader);
    free(copy);
    say_exec("no loader", "./dynamic");
    put("loader", (char[4096]){"no ELF file"}, 4096);
    say_exec("a bad loader", "./dynamic");
    int fd = open("loader", O_WRONLY | O_CLOEXEC);
    say_exec("a loader open for writing", "./dynamic");
    close(fd);
    OPENS("a loader after a failed exec", "loader", O_RDWR);
    OPENS("its program after a failed exec", "dynamic", O_RDWR);
}

// ---- who runs keeps writers out

static void test_running(void)
{
    struct running r;
    struct stat before, after;
    char path[40];

    copy_self("r");
    stat("r", &before);
    start(&r, "./r", "wait", NULL);
    OPENS("running, for writing", "r", O_WRONLY);
    OPENS("running, for both", "r", O_RDWR);
    OPENS("running, appending", "r", O_WRONLY | O_APPEND);
    OPENS("running, truncating", "r", O_RDONLY | O_TRUNC);
    VALUE("running, creating", tries(open("r", O_WRONLY | O_CREAT | O_TRUNC, 0755)));
    OPENS("running, creating anew", "r", O_WRONLY | O_CREAT | O_EXCL);
    OPENS("running, for reading", "r", O_RDONLY);
    OPENS("running, its place", "r", O_PATH | O_RDWR);
    VALUE("running, truncated", truncate("r", 100));
    VALUE("running, to its size", truncate("r", before.st_size));
    CHILD("running, not the owner", setresuid(1000, 1000, 1000);
          _exit(open("r", O_WRONLY) < 0 && errno == EACCES));
    OK("running, its mode changed", chmod("r", 0700));
    snprintf(path, sizeof path, "/proc/%d/exe", r.pid);
    OPENS("running, through /proc", path, O_WRONLY);
    OPENS("running, through /proc for reading", path, O_RDONLY);
    say_exec("running, once more", "./r");
    OPENS("running once more, for writing", "r", O_WRONLY);
    OK("link to it", link("r", "r2"));
    OPENS("the link", "r2", O_WRONLY);
    OK("unlink", unlink("r"));
    OPENS("unlinked, by its link", "r2", O_WRONLY);
    copy_self("r");
    OPENS("another of its name", "r", O_WRONLY);
    put("r3", "x", 1);
    OK("rename over it", rename("r3", "r2"));
    OPENS("what was renamed", "r2", O_WRONLY);
    OPENS("deleted, through /proc", path, O_WRONLY);
    stat(path, &after);
    YES("nothing changed it", after.st_size == before.st_size);
    finish(&r, "running, its end");

    copy_self("r");
    start(&r, "./r", "wait", NULL);
    OK("rename", rename("r", "r4"));
    OPENS("renamed, for writing", "r4", O_WRONLY);
    kill(r.pid, SIGKILL);
    waitpid(r.pid, NULL, 0);
    OPENS("killed, for writing", "r4", O_WRONLY);
    OK("killed, truncated", truncate("r4", 100));
}

static void test_given_back(void)
{
    struct running r;
    char line[64];

    copy_self("f");
    start(&r, "./f", "leave", NULL);
    say_end("the parent", r.pid);
    OPENS("its child runs it", "f", O_WRONLY);
    pass(&r.go);
    while (open("f", O_WRONLY | O_CLOEXEC) < 0 && errno == ETXTBSY) // nobody waits for it
        sched_yield();
    OK("until that ends", truncate("f", 100));

    copy_self("one");
    copy_self("two");
    start(&r, "./one", "become", "./two");
    OPENS("what execs another", "one", O_WRONLY);
    OPENS("what it has become", "two", O_WRONLY);
    finish(&r, "it");
    OPENS("that is free", "two", O_RDWR);
    start(&r, "./two", "become", "./two");
    OPENS("become itself", "two", O_WRONLY);
    finish(&r, "itself");
    OPENS("itself is free", "two", O_RDWR);

    put("s", line, snprintf(line, sizeof line, "#!./two\n"));
    put("noise", "this is no program\n", 19);
    say_exec("noise", "./noise");
    OPENS("noise after that", "noise", O_RDWR);
    put("half", self, sizeof(Elf64_Ehdr));
    say_exec("half a program", "./half");
    OPENS("half a program after that", "half", O_RDWR);
    chmod("two", 0644);
    say_exec("not executable", "./two");
    OPENS("not executable, after that", "two", O_RDWR);
    say_exec("a script of it", "./s");
    OPENS("the script after that", "s", O_RDWR);
    chmod("two", 0755);
    pid_t pid = vfork();
    if (pid == 0) {
        execl("./two", "two", "exit", (char *)NULL);
        _exit(1);
    }
    say_end("by vfork", pid);
    OPENS("by vfork, after that", "two", O_RDWR);
}

// ---- files in memory

static void test_memory(void)
{
    struct running r;
    char path[40];
    int fd = memfd_create("program", MFD_CLOEXEC);

    if (write(fd, self, self_size) != (ssize_t)self_size)
        say("harness", "cannot write in memory");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    say_exec("in memory", path);
    int again = open(path, O_RDWR | O_CLOEXEC);
    say_exec("in memory, opened again for writing", path);
    close(again);
    say_exec("in memory, closed", path);
    void *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    say_exec("in memory, mapped for writing", path);
    munmap(shared, PAGE);
    start(&r, path, "wait", NULL);
    OPENS("in memory, running", path, O_RDWR);
    VALUE("in memory, written", pwrite(fd, self, 64, 0));
    finish(&r, "in memory, its end");
    OPENS("in memory, free", path, O_RDWR);
    close(fd);
}

// ---- both at once: who got in kept the other out

enum { ROUNDS = 60 };

static int writes_and_execs(void)
{
    for (int i = 0; i < ROUNDS;) {
        int fd = open("race", O_WRONLY);
        if (fd < 0 && errno != ETXTBSY)
            return 1;
        if (fd < 0) {
            sched_yield();
            continue;
        }
        execl("./race", "race", "exit", (char *)NULL);
        if (errno != ETXTBSY)
            return 2;
        close(fd);
        i++;
    }
    return 0;
}

static int runs(void)
{
    for (int i = 0; i < ROUNDS;) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            execl("./race", "./race", "held", (char *)NULL);
            _exit(errno == ETXTBSY ? 16 : 1);
        }
        waitpid(pid, &status, 0);
        if (!WIFEXITED(status) || (WEXITSTATUS(status) != 12 && WEXITSTATUS(status) != 16))
            return 3;
        i += WEXITSTATUS(status) == 12;
    }
    return 0;
}

static void race(void)
{
    pid_t pid[4];
    static const char *const key[4] = {"a writer", "another writer", "a runner", "another runner"};

    copy_self("race");
    for (int i = 0; i < 4; i++) {
        pid[i] = fork();
        if (pid[i] == 0)
            _exit(i < 2 ? writes_and_execs() : runs());
    }
    for (int i = 0; i < 4; i++)
        say_end(key[i], pid[i]);
    OPENS("after them, for writing", "race", O_RDWR);
    say_exec("after them", "./race");
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return play(argv);
    read_self();
    test_written();
    test_loader();
    test_running();
    test_given_back();
    test_memory();
    race();
    return 0;
}
