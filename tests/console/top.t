#!/usr/bin/perl
# kmon top on terminals of several sizes, on paper, and what its keys do; at 1, 2 and 4 harts (HARTS). TAP.
use strict;
use warnings;
use IPC::Open2;
use lib 'tests/lib';
use Kmon;
use Test::More;

my $elf = $ENV{ELF} // 'build/kernel/tidepool.elf';
my $shared = "$dir/shared";
$ENV{TIDEPOOL_LINE} = $shared;
$ENV{TERM} = 'vt100';
system("gcc -Wall -Wextra -Werror tests/console/in_pty.c -o $dir/in_pty -lutil") == 0 or BAIL_OUT('in_pty does not build');

# What stands on a vt100 of that size, line by line; dies when something is written outside of it.
my (@screen, $rows, $cols, $y, $x, $pending);
sub blank { @screen = map { ' ' x $cols } 1 .. $rows }
sub set_size { ($rows, $cols) = @_; ($y, $x, $pending) = (0, 0, ''); blank() }
sub take {
    $pending .= $_[0];
    while (length $pending) {
        if ($pending =~ s/^\e\[(\d*);?(\d*)[Hf]//) { ($y, $x) = (($1 || 1) - 1, ($2 || 1) - 1) }
        elsif ($pending =~ s/^\e\[(\d*)A//) { $y -= $1 || 1 }
        elsif ($pending =~ s/^\e\[(\d*)B//) { $y += $1 || 1 }
        elsif ($pending =~ s/^\e\[(\d*)C//) { $x += $1 || 1 }
        elsif ($pending =~ s/^\e\[(\d*)D//) { $x -= $1 || 1 }
        elsif ($pending =~ s/^\e\[J//) { substr($screen[$y], $x) = ' ' x ($cols - $x); $screen[$_] = ' ' x $cols for $y + 1 .. $rows - 1 }
        elsif ($pending =~ s/^\e\[K//) { substr($screen[$y], $x) = ' ' x ($cols - $x) }
        elsif ($pending =~ s/^\e\[1K//) { substr($screen[$y], 0, $x + 1) = ' ' x ($x + 1) }
        elsif ($pending =~ s/^\e(\[[?\d;]*[a-zA-Z]|[()].|[=>78M])//) { }
        elsif ($pending =~ s/^\r//) { $x = 0 }
        elsif ($pending =~ s/^\n//) { $y++ if $y < $rows - 1 }
        elsif ($pending =~ s/^\x08//) { $x-- }
        elsif ($pending =~ s/^[\x0f\x0e\x07]//) { }
        elsif ($pending =~ /^\e/) { return }
        else {
            my $c = substr $pending, 0, 1, '';
            ($x, $y) = (0, $y + 1) if $x == $cols;   # it wraps with the next character
            die "'$c' at $y, $x of $rows x $cols" if $y < 0 || $y >= $rows || $x < 0 || $x >= $cols;
            substr($screen[$y], $x++, 1) = $c;
        }
    }
}

my ($from, $to, $pid);
sub open_top {
    set_size(@_);
    $pid = open2($from, $to, "$dir/in_pty", "$_[0]x$_[1]", $kmon, qw(top -n 0.2));
}
sub type { syswrite $to, $_[0] }
# Reads until the screen is as wanted.
sub see {
    my ($pattern, $name) = @_;
    my $end = time + 15;
    my $text = '';
    while (time < $end) {
        my $in = '';
        vec($in, fileno $from, 1) = 1;
        if (select $in, undef, undef, 0.3) {
            sysread $from, my $data, 65536 or last;
            eval { take($data); 1 } or do { fail($name); diag $@; return };
        }
        $text = join "\n", map { s/\s+$//r } @screen;
        last if $text =~ $pattern;
    }
    like($text, $pattern, $name);
}
# Another size: what is on its way is of the old one, up to the first that is drawn on a cleared screen.
sub resize {
    my ($r, $c) = @_;
    type("\0${r}x$c\n");
    my ($seen, $end) = ('', time + 15);
    while ($seen !~ /\e\[H\e\[J/ && time < $end) {
        sysread $from, $seen, 65536, length $seen or last;
    }
    set_size($r, $c);
    take($seen =~ s/\A.*(?=\e\[H\e\[J)//sr);
}
sub close_top {
    my ($key, $status) = @_;
    type($key);
    1 while sysread $from, my $data, 65536;
    waitpid $pid, 0;
    is($? >> 8, $status, "top ends with $status");
}

for my $harts (split ' ', $ENV{HARTS} // '1 2 4') {
    my $serving = start("qemu --kernel $elf --smp $harts serve", '-serve');
    for (1 .. 3000) { last if -S $shared; pause(0.01) }
    is((run_line('sh true'))[0], 0, "$harts harts");
    my $last = $harts - 1;

    my @got = run_line('top --once -n 0.1 </dev/null');
    is($got[0], 0, 'one look on paper') or diag $got[2];
    like($got[1], qr/\Atidepool \S+ s  $harts harts  \d+ tasks  mode ro\nhart 0 \[(?:.*^hart $last \[)?.*^monitor: this look took [\d.]+ ms/ms, 'harts and the cost');
    like($got[1], qr/^ +1 init .*\n +\d+   sh .*user_loop$/m, 'the tree of tasks with their awaits');
    like($got[1], qr/^  vda\.0 +\[\.+\] +0 of 128/m, 'the queues');
    @got = run_line('top --once --filter "one of" -n 0.1');
    is($got[0], 0, 'with a filter') or diag $got[2], text_of('err-serve');
    unlike($got[1], qr/ init /, 'a filter leaves out');
    like($got[1], qr/^> +\d+ .*sh .*^address space of sh\n +[0-9a-f]+-[0-9a-f]+ +r-xp \[#+\.+\] /ms, 'and what it leaves is chosen');

    open_top(24, 80);
    see(qr/\Atidepool .*\nhart 0 \[.*^> .*\n.*^1 tasks  2 map/ms, '24 x 80');
    type('2');
    see(qr/^address space of/m, '2 shows an address space');
    type('3');
    see(qr/^  queue .*^  vda\.0 /ms, '3 shows the queues');
    type("1/user\x7f\x7f\x7f\x7fone of\r");
    see(qr/^> +\d+ +sh .*^filter: one of   \(Esc: none\)\z/ms, '/ filters');
    type("2");
    see(qr/^address space of sh\n/m, 'and chooses');
    type("1\e");
    see(qr/ init .*^1 tasks  2 map/ms, 'Esc shows all again');
    type('j');
    see(qr/^  .*\n> /m, 'j chooses the next one');
    type('2');
    see(qr/^address space of memory reaper\n/m, 'of which the other views are');
    type('1');
    see(qr/^> .*^1 tasks  2 map/ms, 'back at the tasks');
    resize(10, 40);
    see(qr/\Atidepool .*\nhart 0 \[(.*\n){1,8}1 tasks  2 map\b.*\z/, 'a smaller size');
    resize(50, 200);
    see(qr/^hart 0 \[.{100,}\].*^> .*^1 tasks  2 map .*q: end\z/ms, 'a larger one');
    close_top('q', 0);
    for (['5', '20', qr/\Atidepool /], ['2', '10', qr/\Atidepool/], ['1', '1', qr/\At\z/], ['1', '300', qr/\Atidepool/], ['60', '3', qr/\Atid\nhar\n/]) {
        my ($r, $c, $like) = @$_;
        open_top($r, $c);
        see($like, "$r x $c");
        close_top("j3\t/xyz\r\eq", 0);
    }
    open_top(24, 80);
    see(qr/\Atidepool /, 'once more');
    close_top("\3", 130);
    # The kernel goes away: the screen is given back, and why is said.
    open_top(24, 80);
    see(qr/\Atidepool /, 'and again');
    kill 'INT', $serving;
    waitpid $serving, 0;
    my $rest = '';
    1 while sysread $from, $rest, 65536, length $rest;
    waitpid $pid, 0;
    is($? >> 8, 6, 'without a kernel top ends with 6');
    like($rest, qr/\e\[24;1H.*\nkmon: [^\r\n]+\r\n\z/s, 'below what it showed');
}

# ---- terminals that will not do: one clear line, before anything is connected to
for (['none-such', 'top cannot use a terminal of kind "none-such"'], ['dumb', 'of kind "dumb"'], ['', 'TERM does not say'],
     ['../../etc/passwd', 'cannot use a terminal of kind']) {
    my ($term, $why) = @$_;
    local $ENV{TERM} = $term;
    my $said = `$dir/in_pty 24x80 $kmon connect unix:/no/such top </dev/null`;
    is($? >> 8, 2, "TERM=$term: exit 2");
    like($said, qr/\Akmon: [^\r\n]*\Q$why\E[^\r\n]*\r\n\z/, 'one clear line');
    is((run_line('connect unix:/no/such top --once'))[0], 3, 'which --once does not need');
}
like(`$dir/in_pty 24x80 $kmon connect unix:/no/such top </dev/null`, qr/\Akmon: cannot connect to [^\r\n]*\r\n\z/, 'no kernel');

# ---- what looking costs a program, in instructions: under -icount, on one hart, a nanosecond is one
{
    my $serving = start("qemu --kernel $elf --icount serve", '-serve');
    for (1 .. 3000) { last if -S $shared; pause(0.01) }
    local $ENV{LIMIT} = 100;
    my $took = sub {
        my @got = run_line(q{sh 'time sh -c "i=0; while [ \$i -lt 100000 ]; do i=\$((i+1)); done"'});
        return $got[1] =~ /real\s+(\d+)m ([\d.]+)s/ ? 60 * $1 + $2 : die "@got";
    };
    my $alone = $took->();
    my $watching = start('top </dev/null', '-top');
    shows('out-top', qr/this look took/, 'top looks');
    my $before = () = text_of('out-top') =~ /this look took/g;
    my $watched = $took->();
    my $looks = () = text_of('out-top') =~ /this look took/g;
    kill 'INT', $watching;
    ends($watching, 130, 'and is ended');
    cmp_ok($looks - $before, '>=', 2, 'it looked at the program');
    cmp_ok($alone, '>', 1, 'which takes a while');
    cmp_ok($watched, '<=', 1.05 * $alone, sprintf 'and %.1f %% more under top', 100 * ($watched / $alone - 1));
    kill 'INT', $serving;
    waitpid $serving, 0;
}
done_testing;
