// SPDX-License-Identifier: MIT
// The fake kernel's two halves: its line and terminal (fake_kernel.c), and what it answers (fake_answers.c).
#pragma once

#include "wire/frame.h"
#include "wire/rpc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fake_session {
    uint8_t message[RPC_MESSAGE], reply_memory[RPC_MESSAGE];
    size_t message_n;
    bool waiting;
    uint64_t waiting_id;
    struct rpc_once once;
    struct cbor_out reply;
};
extern struct fake_session *fake_now; // whose message or INT it is
extern const char *fake_mode;         // how it was started
extern uint64_t fake_deaf_until_ms;   // takes no message so long; 0: it does

// fake_kernel.c
uint64_t fake_clock_ms(void);
void fake_send(enum wire_channel chan, const uint8_t *data, size_t n);
void fake_panic(void);
void fake_reboot(void);

// fake_answers.c
void fake_answer(void); // to fake_now's message, which is whole
void fake_interrupt(void);
void fake_tick(void); // prints what comes later than an answer
void fake_print(const char *s);
