// SPDX-License-Identifier: MIT
// The GNU build id of an ELF file, to notice that the running kernel is another build.
#include "console.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Header of the note: sizes of name and description, type NT_GNU_BUILD_ID, name.
static const char note[] = "\4\0\0\0\24\0\0\0\3\0\0\0GNU";

bool build_id_of(const char *path, char hex[17])
{
    FILE *f = fopen(path, "rb");
    char *data = NULL, *at = NULL;
    long n = -1;

    if (f && fseek(f, 0, SEEK_END) == 0 && (n = ftell(f)) > 0 && (data = malloc((size_t)n))) {
        rewind(f);
        if (fread(data, 1, (size_t)n, f) == (size_t)n)
            at = memmem(data, (size_t)n, note, sizeof note);
    }
    if (at && at + sizeof note + 8 <= data + n)
        for (int i = 0; i < 8; i++)
            sprintf(hex + 2 * i, "%02x", (unsigned char)at[sizeof note + (size_t)i]);
    bool found = at != NULL;
    free(data);
    if (f)
        fclose(f);
    return found;
}
