#!/bin/sh
# Nothing about the machine is built in: how much RAM, how many harts, how fast the clock, all is as the device tree says. Programs
# lie where the machine's random numbers say. A panic stops all harts and says where their tasks are. TAP.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. tests/lib/tap.sh
elf=${ELF:-build/kernel/tidepool.elf}
initrd=build/initrd.cpio

# boot WORDS QEMU-OPTION...: what the machine prints. One that says it has halted is watched for three seconds, in which it
# used so many ms of processor time ($used), and switched off.
boot() {
    words=$1
    shift
    : >"$work/raw"
    timeout -k 5 60 qemu-system-riscv64 -M virt -nographic -monitor none -serial stdio -no-reboot \
        -global virtio-mmio.force-legacy=false -kernel "$elf" -initrd "$initrd" -append "$words" "$@" \
        </dev/null >"$work/raw" 2>&1 &
    machine=$!
    while kill -0 $machine 2>/dev/null; do
        if grep -qa '^halted' "$work/raw"; then
            before=$(machine_ms)
            sleep 3
            used=$(($(machine_ms) - before))
            kill $machine
        fi
        sleep 0.1
    done
    wait $machine
    tr -d '\r\000' <"$work/raw" >"$work/log"
}

machine_ms() { # 0: it has gone
    qemu=$(ps -o pid= --ppid $machine | tr -d ' ')
    { [ -n "$qemu" ] && awk -v hz="$(getconf CLK_TCK)" '{ print int(($14 + $15) * 1000 / hz) }' "/proc/$qemu/stat"; } || echo 0
}

free_mib() {
    sed -n 's/.*memory: \([0-9]*\) MiB free.*/\1/p' "$work/log"
}

for size in 160 512 1024; do
    boot run=/bin/hello,all -smp 3 -m ${size}M
    ok "$size MiB of RAM are used" '[ "$(free_mib)" -gt $((size - 40)) ] && [ "$(free_mib)" -lt $size ]'
    ok "and programs run there" 'grep -q "^hello all" "$work/log"'
done
for harts in 3 8; do
    boot run=/bin/hello,all -smp $harts -m 256M
    ok "$harts harts are used" 'grep -q "harts: $harts online" "$work/log"'
done

# ---- the device tree decides: under -icount a clock of twice the frequency goes half as fast
qemu-system-riscv64 -M virt,dumpdtb="$work/dtb" -smp 1 -m 256M -nographic -monitor none -serial null >/dev/null 2>&1
one_hart="-smp 1 -m 256M -icount shift=0,sleep=off"
online_us() {
    sed -n 's/^\[ *\([0-9]*\)\.\([0-9]*\)\] harts: 1 online.*/\1\2/p' "$work/log" | sed 's/^0*//'
}
boot run=/bin/hello,all $one_hart -dtb "$work/dtb"
once=$(online_us)
fdtput "$work/dtb" /cpus timebase-frequency $((2 * $(fdtget "$work/dtb" /cpus timebase-frequency)))
boot run=/bin/hello,all $one_hart -dtb "$work/dtb"
twice=$(online_us)
ok "the clock is as fast as the device tree says: $once us, $twice us" '[ $((twice * 2)) -gt $((once - once / 8)) ] && [ $((twice * 2)) -lt $((once + once / 8)) ]'

# ---- entropy: with -icount and -seed two boots are the same to the last instruction, and its random numbers (rng-seed in the
# device tree) are all that tells boots with different seeds apart
stack() { # seed
    boot run=/bin/cat,/proc/self/maps -smp 1 -m 256M -icount shift=0,sleep=off -seed "$1"
    grep 'stack' "$work/log"
}
first=$(stack 1)
ok "the same numbers give the same boot" '[ "$first" = "$(stack 1)" ] && [ -n "$first" ]'
ok "rng-seed decides where programs lie" '[ "$first" != "$(stack 2)" ]'

# ---- panic
# said_of HART: the lines of the panic that tell of it
said_of() {
    sed -n '/PANIC on hart/,/^halted/p' "$work/log" | grep -cE "^  (hart $1 (asleep|in the executor|spun in .*)|task [0-9]+ .* on hart $1)\$"
}
boot init=/tests/orphaned -smp 4 -m 256M
ok "the end of process 1 is the kernel's" 'grep -q "PANIC on hart .*init (pid 1) has ended" "$work/log"'
ok "what ran is said, with its async backtrace" 'grep -A 9 "^  task [0-9]* .* on hart [0-9]" "$work/log" | grep -q "#[0-9] user_loop kernel/task/user_loop.c:[0-9]"'
for hart in 0 1 2 3; do
    ok "hart $hart is told of: what it ran, or that it slept" '[ "$(said_of $hart)" -ge 1 ]'
done
ok "no other hart goes on: $used ms of processor time in three seconds" '[ $used -lt 100 ]'
echo "1..$test"
