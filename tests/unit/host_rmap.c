// SPDX-License-Identifier: MIT
// The reverse map where there are no address spaces: nothing is mapped.
#include "mem/phys_internal.h"

ASYNC(rmap_unmap_from, )
{
    ASYNC_BEGIN(rmap_unmap_from);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(rmap_protect, )
{
    ASYNC_BEGIN(rmap_protect);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

enum evicted rmap_evict(struct phys *ph, struct page *pg)
{
    (void)ph;
    return load_relaxed(&pg->refs) == 1 ? EVICT_DONE : EVICT_NOT;
}
