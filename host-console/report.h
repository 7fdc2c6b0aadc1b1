// SPDX-License-Identifier: MIT
// How results and failures look on the host.
#pragma once

#include "client.h"

#include <jansson.h>
#include <stdio.h>

// The value before which `in` stands as JSON: addresses as "0x..." strings, handles as objects
// {class, id, text}, times as numbers of nanoseconds; integers beyond 2^63-1 as hexadecimal strings.
json_t *report_json(struct cbor_in *in);

// Shows a failed reply on stderr: message, source line, traceback. The exit code it means.
enum exit_code report_failure(struct console *c, struct cbor_in result);
// Of that, what stands below the message: source line, traceback.
void report_place(FILE *to, struct cbor_in error);

// Shows terminal-safe text: control bytes other than LF and TAB as \xNN when stdout is a terminal.
void report_text(const char *s, size_t n);
// The same as a hook for what a script prints.
void report_print(struct console *c, const uint8_t *data, size_t n);
