// SPDX-License-Identifier: MIT
// What the fake kernel answers: canned, by the text of the script; see fake_kernel.c.
#include "fake_kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t later_ms;

void fake_print(const char *s)
{
    fake_send(WIRE_REPL, (const uint8_t *)s, strlen(s));
}

static void begin_reply(uint64_t id, unsigned pairs)
{
    fake_now->reply = (struct cbor_out){fake_now->reply_memory, sizeof fake_now->reply_memory, 0};
    rpc_begin(&fake_now->reply, RPC_REPLY, id, NULL);
    cbor_map(&fake_now->reply, pairs + 1);
    cbor_str(&fake_now->reply, "ok");
    cbor_bool(&fake_now->reply, true);
}

static void end_reply(void)
{
    rpc_once_end(&fake_now->once);
    fake_send(WIRE_RPC, fake_now->reply.buf, fake_now->reply.len);
}

static void text_reply(uint64_t id, const char *key, const char *text)
{
    begin_reply(id, text ? 1 : 0);
    if (text) {
        cbor_str(&fake_now->reply, key);
        cbor_str(&fake_now->reply, text);
    }
    end_reply();
}

static void fail(uint64_t id, const char *kind, const char *why, const char *file, unsigned at)
{
    fake_now->reply = (struct cbor_out){fake_now->reply_memory, sizeof fake_now->reply_memory, 0};
    if (!file) {
        rpc_error(&fake_now->reply, id, kind, why);
        end_reply();
        return;
    }
    rpc_begin(&fake_now->reply, RPC_REPLY, id, NULL);
    cbor_map(&fake_now->reply, 2);
    cbor_str(&fake_now->reply, "ok");
    cbor_bool(&fake_now->reply, false);
    cbor_str(&fake_now->reply, "error");
    cbor_map(&fake_now->reply, 5);
    cbor_str(&fake_now->reply, "kind");
    cbor_str(&fake_now->reply, kind);
    cbor_str(&fake_now->reply, "message");
    cbor_str(&fake_now->reply, why);
    cbor_str(&fake_now->reply, "traceback");
    cbor_str(&fake_now->reply, "stack traceback:\n\t[C]: in ?");
    cbor_str(&fake_now->reply, "file");
    cbor_str(&fake_now->reply, file);
    cbor_str(&fake_now->reply, "line");
    cbor_uint(&fake_now->reply, at);
    end_reply();
}

static void call(const char *op, const char *key, const char *text)
{
    uint8_t buf[4096];
    struct cbor_out o = {buf, sizeof buf, 0};

    rpc_begin(&o, RPC_CALL, 1, op); // as the first one of a kernel that was booted anew
    cbor_map(&o, 3);
    cbor_str(&o, key);
    cbor_str(&o, text);
    cbor_str(&o, "ms");
    cbor_uint(&o, strcmp(text, "never") == 0 ? 700 : 60000); // no shell is so slow
    cbor_str(&o, "kind");
    cbor_str(&o, "file");
    fake_send(WIRE_RPC, o.buf, o.len);
}

static void json_replies(uint64_t id)
{
    begin_reply(id, 2);
    cbor_str(&fake_now->reply, "value");
    cbor_uint(&fake_now->reply, 1);
    cbor_str(&fake_now->reply, "more");
    cbor_array(&fake_now->reply, 2);
    cbor_str(&fake_now->reply, "two");
    cbor_null(&fake_now->reply);
    end_reply();
}

static void json_reply(uint64_t id)
{
    begin_reply(id, 1);
    cbor_str(&fake_now->reply, "value");
    cbor_map(&fake_now->reply, 4);
    cbor_str(&fake_now->reply, "va");
    cbor_tag(&fake_now->reply, CBOR_TAG_ADDRESS);
    cbor_uint(&fake_now->reply, 0xffffffc080200000);
    cbor_str(&fake_now->reply, "list");
    cbor_array(&fake_now->reply, 3);
    cbor_int(&fake_now->reply, -5);
    cbor_bool(&fake_now->reply, true);
    cbor_null(&fake_now->reply);
    cbor_str(&fake_now->reply, "task");
    cbor_tag(&fake_now->reply, CBOR_TAG_HANDLE);
    cbor_array(&fake_now->reply, 3);
    cbor_str(&fake_now->reply, "Task");
    cbor_uint(&fake_now->reply, 12);
    cbor_str(&fake_now->reply, "Task#12 sh");
    cbor_str(&fake_now->reply, "bytes");
    cbor_text(&fake_now->reply, "\xff\x80", 2);
    end_reply();
}

static void wait_for(uint64_t id)
{
    fake_now->waiting = true;
    fake_now->waiting_id = id;
}

// "OP KEY TEXT": a call with one argument.
static void evaluate_call(uint64_t id, char *words)
{
    char *op = strtok(words, " "), *key = strtok(NULL, " "), *text = strtok(NULL, "");

    wait_for(id);
    call(op, key ? key : "", text ? text : "");
}

static void evaluate_tap(uint64_t id)
{
    fake_print("1..2\nok 1 - a\nnot ok 2 - b\n");
    begin_reply(id, 2);
    cbor_str(&fake_now->reply, "tests");
    cbor_uint(&fake_now->reply, 2);
    cbor_str(&fake_now->reply, "failed");
    cbor_uint(&fake_now->reply, 1);
    end_reply();
}

// The condition of `watch --until`: "upto 3" holds the third time.
static void evaluate_condition(uint64_t id, const char *condition)
{
    static unsigned times;

    if (strncmp(condition, "error", 5) == 0) {
        fail(id, "lua", "x.lua:2: it went wrong", "tests/console/two-lines.lua", 2);
        return;
    }
    begin_reply(id, 1);
    cbor_str(&fake_now->reply, "value");
    cbor_bool(&fake_now->reply, ++times >= (unsigned)strtoul(condition + 5, NULL, 10));
    end_reply();
}

static void evaluate(uint64_t id, struct cbor_in body)
{
    const char *source = "", *how = "";
    char code[4096];
    size_t n = 0, how_n = 0;

    cbor_find_text(body, "source", &source, &n);
    cbor_find_text(body, "mode", &how, &how_n);
    snprintf(code, sizeof code, "%.*s", (int)n, source);
    code[strcspn(code, "\n")] = 0;
    if (strcmp(fake_mode, "stubborn") == 0) {
        wait_for(id);
        puts("asked");
        fflush(stdout);
    } else if (strncmp(code, "return not not (", 16) == 0)
        evaluate_condition(id, code + 16);
    else if (strcmp(code, "three") == 0)
        json_replies(id);
    else if (how_n == 4 && memcmp(how, "json", 4) == 0)
        json_reply(id);
    else if (strcmp(code, "1+1") == 0)
        text_reply(id, "text", "2");
    else if (strcmp(code, "error") == 0)
        fail(id, "lua", "x.lua:2: it went wrong", "tests/console/two-lines.lua", 2);
    else if (strcmp(code, "assert") == 0)
        fail(id, "assert", "assertion failed!", NULL, 0);
    else if (strcmp(code, "panic") == 0)
        fake_panic();
    else if (strcmp(code, "reboot") == 0)
        fake_reboot();
    else if (strcmp(code, "die") == 0)
        exit(0);
    else if (strcmp(code, "garbage") == 0)
        fake_send(WIRE_RPC, (const uint8_t *)"\xff\xff", 2);
    else if (strncmp(code, "call ", 5) == 0)
        evaluate_call(id, code + 5);
    else if (strcmp(code, "hang") == 0)
        wait_for(id);
    else if (strcmp(code, "later") == 0) {
        later_ms = fake_clock_ms() + 1000;
        text_reply(id, "text", "soon");
    } else if (strcmp(code, "say and hang") == 0) {
        fake_print("runs\n");
        wait_for(id);
    } else if (strncmp(code, "deaf", 4) == 0) { // for messages; not for what overtakes them
        fake_deaf_until_ms = fake_clock_ms() + 2000;
        if (strcmp(code, "deaf hang") == 0)
            wait_for(id);
        else
            text_reply(id, "text", NULL);
    } else if (strcmp(code, "length") == 0) {
        snprintf(code, sizeof code, "%zu", n);
        text_reply(id, "text", code);
    } else if (strcmp(code, "long") == 0) {
        memset(code, 'x', sizeof code - 1);
        code[sizeof code - 1] = 0;
        text_reply(id, "text", code);
    } else if (strcmp(code, "count") == 0) {
        static unsigned times;
        snprintf(code, sizeof code, "%u", ++times);
        text_reply(id, "text", code);
    } else if (strcmp(code, "tap") == 0) {
        evaluate_tap(id);
    } else {
        fake_print("hello from a script\n");
        text_reply(id, "text", NULL);
    }
}

static void status(uint64_t id)
{
    begin_reply(id, 4);
    cbor_str(&fake_now->reply, "ns");
    cbor_uint(&fake_now->reply, 12000000345);
    cbor_str(&fake_now->reply, "mode");
    cbor_str(&fake_now->reply, "ro");
    cbor_str(&fake_now->reply, "harts");
    cbor_uint(&fake_now->reply, 4);
    cbor_str(&fake_now->reply, "tasks");
    cbor_uint(&fake_now->reply, 12);
    end_reply();
}

static void complete(uint64_t id, struct cbor_in body)
{
    const char *typed;
    size_t n;

    if (cbor_find_text(body, "line", &typed, &n) && n == 4 && memcmp(typed, "slow", 4) == 0) {
        rpc_once_end(&fake_now->once); // never answered
        return;
    }

    begin_reply(id, 2);
    cbor_str(&fake_now->reply, "start");
    cbor_uint(&fake_now->reply, 0);
    cbor_str(&fake_now->reply, "words");
    cbor_array(&fake_now->reply, 1);
    cbor_str(&fake_now->reply, "1+1");
    end_reply();
}

static void take_return(const struct rpc_head *head)
{
    const char *text = "", *why = "";
    uint64_t status = 0;
    size_t n = 0, why_n = 0;
    char line_[4096];

    if (!fake_now->waiting)
        return;
    fake_now->waiting = false;
    if (!cbor_find_text(head->body, "output", &text, &n) &&
        !cbor_find_text(head->body, "text", &text, &n))
        cbor_find_text(head->body, "data", &text, &n);
    cbor_find_uint(head->body, "status", &status);
    if (cbor_find_text(head->body, "message", &why, &why_n))
        snprintf(line_, sizeof line_, "failed: %.*s", (int)why_n, why);
    else
        snprintf(line_, sizeof line_, "status %u <%.*s>", (unsigned)status, (int)n, text);
    text_reply(fake_now->waiting_id, "text", line_);
}

void fake_answer(void)
{
    struct rpc_head head;

    if (!rpc_parse(&head, fake_now->message, fake_now->message_n))
        exit(9);
    if (head.kind == RPC_RETURN) {
        take_return(&head);
        return;
    }
    switch (rpc_once_begin(&fake_now->once, head.id)) {
    case RPC_AGAIN:
        fake_send(WIRE_RPC, fake_now->reply.buf, fake_now->reply.len);
        return;
    case RPC_NEW:
        break;
    default:
        return;
    }
    if (strcmp(head.op, "eval") == 0)
        evaluate(head.id, head.body);
    else if (strcmp(head.op, "poweroff") == 0)
        exit(0);
    else if (strcmp(head.op, "status") == 0)
        status(head.id);
    else if (strcmp(head.op, "complete") == 0)
        complete(head.id, head.body);
    else if (strcmp(head.op, "help") == 0)
        text_reply(head.id, "text", "help: it helps");
    else
        fail(head.id, "request", "unknown request", NULL, 0);
}

void fake_interrupt(void)
{
    if (fake_now->waiting && strcmp(fake_mode, "stubborn") == 0)
        json_reply(fake_now->waiting_id);
    else if (fake_now->waiting)
        fail(fake_now->waiting_id, "interrupted", "interrupted", NULL, 0);
    fake_now->waiting = false;
}

// What a job prints, in parts as the link makes them.
void fake_tick(void)
{
    if (!later_ms || fake_clock_ms() < later_ms)
        return;
    later_ms = 0;
    fake_print("SPAWN Ta");
    fake_print("sk#35 sleep\nEXIT Task#35\n");
}
