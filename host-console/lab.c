// SPDX-License-Identifier: MIT
// lab: the labs of a class. Lists them, shows a handout; starts and grades them by labs/lab.
#include "verbs.h"

#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static glob_t handouts; // labs/NN-name/README.md

static const char *folder_of(const char *handout)
{
    const char *end = strrchr(handout, '/');

    while (end > handout && end[-1] != '/')
        end--;
    return end;
}

static void find_labs(struct console *c)
{
    const char *readme = options_built("../labs/README.md");
    char *pattern;

    if (!readme)
        console_fail(c, EXIT_USAGE, "there is no folder of labs beside kmon's");
    if (asprintf(&pattern, "%.*s[0-9][0-9]-*/README.md", (int)(strlen(readme) - 9), readme) < 0)
        abort();
    if (glob(pattern, 0, NULL, &handouts) != 0)
        console_fail(c, EXIT_USAGE, "there are no labs");
    free(pattern);
}

static bool is_number(const char *word)
{
    return isdigit((unsigned char)word[0]) && isdigit((unsigned char)word[1]) && !word[2];
}

// "01" -> its handout.
static const char *find_lab(struct console *c, const char *number)
{
    for (size_t i = 0; is_number(number) && i < handouts.gl_pathc; i++)
        if (strncmp(folder_of(handouts.gl_pathv[i]), number, 2) == 0)
            return handouts.gl_pathv[i];
    console_fail(c, EXIT_USAGE, "there is no lab \"%s\" (kmon lab lists them)", number);
}

static void prepare(struct console *c, const struct options *o)
{
    const char *what = o->nargs ? o->args[0] : "";
    bool start = strcmp(what, "start") == 0, grade = strcmp(what, "grade") == 0;

    find_labs(c);
    if (!*what)
        return;
    if (!start && !grade && o->nargs > 1)
        console_fail(c, EXIT_USAGE, "\"%s\": a lab is shown by its number, or start, or grade",
                     what);
    if (o->nargs < 2 && (start || grade))
        console_fail(c, EXIT_USAGE, "lab %s needs the number of a lab", what);
    find_lab(c, start || grade ? o->args[1] : what);
    if (start && o->nargs < 3)
        console_fail(c, EXIT_USAGE, "lab start needs the name of a student");
}

static FILE *open_handout(struct console *c, const char *path)
{
    FILE *f = fopen(path, "r");

    if (!f)
        console_fail(c, EXIT_USAGE, "cannot read %s: %s", path, strerror(errno));
    return f;
}

// "01-first-light   Lab 1: first light"
static void list(struct console *c)
{
    for (size_t i = 0; i < handouts.gl_pathc; i++) {
        const char *folder = folder_of(handouts.gl_pathv[i]);
        char line[200] = "";
        FILE *f = open_handout(c, handouts.gl_pathv[i]);
        if (!fgets(line, sizeof line, f))
            *line = 0;
        fclose(f);
        line[strcspn(line, "\n")] = 0;
        printf("%-20.*s %s\n", (int)strcspn(folder, "/"), folder, line + strspn(line, "# "));
    }
}

static void show(struct console *c, const char *path)
{
    char buf[4096];
    FILE *f = open_handout(c, path);

    for (size_t n; (n = fread(buf, 1, sizeof buf, f)) > 0;)
        fwrite(buf, 1, n, stdout);
    fclose(f);
}

static int run_lab(struct console *c, const struct options *o)
{
    sigset_t none;

    if (o->nargs == 0)
        list(c);
    else if (o->nargs == 1)
        show(c, find_lab(c, o->args[0]));
    if (o->nargs < 2)
        return EXIT_OK;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    const char *lab = options_built("../labs/lab");
    execl(lab ? lab : "labs/lab", "lab", o->args[0], o->args[1], o->nargs > 2 ? o->args[2] : NULL,
          (char *)NULL);
    console_fail(c, EXIT_USAGE, "cannot run labs/lab: %s", strerror(errno));
}
VERB(lab, .args = "[N | start N NAME | grade N [FILE]]",
     .help = "the labs; the handout of one; boots a student's machine; grades answers", .most = 3,
     .offline = true, .prepare = prepare, .run = run_lab);
