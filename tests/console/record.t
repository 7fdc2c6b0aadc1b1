#!/usr/bin/perl
# kmon record and replay: what is entered and shown is written down, is shown again as it was, and comes out the same when it is
# entered again; with the kernel that is none, and in a machine. TAP.
use strict;
use warnings;
use lib 'tests/lib';
use Kmon;
use Test::More;
use Time::HiRes 'time';

my $file = "$dir/recording";
sub recorded { return text_of('recording') }

# Records what the keys make of a session on a terminal. Between them stand patterns of what it shows before the next ones are typed.
sub record {
    my $pid = start_fake();
    unlink "$dir/typed";
    local @ENV{qw(XDG_STATE_HOME TERM NO_COLOR)} = ($dir, 'xterm', 1);
    open my $pipe, '|-', "timeout 20 script -qefc '$kmon connect unix:$socket record $file' $dir/typed >/dev/null" or die;
    for my $some (@_) {
        if (ref $some) { shows('typed', $some, 'it is seen') }
        else { syswrite $pipe, $some }
    }
    close $pipe;
    kill 'KILL', $pid;
    waitpid $pid, 0;
}
sub replay { return run_line("replay $_[0]") }

# ---- on a terminal
write_file("$dir/odd", "first\n# no comment\n...\n\\back\nk> 1+1\nk[ro h1 t1]> 2\n ..> 3\na*b\n\nlast");
write_file($file, "what stood here before\n" x 1000);
record("\recho hi \\\\\r\x1d1+1\rfor i = 1, 3 do\rend\rerror\r:bt 3 --lua\rcall file name $dir/odd\r\x1dpoweroff\r");
my $number = qr/\d+\.\d{3}/;
my $entry = sub { qr/^#\@ $number guest 12\.000000345\n\Q$_[0]\E\n/m };
like(recorded(), qr/\A# kmon recording 1\n/, 'a recording begins as one, and nothing of another file is left');
like(recorded(), qr/^#\] .*echo hi /m, 'the terminal is recorded');
like(recorded(), qr/${\$entry->('k[ro h4 t12]> 1+1')}(#\@ $number\n)?2\n/, 'an entry with the times of host and guest, and its answer');
like(recorded(), qr/${\$entry->("k[ro h4 t12]> for i = 1, 3 do\n          ..> end")}(#\@ $number\n)?hello from a script\n/,
     'an entry of two lines');
like(recorded(), qr/^x\.lua:2: it went wrong\n#>      2 \| local b.*\n#> stack traceback:\n#> \t\[C\]/m, 'an error; what is below it is no answer');
like(recorded(), qr/^k\.task\(3\):backtrace\(\)\n/m, 'an answer of kmon itself');
like(recorded(), qr/^status 0 <first\n\\# no comment\n\\\.\.\.\n\\\\back\n\\k> 1\+1\n\\k\[ro h1 t1\]> 2\n\\ \.\.> 3\n\\a\*b\n\nlast>\n/m,
     'output that looks like something else');

my @shown = replay("--fast $file");
is("$shown[0] $shown[2]", '0 ', 'it is replayed');
for my $part ("echo hi \\\\\r\n", "\nk[ro h4 t12]> 1+1\n2\n", "\n          ..> end\nhello from a script\n", "\n...\n\\back\nk> 1+1\nk[ro h1 t1]> 2\n ..> 3\na*b\n\nlast>\n",
              "wrong\n     2 | local b", 'Ctrl-] goes back', 'poweroff') {
    ok(index($shown[1], $part) >= 0, 'as it was: ' . substr($part, 0, 30) =~ s/[^ -~]/./gr);
}
unlike($shown[1], qr/^#[\@>\]]/m, 'and no more than was seen');

my @again = kmon("transcript $file");
is("$again[0] $again[2]", '0 ', 'it can be entered again') or diag $again[1];
like($again[1], qr/^1\.\.5$/m, 'all of it');
write_file("$dir/changed", recorded() =~ s/^\\a\*b$/\\a**b/mr);
@again = kmon("transcript $dir/changed");
like($again[1], qr/^not ok 5/m, 'what is behind a backslash is no pattern');

record("\x1dfor i = 1, 2 do\r", qr/\.\.> /, "\x03", qr/\.\.> .*k\[ro h4 t12\]> /s, "1+1\r\x1dpoweroff\r");
like(recorded(), qr/^#> k\[ro h4 t12\]> for i = 1, 2 do\n.*^k\[ro h4 t12\]> 1\+1\n/ms, 'what was given up is no entry');
is((kmon("transcript $file"))[0], 0, 'nor when it is entered again');

# ---- from a pipe
sub piped {
    my ($text) = @_;
    write_file("$dir/in", $text);
    return kmon("record $file <$dir/in");
}
my @got = piped("1+1\n\nfor i = 1, 3 do\nend\n");
is("$got[0] $got[2]", '0 ', 'lines of standard input');
is($got[1], "k[ro h4 t12]> 1+1\n2\nk[ro h4 t12]> for i = 1, 3 do\n          ..> end\nhello from a script\n", 'are shown as at the prompt');
is((replay("--fast $file"))[1], $got[1], 'and replayed the same');
is((kmon("transcript $file"))[0], 0, 'and are a transcript');
@got = piped("for i = 1, 3 do\n");
is("$got[0] $got[2]", "2 kmon: the last entry is not complete\n", 'an entry without its end');
is((piped(''))[0], 0, 'nothing');
is(recorded(), "# kmon recording 1\n", 'is recorded');
@got = piped("die\n");
is($got[0], 6, 'the line ends');
like(recorded(), qr/> die\n\z/, 'and the recording tells until then');

# ---- the speed
write_file($file, "# kmon recording 1\n#\@ 0.1\nk> 1\n#\@ 0.8 guest 1.000000000\n1\n#] a\\r\\n\\x5c\n");
my $begun = time;
is((replay($file))[1], "k> 1\n1\na\r\n\\", 'a recording');
cmp_ok(time - $begun, '>=', 0.8, 'takes its time');
write_file($file, "# kmon recording 1\n0\n#\@ 60\n1\n");
is((replay("--fast $file"))[1], "0\n1\n", 'or does not');
@got = run_line("--timeout 0.3 replay $file");
is("$got[0] $got[2]", "4 kmon: timeout while replaying\n", 'a time limit');
my $pid = start("replay $file");
shows('out', qr/^0$/, 'what comes before a pause');
kill 'INT', $pid;
ends($pid, 130, '^C in it');
is(text_of('err'), "kmon: interrupted\n", 'says so');

# ---- bad input
write_file("$dir/none", "k> 1\n");
write_file("$dir/time", "# kmon recording 1\n#\@ soon\n");
write_file("$dir/bytes", "# kmon recording 1\n#] \\x4\n");
for (['replay', 'needs a file'], ['replay a b', 'one too many'], ['replay /no/such', 'cannot read /no/such: No such file'],
     ['replay /', 'cannot read /: Is a directory'], ['replay /dev/null', '/dev/null is no recording'],
     ["replay $dir/none", 'is no recording: it does not begin with'], ["replay $dir/time", "time:2: \"#\@ soon\" is not well formed"],
     ["replay $dir/bytes", 'bytes:2: .* is not well formed'], ['replay --slow x', 'replay knows no option --slow'],
     ['record', 'needs a file to write'], ['record a b', 'one too many'],
     ['connect unix:/x record /no/such </dev/null', 'cannot write /no/such: No such file'],
     ['connect unix:/x record / </dev/null', 'cannot write /: Is a directory']) {
    my ($args, $why) = @$_;
    @got = run_line($args);
    is("$got[0] $got[1]", '2 ', "kmon $args: exit 2, nothing on stdout");
    like($got[2], qr/\Akmon: [^\n]*$why[^\n]*\n\z/, 'one clear line');
}
@got = kmon('record /dev/full </dev/null');
is("$got[0] $got[2]", "2 kmon: cannot write /dev/full: No space left on device\n", 'a full disk');

# ---- in a machine
$ENV{LIMIT} = 300;
write_file("$dir/in", "1 + 1\nx = {5,\n6} return x[2]\nk.task(\"monitor\").name\nnothing.at.all\nfor i = 1, 2 do print(i) end\n:bt\n");
@got = run_line("qemu --smp 2 --timeout 250 record $file <$dir/in");
is("$got[0] $got[2]", "0 k:1: attempt to index a nil value (global 'nothing')\nstack traceback:\n\tk:1: in main chunk\n\t[C]: in ?\n",
   'recorded in a machine') or diag @got;
like(recorded(), qr/^#\@ $number guest \d+\.\d{9}\nk\[ro h2 t\d+\]> 1 \+ 1\n/m, 'with its clock');
@got = run_line("qemu --smp 2 --timeout 250 transcript $file");
is($got[0], 0, 'and the same in another one') or diag @got;
like($got[1], qr/^1\.\.6$/m, 'all of it');
done_testing;
