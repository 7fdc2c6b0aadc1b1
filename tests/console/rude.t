#!/usr/bin/perl
# A client of a shared line that does what no kmon does: it harms nobody else, and what it makes the broker keep has a bound. TAP.
use strict;
use warnings;
use lib 'tests/lib';
use Kmon;
use Test::More;

my $rude = "$dir/rude_client";
my $shared = "$dir/shared";
$ENV{TIDEPOOL_LINE} = $shared;
system("gcc -g -Wall -Wextra -Werror -std=gnu11 -fsanitize=address,undefined -Imonitor tests/console/rude_client.c monitor/wire/*.c -o $rude")
    == 0 or BAIL_OUT('the rude client does not build');

my $fake = start_fake();
my $serving = start("connect unix:$socket serve", '-serve');
pause(0.01) until -S $shared;

sub rude {
    my ($how) = @_;
    my $pid = fork // die;
    return $pid if $pid;
    open STDOUT, '>', "$dir/out-$how";
    exec $rude, $shared, $how;
}
sub gone {
    kill 'KILL', @_;
    waitpid $_, 0 for @_;
}

for (['endless', 'a message that never ends', 'a request has at most 65536 bytes: send a shorter script, and what it needs as modules'],
     ['returns', 'answers that nobody asked for', 'too many answers']) {
    my ($how, $name, $why) = @$_;
    my $pid = rude($how);
    shows("out-$how", qr/\Akmon: $why\r\n\z/, "$name: one clear line");
    gone($pid);
    my @got = run_line('eval 1+1');
    is("@got[0, 1]", "0 2\n", 'and the next client has its answer') or diag $got[2];
}

# a client that says HELLO again is another one
my @hang = map { start('eval "say and hang"', "-h$_") } 1 .. 3;
shows("out-h$_", qr/^runs$/, "hang $_ has its session") for 1 .. 3;
my $anew = rude('anew');
shows('out-anew', qr/^anew$/, 'another HELLO on the same socket');
my @got = run_line('eval 1+1');
is("@got[0, 1]", "0 2\n", 'gives the session free') or diag $got[2];
gone($anew, @hang);

my $reset = rude('reset');
shows('out-reset', qr/^reset$/, 'RESET of one that has the shell');
@got = run_line('sh "echo word"');
is("@got[0, 1]", "0 word\n", 'gives the shell free') or diag $got[2];
gone($reset);

kill 'INT', $serving;
ends($serving, 130, 'the one that shares is ended');
gone($fake);
done_testing;
