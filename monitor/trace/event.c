// SPDX-License-Identifier: MIT
// Variables of trace points by name and by number.
#include "trace/event.h"

#include <stddef.h>
#include <string.h>

static const char *const everywhere[] = {"task", "pid", "hart"};

const char *trace_var_name(const struct trace_point *p, unsigned var)
{
    return var < TRACE_ARGS ? p->arg[var].name : var < VARS ? everywhere[var - VAR_TASK] : NULL;
}

enum trace_type trace_var_type(const struct trace_point *p, unsigned var)
{
    return var < TRACE_ARGS  ? (enum trace_type)p->arg[var].type
           : var == VAR_TASK ? TRACE_TASK
                             : TRACE_NUMBER;
}

int trace_var_find(const struct trace_point *p, const char *name)
{
    for (unsigned i = 0; i < VARS; i++) {
        const char *has = trace_var_name(p, i);
        if (has && strcmp(has, name) == 0)
            return (int)i;
    }
    return -1;
}

const char *trace_word(const char *words, uint64_t n, unsigned *len)
{
    for (; words && *words; words += *len + (words[*len] == ' ')) {
        *len = (unsigned)strcspn(words, " ");
        if (n-- == 0)
            return *words == '-' ? NULL : words;
    }
    return NULL;
}

int trace_word_find(const char *words, const char *word)
{
    unsigned len = 0;
    size_t want = strlen(word);
    for (int n = 0; *words; n++, words += len + (words[len] == ' ')) {
        len = (unsigned)strcspn(words, " ");
        if (len == want && *word != '-' && memcmp(words, word, len) == 0)
            return n;
    }
    return -1;
}
