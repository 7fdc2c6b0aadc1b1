// SPDX-License-Identifier: MIT
// ELF images into address spaces (System V gABI; RISC-V psABI for the machine number).
//
// Segments are private mappings of the file's page cache: nothing is read until it is touched. The
// part of the last file page behind filesz is cleared, the rest of memsz is anonymous. Position
// independent programs are placed at random (mem/layout.c), interpreters in the mmap area.
#include "fs/file.h"
#include "lib/init.h"
#include "lib/log.h"
#include "mem/phys.h"
#include "mem/user.h"
#include "page/heap.h"
#include "task/exec.h"
#include "task/signal.h"
#include "task/vdso/vdso.h"

#include <string.h>

enum {
    ET_EXEC = 2,
    ET_DYN = 3,
    EM_RISCV = 243,
    PT_LOAD = 1,
    PT_INTERP = 3,
    PF_X = 1,
    PF_W = 2,
    PF_R = 4,
    PHNUM_MAX = 64,
    INTERP_MAX = 256,
};

struct elf_header {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf_segment {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

struct elf {
    struct elf_header header;
    struct elf_segment segment[PHNUM_MAX];
    char interp[INTERP_MAX];
};

static bool header_ok(const struct elf_header *h)
{
    static const uint8_t ident[6] = {0x7f, 'E', 'L', 'F', 2 /* 64-bit */, 1 /* little-endian */};
    return !memcmp(h->ident, ident, 6) && (h->type == ET_EXEC || h->type == ET_DYN) &&
           h->machine == EM_RISCV && h->phentsize == sizeof(struct elf_segment) && h->phnum > 0 &&
           h->phnum <= PHNUM_MAX;
}

static bool segment_ok(const struct elf_segment *s)
{
    return s->type != PT_LOAD ||
           (s->filesz <= s->memsz && s->vaddr < USER_TOP && s->memsz <= USER_TOP - s->vaddr &&
            (s->vaddr - s->offset) % PAGE_SIZE == 0 && s->offset + s->filesz >= s->offset);
}

// Reads and checks header and program headers. A file too short for them is -ENOEXEC.
ASYNC_DECL(elf_read, struct file *file; struct elf *elf;);
ASYNC(elf_read, long r; uint32_t i; uint64_t size;)
{
    ASYNC_BEGIN(elf_read);
    f->elf->interp[0] = 0;
    AWAIT(f->r, file_read_kernel, f->file, 0, &f->elf->header, sizeof f->elf->header);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (f->r < (long)sizeof f->elf->header || !header_ok(&f->elf->header))
        ASYNC_RETURN(-ENOEXEC);
    f->size = f->elf->header.phnum * sizeof(struct elf_segment);
    AWAIT(f->r, file_read_kernel, f->file, f->elf->header.phoff, f->elf->segment, f->size);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if ((uint64_t)f->r < f->size)
        ASYNC_RETURN(-ENOEXEC);
    for (f->i = 0; f->i < f->elf->header.phnum; f->i++) {
        if (!segment_ok(&f->elf->segment[f->i]))
            ASYNC_RETURN(-ENOEXEC);
        if (f->elf->segment[f->i].type != PT_INTERP)
            continue;
        f->size = f->elf->segment[f->i].filesz;
        if (f->size < 2 || f->size > INTERP_MAX)
            ASYNC_RETURN(-ENOEXEC);
        AWAIT(f->r, file_read_kernel, f->file, f->elf->segment[f->i].offset, f->elf->interp,
              f->size);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        if ((uint64_t)f->r < f->size || f->elf->interp[f->size - 1])
            ASYNC_RETURN(-ENOEXEC);
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// Lowest and highest address of the loadable segments, whole pages. False: there is none.
static bool extent(const struct elf *e, va_t *lo, va_t *hi)
{
    *lo = UINT64_MAX;
    *hi = 0;
    for (int i = 0; i < e->header.phnum; i++) {
        const struct elf_segment *s = &e->segment[i];
        if (s->type != PT_LOAD || !s->memsz)
            continue;
        va_t from = page_round_down(s->vaddr), to = page_round_up(s->vaddr + s->memsz);
        *lo = from < *lo ? from : *lo;
        *hi = to > *hi ? to : *hi;
    }
    return *hi != 0;
}

static uint32_t protection(const struct elf_segment *s)
{
    return (s->flags & PF_R ? ACCESS_READ : 0) | (s->flags & PF_W ? ACCESS_WRITE : 0) |
           (s->flags & PF_X ? ACCESS_EXEC : 0);
}

// Where the file's data of a segment must really be there.
static bool truncated(const struct elf *e, const struct file *file)
{
    for (int i = 0; i < e->header.phnum; i++)
        if (e->segment[i].type == PT_LOAD && e->segment[i].filesz &&
            e->segment[i].offset + e->segment[i].filesz > file->vnode->size)
            return true;
    return false;
}

// One loadable segment in pages: [lo, file_end) from the file, [file_end, hi) anonymous, and
// [zero, file_end) to be cleared.
struct load {
    va_t lo, file_end, hi, zero;
    uint64_t offset;
    uint32_t prot;
};

static bool plan_load(const struct elf_segment *s, va_t bias, struct load *l)
{
    if (s->type != PT_LOAD || !s->memsz)
        return false;
    l->lo = page_round_down(s->vaddr + bias);
    l->zero = s->vaddr + bias + s->filesz;
    l->file_end = s->filesz ? page_round_up(l->zero) : l->lo;
    l->hi = page_round_up(s->vaddr + bias + s->memsz);
    l->offset = page_round_down(s->offset);
    l->prot = protection(s);
    if (s->memsz == s->filesz || !(s->flags & PF_W))
        l->zero = l->file_end;
    return true;
}

ASYNC_DECL(load_map, struct space *space; const struct load *load; struct phys *phys;);
ASYNC(load_map, long r; struct space_map m; va_t at;)
{
    ASYNC_BEGIN(load_map);
    f->m = (struct space_map){.at = f->load->lo,
                              .len = f->load->file_end - f->load->lo,
                              .prot = f->load->prot,
                              .how = SPACE_FIXED,
                              .phys = f->phys,
                              .offset = f->load->offset};
    if (f->m.len) {
        AWAIT(f->r, space_map, f->space, f->m, &f->at);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    f->m = (struct space_map){.at = f->load->file_end,
                              .len = f->load->hi - f->load->file_end,
                              .prot = f->load->prot,
                              .how = SPACE_FIXED};
    if (f->load->hi > f->load->file_end) {
        AWAIT(f->r, space_map, f->space, f->m, &f->at);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    if (f->load->zero < f->load->file_end) {
        AWAIT(f->r, space_commit, f->space, f->load->zero, f->load->file_end - f->load->zero,
              ACCESS_WRITE);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        f->r = user_zero_out(f->space, f->load->zero, f->load->file_end - f->load->zero);
        if (f->r < 0)
            ASYNC_RETURN(-ENOMEM);
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

enum { ADDR_NO_RANDOMIZE = 0x40000 }; // of personality(2)

static uint64_t alignment(const struct elf *e)
{
    uint64_t align = PAGE_SIZE;
    for (int i = 0; i < e->header.phnum; i++) {
        const struct elf_segment *s = &e->segment[i];
        if (s->type == PT_LOAD && s->align > align && !(s->align & (s->align - 1)))
            align = s->align;
    }
    return align;
}

// Maps all segments of a checked file; a position-independent one goes where programs go, or, an interpreter,
// into the mmap area.
ASYNC_DECL(elf_map, struct file *file; const struct elf *elf; struct space *space; bool interp;
           va_t *bias; va_t *end;);
ASYNC(elf_map, long r; int i; struct phys *phys; struct space_map m; va_t lo; va_t hi; va_t at;
      struct load load;)
{
    ASYNC_BEGIN(elf_map);
    f->phys = NULL;
    if (!extent(f->elf, &f->lo, &f->hi) || truncated(f->elf, f->file))
        ASYNC_RETURN(-ENOEXEC);
    f->r = file_mmap_object(f->file, ACCESS_READ | ACCESS_EXEC, 2 /* MAP_PRIVATE */, &f->phys);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    *f->bias = *f->end = 0;
    if (f->elf->header.type == ET_DYN) { // find room for all of it, then map into that
        f->m = (struct space_map){.len = f->hi - f->lo};
        if (!f->interp)
            f->m.at = space_place_program(f->space, f->m.len, alignment(f->elf));
        AWAIT(f->r, space_map, f->space, f->m, &f->at);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        *f->bias = f->at - f->lo;
    }
    for (f->i = 0; f->i < f->elf->header.phnum; f->i++) {
        if (!plan_load(&f->elf->segment[f->i], *f->bias, &f->load))
            continue;
        AWAIT(f->r, load_map, f->space, &f->load, f->phys);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        *f->end = f->load.hi > *f->end ? f->load.hi : *f->end;
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    if (f->phys)
        phys_put(f->phys);
    ASYNC_END;
}

static void limit_space(struct space *s, const struct rlimit_k *limit)
{
    s->limit = limit[RLIMIT_AS].cur;
    s->data_limit = limit[RLIMIT_DATA].cur;
    s->no_huge = thread_current()->space && thread_current()->space->no_huge;
}

static void place_stack(struct space *s, struct image *image, uint64_t limit)
{
    s->not_random = thread_current()->process->personality & ADDR_NO_RANDOMIZE;
    space_place(s, limit);
    image->stack_top = s->stack_top;
}

ASYNC_DECL(image_furnish, struct image *image;);
ASYNC(image_furnish, long r; struct space_map m; va_t at;)
{
    ASYNC_BEGIN(image_furnish);
    AWAIT(f->r, vdso_map, f->image->space, &f->image->vdso);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->m = (struct space_map){.at = f->image->stack_top - 33 * PAGE_SIZE,
                              .len = 33 * PAGE_SIZE,
                              .prot = ACCESS_READ | ACCESS_WRITE,
                              .flags = MAPPING_STACK,
                              .how = SPACE_FIXED};
    AWAIT(f->r, space_map, f->image->space, f->m, &f->at);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_DECL(elf_load_interp, struct elf *elf; struct image *image;);
ASYNC(elf_load_interp, long r; struct file *file; va_t bias; va_t end;)
{
    ASYNC_BEGIN(elf_load_interp);
    f->file = NULL;
    AWAIT(f->r, exec_file_open, f->elf->interp, &f->file);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    AWAIT(f->r, elf_read, f->file, f->elf);
    if (f->r < 0)
        ASYNC_RETURN(f->r == -ENOEXEC ? -ELIBBAD : f->r);
    AWAIT(f->r, elf_map, f->file, f->elf, f->image->space, true, &f->bias, &f->end);
    if (f->r < 0)
        ASYNC_RETURN(f->r == -ENOEXEC ? -ELIBBAD : f->r);
    f->image->base = f->bias;
    f->image->entry = f->elf->header.entry + f->bias;
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    if (f->file)
        exec_file_put(f->file);
    ASYNC_END;
}

// The address at which the program finds its own program headers.
static va_t phdr_address(const struct elf *e, va_t bias)
{
    for (int i = 0; i < e->header.phnum; i++) {
        const struct elf_segment *s = &e->segment[i];
        if (s->type == PT_LOAD && s->offset <= e->header.phoff &&
            e->header.phoff < s->offset + s->filesz)
            return s->vaddr + e->header.phoff - s->offset + bias;
    }
    return 0;
}

ASYNC(elf_load, long r; struct elf *elf; va_t bias; va_t end;)
{
    ASYNC_BEGIN(elf_load);
    *f->image = (struct image){0};
    if (!(f->elf = kmalloc(sizeof *f->elf)))
        ASYNC_RETURN(-ENOMEM);
    AWAIT(f->r, elf_read, f->file, f->elf);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (!(f->image->space = space_new()))
        ASYNC_RETURN(-ENOMEM);
    place_stack(f->image->space, f->image, t->thread->process->rlimit[RLIMIT_STACK].cur);
    limit_space(f->image->space, t->thread->process->rlimit);
    AWAIT(f->r, elf_map, f->file, f->elf, f->image->space, false, &f->bias, &f->end);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->image->program_entry = f->image->entry = f->elf->header.entry + f->bias;
    f->image->phdr = phdr_address(f->elf, f->bias);
    f->image->phent = f->elf->header.phentsize;
    f->image->phnum = f->elf->header.phnum;
    f->image->brk = f->end;
    space_place_heap(f->image->space, f->end);
    if (f->elf->interp[0]) {
        AWAIT(f->r, elf_load_interp, f->elf, f->image);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    AWAIT(f->r, image_furnish, f->image);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    kfree(f->elf);
    if (t->result < 0 && f->image->space) {
        space_unref(f->image->space);
        f->image->space = NULL;
    }
    ASYNC_END;
}
