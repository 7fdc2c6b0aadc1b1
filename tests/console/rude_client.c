// SPDX-License-Identifier: MIT
// A client of a shared line that does what no kmon does. It prints what comes outside frames, to the line's end.
//
//     rude_client SOCKET endless | returns | anew | reset
//
// endless: a message that never ends. returns: answers to calls that nobody made, while its request runs in a kernel that
// is deaf. anew: another HELLO while its request runs. reset: RESET while it has the guest's shell; then it says "reset".
#include "wire/demux.h"
#include "wire/rpc.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MUCH = 4 * 1024 * 1024 };

static int line;
static uint8_t seq;
static unsigned welcomes, messages;

static void put(const uint8_t *data, size_t n)
{
    if (send(line, data, n, MSG_NOSIGNAL) < 0)
        return; // it is closed; what was said before is still read
}

static void put_frame(enum wire_type type, enum wire_channel chan, const void *data, size_t n)
{
    uint8_t buf[WIRE_FRAME];
    struct wire_frame frame = {type, chan, type == WIRE_NOW ? 1 : seq++, n, data};

    put(buf, wire_frame_encode(buf, &frame));
}

static void hello(uint8_t nonce)
{
    uint8_t buf[WIRE_FRAME];
    struct wire_hello h = {.nonce = {nonce, 1, 2, 3, 4}};

    put(buf, wire_hello_encode(buf, &h));
    seq = 0;
}

static void request(uint64_t id, const char *op, const char *source, bool take)
{
    uint8_t memory[WIRE_PAYLOAD];
    struct cbor_out o = {memory, sizeof memory, 0};

    rpc_begin(&o, RPC_REQUEST, id, op);
    cbor_map(&o, 2);
    cbor_str(&o, "source");
    cbor_str(&o, source);
    cbor_str(&o, "take");
    cbor_bool(&o, take);
    put_frame(WIRE_LAST, WIRE_RPC, memory, o.len);
}

static void put_return(void)
{
    uint8_t memory[WIRE_PAYLOAD];
    static char text[WIRE_PAYLOAD - 32];
    struct cbor_out o = {memory, sizeof memory, 0};

    rpc_begin(&o, RPC_RETURN, 1, NULL);
    cbor_map(&o, 1);
    cbor_str(&o, "text");
    cbor_text(&o, text, sizeof text);
    put_frame(WIRE_LAST, WIRE_RPC, memory, o.len);
}

static void on_frame(void *ctx, const struct wire_frame *frame)
{
    (void)ctx;
    welcomes += frame->type == WIRE_NOW && frame->payload[0] == WIRE_WELCOME;
    messages += frame->type == WIRE_LAST && frame->chan == WIRE_RPC;
}

static void on_text(void *ctx, const uint8_t *data, size_t n)
{
    (void)ctx;
    fwrite(data, 1, n, stdout);
    fflush(stdout);
}

static void on_lost(void *ctx, size_t n)
{
    (void)ctx;
    printf("[%zu bytes lost]\n", n);
}

static const struct wire_demux_sink sink = {on_frame, on_text, on_lost};
static struct wire_demux demux;

// Until `counter` is `n`, or the end.
static void await(const unsigned *counter, unsigned n)
{
    uint8_t buf[4096];
    ssize_t got;

    while (*counter < n) {
        if ((got = read(line, buf, sizeof buf)) <= 0)
            exit(0);
        wire_demux_bytes(&demux, buf, (size_t)got);
    }
}

int main(int argc, char **argv)
{
    static const uint8_t much[WIRE_PAYLOAD], reset = WIRE_RESET;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    if (argc < 3)
        return 2;
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", argv[1]);
    line = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(line, (struct sockaddr *)&addr, sizeof addr) < 0)
        return 3;
    wire_demux_init(&demux, &sink, NULL);
    hello(1);
    await(&welcomes, 1);
    if (strcmp(argv[2], "endless") == 0) {
        for (size_t n = 0; n < MUCH; n += sizeof much)
            put_frame(WIRE_DATA, WIRE_RPC, much, sizeof much);
    } else if (strcmp(argv[2], "returns") == 0) {
        request(1, "eval", "deaf hang", false);
        for (size_t n = 0; n < MUCH; n += sizeof much)
            put_return();
    } else if (strcmp(argv[2], "anew") == 0) {
        request(1, "eval", "call sh command x", false);
        await(&messages, 1);
        hello(2);
        await(&welcomes, 2);
        on_text(NULL, (const uint8_t *)"anew\n", 5);
    } else {
        request(1, "eval", "call sh command x", false);
        await(&messages, 1); // the call
        request(2, "terminal", "", true);
        await(&messages, 2);
        put_frame(WIRE_NOW, WIRE_CONTROL, &reset, 1);
        await(&messages, 3);
        on_text(NULL, (const uint8_t *)"reset\n", 6);
    }
    await(&messages, UINT32_MAX);
}
