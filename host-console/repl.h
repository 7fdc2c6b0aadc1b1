// SPDX-License-Identifier: MIT
// The monitor's prompt: Lua in the kernel, a line at a time, with history and completion.
#pragma once

struct console;

// Until Ctrl-] or Ctrl-D.
void repl_run(struct console *c);
