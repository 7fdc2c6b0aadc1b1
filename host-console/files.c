// SPDX-License-Identifier: MIT
// Finding scripts, and noticing that they changed.
#include "files.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOTED = 64 };

static const char *script_path;
static struct {
    char path[PATH_MAX];
    struct stat st;
} noted[NOTED];
static unsigned noted_n;

void files_set_script(const char *path)
{
    script_path = path;
}

void files_forget(void)
{
    noted_n = 0;
}

void files_note(const char *path)
{
    if (noted_n == NOTED || strlen(path) >= PATH_MAX)
        return;
    strcpy(noted[noted_n].path, path);
    if (stat(path, &noted[noted_n].st) == 0)
        noted_n++;
}

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

// An editor may move the old file away before the new one is there: that is no change yet.
bool files_changed(void)
{
    bool any = false;
    struct stat st;

    for (unsigned i = 0; i < noted_n; i++) {
        if (stat(noted[i].path, &st) < 0)
            return false;
        any |= !same(&st, &noted[i].st);
    }
    return any;
}

const char *files_scripts(void)
{
    static char folder[PATH_MAX];
    const char *set = getenv("TIDEPOOL_SCRIPTS");
    ssize_t n;
    char *slash;

    if (set && *set)
        return set;
    n = readlink("/proc/self/exe", folder, sizeof folder - 24);
    if (n <= 0)
        return "lua-scripts";
    folder[n] = 0;
    slash = strrchr(folder, '/');
    strcpy(slash ? slash : folder, "/../lua-scripts");
    return folder;
}

static FILE *open_beside(char *path, const char *folder, size_t folder_n, const char *name,
                         bool module)
{
    snprintf(path, PATH_MAX, "%.*s%s%s%s", (int)folder_n, folder, folder_n ? "/" : "", name,
             module ? ".lua" : "");
    return fopen(path, "rb");
}

static FILE *find(char *path, char *name, bool module)
{
    const char *slash = script_path ? strrchr(script_path, '/') : NULL;
    const char *scripts = files_scripts();
    FILE *f;

    for (char *p = name; module && *p; p++)
        if (*p == '.')
            *p = '/';
    if (name[0] == '/')
        return open_beside(path, "", 0, name, module);
    f = slash ? open_beside(path, script_path, (size_t)(slash - script_path), name, module)
              : open_beside(path, "", 0, name, module);
    return f ? f : open_beside(path, scripts, strlen(scripts), name, module);
}

FILE *files_open(char *path, char *name, bool module)
{
    FILE *f = find(path, name, module);

    if (f)
        files_note(path);
    return f;
}
