#!/usr/bin/perl
# One kmon has the line, others attach to it: who gets what, and what a client's end does to the rest.
use strict;
use warnings;
use IO::Handle;
use IO::Socket::UNIX;
use POSIX 'mkfifo';
use Time::HiRes 'time';
use lib 'tests/lib';
use Kmon;
use Test::More;

my $shared = "$dir/shared";
my (@fakes, $serving);
$ENV{TIDEPOOL_LINE} = $shared;

sub serve {
    my ($args, $mode) = (@_, '');
    push @fakes, start_fake($mode);
    $serving = start("connect unix:$socket $args serve", '-serve');
    pause(0.01) until -S $shared;
}
sub stop {
    kill 'INT', $serving;
    ends($serving, 130, 'the one that shares is ended');
    ok(!-e $shared, 'and its socket is gone');
}
# Scripts that hang, each in a session of its own.
sub hang {
    my @pids = map { start('eval "say and hang"', "-$_") } @_;
    shows("out-$_", qr/^runs$/, "$_ has its session") for @_;
    return @pids;
}
# Passes on what two sockets say, until one is closed; what the first one says no further than $until, which is returned.
sub pass {
    my ($near, $far, $until) = @_;
    while (1) {
        my $in = '';
        vec($in, fileno $_, 1) = 1 for $near, $far;
        select $in, undef, undef, undef;
        for ([$near, $far], [$far, $near]) {
            my ($from, $to) = @$_;
            next if !vec $in, fileno $from, 1;
            sysread $from, my $data, 65536 or return '';
            return $data if $from == $near && $data =~ $until;
            syswrite $to, $data;
        }
    }
}
# kmon as a client, to its end.
sub client {
    my ($args, $status, $out, $name) = @_;
    my @got = run_line($args);
    is($got[0], $status, "$name: exit $status") or diag $got[2];
    ref $out ? like($got[1], $out, "$name: stdout") : is($got[1], $out, "$name: stdout");
    return $got[2];
}

# The kernel's answer and a client's next HELLO come at once: the client is told of one session, not of two.
push @fakes, start_fake();
kill 'STOP', $fakes[0];
$serving = start("connect unix:$socket serve", '-serve');
pause(0.01) until -S $shared;
my $early = start('eval 1+1', '-early');
pause(0.6);
kill 'STOP', $serving;
kill 'CONT', $fakes[0];
pause(0.6);
kill 'CONT', $serving;
ends($early, 0, 'a client that was there before the kernel') or diag text_of('err-early');
is(text_of('out-early'), "2\n", 'has its answer');
stop();

serve();
client('eval 1+1', 0, "2\n", 'one client');
client("connect unix:$shared eval 1+1", 0, "2\n", 'by its address');
client('eval error', 1, '', 'an error');
client('eval --json x', 0, qr/\A\{"va"/, 'json');
client('eval "call file name tests/console/two-lines.lua"', 0, qr/\Astatus 0 <local a = 1\n/, 'a call to the host');
client(q(eval 'call sh command echo word'), 0, "status 0 <word\n>\n", 'a call for the shell, as it was made');
client('sh "exit 3"', 3, '', 'the shell');
client('sh "seq 1 3000"', 0, join('', map { "$_\n" } 1 .. 3000), 'much output');
is((stat $shared)[2] & 0777, 0600, 'the socket is for its owner only');
{
    my @pids = map { start('eval 1+1', "-$_") } 1 .. 20;
    waitpid $_, 0 for @pids;
    is(join('', map { text_of("out-$_") } 1 .. 20), "2\n" x 20, '20 clients at once');
}
{
    my @pids = map { start("sh 'echo begin $_; echo " . $_ x 1500 . "; echo end $_'", "-$_") } 1 .. 5;
    waitpid $_, 0 for @pids;
    is(text_of("out-$_"), "begin $_\n" . $_ x 1500 . "\nend $_\n", "5 type at once: $_ gets its own") for 1 .. 5;
}

# INT: to whom it belongs
my ($hangs) = hang('a');
client('eval "for i = 1, 3 do end"', 0, "hello from a script\n", 'another is answered meanwhile');
is(text_of('out-a'), "runs\n", 'what it prints goes to nobody else');
my @hang = hang('h0', 'h1', 'h2');
my $since = time;
my $patient = start('eval 1+1', '-c');
my $waits;
{
    # Its ^C comes with the request: later, it might have waited for too long already.
    my $listener = IO::Socket::UNIX->new(Local => "$dir/between", Listen => 1) or die;
    $waits = start("connect unix:$dir/between eval 1+1", '-b');
    my ($near, $far) = (scalar $listener->accept, IO::Socket::UNIX->new($shared));
    my $asked = pass($near, $far, qr/1\+1/);
    kill 'INT', $waits;
    sysread $near, $asked, 4096, length $asked;
    syswrite $far, $asked;
    pass($near, $far, qr/(?!)/);
}
ends($waits, 130, '^C at one that waits for a session ends that one');
is(text_of('err-b'), "interrupted\n", 'which says so');
is(waitpid($hangs, POSIX::WNOHANG()), 0, 'not one that runs');
ends($patient, 6, 'who gets no session');
cmp_ok(time - $since, '>=', 5, 'waits a moment');
my ($named) = text_of('err-c') =~ /\Aall sessions of the monitor are in use: end one of kmon ([\d ]+)\n\z/;
is(join(' ', sort split ' ', $named // ''), join(' ', sort $hangs, @hang), 'is told what to do') or diag text_of('err-c');
kill 'INT', $hang[1];
ends($hang[1], 130, '^C at one that runs ends it');
client('eval 1+1', 0, "2\n", 'and there is a session for the next one');
is(waitpid($_, POSIX::WNOHANG()), 0, 'the others run on') for $hangs, $hang[0], $hang[2];
kill 'INT', $hangs, $hang[0], $hang[2];
ends($_, 130, 'to their own ^C') for $hangs, $hang[0], $hang[2];

# a client that dies
($hangs) = hang('a');
$waits = start('eval 1+1', '-b');
my $typing = start('sh "echo begun; sleep 0.5; echo done"', '-c');
shows('out-c', qr/^begun$/, 'one types');
kill 'KILL', $hangs;
waitpid $hangs, 0;
ends($waits, 0, 'a client that is killed gives the kernel free');
is(text_of('out-b'), "2\n", 'the answer is the right one');
ends($typing, 0, 'a command in the guest goes on');
is(text_of('out-c'), "begun\ndone\n", 'to its end');
my $call = start(qq(eval 'call sh command echo begun >$dir/called; sleep 2'), '-a');
shows('called', qr/^begun$/, 'a script calls');
kill 'KILL', $call;
waitpid $call, 0;
client('eval 1+1', 0, "2\n", 'one killed in the middle of a call');

# what it had asked for is on its way, and overtaken by the end of its session
write_file("$dir/asks", "k> deaf\nk> hang\n");
my $asks = start("transcript $dir/asks", '-a');
shows('out-a', qr/^ok 1/, 'one has its answer from a kernel that is deaf then, and asks again');
pause(0.5);
kill 'KILL', $asks;
waitpid $asks, 0;
pause(0.5);
client('eval 1+1', 0, "2\n", 'the next one has an answer, and not the session that ran for the dead one');

# the terminal is everybody's
{
    my @lines = map { IO::Socket::UNIX->new($shared) or die } 1 .. 2;
    syswrite $lines[0], "\3\r\necho pl''ain\r";
    for my $line (@lines) {
        my $got = '';
        while ($got !~ /^plain\r/m) {
            my $in = '';
            vec($in, fileno $line, 1) = 1;
            select $in, undef, undef, 10 or last;
            sysread $line, $got, 4096, length $got or last;
        }
        like($got, qr/^plain\r/m, 'without frames the socket is the plain terminal');
    }
    mkfifo("$dir/nokeys", 0600) or die;
    my $watcher = start("tty <>$dir/nokeys", '-tty');
    open my $keys, '>', "$dir/nokeys" or die;
    syswrite $keys, "echo att''ached\r";
    shows('out-tty', qr/^attached\r/m, 'a terminal that is watched');
    kill 'STOP', $watcher;
    client('sh "seq 1 600000"', 0, qr/\n599999\n600000\n\z/, 'a client that is stopped holds nobody up');
    kill 'KILL', $watcher;
    waitpid $watcher, 0;
    syswrite $lines[1], "\0";
    close $_ for @lines;
}
my @got = run_line("connect unix:$shared --share $shared serve");
is($got[0], 3, 'shared twice: exit 3');
like($got[2], qr/\Akmon: another kmon shares its line at .*\n\z/, 'shared twice: one clear line');
client('eval 1+1', 0, "2\n", 'which disturbs nobody');

# another kernel
mkfifo("$dir/keys", 0600) or die;
my $tty = start("tty <$dir/keys", '-tty');
open my $keys, '>', "$dir/keys" or die;
$keys->autoflush;
print $keys "echo be''fore\r";
shows('out-tty', qr/^before\r/m, 'a terminal is attached');
unlink "$dir/called";
$waits = start(qq(eval "call sh command echo begun >$dir/called; sleep 1"), '-b');
shows('called', qr/^begun$/, 'a script has the shell');
like(client('eval reboot', 6, '', 'a kernel that is booted anew'), qr/the kernel was booted anew|given up/, 'is told of');
waitpid $waits, 0;
client('eval 1+1', 0, "2\n", 'a new client speaks to the new kernel');
print $keys "echo af''ter\r";
shows('out-tty', qr/OpenSBI.*^after\r/ms, 'the terminal goes on');
like(client('eval panic', 5, '', 'a panic'), qr/PANIC on hart 1: the sky fell\nhalted\nkmon: the kernel panicked/, 'is told of');
ends($tty, 5, 'and ends the terminal');
like(text_of('out-tty'), qr/the sky fell/, 'which shows it');
ends($serving, 5, 'and ends who shares the line');
ok(!-e $shared, 'with its socket');

# the verb's own
push @fakes, start_fake();
mkfifo("$dir/go", 0600) or die;
my $own = start("connect unix:$socket --share $shared sh 'read go <$dir/go; exit 7'", '-own');
pause(0.01) until -S $shared;
client('eval 1+1', 0, "2\n", '--share beside a verb');
write_file("$dir/go", "go\n");
ends($own, 7, 'whose status is the status');
ok(!-e $shared, 'and whose end is the end');

# no memory for a second session
push @fakes, start_fake('full');
$serving = start("connect unix:$socket serve", '-serve');
pause(0.01) until -S $shared;
my ($first) = hang('a');
is(client('eval 1+1', 6, '', 'a client for whose session there is no memory'),
    "the kernel has no memory for another session of the monitor: end a program\n", 'is told so');
is(waitpid($first, POSIX::WNOHANG()), 0, 'and harms nobody');
kill 'KILL', $first;
waitpid $first, 0;
client('eval 1+1', 0, "2\n", 'the next one gets the session that became free');
stop();

# what a session said last comes late
serve('', 'ghosts');
client('eval 1+1', 0, "2\n", 'what comes before a session is open is not of it: text');
client('events irq --jsonl', 0, '', 'events');
stop();

# a session that hangs in its end
serve('', 'clings');
@hang = hang('h0', 'h1', 'h2');
client('eval 1+1', 0, "2\n", 'one whose session does not end');
{
    local $ENV{LIMIT} = 25;
    my ($named) = client('eval 1+1', 6, '', 'who waits for it') =~ /\Aall sessions of the monitor are in use: end one of kmon ([\d ]+)\n\z/;
    is(join(' ', sort split ' ', $named // ''), join(' ', sort @hang), 'is told after a while');
    kill 'KILL', @hang;
    waitpid $_, 0 for @hang;
}
stop();

# what was left behind, what is in the way
{
    my $stale = IO::Socket::UNIX->new(Local => $shared, Listen => 1) or die;
    close $stale;
    ok(-S $shared, 'a socket is left behind');
    push @fakes, start_fake();
    my @got = run_line("connect unix:$socket --share $shared eval 1+1");
    is("@got[0, 1]", "0 2\n", 'it is replaced') or diag $got[2];
    write_file($shared, 'text');
    for (["--share $shared", 2, 'a file that is no socket'], ['--share /no/such/place', 3, 'cannot share the line'],
         ['--share ' . 'x' x 200, 2, 'has 1 to 107 characters']) {
        my ($args, $status, $why) = @$_;
        my @got = run_line("connect unix:$socket $args eval 1");
        is($got[0], $status, "$why: exit $status");
        like($got[2], qr/\Akmon: .*$why.*\n\z/, "$why: one clear line");
    }
    is(text_of('shared'), 'text', 'a file in the way is left alone');
}
kill 'KILL', @fakes;
done_testing;
