#!/usr/bin/perl
# Each script of lua-scripts/, as its header says that it is called, on a machine: it ends with 0 and shows something. TAP.
use strict;
use warnings;
use lib 'tests/lib';
use Kmon;
use Test::More;

my $elf = $ENV{ELF} // 'build/kernel/tidepool.elf';
my %arguments = (
    lazy => ['', '2'],
    maps => ['', '1', 'sh'],
    ps => ['', '-b'],
    ring => ['', 'vda.0'],
    timeline => [q('ls -lR /mnt'), q('ls -lR /mnt' 20 1024)],
    tls => ['', '1'],
    walk => ['0 0xffffffc080200000', '1 0x10000', '1 0x100'],
);
my @scripts = map { m{/(\w+)\.lua$} } sort glob 'lua-scripts/*.lua';
is(join(' ', sort keys %arguments), "@scripts", 'all scripts are called');

$ENV{TIDEPOOL_LINE} = "$dir/shared";
$ENV{LIMIT} = 120;
my $serving = start("qemu --kernel $elf --smp 2 serve", '-serve');
for (1 .. 3000) { last if -S "$dir/shared"; pause(0.01) }
for my $script (@scripts) {
    for my $words (@{$arguments{$script} // []}) {
        my ($status, $out, $err) = run_line("run lua-scripts/$script.lua $words");
        is("$status $err", '0 ', "$script $words: exit 0, no complaint");
        like($out, qr/\S/, "$script $words: shows something");
    }
}
kill 'TERM', $serving;
waitpid $serving, 0;
done_testing;
