// SPDX-License-Identifier: MIT
// What host and kernel say to each other on channel rpc, and how a message looks.
//
// A message is one CBOR array, cut into frames DATA ... DATA LAST, at most RPC_MESSAGE bytes:
//
//     [RPC_REQUEST,  id,   op, args]     host to kernel
//     [RPC_REPLY,    id,   result]       kernel to host
//     [RPC_CALL,     call, op, args]     kernel to host, while a request runs
//     [RPC_RETURN,   call, result]       host to kernel
//
// id and call are unsigned, args and result are maps with text keys. An id is used once; the host
// starts at a random one per session. Each session has channels of its own (wire/frame.h), its own Lua
// state, and runs one request at a time. What it prints goes to its channel repl (plain UTF-8 text); all
// of it is sent before its reply, in the same order.
//
// Nothing is done twice: a request whose id is the running one is dropped, one whose id was the
// last answered is answered again from the copy (struct rpc_once below). Another request while one
// runs gets {ok = false, error = {kind = "busy"}}. The same for calls, on the host's side.
//
// Requests: op, args -> result. Every result has `ok`; when it is true also what is listed here.
//
//     eval      source, chunk, mode, [args = array of text]  -> text | value, [seconds]
//               chunk: name for messages, "=k" or "@lua-scripts/ps.lua".
//               mode "text": `return SOURCE` is tried first, then SOURCE; the results, shown as at
//                   the prompt, are `text` (absent when there are none).
//               mode "json": the same, but the first result is `value` in CBOR.
//               mode "script": a chunk with `...` = args; no value.
//               mode "check": the same with `check` functions that print TAP; then also `tests`,
//                   `failed` (counts; ok is true although tests failed).
//     complete  line, cursor                                 -> start, words = array of text
//               words could replace line[start, cursor).
//     help      text (an expression or a name)               -> text
//     mode      mode = "ro" | "rw" | "unsafe"                -> mode
//     status                                                 -> mode, harts, tasks, ns
//     reset     a fresh Lua state                            -> (nothing)
//     terminal  take = bool     (nothing); to a kmon that shares its line, which answers when the asker
//               may type a command to the guest's shell. The kernel has no such request.
//     poweroff  writes back, then turns the machine off; the reply may be lost
//
// A failure is {ok = false, error = {kind, message, [traceback], [file], [line]}}. kind:
//     "lua"  "assert" (a check or an assert of the script: exit code 7)  "syntax"  "interrupted"
//     "limit" (memory, instructions)  "busy" (also: all sessions are in use)  "request" (the host's mistake)
//     "lost" (kmon's own: the line was given up while the request ran; done or not is not known)
// `incomplete = true` beside "syntax": more lines would complete it.
//
// Calls: op, args -> result. Only while a request runs that came from kmon run, check, exec or the
// REPL. A failure is {ok = false, message}; `host.*` raises it as a Lua error.
//
//     sh        command, [ms]        -> status, output       runs it in the guest's shell, waits
//     type      text                 -> (nothing)            keys for the user's terminal
//     expect    pattern (Lua), [ms]  -> text, captures       until the terminal's output matches;
//                                                            what was matched before is used up
//     spawn     command              -> (nothing)            sh, without waiting: output is expected
//     file      name, kind = "module" | "file", [have]  -> path, data     of `require` and `host.file`
//                   have: hashes (wire/hash.h) of texts that the kernel keeps, as 16 hexadecimal digits each, with
//                   spaces between. When the file's is among them, `hash` comes in the place of data.
//     args                           -> args                 of kmon run FILE ARGS
#pragma once

#include "wire/cbor.h"

enum { RPC_REQUEST = 0, RPC_REPLY = 1, RPC_CALL = 2, RPC_RETURN = 3 };
enum { RPC_MESSAGE = 64 * 1024 };

struct rpc_head {
    unsigned kind;       // RPC_*
    uint64_t id;         // or call
    char op[16];         // "" in replies and returns
    struct cbor_in body; // stands before the map of args or the result; a whole valid map
};

// False when it is no message. The body points into data.
bool rpc_parse(struct rpc_head *head, const void *data, size_t n);

// Writes all but the map, which the caller adds. op: NULL in replies and returns.
void rpc_begin(struct cbor_out *o, unsigned kind, uint64_t id, const char *op);
// A whole failure: of a request as in "error" above, of a call {ok = false, message}.
void rpc_error(struct cbor_out *o, uint64_t id, const char *kind, const char *message);
void rpc_call_failed(struct cbor_out *o, uint64_t call, const char *message);

// Which requests are new. The owner keeps the last reply's bytes as long as `last` says.
struct rpc_once {
    bool running, answered;
    uint64_t id; // of the running or the last answered request
};
enum rpc_verdict {
    RPC_NEW,   // run it
    RPC_DROP,  // it is running
    RPC_AGAIN, // send the kept reply again
    RPC_BUSY,  // refuse it: another one is running
};
// RPC_NEW makes it the running one.
enum rpc_verdict rpc_once_begin(struct rpc_once *once, uint64_t id);
void rpc_once_end(struct rpc_once *once);
// The host said HELLO with another nonce: ids start over. What ran was given up.
void rpc_once_forget(struct rpc_once *once);

// ---- what WELCOME says of the kernel: one CBOR map, at most 200 bytes
//
//     version   uint, of this vocabulary: RPC_VERSION
//     boot      uint, random per boot: a reboot is noticed
//     build     text, first 16 hex digits of the ELF's build: another ELF is noticed
//     schema    uint, hash of the class tables: completions may be cached
//     harts     uint
//     shared    true: not of the kernel, but of a kmon that shares its line
enum { RPC_VERSION = 2, RPC_WELCOME = 200 };
