// SPDX-License-Identifier: MIT
// Runs every program beside it, in the order of the alphabet, each in an empty directory of its own
// and with nothing open but 0, 1 and 2, and marks where the output of each begins and ends.
//
// usage: run [NAME...]
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[PATH_MAX - NAME_MAX - 1];

static int is_program(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && strcmp(entry->d_name, "run") != 0;
}

static void become(const char *name)
{
    char path[PATH_MAX], place[] = "/tmp/abi.XXXXXX";
    char *const argv[] = {(char *)name, NULL};

    if (!mkdtemp(place) || chdir(place) < 0) {
        printf("harness: no directory in /tmp: %s\n", strerror(errno));
        _exit(126);
    }
    int null = open("/dev/null", O_RDONLY);
    if (null >= 0) {
        dup2(null, 0);
        close(null);
    }
    setpgid(0, 0); // what a test does to its group stays in it
    snprintf(path, sizeof path, "%s/%s", folder, name);
    execv(path, argv);
    printf("harness: cannot run %s: %s\n", path, strerror(errno));
    fflush(stdout);
    _exit(126);
}

static void run(const char *name)
{
    int status = 0;

    printf("== begin %s\n", name);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        become(name);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (pid > 0)
        kill(-pid, SIGKILL); // nothing of it goes on beside the next one
    if (pid < 0)
        printf("== end %s cannot fork: %s\n", name, strerror(errno));
    else if (WIFEXITED(status))
        printf("== end %s exit %d\n", name, WEXITSTATUS(status));
    else
        printf("== end %s signal %d\n", name, WTERMSIG(status));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct dirent **entries;
    const char *slash = strrchr(argv[0], '/');

    if (!slash || slash - argv[0] >= (long)sizeof folder) {
        fprintf(stderr, "usage: /path/to/run [NAME...]\n");
        return 2;
    }
    memcpy(folder, argv[0], slash - argv[0]);
    for (int fd = 3; fd < 256; fd++)
        close(fd);
    for (int i = 1; i < argc; i++)
        run(argv[i]);
    if (argc > 1) {
        printf("== done %d programs\n", argc - 1);
        return 0;
    }
    int n = scandir(folder, &entries, is_program, alphasort);
    if (n < 0) {
        perror(folder);
        return 1;
    }
    for (int i = 0; i < n; i++)
        run(entries[i]->d_name);
    printf("== done %d programs\n", n);
    return 0;
}
