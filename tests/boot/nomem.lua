-- SPDX-License-Identifier: MIT
-- Each allocation of a call fails once (/proc/self/fail_nth): the program sees ENOMEM, or is served all the same;
-- nothing is left behind, and the kernel goes on.
-- harts: 1 4
require "lib.sweep"("fail", "fork thread threads exec wait map memfd pipe reader poll epoll futex tty pty many tmpfs names proc " ..
    "mount timer queue fat fault ring")
