// SPDX-License-Identifier: MIT
// Comparing an event with the conditions of a filter.
#include "trace/filter.h"

#include <string.h>

static int order(uint64_t a, uint64_t b, bool is_signed)
{
    if (is_signed)
        return ((int64_t)a > (int64_t)b) - ((int64_t)a < (int64_t)b);
    return (a > b) - (a < b);
}

static int compare(const struct filter_term *t, uint64_t got)
{
    if (!t->is_text)
        return order(got, t->value, t->is_signed);
    const char *name = (const char *)(uintptr_t)got;
    return strncmp(name ? name : "", t->text, FILTER_TEXT - 1);
}

static bool holds(const struct filter_term *t, int order)
{
    switch ((enum filter_op)t->op) {
    case FILTER_EQ:
        return order == 0;
    case FILTER_NE:
        return order != 0;
    case FILTER_LT:
        return order < 0;
    case FILTER_LE:
        return order <= 0;
    case FILTER_GT:
        return order > 0;
    case FILTER_GE:
        return order >= 0;
    }
    return false;
}

bool filter_passes(const struct trace_filter *f, const struct trace_event *e)
{
    for (unsigned i = 0; i < f->terms; i++)
        if (!holds(&f->term[i], compare(&f->term[i], trace_var_value(e, f->term[i].var))))
            return false;
    return true;
}
