#!/bin/sh
# poweroff, reboot and halt as BusyBox asks for them; what was written before is on the disk. TAP.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. tests/lib/tap.sh

# boot PROGRAM UNTIL: runs PROGRAM in the shell's place; a machine that goes on is switched off once it printed UNTIL
boot() {
    timeout -k 5 60 qemu-system-riscv64 -M virt -smp 2 -m 256M -nographic -monitor none -serial stdio \
        -global virtio-mmio.force-legacy=false -kernel "${ELF:-build/kernel/tidepool.elf}" -initrd build/initrd.cpio \
        -append "run=$1" -drive file="$work/disk.img",format=raw,if=none,id=disk0 \
        -device virtio-blk-device,drive=disk0 </dev/null >"$work/log" 2>&1 &
    machine=$!
    while kill -0 $machine 2>/dev/null; do
        if eval "$2"; then
            sleep 1 # whether it goes on is to be seen
            kill -0 $machine 2>/dev/null && alive=yes || alive=no
            kill $machine 2>/dev/null
        fi
        sleep 0.1
    done
    wait $machine
    status=$?
}

boots() {
    grep -ac 'Tidepool on hart' "$work/log"
}

.setup/disk "$work/disk.img" >/dev/null
boot /tests/write-and,poweroff false
ok "poweroff ends the machine" '[ $status = 0 ]'
ok "poweroff: what was written is on the disk" '[ "$(MTOOLS_SKIP_CHECK=1 mtype -i "$work/disk.img" ::/poweroff.txt)" = "before poweroff" ]'
boot /tests/write-and,reboot '[ "$(boots)" -ge 2 ]'
ok "reboot starts the machine again" '[ "$(boots)" -ge 2 ]'
ok "reboot: what was written is on the disk" '[ "$(MTOOLS_SKIP_CHECK=1 mtype -i "$work/disk.img" ::/reboot.txt)" = "before reboot" ]'
alive=no
boot /tests/write-and,halt 'grep -q "] halted" "$work/log"'
ok "halt stops it and leaves it on" '[ $alive = yes ]'
ok "halt: what was written is on the disk" '[ "$(MTOOLS_SKIP_CHECK=1 mtype -i "$work/disk.img" ::/halt.txt)" = "before halt" ]'
boot /tests/write-and,poweroff,-f false
ok "poweroff -f ends it without process 1" '[ $status = 0 ]'
ok "the file system is whole after all that" 'fsck.vfat -n "$work/disk.img" >"$work/log" 2>&1'
echo "1..$test"
