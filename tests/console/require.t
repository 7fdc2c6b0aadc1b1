#!/usr/bin/perl
# require: a module that the kernel has is not sent again, one that was changed is; what fails names its file. A machine, and
# between it and kmon a relay that counts the bytes to the kernel. TAP.
use strict;
use warnings;
use lib 'tests/lib';
use IO::Select;
use IO::Socket::UNIX;
use Kmon;
use Test::More;

my $elf = $ENV{ELF} // 'build/kernel/tidepool.elf';
my $shared = "$dir/shared";
my $relay = "$dir/relay";
my $counts = "$dir/counts";

# Writes to $counts, for each connection to $relay, how many bytes went to $shared.
sub relay {
    local $SIG{PIPE} = 'IGNORE';
    my $listener = IO::Socket::UNIX->new(Local => $relay, Listen => 1) or die;
    while (my $client = $listener->accept) {
        my $line = IO::Socket::UNIX->new(Peer => $shared) or die;
        my ($sum, $all) = (0, IO::Select->new($client, $line));
        RELAY: while (1) {
            for my $from ($all->can_read) {
                sysread $from, my $data, 65536 or last RELAY;
                my $to = $from == $client ? $line : $client;
                $sum += length $data if $to == $line;
                while (length $data) {
                    my $n = syswrite $to, $data or last RELAY;
                    substr $data, 0, $n, '';
                }
            }
        }
        close $line;
        write_file("$counts.new", $sum);
        rename "$counts.new", $counts;
    }
}

# Runs the script; status, stdout, stderr, and the bytes that went to the kernel.
sub run_counted {
    unlink $counts;
    my @got = run_line("run $dir/script.lua");
    for (1 .. 3000) { last if -e $counts; pause(0.01) }
    return (@got, text_of('counts'));
}

$ENV{TIDEPOOL_LINE} = $shared;
my $serving = start("qemu --kernel $elf --smp 2 serve", '-serve');
for (1 .. 3000) { last if -S $shared; pause(0.01) }
is((run_line('eval 1+1'))[1], "2\n", 'a machine');
my $relaying = fork // die;
if (!$relaying) {
    relay();
    exit;
}
for (1 .. 3000) { last if -S $relay; pause(0.01) }
$ENV{TIDEPOOL_LINE} = $relay;

my $padding = '-- ' . join('', map { chr 97 + $_ * 7 % 26 } 1 .. 29_000) . "\n";
sub module { my ($name, $says) = @_; write_file("$dir/$name.lua", "${padding}return '$says'\n") }
sub script { my ($name) = @_; write_file("$dir/script.lua", "print(require '$name', #require 'small')\n") }
write_file("$dir/small.lua", "return {1, 2, 3}\n");
module('large', 'one');
script('large');
for (['sent', 'one', 29_000, 40_000], ['not sent again', 'one', 1, 3_000], ['sent when it was changed', 'two', 29_000, 40_000],
     ['not sent again when that was taken back', 'one', 1, 3_000]) {
    my ($name, $says, $least, $most) = @$_;
    module('large', $says);
    my ($status, $out, $err, $bytes) = run_counted();
    is("$status $out$err", "0 $says\t3\n", "a module is $name");
    ok($bytes >= $least && $bytes <= $most, "by the bytes: $bytes");
}
module('other', 'one');
script('other');
my ($status, $out, $err, $bytes) = run_counted();
is("$status $out", "0 one\t3\n", 'the same under another name');
cmp_ok($bytes, '<', 3_000, 'is not sent either');

# ---- what fails
write_file("$dir/a.lua", "local b = require 'b'\nreturn b\n");
write_file("$dir/b.lua", "\nlocal a = require 'a'\nreturn a\n");
script('a');
($status, $out, $err) = run_counted();
is($status, 1, 'a cycle fails');
like($err, qr{^\S*/b\.lua:2: require: a cycle: a -> b -> a$}m, 'and is named, with its place');
write_file("$dir/b.lua", "\n\nlocal x = nil + 1\n");
($status, $out, $err) = run_counted();
is($status, 1, 'a module that raises');
like($err, qr{^\S*/b\.lua:3: attempt to perform arithmetic}m, 'by its own file and line');
like($err, qr{^ +3 \| local x = nil \+ 1}m, 'whose text is shown');
write_file("$dir/b.lua", "\nlocal = 5\n");
($status, $out, $err) = run_counted();
like($err, qr{^\S*/b\.lua:2: <name> expected near '='$}m, 'so is one that is no Lua');
unlink "$dir/b.lua";
($status, $out, $err) = run_counted();
like($err, qr{^\S*/a\.lua:1: b: No such file or directory \(looked beside the script}m, 'one that is absent, by who requires it');
write_file("$dir/b.lua", "return 1 $padding" . $padding x 2);
($status, $out, $err) = run_counted();
like($err, qr{^\S*/a\.lua:1: \S*/b\.lua: a file has less than \d+ bytes; put parts of it into others$}m, 'and one that is too large');
kill 'TERM', $relaying, $serving;
waitpid $_, 0 for $relaying, $serving;
done_testing;
