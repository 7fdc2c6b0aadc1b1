#!/usr/bin/perl
# kmon on a line that is a terminal, as QEMU's `-serial pty` and a serial device are; a kernel that is none behind it. TAP.
use strict;
use warnings;
use lib 'tests/lib';
use Kmon;
use Test::More;

my $fake = fork // die;
exec "$dir/fake_kernel", "pty:$dir/pty" if !$fake;
for (1 .. 3000) { last if -e "$dir/pty"; pause(0.01) }

# Every byte gets through: the terminal would echo, edit lines and change their ends.
for (['eval 1+1', 0, "2\n"], ['eval x --json', 0, qr/"bytes":"\xc3\xbf\xc2\x80"/], ['eval error', 1, ''], ['eval long', 0, 'x' x 4095 . "\n"],
     ['sh "seq 1 5000; exit 3"', 3, join('', map { "$_\n" } 1 .. 5000)]) {
    my ($args, $status, $out) = @$_;
    my @got = run_line("connect pty:$dir/pty $args");
    is($got[0], $status, "$args: exit $status") or diag $got[2];
    ref $out ? like($got[1], $out, "$args: stdout") : is($got[1], $out, "$args: stdout");
}
kill 'KILL', $fake;
waitpid $fake, 0;
done_testing;
