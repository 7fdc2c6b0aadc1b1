// SPDX-License-Identifier: MIT
// Asks the harts for their stocks. Requests are numbered; a hart that has given back for one has done so for those before it.
#include "lib/stock.h"
#include "arch/atomic.h"
#include "arch/cpu.h"
#include "lib/init.h"

static uint32_t asked;
static uint32_t given[MAX_HARTS]; // by hart: the last request it has given back for

static void give_back(void)
{
    uint32_t request = load_acquire(&asked); // read first: for a later one it is asked again
    for (int i = 0; i < 2; i++)              // what one gives back may go to the stock of another
        SET_FOREACH(stocks, struct stock, s)
            s->give_back();
    store_release(&given[hart_index()], request);
}

uint32_t stocks_ask(void)
{
    uint32_t request = atomic_add32(&asked, 1) + 1;
    for (uint32_t i = 0; i < hart_count; i++)
        if (i != hart_index())
            ipi_send(i, IPI_GIVE_BACK);
    give_back();
    return request;
}

bool stocks_given(uint32_t request)
{
    for (uint32_t i = 0; i < hart_count; i++)
        if ((int32_t)(load_acquire(&given[i]) - request) < 0)
            return false;
    return true;
}

static void stocks_init(void)
{
    ipi_register(IPI_GIVE_BACK, give_back);
}
INIT(INIT_HARTS, stocks_init);
