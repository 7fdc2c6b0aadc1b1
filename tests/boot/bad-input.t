#!/bin/sh
# What is missing or broken outside the kernel is named in a clear line, and the rest goes on: a disk that is absent, not FAT,
# cut short or unreadable, a truncated program, a device tree without a UART, no memory left, no initrd. TAP.
set -u
elf=${ELF:-build/kernel/tidepool.elf}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
test=0

# boot TIME WORDS QEMU-OPTION...: what the machine prints; the end of it says how it ended. A machine that says it has halted
# after a panic is switched off at once.
boot() {
    time=$1 words=$2
    shift 2
    : >"$work/raw" # what the one before said is not this one's end
    timeout -k 5 "$time" qemu-system-riscv64 -M virt -smp 2 -m 256M -nographic -monitor none -serial stdio -no-reboot \
        -global virtio-mmio.force-legacy=false -kernel "$elf" -initrd "${INITRD-build/initrd.cpio}" -append "$words" "$@" \
        </dev/null >"$work/raw" 2>&1 &
    machine=$!
    while kill -0 $machine 2>/dev/null; do
        grep -q '^halted' "$work/raw" && kill $machine
        sleep 0.1
    done
    wait $machine
    echo "status $?" >>"$work/raw"
    tr -d '\r' <"$work/raw" >"$work/log"
}

# has NAME PATTERN: one test, that the last boot printed PATTERN (an extended regular expression)
has() {
    test=$((test + 1))
    if grep -qE "$2" "$work/log"; then
        echo "ok $test - $1"
    else
        echo "not ok $test - $1"
        echo "# no line matches: $2"
        tail -n 15 "$work/log" | sed 's/^/#   /'
    fi
}

disk() {
    echo "-drive file=$1,format=raw,if=none,id=disk0 -device virtio-blk-device,drive=disk0"
}

# A disk in every bad state; the program in the shell's place must run all the same.
boot 60 run=/bin/hello,without,disk
has "no disk: is said" "^init: no disk: /dev/vda is absent"
has "no disk: the rest runs" "^hello without disk"
has "no disk: the end is a regular one" "^status 0"

truncate -s 1M "$work/zeros"
boot 60 run=/bin/hello,zeros $(disk "$work/zeros")
has "a disk of zeros: is said" "^init: /dev/vda holds no FAT file system"
has "a disk of zeros: the rest runs" "^hello zeros"

head -c 1000000 "$elf" >"$work/noise"
boot 60 run=/bin/hello,noise $(disk "$work/noise")
has "a disk of something else: is said" "^init: /dev/vda holds no FAT file system"

: >"$work/empty"
boot 60 run=/bin/hello,empty $(disk "$work/empty")
has "a disk of no size: is said" "init: (/dev/vda|no disk)"
has "a disk of no size: the rest runs" "^hello empty"

# patch NAME OFFSET BYTES: a copy of a good image with some bytes changed
patch() {
    cp build/disk.img "$work/$1"
    printf "$3" | dd of="$work/$1" bs=1 seek="$2" conv=notrunc status=none
}
patch lies 11 '\377\377'
boot 60 run=/bin/hello,lies $(disk "$work/lies")
has "an odd sector size: is said" "^init: /dev/vda holds no FAT file system"
patch lies 13 '\0'
boot 60 run=/bin/hello,lies $(disk "$work/lies")
has "no sectors in a cluster: is said" "^init: /dev/vda holds no FAT file system"
patch lies 44 '\377\377\377\017'
boot 60 run=/bin/ls,/mnt $(disk "$work/lies")
has "a root directory out of the disk: is an error" "(^init: /dev/vda|^ls: )"

head -c 3000000 build/disk.img >"$work/short"
boot 60 run=/bin/cat,/mnt/lines.txt $(disk "$work/short")
has "a disk cut short: is an error" "(^init: /dev/vda|^cat: )"
has "a disk cut short: the end is a regular one" "^status 0"

cat >"$work/broken" <<RULES
[inject-error]
event = "read_aio"
errno = "5"
RULES
boot 60 run=/bin/hello,broken -drive "driver=raw,file.driver=blkdebug,file.config=$work/broken,file.image.driver=file,file.image.filename=build/disk.img,file.image.locking=off,if=none,id=disk0" \
    -device virtio-blk-device,drive=disk0
has "an unreadable disk: is said" "^init: /dev/vda cannot be read"
has "an unreadable disk: the rest runs" "^hello broken"

boot 60 run=/bin/hello,legacy -global virtio-mmio.force-legacy=true $(disk build/disk.img) -snapshot
has "a legacy virtio device: the flag is named" "force-legacy"
has "a legacy virtio device: the rest runs" "^hello legacy"

# Programs and memory.
boot 120 run=/tests/cut-elf
has "an empty program: ENOEXEC, which makes it an empty script to the shell" "^cut at 0: runs"
for n in 1 4 63 64 119 120 4096 8192 100000 300000; do
    has "a program cut at $n: fails" "^cut at $n: fails"
done
has "a whole program runs after those" "^whole: hello"
boot 300 run=/tests/exhaust
has "all memory taken: the taker ends" "^hog ended: "
has "all memory taken by two: both end" "^both ended"
has "all memory taken: others work" "^stress: 2 workers, 2 rounds, 0 wrong"
has "all memory taken: and go on" "^hello after all memory"

# The machine.
boot 60 init=/bin/none
has "an init that is absent: is said" "/bin/none"
head -c 5000 build/user/hello >"$work/init"
chmod +x "$work/init"
(cd "$work" && echo init | cpio --create --format=newc --quiet) >"$work/cut.cpio"
INITRD=$work/cut.cpio boot 60 ""
has "an init that is cut off: is said" "(init|/init).*"
head -c 30000 build/initrd.cpio >"$work/half.cpio"
INITRD=$work/half.cpio boot 60 ""
has "an initrd that is cut off: is said" "initrd|cpio"
if command -v dtc >/dev/null; then
    qemu-system-riscv64 -M virt,dumpdtb="$work/dtb" -smp 2 -m 256M -nographic -monitor none -serial null >/dev/null 2>&1
    uart=/soc/$(fdtget -l "$work/dtb" /soc | grep -E '^(uart|serial)@')
    # OpenSBI goes on using a disabled one: what the kernel says through the firmware can be read.
    fdtput -t s "$work/dtb" "$uart" status disabled
    boot 60 run=/bin/hello,silent -dtb "$work/dtb"
    has "no UART: is said over the firmware's console" "no UART in the device tree"
    has "no UART: programs run and are heard" "^hello silent"
    fdtput -r "$work/dtb" "$uart"
    boot 60 run=/bin/hello,silent -dtb "$work/dtb"
    has "no UART at all: the machine comes to its regular end" "^status 0"
else
    test=$((test + 1))
    echo "ok $test # SKIP device-tree-compiler is not installed"
fi
echo "1..$test"
