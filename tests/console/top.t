#!/usr/bin/perl
# kmon top on terminals of several sizes, on paper, and what its keys do; at 1, 2 and 4 harts (HARTS). TAP.
use strict;
use warnings;
use IPC::Open2;
use lib 'tests/lib';
use Kmon;
use Screen;
use Test::More;

my $elf = $ENV{TIDEPOOL_KERNEL} = $ENV{ELF} // 'build/kernel/tidepool.elf'; # no warning of another one on a small screen
my $shared = "$dir/shared";
$ENV{TIDEPOOL_LINE} = $shared;
$ENV{TERM} = 'vt100';
system("gcc -Wall -Wextra -Werror tests/console/in_pty.c -o $dir/in_pty -lutil") == 0 or BAIL_OUT('in_pty does not build');

my $screen;
my ($from, $to, $pid);
my $ahead; # was read and is not drawn yet
sub open_top {
    $screen = Screen->new(@_[0, 1]);
    my ($r, $c, $every) = (@_, 0.2);
    $ahead = '';
    $pid = open2($from, $to, "$dir/in_pty", "${r}x$c", $kmon, qw(top -n), $every);
}
sub type { syswrite $to, $_[0] }
# Draws until the screen is as wanted, and no further, from one escape sequence to the next: what stands only until the next look
# is seen also by one that read both looks at once.
sub see {
    my ($pattern, $name) = @_;
    my $end = time + 15;
    while ($screen->text !~ $pattern) {
        if ($ahead =~ s/\A(.[^\e]*)//s) {
            my $part = $1;
            eval { $screen->take($part); 1 } or do { fail($name); diag $@; return };
            next;
        }
        last if time >= $end;
        my $in = '';
        vec($in, fileno $from, 1) = 1;
        select $in, undef, undef, 0.3 or next;
        sysread $from, $ahead, 65536 or last;
    }
    like($screen->text, $pattern, $name);
}
# Another size: what is on its way is of the old one, up to the first that is drawn on a cleared screen.
sub resize {
    my ($r, $c) = @_;
    type("\0${r}x$c\n");
    my $end = time + 15;
    while ($ahead !~ /\e\[H\e\[J/ && time < $end) {
        sysread $from, $ahead, 65536, length $ahead or last;
    }
    $screen = Screen->new($r, $c);
    $ahead =~ s/\A.*(?=\e\[H\e\[J)//s;
}
sub close_top {
    my ($key, $status) = @_;
    type($key);
    1 while sysread $from, my $data, 65536;
    waitpid $pid, 0;
    is($? >> 8, $status, "top ends with $status");
}

for my $harts (split ' ', $ENV{HARTS} // '1 2 4') {
    my $serving = start("qemu --smp $harts serve", '-serve');
    for (1 .. 3000) { last if -S $shared; pause(0.01) }
    is((run_line('sh true'))[0], 0, "$harts harts");
    my $last = $harts - 1;

    my @got = run_line('top --once -n 0.1 </dev/null');
    is($got[0], 0, 'one look on paper') or diag $got[2];
    like($got[1], qr/\Atidepool \S+ s  $harts harts  \d+ tasks  mode ro\nhart 0 \[(?:.*^hart $last \[)?.*^monitor: this look took [\d.]+ ms/ms, 'harts and the cost');
    like($got[1], qr/^ +1 init .*\n +\d+   sh .*user_loop$/m, 'the tree of tasks with their awaits');
    like($got[1], qr/^  vda\.0 +0 +128 .*\n( {4}\[\.+\]\n)+/m, 'the queues, whose descriptors are free');
    @got = run_line('top --once --stacks --filter user_loop -n 0.1');
    like($got[1], qr/^> +1 init .*\n( +[-<] \S+  kernel\/\S+:\d+  .*\n)+ +\d+   sh .* \d+ *\n +- poll_sleep  kernel\S+:\d+  one of several files\n( +< .*\n)+/m,
         'stacks of tasks with a function in them') or diag @got;
    unlike($got[1], qr/ memory reaper /, 'and no others');
    @got = run_line('top --once --filter "one of" -n 0.1');
    is($got[0], 0, 'with a filter') or diag $got[2], text_of('err-serve');
    unlike($got[1], qr/ init /, 'a filter leaves out');
    like($got[1], qr/^> +\d+ .*sh .*^address space of sh  .*\n +[0-9a-f]+-[0-9a-f]+ +r-xp \[(?=.*#)[#:.*]{24}\] +\d+ of \d+ +file$/ms, 'and what it leaves is chosen');

    open_top(24, 80);
    see(qr/\Atidepool .*\nhart 0 \[.*^> .*\n.*^1 tasks  2 map/ms, '24 x 80');
    type('2');
    see(qr/^address space of/m, '2 shows an address space');
    type('3');
    see(qr/^  queue .*^  vda\.0 /ms, '3 shows the queues');
    type("1/user\x7f\x7f\x7f\x7fone of\r");
    see(qr/^> +\d+ +sh .*^filter: one of   \(Esc: none\)\z/ms, '/ filters');
    type("2");
    see(qr/^address space of sh  /m, 'and chooses');
    type("1\e");
    see(qr/ init .*^1 tasks  2 map/ms, 'Esc shows all again');
    type('j');
    see(qr/^  .*\n> /m, 'j chooses the next one');
    type('2');
    see(qr/^address space of memory reaper  /m, 'of which the other views are');
    type('1');
    see(qr/^> .*^1 tasks  2 map/ms, 'back at the tasks');
    type("s/phys_reaper\r");
    see(qr/^> +0 memory reaper .*\n +- event_wait  \S+:\d+ .*\n +< phys_reaper  \S+:\d+ .*\n\n*filter: phys_reaper/m, 's shows stacks, / finds in them');
    type("s\e");
    see(qr/< \w.*^1 tasks  2 map/ms, 'and s hides them');
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
    # Pages come while we look.
    my $lua = 'host.spawn("lazy 64"); assert(eventually(function() return k.tasks():where{name = "lazy", state = "waiting"}:first() end, 20))';
    is((run_line("run - <<'X'\n$lua\nX"))[0], 0, 'a program that touches no page yet');
    open_top(24, 100, 1);
    see(qr/ lazy /, 'is seen');
    type("/lazy\r2");
    see(qr/^ .* rw-p \[\.{24}\] +0 of 16384 +anonymous$/m, 'its cells are empty');
    is((run_line(q(eval 'host.type("touch 5000\n")')))[0], 0, 'it touches one');
    see(qr/^ .* rw-p \[\.{7}\*\.{16}\] +1 of 16384 /m, 'where the page comes it is light');
    is($screen->how_after(qr/\[\.{7}(?=\*)/), 'r', 'and not a letter only');
    is($screen->how_after(qr/\[\.{3}/), '', 'as the others are');
    see(qr/^ .* rw-p \[\.{7}:\.{16}\] +1 of 16384 /m, 'until the next look');
    close_top('q', 0);
    run_line(q(eval 'host.type("quit\n")'));

    # A virtqueue of which the monitor holds a completion back: its descriptors are cells.
    write_file("$dir/hold.lua", <<'X');
k.mode = "rw"
local queue = k.queue("vda.0")
queue.held = true
host.spawn("dd if=/dev/vda of=/dev/null bs=4096 count=1 skip=12345 2>/dev/null")
assert(eventually(function() return queue.held_count > 0 end, 20))
local slots = {}
for i = 1, queue.size do slots[i] = "." end
for _, row in ipairs(queue:chains()) do
    for _, d in ipairs(queue:chain(row.head)) do slots[d.index + 1] = "=" end
end
print("slots " .. table.concat(slots))
while true do k.sleep(1000) end
X
    unlink "$dir/out-hold";    # that of the machine before
    my $holding = start("run $dir/hold.lua", '-hold');
    shows('out-hold', qr/^slots \S+$/m, 'a completion is held back');
    my ($slots) = text_of('out-hold') =~ /^slots (\S+)$/m;
    like($slots, qr/=/, 'and has descriptors');
    for ([24, 80, 72], [24, 150, 128]) {
        my ($r, $c, $width) = @$_;
        open_top($r, $c);
        type('3');
        my $cells = join '\n', map { " {4}\\[\Q$_\E\\]" } $slots =~ /(.{1,$width})/g;
        see(qr/^  vda\.0 +0 +128 +1 .*\n$cells\n/m, "$r x $c: they are cells of the ring");
        close_top('q', 0);
    }
    kill 'INT', $holding;
    ends($holding, 130, 'the script ends');
    is((run_line(q(eval 'k.mode = "rw" k.queue("vda.0").held = false')))[0], 0, 'it is let go');
    open_top(24, 80);
    type('3');
    see(qr/^  vda\.0 +0 +128 +0 .*\n( {4}\[\.+\]\n){2}/m, 'and they are free');

    # A program that computes fills a hart's row.
    run_line(q(eval 'host.spawn("spin &")'));
    see(qr/^hart \d \[.*###\]/m, 'a hart has been busy at three looks');
    run_line(q(eval 'k.mode = "rw" k.task("spin"):signal("KILL")'));
    see(qr/^hart \d \[.*###[^#]+\]/m, 'and then is not');
    close_top('q', 0);

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
    my $serving = start("qemu --icount serve", '-serve');
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

    # Among 10,000 tasks what is fetched in full is what the screen has room for: a look takes instructions for 0.1 s at most.
    my @got = run_line(q{sh 'mkfifo /tmp/go /tmp/said; crowd futex 10000 /tmp/go >/tmp/said 2>&1 </dev/null & read line </tmp/said; echo $line'});
    is($got[1], "ready\n", '10,000 threads wait');
    my $look = sub { # a session of its own for each, so what top asks and the look in one
        open my $top, '<', 'host-console/top.lua' or die;
        my $code = do { local $/; <$top> };
        write_file("$dir/look.lua", "$code\nlocal t = kmon_top($_[0])\nprint(t.cost_ns, #t.tasks, t.total)\n");
        my @got = run_line("run $dir/look.lua");
        return $got[1] =~ /^(\d+)\s+(\d+)\s+(\d+)$/ ? ($1, $2, $3) : die "a look: @got";
    };
    my ($ns, $rows, $total) = $look->('0, "", 24, false');
    cmp_ok($ns, '<=', 60_000_000, "a look takes $ns instructions");
    is($rows, 24, 'and fetches as many as fit');
    cmp_ok($total, '>', 10000, 'of all');
    ($ns, $rows) = $look->('0, "memory", 24, true');
    cmp_ok($ns, '<=', 250_000_000, "with a filter that few pass it takes $ns");
    is($rows, 2, 'and finds them');
    open_top(24, 80, 1);
    see(qr/\Atidepool .* 100\d\d tasks  .*\n(.*\n)*> .*\n(.*\n)*.* {3}crowd +waiting .*\n1 tasks  2 map.*\z/, 'a screen of them');
    type("/futex_l\r");
    see(qr/^> +\d+ +crowd +waiting .*\n(.* crowd .*\n)+filter: futex_l /m, 'a filter looks at what each waits in');
    close_top('q', 0);
    kill 'INT', $serving;
    waitpid $serving, 0;
}
done_testing;
