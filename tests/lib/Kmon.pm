# For the tests of kmon: the fake kernel (tests/console/fake_kernel.c), and kmon beside it with its output in files.
package Kmon;
use strict;
use warnings;
use Exporter 'import';
use File::Temp 'tempdir';
use Test::More;
our @EXPORT = qw($kmon $dir $socket start_fake run_line kmon start text_of shows write_file ends pause);

our $kmon = 'build/kmon';
our $dir = tempdir(CLEANUP => 1);
our $socket = "$dir/line";
my $fake = "$dir/fake_kernel";

$ENV{TIDEPOOL_LINE} = "$dir/none";
$ENV{ASAN_OPTIONS} = 'detect_leaks=0';
system("gcc -g -Wall -Wextra -Werror -std=gnu11 -fsanitize=address,undefined -Imonitor "
       . "tests/console/fake_*.c monitor/wire/*.c -o $fake") == 0
    or BAIL_OUT('the fake kernel does not build');

sub pause { select undef, undef, undef, $_[0] }

# The fake ends with its connection. Its socket appears when it listens. What it says of itself is in the file "fake".
sub start_fake {
    my ($mode) = @_;
    unlink $socket, "$dir/fake";
    my $pid = fork // die;
    if (!$pid) {
        open STDOUT, '>', "$dir/fake" or die;
        exec $fake, $socket, $mode ? $mode : () or die;
    }
    pause(0.01) until -S $socket;
    return $pid;
}

# Runs kmon with a shell line behind "connect ADDR"; status, stdout, stderr.
sub run_line {
    my ($line) = @_;
    my $status = system("timeout " . ($ENV{LIMIT} // 20) . " $kmon >$dir/out 2>$dir/err $line\n");
    my @text = map { open my $f, '<', "$dir/$_" or die; local $/; scalar <$f> // '' } 'out', 'err';
    return ($status >> 8, @text);
}

sub kmon {
    my ($args, $mode) = @_;
    my $pid = start_fake($mode);
    my @got = run_line("connect unix:$socket $args");
    kill 'KILL', $pid;
    waitpid $pid, 0;
    unlink $socket;
    return @got;
}

# A child with its output in files; the test waits for what it prints, and not for what one before it has printed.
sub start {
    my ($args, $name) = (@_, '');
    unlink "$dir/out$name", "$dir/err$name";
    my $pid = fork // die;
    if (!$pid) {
        open STDOUT, '>', "$dir/out$name";
        open STDERR, '>', "$dir/err$name";
        exec "exec $kmon $args" or die;
    }
    return $pid;
}
sub text_of {
    open my $f, '<', "$dir/$_[0]" or return '';
    local $/;
    return scalar <$f> // '';
}
sub shows {
    my ($file, $pattern, $name) = @_;
    for (1 .. 6000) { # never so long, but on a machine that is busy
        last if text_of($file) =~ $pattern;
        pause(0.01);
    }
    like(text_of($file), $pattern, $name);
}
sub write_file {
    my ($name, $text) = @_;
    open my $f, '>', $name or die;
    print $f $text;
    close $f;
}
sub ends {
    my ($pid, $status, $name) = @_;
    waitpid $pid, 0;
    is($? >> 8, $status, $name);
}
1;
