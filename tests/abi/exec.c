// SPDX-License-Identifier: MIT
// execve: arguments, environment, auxiliary vector, scripts, long argument lists, and every refusal.
//
// The program runs itself again with a word as first argument that says which part it plays.
#include "abi.h"
#include <elf.h>
#include <spawn.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>

static char self[4096];

static void put_file(const char *path, mode_t mode, const void *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);

    if (fd < 0 || write(fd, bytes, n) != (ssize_t)n)
        say("harness", "cannot write %s: %s", path, errno_name(errno));
    close(fd);
}

static void put_text(const char *path, const char *text)
{
    put_file(path, 0755, text, strlen(text));
}

static int refusal(const char *path)
{
    execl(path, path, (char *)NULL);
    return errno;
}

#define REFUSED(key, path) say(key, "%s", errno_name(refusal(path)))

static void test_refusals(void)
{
    static char long_name[300], long_path[5000];
    uint8_t head[4096] = {0};

    memset(long_name, 'n', sizeof long_name - 1);
    memset(long_path, '/', sizeof long_path - 1);
    REFUSED("absent", "./absent");
    REFUSED("empty path", "");
    mkdir("folder", 0755);
    REFUSED("a directory", "folder");
    put_file("plain", 0644, "x", 1);
    REFUSED("not executable", "./plain");
    REFUSED("below a file", "plain/x");
    REFUSED("name too long", long_name);
    REFUSED("path too long", long_path);
    put_file("empty", 0755, "", 0);
    REFUSED("empty file", "./empty");
    put_text("noise", "this is no program\n");
    REFUSED("noise", "./noise");
    put_file("stub", 0755, ELFMAG, 4);
    REFUSED("only the magic", "./stub");

    int fd = open(self, O_RDONLY);
    if (read(fd, head, sizeof head) != sizeof head)
        say("harness", "cannot read myself");
    close(fd);
    put_file("truncated", 0755, head, sizeof(Elf64_Ehdr));
    REFUSED("only the ELF header", "./truncated");
    Elf64_Ehdr *header = (Elf64_Ehdr *)head;
    header->e_machine = EM_X86_64;
    put_file("foreign", 0755, head, sizeof head);
    REFUSED("another machine's", "./foreign");
    header->e_machine = EM_RISCV;
    header->e_phnum = 0;
    put_file("headless", 0755, head, sizeof head);
    REFUSED("no program headers", "./headless");
    header->e_phnum = 5;
    header->e_phentsize = 7;
    put_file("odd", 0755, head, sizeof head);
    REFUSED("odd program headers", "./odd");
    VALUE("bad path pointer", syscall(SYS_execve, 0x10, NULL, NULL));
    VALUE("bad argv pointer", syscall(SYS_execve, self, 0x10, NULL));
    char *bad[] = {(char *)0x10, NULL};
    VALUE("bad argument", syscall(SYS_execve, self, bad, NULL));
}

static void test_scripts(void)
{
    char line[4200];

    REFUSED("script of an absent interpreter", (put_text("lost", "#!/absent\n"), "./lost"));
    REFUSED("script without interpreter", (put_text("void", "#!   \n"), "./void"));
    snprintf(line, sizeof line, "#! %s  script one two \n", self);
    put_text("script", line);
    CHILD("script", execl("./script", "zero", "three", (char *)NULL); _exit(99));
    put_text("outer", "#!./script\n");
    CHILD("script of a script", execl("./outer", "zero", "three", (char *)NULL); _exit(99));
    put_text("loop", "#!./loop\n");
    REFUSED("script of itself", "./loop");
}

static void test_environment(void)
{
    char *argv[] = {"zero", "show", "", "two words", NULL};
    char *envp[] = {"A=1", "B=", "C", NULL};
    char *none[] = {NULL};

    CHILD("argv and envp", execve(self, argv, envp));
    argv[2] = NULL;
    CHILD("empty environment", execve(self, argv, none));
    CHILD("no environment at all", execve(self, argv, NULL));
}

static void test_sizes(void)
{
    size_t n = 120 << 10; // Linux refuses a single string from 128 KiB on
    char *one = malloc(n + 1);
    char *argv[2003] = {"zero", "count"};
    char *none[] = {NULL};

    memset(one, 'a', n);
    one[n] = 0;
    argv[2] = one;
    CHILD("one long argument", execve(self, argv, none));
    for (int i = 2; i < 2002; i++)
        argv[i] = "fifty-one characters of an argument, more or less";
    CHILD("two thousand arguments", execve(self, argv, none));
    char *huge = malloc(132 << 10);
    memset(huge, 'a', 132 << 10);
    huge[(132 << 10) - 1] = 0;
    argv[2] = huge;
    argv[3] = NULL;
    say("too long an argument", "%s", (execve(self, argv, none), errno_name(errno)));
}

static void test_state(void)
{
    int kept = open("/dev/null", O_RDONLY), lost = open("/dev/null", O_RDONLY | O_CLOEXEC);
    char a[16], b[16];
    sigset_t set;

    snprintf(a, sizeof a, "%d", kept);
    snprintf(b, sizeof b, "%d", lost);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHILD("what exec keeps", signal(SIGUSR2, SIG_IGN); signal(SIGTERM, _exit);
          sigprocmask(SIG_BLOCK, &set, NULL); execl(self, "zero", "state", a, b, (char *)NULL));
    pid_t pid;
    char *argv[] = {"zero", "exit", NULL}, *none[] = {NULL};
    say("spawn of an absent one", "%s",
        errno_name(posix_spawn(&pid, "./absent", NULL, NULL, argv, none)));
    say("spawn", "%d", posix_spawn(&pid, self, NULL, NULL, argv, none));
    say_end("spawned", pid);
}

// Which entries there are, in the order of their numbers, and what they say of caches and signal frames. Restartable sequences
// (AT_RSEQ_FEATURE_SIZE, 27, and AT_RSEQ_ALIGN) depend on how Linux was configured.
static void say_auxv_types(void)
{
    char types[256] = "", key[16];
    char **at = environ;

    while (*at++)
        ;
    for (unsigned long type = 1; type < 64; type++)
        for (const Elf64_auxv_t *a = (const Elf64_auxv_t *)at; a->a_type; a++) {
            if (a->a_type != type || type == 27 || type == 28)
                continue;
            snprintf(types + strlen(types), sizeof types - strlen(types), " %lu", type);
            snprintf(key, sizeof key, "auxv %lu", type);
            if (type >= AT_L1I_CACHESIZE)
                say(key, "%lu", a->a_un.a_val);
        }
    say("auxv", "%s", types);
}

static void test_auxv(void)
{
    const uint8_t *random = (const uint8_t *)getauxval(AT_RANDOM);
    const Elf64_Phdr *phdr = (const Elf64_Phdr *)getauxval(AT_PHDR);
    int loads = 0, sum = 0;

    say_auxv_types();
    say("AT_PAGESZ", "%lu", getauxval(AT_PAGESZ));
    say("AT_CLKTCK", "%lu", getauxval(AT_CLKTCK));
    say("AT_PHENT", "%lu", getauxval(AT_PHENT));
    say("AT_SECURE", "%lu", getauxval(AT_SECURE));
    say("AT_FLAGS", "%lu", getauxval(AT_FLAGS));
    say("AT_BASE", "%lu", getauxval(AT_BASE));
    for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++)
        loads += phdr[i].p_type == PT_LOAD;
    say("PT_LOADs seen through AT_PHDR", "%d", loads);
    for (int i = 0; i < 16; i++)
        sum += random[i];
    YES("AT_RANDOM is not zero", sum != 0);
    YES("AT_ENTRY is in the text", getauxval(AT_ENTRY) > 0x10000);
    YES("AT_UID is getuid", getauxval(AT_UID) == getuid() && getauxval(AT_EUID) == geteuid());
    YES("AT_GID is getgid", getauxval(AT_GID) == getgid() && getauxval(AT_EGID) == getegid());
    const char *name = (const char *)getauxval(AT_EXECFN);
    YES("AT_EXECFN is the path", name && strcmp(strrchr(name, '/') + 1, "exec") == 0);
    const char letters[] = "IMAFDC";
    int all = 1;
    for (const char *c = letters; *c; c++)
        all &= getauxval(AT_HWCAP) >> (*c - 'A') & 1;
    YES("AT_HWCAP has IMAFDC", all);
    YES("stack is aligned", ((uintptr_t)__builtin_frame_address(0) & 15) == 0);
}

// What the program does when it was run by itself.
static int play(int argc, char **argv)
{
    struct sigaction action;
    sigset_t set;
    size_t bytes = 0;

    if (strcmp(argv[1], "exit") == 0)
        return 11;
    for (int i = 2; i < argc; i++)
        bytes += strlen(argv[i]);
    if (strcmp(argv[1], "count") == 0) {
        char key[32];
        snprintf(key, sizeof key, "counted %d", argc);
        say(key, "%zu bytes", bytes);
    } else if (strcmp(argv[1], "show") == 0 && argc > 2) {
        say("argv", "%d <%s> <%s> <%s> <%s>", argc, argv[0], argv[1], argv[2], argv[3]);
        say("envp", "%s %s %s", environ[0], environ[1], environ[2]);
        YES("envp ends", environ[3] == NULL);
    } else if (strcmp(argv[1], "show") == 0) {
        return environ[0] ? 1 : 20;
    } else if (strcmp(argv[1], "state") == 0) {
        OK("kept descriptor", fcntl(atoi(argv[2]), F_GETFD));
        OK("close-on-exec descriptor", fcntl(atoi(argv[3]), F_GETFD));
        sigaction(SIGUSR2, NULL, &action);
        YES("ignored stays ignored", action.sa_handler == SIG_IGN);
        sigaction(SIGTERM, NULL, &action);
        YES("handled becomes default", action.sa_handler == SIG_DFL);
        sigprocmask(SIG_BLOCK, NULL, &set);
        YES("mask is kept", sigismember(&set, SIGUSR1) && !sigismember(&set, SIGUSR2));
    } else {
        char key[64];
        const char *last = strrchr(argv[0], '/');
        snprintf(key, sizeof key, "script's arguments, %d", argc);
        say(key, "<%s> <%s> <%s> <%s>", last ? last + 1 : argv[0], argv[1], argv[2], argv[3]);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return play(argc, argv);
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0)
        say("harness", "no /proc/self/exe: %s", errno_name(errno));
    test_auxv();
    test_refusals();
    test_scripts();
    test_environment();
    test_sizes();
    test_state();
    return 0;
}
