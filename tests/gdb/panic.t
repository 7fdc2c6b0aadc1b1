#!/usr/bin/perl
# A panic while the system is frozen, or is just coming to stand still: the harts that are parked stop for it, and all of the report
# comes out. gdb stops the machine at that moment and lets a hart go on in panic() (panic.py). At 1, 2 and 4 harts (HARTS). TAP.
use strict;
use warnings;
use lib 'tests/lib';
use Kmon;
use Test::More;

my $elf = $ENV{ELF} // 'build/kernel/tidepool.elf';
write_file("$dir/look.lua", <<'X');
host.sh("(stress 2 1000000 & spin & sleep 1000 &) >/dev/null 2>&1")
k.mode = "rw"
local sleep = assert(eventually(function() return k.tasks():where{name = "sleep", state = "waiting"}:first() end, 20))
sleep.nice = 7
local how = ...
local function spend() local till = k.ns + 20000000 while k.ns < till do end end
print("ready")
while true do
    if how == "freeze" then pcall(k.freeze, spend, {ms = 1000}) else pcall(k.snapshot, {sleep = sleep, hart = k.harts[0]}) end
    k.sleep(1)
end
X

sub panics {
    my ($harts, $how, $break, $name) = @_;
    my $gdb = "$dir/gdb";
    unlink $gdb;
    local $ENV{TIDEPOOL_LINE} = "$dir/shared-$harts";
    my $kmon = start("qemu --kernel $elf --smp $harts --qemu -gdb --qemu unix:$gdb,server=on,wait=off --timeout "
        . ($ENV{GUEST_TIMEOUT} // 120) . " run $dir/look.lua $how </dev/null");
    shows('out', qr/^ready$/m, "$harts harts: $name");
    my $text = `WHERE="$break" timeout ${\($ENV{GUEST_TIMEOUT} // 120)} gdb-multiarch -nx -batch $elf -ex "target remote $gdb" -x tests/gdb/panic.py 2>&1`;
    my ($hart) = $text =~ /^panics on hart (\d+)$/m;
    ok(defined $hart, 'a hart goes on in panic()') or diag $text;
    ends($kmon, 5, 'kmon ends as for any panic');
    defined $hart or return;
    my $said = text_of('err');
    $said =~ tr/\r\0//d;
    my $all = 1;
    $all &&= $said =~ $_ or do { diag "not found: $_"; $all = 0 }
        for qr/^PANIC on hart $hart: planted$/m, qr/^  task \d+ monitor on hart \d+$/m,
            qr/^  task \d+ sleep waiting\n(    #\d .*\n)*    #\d \S+ kernel\/\S+:\d+ /m,
            qr/^  change 1 by session 1: make the niceness of Task#\d+ 7$/m, qr/^a key begins the post-mortem shell\nhalted$/m;
    ok($all, 'the report has the harts, who waits, the changes, and an end');
    unlike($said, qr/does not answer|panic in the panic/, 'every hart has stopped, and nothing is broken');
    like($said, qr/\nkmon: the kernel panicked while the script ran\n\z/, 'kmon says so');
    diag $said if !$all || $said =~ /does not answer/;
}

for my $harts (split ' ', $ENV{HARTS} // '1 2 4') {
    panics($harts, 'freeze', 'freeze_holds', 'within k.freeze, on the hart that holds the others');
    next if $harts == 1;
    panics($harts, 'freeze', 'ipi_serve', 'on the hart that waits for the others');
    panics($harts, 'freeze', 'freeze.c:park', 'on a hart that k.freeze waits for');
    panics($harts, 'snapshot', 'freeze.c:park', 'on a hart that k.snapshot waits for');
}
done_testing;
