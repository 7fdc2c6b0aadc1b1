// SPDX-License-Identifier: MIT
// Requests to the kernel's monitor, and the calls it makes back while one runs.
#pragma once

#include "console.h"

// A request under construction: the map of args is open, the caller adds pairs and counts them.
struct request {
    struct cbor_out out;
    size_t map;
    unsigned pairs;
    uint64_t id;
};
void request_begin(struct request *q, const char *op);
void request_text(struct request *q, const char *key, const char *s, size_t n);
void request_uint(struct request *q, const char *key, uint64_t v);
void request_words(struct request *q, const char *key, char *const *words, unsigned n);

// The answer: the result map, valid until the next request.
struct reply {
    bool ok;
    struct cbor_in result;
};
// Sends, serves calls, waits. Ends kmon when the line ends, the kernel panics or the verb's
// deadline passes. ^C interrupts the script; twice resets the session; then the reply says so or,
// when none comes, kmon ends.
struct reply client_finish(struct console *c, struct request *q, const char *doing);
// The same, but gives up quietly after ms and returns false: for the prompt and completion.
bool client_try(struct console *c, struct request *q, struct reply *reply, unsigned ms);
// A request without arguments whose reply nobody waits for.
void client_post(struct console *c, const char *op);

// On a shared line, kmons that type commands to the guest's shell take turns: waits for this one's,
// or gives it up. It ends by itself with the request that runs, and with kmon. A person who types
// is not held up.
void client_terminal(struct console *c, bool take);

// Of requests; never the same twice.
uint64_t client_next_id(void);

// ^C was typed while the last request ran.
bool client_was_interrupted(void);

// calls.c: carries out one call; writes the RPC_RETURN message.
struct rpc_head;
void calls_serve(struct console *c, const struct rpc_head *call, struct cbor_out *out);
// What `require` and `host.file` look in first, and what host.args() returns.
void calls_set_script(const char *path, char *const *args, unsigned n);
