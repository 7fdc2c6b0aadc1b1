// SPDX-License-Identifier: MIT
// The files that a script is made of: itself, its modules, what it reads.
#pragma once

#include <stdbool.h>
#include <stdio.h>

struct bytes;

// What prepare of run, exec and check has read (script.c).
const struct bytes *files_script(void);
// What is looked up beside: the script's path. NULL: only in files_scripts().
void files_set_script(const char *path);
// $TIDEPOOL_SCRIPTS, or lua-scripts beside the build.
const char *files_scripts(void);
// Beside the script, then in files_scripts(); module: "a.b" is a/b.lua. NULL: errno says why.
// path[PATH_MAX] gets where it was; name is changed.
FILE *files_open(char *path, char *name, bool module);

// For `run --watch`: which files, as they are now, the script was made of.
void files_note(const char *path);
void files_forget(void);
// Any of them was written, replaced or removed since; one that is away is waited for.
bool files_changed(void);
