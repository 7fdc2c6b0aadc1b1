// SPDX-License-Identifier: MIT
// Which session runs: for what keeps something of each in an array of WIRE_SESSIONS.
#pragma once

#include "wire/frame.h"

unsigned session_number(void); // from 0, as on the wire; people see it from 1
