// SPDX-License-Identifier: MIT
// Timers that are files: timerfd_create(2).
#pragma once

void timerfds_clock_was_set(void); // CLOCK_REALTIME; no lock held
