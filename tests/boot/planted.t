#!/bin/sh
# The debug build finds mistakes: one is planted in each boot (kernel/lib/planted.c), and the report must name it. TAP.
set -u
test=0
elf=$(tests/variant DEBUG=1) || {
    echo "Bail out! the debug build fails: $elf"
    exit 1
}

# finds NAME PATTERN...: the kernel with that mistake ends with a report of these lines (extended regular expressions)
finds() {
    name=$1
    shift
    log=build/planted-$name.log
    : >"$log.raw"
    timeout -k 5 60 qemu-system-riscv64 -M virt -smp 2 -m 256M -nographic -monitor none -serial stdio -no-reboot \
        -kernel "$elf" -initrd build/initrd.cpio -append "run=/bin/hello plant=$name" \
        </dev/null >"$log.raw" 2>&1 &
    machine=$!
    while kill -0 $machine 2>/dev/null; do
        grep -q '^halted' "$log.raw" && kill $machine
        sleep 0.1
    done
    wait $machine
    tr -d '\r' <"$log.raw" >"$log"
    test=$((test + 1))
    for pattern in "$@"; do
        grep -qE "$pattern" "$log" && continue
        echo "not ok $test - $name"
        echo "# no line matches: $pattern"
        tail -n 12 "$log" | sed 's/^/#   /'
        return
    done
    echo "ok $test - $name"
}

finds overflow 'PANIC.*planted\.c:[0-9]+:[0-9]+: undefined behaviour: signed addition overflows'
finds shift 'PANIC.*planted\.c:[0-9]+:[0-9]+: undefined behaviour: shift by too much'
finds bounds 'PANIC.*planted\.c:[0-9]+:[0-9]+: undefined behaviour: index outside of its array'
finds lock-order \
    'PANIC.*lock order: planted first \(kernel/lib/planted\.c:[0-9]+\) taken at .* while planted third \(.*\) is held' \
    'earlier planted second at .* while planted first was held .*; .* planted third at .* while planted second was held' \
    '0x[0-9a-f]+ is (plant_lock_order|take_both)'
finds mutex-order 'PANIC.*lock order: planted (inner|outer) \(a mutex:0\) taken at .* while planted (inner|outer) .* is held' \
    '0x[0-9a-f]+ is lock_both'
finds lock-brothers 'PANIC.*lock order: planted brothers .* while another of its class'
finds lock-interrupt 'PANIC.*interrupt work with lock planted first .* held'
finds lock-await 'PANIC.*an async call with lock planted first .* held'
finds heap-write 'PANIC.*freed memory at .* 128 bytes, was changed at offset 16: 0x7dead4eed.* freed at' \
    '0x[0-9a-f]+ is (plant_heap_write|plant)\+'
finds heap-read 'PANIC.*dead4eeddead4eed'
finds heap-twice 'PANIC.*kfree.*: freed twice, 128 bytes'
finds frame-write 'PANIC.*freed memory at .* 4096 bytes, was changed at offset 2048: 0xdead4eed00000000.* freed at' \
    '0x[0-9a-f]+ is (plant_frame_write|plant)\+'
finds frame-twice 'PANIC.*expected was != 0'
finds frame-zeroed 'PANIC.*freed memory at .* was changed at offset 8: 0x1, not 0x0'
finds shootdown 'PANIC.*translations: .* but hart [0-9]+ may still have the (entry|table) of va 0x[0-9a-f]+ cached'
echo "1..$test"
