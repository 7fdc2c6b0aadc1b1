#!/usr/bin/perl
# Every field of every class says what lies in memory: the monitor prints objects, gdb stops the machine and reads the same out of the
# C structures (compare.py). At 2 and 4 harts (HARTS). TAP.
use strict;
use warnings;
use lib 'tests/lib';
use Kmon;
use Test::More;

my $elf = $ENV{ELF} // 'build/kernel/tidepool.elf';
for my $harts (split ' ', $ENV{HARTS} // '2 4') {
    my $gdb = "$dir/gdb$harts";
    my $pid = open my $said, '-|', "exec build/kmon qemu --kernel $elf --smp $harts --initrd build/tests.cpio"
        . " --qemu -gdb --qemu unix:$gdb,server=on,wait=off check tests/gdb/objects.lua 2>&1 </dev/null" or die;
    open my $objects, '>', "$dir/objects" or die;
    my $ready = 0;
    local $SIG{ALRM} = sub { kill 'TERM', $pid };
    alarm($ENV{GUEST_TIMEOUT} // 120);
    while (<$said>) {
        print $objects $_;
        diag $_ if /^(not ok|tests\S+objects\.lua:)/;
        last if $ready = /^ready$/;
    }
    close $objects;
    ok($ready, "$harts harts: the monitor has said everything") or diag `grep -v '^\(class\|object\|field\|ok\) ' $dir/objects | head -40`;
    my $text = $ready ? `OBJECTS=$dir/objects timeout 100 gdb-multiarch -nx -batch $elf -ex "target remote $gdb" -x kernel/gdb/tidepool.py -x tests/gdb/compare.py 2>&1` : '';
    for ($text =~ /^((?:not )?ok .*(?:\n  .*)*)/mg) {
        my ($line, @why) = split /\n/;
        ok($line =~ /^ok/, $line =~ s/^(not )?ok //r) or diag join "\n", @why;
    }
    like($text, qr/^compared \d+ values/m, 'gdb went through all of them') or diag $text;
    alarm 0;
    kill 'TERM', $pid;
    close $said;
}
done_testing;
