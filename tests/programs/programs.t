#!/bin/sh
# One program, linked in every way: static and dynamic, at a fixed place and position independent, with glibc and with musl
# (each with its own dynamic loader, as its PT_INTERP names it); and one of a single segment at 0x1000. Each prints in the
# guest, at 1, 2 and 4 harts, what it prints under Linux. TAP.
set -u
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
test=0
mkdir -p "$root/lib" "$root/etc" "$root/bin" "$root/odd"
export PINS=.setup/pins-test
.setup/fetch >&2 || exit 1
for package in musl musl-dev; do
    dpkg-deb -x "$(.setup/fetch --where $package)" "$work/musl"
done

# is NAME GOT WANT
is() {
    test=$((test + 1))
    if [ "$2" = "$3" ]; then
        echo "ok $test - $1"
    else
        echo "not ok $test - $1"
        printf '%s\n' "got:" "$2" "want:" "$3" | sed 's/^/# /'
    fi
}

# ---- the programs
gcc="riscv64-linux-gnu-gcc -O2 -std=gnu11 -Wall -Wextra -Werror -pthread"
glibc=/usr/riscv64-linux-gnu/lib
musl=$work/musl/usr/lib/riscv64-linux-musl
with_musl="-nostdinc -isystem $work/musl/usr/include/riscv64-linux-musl -U_FORTIFY_SOURCE -nostdlib -L$musl"
start="$here/musl_start.S -Wl,--dynamic-linker,/lib/ld-musl-riscv64.so.1 -lc -lgcc"

cp $glibc/ld-linux-riscv64-lp64d.so.1 $glibc/libc.so.6 "$root/lib"
cp "$musl/libc.so" "$root/lib/ld-musl-riscv64.so.1"
$gcc -shared -fPIC "$here/library.c" -o "$root/lib/libglibc-probe.so"
$gcc $with_musl -shared -fPIC "$here/library.c" -o "$root/lib/libmusl-probe.so"
# link NAME OPTION...
link() {
    name=$1
    shift
    $gcc "$here/probe.c" -o "$root/bin/$name" "$@" -L"$root/lib" || exit 1
}
link glibc-static -DALONE -static -no-pie
link glibc-fixed -no-pie -lglibc-probe
link glibc-pie -pie -fPIE -lglibc-probe
link musl-fixed $with_musl -no-pie $start -lmusl-probe
link musl-pie $with_musl -pie -fPIE $start -lmusl-probe
names=$(cd "$root/bin" && ls)
$gcc -ffreestanding -fPIC -shared -nostdlib -Wl,-e,_start "$here/alone.c" -o "$root/bin/alone" || exit 1
riscv64-linux-gnu-gcc -nostdlib -static "$here/low.S" -o "$root/bin/low" \
    -Wl,-T,"$here/low.lds",--build-id=none,-z,max-page-size=4096,--no-warn-rwx-segments || exit 1

# Programs whose interpreter is absent, is no ELF file, may not be executed.
for loader in absent text closed; do
    $gcc -DALONE "$here/probe.c" -Wl,--dynamic-linker,/lib/$loader -o "$root/odd/$loader"
done
printf 'this is no program, but it is longer than an ELF header, so that all of that can be read from it' >"$root/lib/text"
cp "$root/lib/ld-linux-riscv64-lp64d.so.1" "$root/lib/closed"
chmod 755 "$root/lib/text"
chmod 644 "$root/lib/closed"

# ---- the guest: one boot runs all
cat >"$root/bin/all" <<EOT
#!/bin/sh
for name in $(echo $names); do
    echo "== begin \$name"
    /bin/\$name word
    echo "== end \$name \$?"
done
/bin/low
echo "== low \$?"
/bin/alone
echo "== alone \$?"
for name in absent text closed; do
    /odd/\$name 2>/dev/null
    echo "== \$name \$?"
done
for name in glibc-pie musl-pie; do
    for i in 1 2 3 4 5 6 7 8; do echo "== where \$name \$(/bin/\$name where)"; done
done
echo "== done"
EOT
chmod 755 "$root/bin/all"
cp -R user/rootfs "$work/skeleton"
cp -R "$root/." "$work/skeleton"
.setup/initrd "$work/initrd.cpio" build/third_party/busybox "$work/skeleton" build/user/init

# What Linux makes of them: user emulation, which has no vDSO for RISC-V; those lines say what a C
# library relies on.
for name in $names; do
    qemu-riscv64 -L "$root" -E LD_LIBRARY_PATH="$root/lib" "$root/bin/$name" word 2>&1 | awk '
        /^64 MiB of heap: / { $0 = "64 MiB of heap: yes" } # the emulation puts too much behind some programs
        /^vdso: there is none/ {
            print "vdso monotonic: yes\nvdso realtime: yes\nvdso boottime: yes\nvdso process time: yes"
            print "vdso bad clock: -22\nvdso gettimeofday: yes\nvdso getres: 0 yes\nvdso getcpu: 0 yes 0\nvdso trampoline: yes"
            next
        }
        { print }' >"$work/$name.want"
done

for harts in ${HARTS:-1 2 4}; do
    timeout -k 5 120 qemu-system-riscv64 -M virt -smp $harts -m 512M -nographic -monitor none -serial stdio \
        -kernel "${ELF:-build/kernel/tidepool.elf}" -initrd "$work/initrd.cpio" -append run=/bin/all \
        -global virtio-mmio.force-legacy=false -device virtio-rng-device </dev/null 2>&1 | tr -d '\r' >"$work/log"
    for name in $names; do
        got=$(sed -n "/^== begin $name\$/,/^== end $name /p" "$work/log" | sed '1d;$d')
        is "$name at $harts harts" "$got" "$(cat "$work/$name.want")"
    done
    is "a segment at 0x1000, read, written and executed, at $harts harts" "$(grep '^== low' "$work/log")" "== low 7"
    is "position independent, without interpreter and libc" "$(grep '^== alone' "$work/log")" "== alone 5"
    is "an interpreter that is absent" "$(grep '^== absent' "$work/log")" "== absent 127"
    is "an interpreter that is no ELF file" "$(grep '^== text' "$work/log")" "== text 126"
    is "an interpreter that may not be executed" "$(grep '^== closed' "$work/log")" "== closed 126"
    for name in glibc-pie musl-pie; do
        is "$name: 8 runs, 8 places of program and vDSO" \
            "$(sed -n "s/^== where $name //p" "$work/log" | tr ' ' '\n' | sort -u | wc -l)" 16
    done
    is "the run came to its end" "$(grep '^== done' "$work/log")" "== done"
done
echo "1..$test"
