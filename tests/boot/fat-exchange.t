#!/bin/sh
# Files go both ways through a FAT32 disk: what mtools put there the guest reads, what the guest writes mtools reads, and
# fsck.vfat finds nothing to mend. TAP.
set -u
elf=${ELF:-build/kernel/tidepool.elf}
[ "${MONITOR:-1}" = 1 ] || { echo "1..0 # skip needs the monitor"; exit; }
export MTOOLS_SKIP_CHECK=1 LC_ALL=C.UTF-8
PATH=$PATH:/usr/sbin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
test=0

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
# guest HARTS COMMAND: runs it in the guest's shell; the disk keeps what it does
guest() {
    timeout -k 5 120 build/kmon qemu --kernel "$elf" --smp "$1" --disk "$work/disk" sh "$2" </dev/null 2>"$work/stderr"
}
content() { mtype -i "$work/disk" "::$1"; }
check() { is "$1: fsck.vfat finds nothing" "$(fsck.vfat -n "$work/disk" 2>&1 | grep -v -e '^fsck.fat' -e ' files, ')" ""; }

for options in "-s 1 -n SMALL" "-s 8 -n LARGE"; do
    harts=$([ "$options" = "-s 1 -n SMALL" ] && echo 1 || echo 4)
    rm -f "$work/disk"
    truncate -s $([ $harts = 1 ] && echo 48M || echo 300M) "$work/disk"
    mkfs.vfat -F 32 $options "$work/disk" >/dev/null
    head -c 3000000 "$elf" >"$work/data"
    sum=$(md5sum <"$work/data" | cut -c1-32)
    echo "short" >"$work/UPPER.TXT"
    echo "long" >"$work/A name of more than 8.3 characters"
    mmd -i "$work/disk" ::dir ::dir/below
    mcopy -i "$work/disk" "$work/data" "$work/UPPER.TXT" "$work/A name of more than 8.3 characters" ::dir/below

    is "$options: the guest reads what mtools wrote" "$(guest $harts '
        cd /mnt/dir/below && ls -1 && md5sum <data && cat upper.txt "a NAME of more than 8.3 characters"')" \
        "A name of more than 8.3 characters
UPPER.TXT
data
$sum  -
short
long"
    is "$options: the guest writes" "$(guest $harts '
        cd /mnt && cp dir/below/data copy && mkdir -p "new dir/deeper" && mv dir/below "new dir/moved"
        for i in $(seq 1 60); do echo $i >"new dir/deeper/file number $i"; done
        for i in $(seq 1 2 60); do rm "new dir/deeper/FILE NUMBER $i"; done
        echo replaced >victim; echo winner >winner; mv winner victim
        echo dot >.profile; echo plain >profile; echo "été" >"été 日本.txt"
        dd if=/dev/zero of=grown bs=1 count=1 seek=100000 2>/dev/null; rmdir dir; sync; md5sum <copy')" "$sum  -"
    check "$options"
    is "$options: mtools finds the names" "$(mdir -b -i "$work/disk" :: | sort)" \
        "$(printf '::/%s\n' .profile copy grown "new dir/" profile victim "été 日本.txt" | sort)"
    is "$options: and what was made and removed" "$(mdir -b -i "$work/disk" "::new dir/deeper" | wc -l)" 30
    is "$options: contents are the same" "$(content copy | md5sum | cut -c1-32)" "$sum"
    is "$options: also of what moved" "$(content "new dir/moved/data" | md5sum | cut -c1-32)" "$sum"
    is "$options: rename replaces" "$(content victim)" winner
    is "$options: names stay apart" "$(content .profile; content profile; content "été 日本.txt")" "$(printf 'dot\nplain\nété')"
    is "$options: growth is zeros" "$(content grown | tr -d '\0' | wc -c) $(content grown | wc -c)" "0 100001"

    is "$options: a full disk is an error, then as before" "$(guest $harts '
        cd /mnt; dd if=/dev/zero of=full bs=64k 2>&1 | grep -o "No space left.*"; head -c 9000 full >more 2>/dev/null || echo refused
        rm -f full more; cat victim; sync')" "No space left on device
refused
winner"
    check "$options, once full"
done
echo "1..$test"
