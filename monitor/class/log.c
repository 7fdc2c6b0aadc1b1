// SPDX-License-Identifier: MIT
// k.log: the lines of the kernel's log that are kept. A line's id is its number since boot.
#include "lib/log.h"

#include "class/class.h"
#include "lib/errno.h"

#include <stdio.h>

static const char *const levels[] = {
    [LOG_ERROR] = "error", [LOG_WARN] = "warning", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

struct line_view {
    uint64_t ns;
    uint32_t hart;
    const char *level;
    char text[sizeof((struct log_line *)0)->text];
};

static long line_copy(const struct class_key *key, void *out)
{
    struct log_line line;
    struct line_view *v = out;
    if (!log_get(key->id, &line))
        return -ENOENT;
    v->ns = line.ns;
    v->hart = line.hart;
    v->level = levels[line.level];
    snprintf(v->text, sizeof v->text, "%s", line.text);
    return 0;
}

static size_t line_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    struct log_range kept = log_kept();
    size_t n = 0;
    for (uint64_t i = from > kept.from ? from : kept.from; i < kept.to && n < max; i++)
        out[n++] = (struct class_key){i, owner};
    return n;
}

static void line_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct line_view *v = copy;
    (void)key;
    snprintf(buf, n, "%.6f hart %u %s: %s", (double)v->ns / 1e9, v->hart, v->level, v->text);
}

static const struct class_field fields[] = {
    FIELD_NS(struct line_view, ns, "when, since boot"),
    FIELD(struct line_view, hart, "which hart wrote it"),
    FIELD(struct line_view, level, "\"error\", \"warning\", \"info\" or \"debug\""),
    FIELD(struct line_view, text, "what it says, cut off after 239 bytes"),
    {0},
};

CLASS(log_line, .name = "LogLine", .doc = "a line of the kernel's log",
      .place = "struct log_line, kernel/lib/log.h", .gone = "was overwritten",
      .example = "k.log:first()", .size = sizeof(struct line_view), .copy = line_copy,
      .keys = line_keys, .line = line_line, .fields = fields);
CLASS_DECLARE(log_line);

static int k_log(lua_State *L)
{
    class_push_list(L, class_log_line, 0);
    return 1;
}
MONITOR_API(log, "log", NULL, "list of LogLine: the kernel's log, its last 256 lines",
            "k.log:where{level = \"warning\"}:tail(5)", k_log, NULL);
