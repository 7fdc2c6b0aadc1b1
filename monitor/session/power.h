// SPDX-License-Identifier: MIT
// Turning the machine off.
#pragma once

#include "async/async.h"

// Writes back, then does not return.
ASYNC_DECL(monitor_poweroff, bool dummy;);
