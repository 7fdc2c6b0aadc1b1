// SPDX-License-Identifier: MIT
// Values to JSON, failures to people.
#include "report.h"

#include "terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_t *address(uint64_t v)
{
    char text[24];

    snprintf(text, sizeof text, "0x%llx", (unsigned long long)v);
    return json_string(text);
}

static json_t *tagged(struct cbor_in *in, uint64_t tag)
{
    static const char *const parts[] = {"class", "id", "text"};
    struct cbor_item item;
    struct cbor_in ahead = *in;

    if (tag == CBOR_TAG_ADDRESS && cbor_next(&ahead, &item) && item.type == CBOR_UINT) {
        *in = ahead;
        return address(item.n);
    }
    if (tag != CBOR_TAG_HANDLE || !cbor_next(&ahead, &item) || item.type != CBOR_ARRAY ||
        item.n != 3)
        return report_json(in);
    *in = ahead;
    json_t *o = json_object();
    for (int i = 0; i < 3; i++)
        json_object_set_new(o, parts[i], report_json(in));
    return o;
}

static json_t *array(struct cbor_in *in, uint64_t n)
{
    json_t *a = json_array();

    while (n-- && !in->bad)
        json_array_append_new(a, report_json(in));
    return a;
}

static json_t *text(const struct cbor_item *item)
{
    json_t *s = json_stringn((const char *)item->data, item->n);

    if (s)
        return s;
    // Not UTF-8: each byte as the character of that number, so that nothing is lost.
    char *wide = malloc(2 * item->n + 1), *p = wide;
    if (!wide)
        abort();
    for (uint64_t i = 0; i < item->n; i++) {
        if (item->data[i] >= 0x80)
            *p++ = (char)(0xc0 | item->data[i] >> 6);
        *p++ = (char)(item->data[i] >= 0x80 ? 0x80 | (item->data[i] & 0x3f) : item->data[i]);
    }
    s = json_stringn(wide, (size_t)(p - wide));
    free(wide);
    return s;
}

static json_t *object(struct cbor_in *in, uint64_t n)
{
    json_t *o = json_object();

    while (n-- && !in->bad) {
        json_t *key = report_json(in);
        char *spelled =
            json_is_string(key) ? strdup(json_string_value(key)) : json_dumps(key, JSON_ENCODE_ANY);
        json_object_set_new(o, spelled ? spelled : "?", report_json(in));
        free(spelled);
        json_decref(key);
    }
    return o;
}

json_t *report_json(struct cbor_in *in)
{
    struct cbor_item item;

    if (!cbor_next(in, &item))
        return json_null();
    switch (item.type) {
    case CBOR_UINT:
        return item.n > INT64_MAX ? address(item.n) : json_integer((json_int_t)item.n);
    case CBOR_NEGINT:
        return item.n > INT64_MAX ? json_real(-1.0 - (double)item.n)
                                  : json_integer(-1 - (json_int_t)item.n);
    case CBOR_BYTES:
    case CBOR_TEXT:
        return text(&item);
    case CBOR_ARRAY:
        return array(in, item.n);
    case CBOR_MAP:
        return object(in, item.n);
    case CBOR_TAG:
        return tagged(in, item.n);
    case CBOR_BOOL:
        return json_boolean(item.n);
    case CBOR_DOUBLE: {
        json_t *r = json_real(item.number);
        return r ? r : json_null(); // JSON has no infinities and no NaN
    }
    default:
        return json_null();
    }
}

void report_text(const char *s, size_t n)
{
    bool safe = isatty(STDOUT_FILENO);

    for (size_t i = 0; i < n; i++) {
        unsigned char b = (unsigned char)s[i];
        if (safe && ((b < 0x20 && b != '\n' && b != '\t' && b != 0x1b) || b == 0x7f))
            printf("\\x%02x", b);
        else
            putchar(b);
    }
}

void report_print(struct console *c, const uint8_t *data, size_t n)
{
    (void)c;
    report_text((const char *)data, n);
    fflush(stdout);
}

static void show_source_line(FILE *to, const char *file, uint64_t line)
{
    char buf[400];
    uint64_t at = 0;
    FILE *f = fopen(file, "r");

    while (f && fgets(buf, sizeof buf, f)) {
        if (++at == line) {
            buf[strcspn(buf, "\n")] = 0;
            fprintf(to, "%6llu | %s\n", (unsigned long long)line, buf);
            break;
        }
        while (!strchr(buf, '\n') && fgets(buf, sizeof buf, f))
            ;
    }
    if (f)
        fclose(f);
}

static enum exit_code code_of(const char *kind, size_t n)
{
    static const struct {
        const char *kind;
        enum exit_code code;
    } codes[] = {{"assert", EXIT_ASSERT},
                 {"interrupted", EXIT_INTERRUPTED},
                 {"lost", EXIT_PROTOCOL},
                 {"request", EXIT_PROTOCOL},
                 {"busy", EXIT_PROTOCOL}};

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (strlen(codes[i].kind) == n && memcmp(codes[i].kind, kind, n) == 0)
            return codes[i].code;
    return EXIT_LUA;
}

void report_place(FILE *to, struct cbor_in error)
{
    const char *trace, *name;
    size_t trace_n, name_n;
    uint64_t line;
    char file[512];

    if (cbor_find_text(error, "file", &name, &name_n) && name_n < sizeof file &&
        cbor_find_uint(error, "line", &line)) {
        memcpy(file, name, name_n);
        file[name_n] = 0;
        show_source_line(to, file, line);
    }
    if (cbor_find_text(error, "traceback", &trace, &trace_n) && trace_n)
        fprintf(to, "%.*s\n", (int)trace_n, trace);
}

enum exit_code report_failure(struct console *c, struct cbor_in result)
{
    const char *red = terminal_colour(STDERR_FILENO) ? "\33[31m" : "", *off = *red ? "\33[0m" : "";
    const char *message = "no reason given", *kind = "";
    size_t message_n = strlen(message), kind_n = 0;
    struct cbor_in error;

    fflush(stdout);
    if (!cbor_find(result, "error", &error))
        console_fail(c, EXIT_PROTOCOL, "the kernel reports a failure without an error");
    cbor_find_text(error, "message", &message, &message_n);
    cbor_find_text(error, "kind", &kind, &kind_n);
    fprintf(stderr, "%s%.*s%s\n", red, (int)message_n, message, off);
    report_place(stderr, error);
    return code_of(kind, kind_n);
}
