#!/usr/bin/perl
# A line that changes, drops, repeats and exchanges bytes and whole frames between kmon and the kernel, in a machine of 1, 2 and 4
# harts (HARTS): no request is carried out twice or half, what is shown of the terminal is right or marked as lost; and the line is
# plain again soon after kmon was killed, and not after a machine's pause. SEED chooses the damage. TAP.
use strict;
use warnings;
use IO::Handle;
use IO::Socket::UNIX;
use POSIX 'mkfifo';
use Time::HiRes 'time';
use lib 'tests/lib';
use Kmon;
use Test::More;

my $elf = $ENV{ELF} // 'build/kernel/tidepool.elf';
my $line = "$dir/machine";

sub boot {
    my ($harts) = @_;
    unlink $line;
    my $qemu = fork // die;
    if (!$qemu) {
        open STDOUT, '>', '/dev/null';
        exec qw(qemu-system-riscv64 -M virt -smp), $harts, qw(-m 512M -display none -monitor none -nic none -no-reboot -global),
            'virtio-mmio.force-legacy=false', '-kernel', $elf, '-initrd', 'build/initrd.cpio',
            '-chardev', "socket,id=line,path=$line,server=on,wait=off", qw(-serial chardev:line -device virtio-rng-device);
    }
    pause(0.01) until -S $line;
    return $qemu;
}

# What comes in is passed on damaged, once in `every` bytes on average, wherever frames begin.
sub noise {
    my ($state, $data) = @_;
    my $out = '';
    while (length $data) {
        my $n = 1 + int rand 2 * $state->{every};
        my $piece = substr $data, 0, $n, '';
        $out .= $piece and next if !length $data && length $piece < $n;
        my $how = int rand 4;
        if ($how == 0) { substr($piece, -1) ^= chr 1 << int rand 8 }                        # a bit
        elsif ($how == 1) { substr($piece, -1 - int rand 40) = '' if length $piece > 40 }   # a cut
        elsif ($how == 2) { $piece .= substr $piece, -int(1 + rand 40) }                    # a repetition
        else { $piece .= join '', map { chr int rand 256 } 1 .. 1 + int rand 8 }            # noise
        $out .= $piece;
    }
    return $out;
}

# The same of whole frames, each of which is right: one that is missing, that comes twice, or after the next ones.
sub disorder {
    my ($state, $data) = @_;
    my $out = '';
    $state->{part} .= $data;
    while ($state->{part} =~ s/\A(\0*[^\0]+\0)//) {
        my $frame = $1;
        my $how = rand($state->{every} / 240) < 1 ? int rand 3 : 3;
        if ($how == 0) { next }                              # none
        elsif ($how == 1) { $out .= $frame . $frame }        # two
        elsif ($how == 2) { $state->{late} .= $frame; next } # later
        else { $out .= $frame }
        $out .= delete $state->{late} if defined $state->{late} && rand(3) < 1;
    }
    return $out;
}

sub damage {
    my ($state, $data) = @_;
    return noise($state, disorder($state, $data));
}

sub relay {
    my ($seed, $every) = @_;
    my $listener = IO::Socket::UNIX->new(Local => $socket, Listen => 1) or die;
    my $pid = fork // die;
    return $pid if $pid;
    srand $seed;
    my $machine = IO::Socket::UNIX->new($line) or die;
    my @state = map { {every => $every, part => ''} } 0, 1;
    while (my $kmon = $listener->accept) {
        my @ends = ($kmon, $machine);
        my $framed; # a HELLO that is damaged on a plain line is typed at the shell
        TRAFFIC: while (1) {
            my $in = '';
            vec($in, fileno $_, 1) = 1 for @ends;
            my $ready = select my $out = $in, undef, undef, 0.2;
            for my $i (0, 1) {
                my $state = $state[$i];
                my $data = '';
                if (!$ready) { # nothing is late for ever
                    $data = $state->{part} . (delete $state->{late} // '');
                    $state->{part} = '';
                } elsif (vec $out, fileno $ends[$i], 1) {
                    sysread $ends[$i], $data, 4096 or last TRAFFIC;
                    $data = damage($state, $data) if $framed;
                    $framed ||= $i == 1 && $data =~ /\0/;
                }
                syswrite $ends[1 - $i], $data if length $data;
            }
        }
    }
    exit 0;
}

my $seed = $ENV{SEED} // 1;
for my $harts (split ' ', $ENV{HARTS} // '1 2 4') {
    my $qemu = boot($harts);
    my @got = run_line("connect unix:$line --timeout 90 eval 'counter = 0'");
    is($got[0], 0, "$harts harts") or diag $got[2];
    @got = run_line("connect unix:$line sh 'echo up'");
    is($got[1], "up\n", 'with a shell');

    # All of the machine stands still for longer than a host may be silent. Its clock goes on: what the host said is read too late.
    if ($harts == 1) {
        my $held = start("connect unix:$line eval 'print(\"begun\") k.sleep(6000) return counter'", '-held');
        shows('out-held', qr/begun/, 'a request is held');
        kill 'STOP', $qemu;
        pause(6.5);
        kill 'CONT', $qemu;
        ends($held, 0, 'by a machine that stood still, and carried out') or diag text_of('err-held');
    }

    # Requests with a call to the host in each, in one session.
    unlink $socket;
    my $relay = relay($seed + $harts, 3000);
    write_file("$dir/count.transcript", "k> counter = 0\n" . join('', map {
        "k> counter = counter + 1 local t = host.file('tests/console/two-lines.lua') return counter, #t > 20\n$_*true\n" } 1 .. 20));
    local $ENV{LIMIT} = 110;
    @got = run_line("connect unix:$socket --timeout 100 transcript $dir/count.transcript");
    my $good = () = $got[1] =~ /^ok/mg;
    is($got[0], 0, "each of 21 requests is carried out once (seed $seed)") or diag "$got[1]$got[2]";
    is($good, 21, 'and answered');
    kill 'KILL', $relay;
    waitpid $relay, 0;

    # The terminal: each line as it was printed, or near a mark.
    unlink $socket;
    $relay = relay($seed + $harts, 2000);
    unlink "$dir/keys";
    mkfifo("$dir/keys", 0600) or die;
    my $tty = start("connect unix:$socket tty <>$dir/keys", '-tty');
    open my $keys, '+<', "$dir/keys" or die; # also while no console reads
    $keys->autoflush;
    print $keys "\005\025\021i=0; while [ \$i -lt 3000 ]; do i=\$((i+1)); echo \"line \$i of the terminal\"; done\r";
    my $typed = time;
    for (my ($size, $since) = (0, time); time < $since + 4 && time < $typed + 60;) {
        ($size, $since) = (-s "$dir/out-tty", time) if $size != -s "$dir/out-tty" || $size < 30000;
        pause(0.05);
    }
    my ($right, $wrong, $marks) = (0, '', 0);
    my $shown = text_of('out-tty') =~ s/\r\n\[outside frames\]\r\n.*?(\r\n\[in frames again\]\r\n|\z)/\r\n[0 bytes lost]\r\n/sgr;
    for my $part (split /\r\n\[(?:\d+ bytes|output) lost\]\r\n/, $shown) {
        my @lines = split /\r\n/, $part, -1;
        shift @lines;   # both ends may be torn
        pop @lines;
        my $before;
        for (@lines) {
            next if !/^line/ && !defined $before;
            $before //= /(\d+)/ ? $1 - 1 : -1;
            $wrong .= "after line $before: $_\n" if $_ ne 'line ' . ++$before . ' of the terminal' && $before <= 3000;
            $right++;
        }
        $marks++;
    }
    is($wrong, '', 'no line of the terminal is wrong or missing without a mark');
    cmp_ok($right, '>', 300, 'many are right');
    cmp_ok($marks, '>', 1, 'and some are marked as lost');

    # A console that is killed: its line is a plain terminal again, also to somebody who types. The guest counts the seconds itself:
    # in those in which the host gives it no processor it has no time to be plain.
    kill 'KILL', $tty, $relay;
    waitpid $_, 0 for $tty, $relay;
    $tty = start("connect unix:$line tty <>$dir/keys", '-tty');
    print $keys "\003\005\025\021(i=0; while :; do i=\$((i+1)); echo \"second \$i\"; sleep 1; done) &\r";
    shows('out-tty', qr/second [2-9]\r\n/, 'another console, and seconds are counted');
    my $plain = IO::Socket::UNIX->new($line) or die;    # it is next
    kill 'KILL', $tty;
    waitpid $tty, 0;
    my ($last) = text_of('out-tty') =~ /.*second (\d+)\r\n/s; # a prompt may stand before it
    my ($got, $killed) = ('', time);
    while ($got !~ /^plain\r/m && time < $killed + 60) {
        syswrite $plain, "\rec" . "ho pl''ain\r";
        my $in = '';
        vec($in, fileno $plain, 1) = 1;
        sysread $plain, $got, 65536, length $got if select $in, undef, undef, 0.5;
    }
    like($got, qr/^plain\r/m, 'the line of a console that was killed is plain again');
    my ($first) = $got =~ s/.*\0//sr =~ /second (\d+)\r/;    # outside frames
    my $took = ($first // 0) - $last;
    ok($first && $took <= 8, "after $took s, 5 of them silence") or diag $got =~ s/[^ -~\n]/./gr
        if $harts == 1;    # of two harts one counts on while the other has no processor
    kill 'KILL', $qemu;
    waitpid $qemu, 0;
}
done_testing;
