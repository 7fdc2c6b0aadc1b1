-- SPDX-License-Identifier: MIT
-- A program is killed at each of its waits in turn (/proc/self/kill_nth): it ends there and then, nothing is left
-- behind, and who waits for it goes on.
-- harts: 1 4
require "lib.sweep"("kill", "reader fat wait futex poll epoll tty pty sleep threads mount tmpfs memfd proc fork ring")
