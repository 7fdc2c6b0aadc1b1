// SPDX-License-Identifier: MIT
// The kernel's side of the vDSO: one memory object for all programs, text first, then the data page.
//
// One mapping, read and execute, holds both: the data are no secret, and a second mapping would cost
// every fork. Written through the linear map only.
#include "task/vdso/vdso.h"

#include "async/timer.h"
#include "lib/init.h"
#include "lib/log.h"
#include "mem/phys.h"
#include "mem/space.h"
#include "task/vdso/data.h"

extern const uint8_t vdso_image[], vdso_image_end[];

static struct phys *object;
static uint64_t text_size; // whole pages

static void *object_page(uint64_t index)
{
    struct page *pg = phys_page_now(object, index);
    if (!pg)
        panic("no memory for the vDSO");
    page_put(pg); // the object keeps it
    return page_kva(pg);
}

static void vdso_init(void)
{
    size_t size = (size_t)(vdso_image_end - vdso_image);
    text_size = page_round_up(size);
    if (!(object = phys_new_shared(text_size + PAGE_SIZE)))
        panic("no memory for the vDSO");
    for (size_t at = 0; at < size; at += PAGE_SIZE)
        memcpy(object_page(at / PAGE_SIZE), vdso_image + at,
               size - at < PAGE_SIZE ? size - at : PAGE_SIZE);
    struct vdso_data *data = object_page(text_size / PAGE_SIZE);
    data->timebase_hz = timebase_hz;
    clock_publish_offset(&data->realtime_offset);
}
INIT(INIT_FS, vdso_init);

va_t vdso_sigreturn(va_t at)
{
    return at + *(const uint64_t *)(vdso_image + 24); // e_entry
}

ASYNC(vdso_map, long r; struct space_map m;)
{
    ASYNC_BEGIN(vdso_map);
    f->m = (struct space_map){.at = space_place_vdso(f->space, text_size + PAGE_SIZE),
                              .len = text_size + PAGE_SIZE,
                              .prot = ACCESS_READ | ACCESS_EXEC,
                              .flags = MAPPING_SHARED | MAPPING_VDSO | MAPPING_DENY_WRITE,
                              .phys = object};
    AWAIT(f->r, space_map, f->space, f->m, f->at);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
