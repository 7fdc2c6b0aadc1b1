// SPDX-License-Identifier: MIT
// What the patched Lua sources see: included before each of them by the build.
//
// Lua code and C loops inside Lua consume ticks (about one VM instruction each). When the slice is
// used up, luaport_tick() gives the hart back to the executor by switching away from the fiber's
// stack, and returns later as if nothing had happened: allowed anywhere in Lua, the collector
// included. luaport_check() may also raise (interrupt, spent budget): only where an error may be
// raised.
#pragma once
#ifndef __ASSEMBLER__

#include <stdbool.h>
#include <stdint.h>

struct lua_State;

extern int luaport_slice;       // ticks left
extern uintptr_t luaport_stack; // lowest stack address that is not in the reserve
void luaport_slice_over(void);
void luaport_slice_over_check(struct lua_State *L);
int luaport_stack_low_slow(uintptr_t at);
bool luaport_stack_report(void); // true once per descent into the reserve
unsigned luaport_seed(void);
void luaport_resumed(struct lua_State *L);

#define luaport_tick(cost) ((luaport_slice -= (cost)) < 0 ? luaport_slice_over() : (void)0)
#define luaport_check(L, cost)                                                                     \
    ((luaport_slice -= (cost)) < 0 ? luaport_slice_over_check(L) : (void)0)

// 0: room. 1: in the reserve: raise an error, once. 2: nearly used up: not even a message handler.
static inline int luaport_stack_low(void)
{
    uintptr_t at = (uintptr_t)__builtin_frame_address(0);
    return __builtin_expect(at < luaport_stack, 0) ? luaport_stack_low_slow(at) : 0;
}

// What Lua's own sources take from here instead of the C library. Ours include lua.h first.
#ifndef lua_h
#define luai_makeseed(L)           luaport_seed()
#define luai_userstateresume(L, n) luaport_resumed(L)
#define abort                      luaport_abort
#define lua_getlocaledecpoint()    '.'
#define lua_writestring(s, n)      ((void)(s), (void)(n))
#define lua_writeline()            ((void)0)
#define lua_writestringerror(s, p) ((void)(s), (void)(p))
#define l_randomizePivot()         luaport_seed()

// Soft-float division, remainder and power are many times the price of an instruction.
#define luai_numdiv(L, a, b) (luaport_slice -= 2, (a) / (b))
#define luai_numpow(L, a, b) (luaport_slice -= 40, ((b) == 2) ? (a) * (a) : l_mathop(pow)(a, b))
#endif
#endif
