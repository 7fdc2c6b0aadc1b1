// SPDX-License-Identifier: MIT
// The operations of wire/rpc.h, one function each.
#pragma once

#include "lua/limits.h"
#include "wire/rpc.h"

// Does what head asks for and writes the whole reply. How long it is.
size_t request_run(struct lua_limits *l, const struct rpc_head *head, uint8_t *reply, size_t cap);
