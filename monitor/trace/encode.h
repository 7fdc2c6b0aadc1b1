// SPDX-License-Identifier: MIT
// Events on the wire's channel for them: one CBOR map each, {point, at, hart, task, pid, arguments},
// or {lost, hart}. at is in nanoseconds since boot; a task is its id.
#pragma once

#include "trace/event.h"

#include <stddef.h>

// How many bytes were written, at most max; an argument that does not fit is left out.
size_t trace_encode_event(uint8_t *buf, size_t max, const struct trace_event *e);
size_t trace_encode_loss(uint8_t *buf, size_t max, uint32_t lost, uint32_t hart);
