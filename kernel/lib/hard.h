// SPDX-License-Identifier: MIT
// `make HARD_xxx=1` makes a rare event constant, so that the same tests meet it all the time. Here they are constants, 0 in
// other builds: what they switch on is compiled in every build.
#pragma once

#ifndef HARD_STEAL // a ring of 4, no wake slot, every other poll is of a task stolen if there is one
#define HARD_STEAL 0
#endif
#ifndef HARD_WAKE // every wait is ended once by a wake that means nothing
#define HARD_WAKE 0
#endif
#ifndef HARD_PREEMPT // a task gives way at each await, and in user mode at each interrupt
#define HARD_PREEMPT 0
#endif
#ifndef HARD_GROW // each reservation of frames is a new segment, as small as it may be
#define HARD_GROW 0
#endif
#ifndef HARD_CANCEL // each thread is killed at one of its first 256 waits, but for process 1 and the shells it starts
#define HARD_CANCEL 0
#endif
