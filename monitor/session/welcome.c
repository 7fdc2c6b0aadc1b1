// SPDX-License-Identifier: MIT
// The facts a host is greeted with: which boot, which build, which classes.
#include "session/welcome.h"

#include "arch/cpu.h"
#include "dev/random.h"
#include "session/link.h"

static uint64_t boot_id, schema;

void welcome_init(void)
{
    boot_id = random_u64();
}

void link_set_schema(uint64_t hash)
{
    schema = hash;
}

// The linker's note: 16 bytes of head, then the id.
extern const uint8_t __start_build_id[], __stop_build_id[];

static void put_build_id(struct cbor_out *o)
{
    static const char digits[] = "0123456789abcdef";
    char hex[16];

    if (__stop_build_id - __start_build_id < 24)
        return cbor_null(o);
    for (unsigned i = 0; i < 16; i++)
        hex[i] = digits[__start_build_id[16 + i / 2] >> (i % 2 ? 0 : 4) & 15];
    cbor_text(o, hex, sizeof hex);
}

size_t welcome_info(uint8_t *buf, size_t cap)
{
    struct cbor_out o = {buf, cap, 0};

    cbor_map(&o, 5);
    cbor_str(&o, "build");
    put_build_id(&o);
    cbor_str(&o, "version");
    cbor_uint(&o, RPC_VERSION);
    cbor_str(&o, "boot");
    cbor_uint(&o, boot_id);
    cbor_str(&o, "schema");
    cbor_uint(&o, schema);
    cbor_str(&o, "harts");
    cbor_uint(&o, hart_count);
    return o.len;
}
