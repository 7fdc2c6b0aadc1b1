// SPDX-License-Identifier: MIT
// A fork bomb with an end: `forktree [DEPTH [WIDTH]]` makes a tree of processes, each of which waits
// for its children, and prints how many of them there were.
//
// Every process writes one byte into one pipe, so that the count is right only if each ran once.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int tally[2];

static int grow(int depth, int width)
{
    int wrong = write(tally[1], "x", 1) != 1;

    for (int i = 0; depth > 0 && i < width; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(grow(depth - 1, width) != 0);
        if (pid < 0) {
            printf("forktree: fork: %s\n", strerror(errno));
            fflush(stdout);
            wrong = 1;
        }
    }
    for (int status; wait(&status) > 0;)
        wrong |= status != 0;
    return wrong;
}

int main(int argc, char **argv)
{
    int depth = argc > 1 ? atoi(argv[1]) : 4, width = argc > 2 ? atoi(argv[2]) : 3;
    long expected = 1, level = 1, seen = 0;
    char bytes[256];

    for (int i = 0; i < depth; i++)
        expected += level *= width;
    if (depth < 0 || width < 1 || expected > 2000 || pipe(tally) < 0) {
        fprintf(stderr, "usage: forktree [DEPTH [WIDTH]], at most 2000 processes\n");
        return 2;
    }
    int wrong = grow(depth, width);
    close(tally[1]);
    for (ssize_t n; (n = read(tally[0], bytes, sizeof bytes)) > 0;)
        seen += n;
    printf("forktree: %ld of %ld processes%s\n", seen, expected, wrong ? ", with failures" : "");
    return wrong || seen != expected;
}
