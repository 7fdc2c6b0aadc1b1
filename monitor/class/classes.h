// SPDX-License-Identifier: MIT
// The classes that other classes' fields refer to.
#pragma once

#include "class/class.h"

CLASS_DECLARE(hart);
CLASS_DECLARE(task);
CLASS_DECLARE(space);
CLASS_DECLARE(mapping);
CLASS_DECLARE(page_table);
CLASS_DECLARE(walk);
CLASS_DECLARE(tls);
CLASS_DECLARE(virtqueue);

void class_push_tls_of_hart(lua_State *L, uint64_t hart); // lists of Tls
void class_push_tls_of_task(lua_State *L, uint64_t task);
