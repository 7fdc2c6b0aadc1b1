#!/usr/bin/perl
# kmon against a kernel that is none (fake_kernel.c): what it prints, and what it ends with.
use strict;
use warnings;
use IPC::Open2;
use POSIX 'mkfifo';
use lib 'tests/lib';
use Kmon;
use Screen;
use Test::More;

sub case {
    my ($args, $status, $out, $err, $mode) = @_;
    my @got = kmon($args, $mode);
    my $name = ($mode ? "[$mode] " : '') . substr($args, 0, 100) =~ s/\n/ /gr;
    is($got[0], $status, "$name: exit $status") or diag "stderr: $got[2]";
    ref $out ? like($got[1], $out, "$name: stdout") : is($got[1], $out, "$name: stdout");
    ref $err ? like($got[2], $err, "$name: stderr") : is($got[2], $err, "$name: stderr");
}

# One clear line, the given status, nothing on stdout.
sub refused {
    my ($args, $status, $why) = @_;
    my @got = run_line($args);
    is($got[0], $status, "kmon $args: exit $status");
    is($got[1], '', "kmon $args: nothing on stdout");
    like($got[2], qr/\Akmon: [^\n]*$why[^\n]*\n\z/, "kmon $args: one clear line");
}

# ---- bad input
my @bad = (
    ['', 2, 'say what to do'],
    ['frobnicate', 2, 'say `kmon qemu`, `kmon connect` or a verb'],
    ['--frob', 2, 'kmon knows no option --frob'],
    ["eval 1", 3, "cannot connect to $dir/none"],
    ["--share $dir/x eval 1", 2, '--share goes with'],
    ["dump", 2, 'dump needs -o FILE'],
    ["dump -o $dir/file", 3, 'cannot connect'],
    ['dump -o /no/such/file', 2, 'cannot write /no/such/file: No such file'],
    ['--dump', 2, 'needs a value'],
    ['--dump /no/such eval 1', 2, 'cannot read /no/such'],
    ['--dump /no/such', 2, 'tty needs a kernel'],
    ['qemu --dump x eval 1', 2, 'knows no option --dump'],
    ['top -n x', 2, '-n is a number of seconds'],
    ['top --filter ' . 'x' x 40, 2, 'at most 39 characters'],
    ["top --filter '\t'", 2, 'printable ASCII'],
    ['top now', 2, 'one too many'],
    ['help frob', 2, 'is no verb'],
    ['help eval exec', 2, 'one too many'],
    ['completion zsh', 2, 'one too many'],
    ['connect', 2, 'needs an address'],
    ['connect tcp:1 tty', 2, 'is no address'],
    ['connect unix: tty', 2, 'is no address'],
    ["connect unix:$dir/nobody eval 1", 3, 'cannot connect'],
    ['connect unix:/' . 'x' x 200 . ' eval 1', 2, 'at most 107'],
    ["connect pty:$dir/nobody eval 1", 3, 'cannot open'],
    ['connect pty:/dev/null eval 1', 3, 'no terminal'],
    ['connect unix:/x dance', 2, 'is no verb'],
    ['connect unix:/x eval', 2, 'needs an expression'],
    ['connect unix:/x eval 1 2', 2, 'one too many'],
    ['connect unix:/x sh', 2, 'needs a command line'],
    ['connect unix:/x run', 2, 'needs a file'],
    ['connect unix:/x run /no/such.lua', 2, 'cannot read /no/such.lua'],
    ['connect unix:/x run /', 2, 'cannot read /'],
    ['connect unix:/x sh --json ls', 2, 'sh knows no option --json'],
    ['connect unix:/x eval :bt', 2, 'usage: :bt TASK'],
    ['connect unix:/x eval :nothing', 2, 'no shorthand :nothing'],
    ["connect unix:/x eval '" . 'x' x 65000 . "'", 2, 'at most \d+ bytes'],
    ['connect unix:/x watch', 2, 'needs an expression'],
    ['connect unix:/x watch -n 0 1', 2, '-n is a number of seconds'],
    ['connect unix:/x watch -n nan 1', 2, '-n is a number of seconds'],
    ['connect unix:/x watch -n', 2, 'needs a value'],
    ['connect unix:/x watch --until= 1', 2, '--until needs an expression'],
    ['connect unix:/x watch 1 2', 2, 'one too many'],
    ['connect unix:/x run --watch -', 2, 'needs a file, not stdin'],
    ['connect unix:/x run --json x.lua', 2, 'run knows no option --json'],
    ['connect unix:/x exec', 2, 'needs a file'],
    ['connect unix:/x exec /no/such.lua', 2, 'cannot read /no/such.lua'],
    ['connect unix:/x check', 2, 'needs a file'],
    ['connect unix:/x transcript', 2, 'needs a file'],
    ['connect unix:/x transcript /no/such', 2, 'cannot read /no/such: No such file'],
    ['connect unix:/x transcript /dev/null', 2, 'cannot read /dev/null: it is empty'],
    ['connect unix:/x tty now', 2, 'one too many'],
    ['connect unix:/x --timeout never eval 1', 2, '--timeout is a number'],
    ['connect unix:/x --timeout=-1 eval 1', 2, '--timeout is a number'],
    ['connect unix:/x --timeout', 2, 'needs a value'],
    ['connect unix:/x --smp 4 eval 1', 2, 'knows no option --smp'],
    ['connect unix:/x eval --what 1', 2, 'knows no option --what'],
    ['qemu --smp 0 eval 1', 2, 'from 1 to 8'],
    ['qemu --smp 9 eval 1', 2, 'from 1 to 8'],
    ['qemu --smp four eval 1', 2, 'from 1 to 8'],
    ['qemu --smp', 2, 'needs a value'],
    ['qemu --mem lots eval 1', 2, 'a size like 512M'],
    ['qemu --mem 5Q eval 1', 2, 'a size like 512M'],
    ['qemu --kernel /no/kernel eval 1', 2, 'kernel /no/kernel cannot be read'],
    ['qemu --kernel /bin/sh --disk /no/disk eval 1', 2, 'disk image /no/disk cannot be read'],
    ['qemu --kernel /bin/sh --initrd /no/cpio eval 1', 2, 'initrd /no/cpio cannot be read'],
    ['qemu --frob eval 1', 2, 'knows no option --frob'],
);
refused(@$_) for @bad;

for my $words ('--help', 'help') {
    my @usage = run_line($words);
    is($usage[0], 0, "$words: exit 0");
    like($usage[1], qr/^usage: kmon/, "$words: the usage on stdout");
    like($usage[1], qr/^  $_ /m, "$words: says what $_ is") for qw(check completion dump eval exec help lab record replay run serve sh top transcript tty watch);
}

# What bash offers at the last word, in the order of the alphabet.
sub completed {
    my $words = join ' ', map { "'$_'" } 'kmon', @_;
    my $script = "source <($kmon completion); COMP_WORDS=($words); COMP_CWORD=" . @_ . '; _kmon; echo "${COMPREPLY[*]}"';
    open my $bash, '-|', 'bash', '-c', $script or die;
    return join ' ', sort grep { $_ ne '--' } split ' ', scalar <$bash> // '';
}

# ---- what is said of the verbs: the manual page and the completion know the same ones
{
    my $page = do { open my $f, '<', 'host-console/kmon.1' or die; local $/; <$f> };
    my $usage = (run_line('help'))[1];
    my ($table) = $usage =~ /^verbs\n((?:  .*\n)+)/m;
    my @verbs = $table =~ /^  (\w+)/mg;
    my ($section) = $page =~ /^\.Sh VERBS\n(.*?)^\.Sh/ms;
    is(join(' ', $section =~ /^\.It Cm (\w+)/mg), "@verbs", 'kmon.1 has the verbs of the table, in order');
    for my $verb (@verbs) {
        my ($item) = $section =~ /^(\.It Cm $verb\b.*?)(?=^\.It|\z)/ms;
        my $known = join ' ', (run_line("help $verb"))[1] =~ /^      -(\S+)/mg;
        my %said = map { $_ => 1 } ($item =~ /^(.*)/)[0] =~ /Fl (\S+)/g;
        is(join(' ', sort keys %said), join(' ', sort split ' ', $known), "kmon.1: the options of $verb");
        my $words = completed($verb, '-');
        like($words, qr/(^|\s)-$_\b/, "completion: -$_ of $verb") for split ' ', $known;
    }
    my %common = map { $_ => 1 } $usage =~ /--([a-z]+)/g;
    my ($options) = $page =~ /^\.Sh OPTIONS\n(.*?)^\.Sh/ms;
    my %described = map { $_ => 1 } map { /Fl -([a-z]+)/g } $options =~ /^\.It (.*)/mg;
    is(join(' ', sort keys %described), join(' ', sort keys %common), 'kmon.1 has the options of the usage');
    is(completed('qemu', '--'), join(' ', sort map { "--$_" } grep { $_ ne 'dump' } keys %common), 'so has the completion');
    is(join(' ', $page =~ /^\.It (\d+)$/mg), '0 1 2 3 4 5 6 7 130', 'kmon.1 has the exit codes');
    is(`groff -ww -mandoc -Tutf8 -z host-console/kmon.1 2>&1`, '', 'kmon.1 has no warnings');
    is(join(' ', grep { !/^-/ } split ' ', completed('')), join(' ', sort @verbs, qw(qemu connect)), 'completion has the verbs');
    is(completed('--d'), '--dump', 'and what stands before one');
    is(completed('eva'), 'eval', 'and completes one');
    is(completed('qemu', '--sm'), '--smp', 'as an option of the machine');
    is(completed('qemu', '--smp', '2', 'eval', '--js'), '--json', 'and of a verb behind it');
}

# ---- ^C while kmon reads what it is to do
for my $verb ('exec -', "record $dir/recording") {
    mkfifo("$dir/typed", 0600) or die;
    open my $typed, '+<', "$dir/typed" or die;
    my $pid = start("connect unix:$dir/nobody $verb <>$dir/typed");
    syswrite $typed, '1 +';
    for (my $n = pack 'i', 1; unpack 'i', $n; ioctl $typed, 0x541b, $n) { pause(0.01) } # FIONREAD: until it was read
    kill 'INT', $pid;
    ends($pid, 130, "$verb: ends with 130");
    is(text_of('err'), "kmon: interrupted\n", 'and says so');
    unlink "$dir/typed";
}

# ---- a dump that is none, or not all of one
{
    my @got = kmon("dump -o $dir/dumped");
    is("$got[0] $got[1]", '6 ', 'a dump without an end: exit 6');
    is($got[2], "kmon: a part of the dump was lost on the line\n", 'is refused');
    ok(!-e "$dir/dumped", 'and not kept');
}

# ---- ^C while a request runs that ends all the same
for (['top', 'top was open'], ['watch --json 1', 'watching'], ['watch --until 1 error', 'watching']) {
    my ($verb, $doing) = @$_;
    my $fake_pid = start_fake('stubborn');
    my $pid = start("connect unix:$socket --timeout 60 $verb </dev/null");
    shows('fake', qr/^asked$/m, "$verb: it has asked");
    kill 'INT', $pid;
    ends($pid, 130, "$verb: ends with 130");
    is(text_of('err'), "kmon: interrupted while $doing\n", 'and says so');
    kill 'KILL', $fake_pid;
    waitpid $fake_pid, 0;
}

# ---- requests
case('eval 1+1', 0, "2\n", '');
case('eval "for i=1,3 do end"', 0, "hello from a script\n", '');
case('eval error', 1, '', qr/x\.lua:2: it went wrong\n +2 \| local b = nil \+ a -- this line\nstack traceback/);
case('eval assert', 7, '', "assertion failed!\n");
case('eval x --json', 0,
     qq({"va":"0xffffffc080200000","list":[-5,true,null],"task":{"class":"Task","id":12,"text":"Task#12 sh"},)
     . qq("bytes":"\xc3\xbf\xc2\x80"}\n), '');
case('eval three --json', 0, qq(1\n"two"\nnull\n), '');
case('eval "k.tasks?"', 0, "help: it helps\n", '');
case('eval :help', 0, qr/^  :ps +k\.tasks\(\)$/m, '');
case("eval ':ps --lua'", 0, "k.tasks()\n", '');
case("eval ':bt 3 --lua'", 0, "k.task(3):backtrace()\n", '');
case("eval ':bt memory  reaper --lua'", 0, qq(k.task("memory reaper"):backtrace()\n), '');
case("eval ':walk memory reaper 0x4000 --lua'", 0, qr/k\.task\("memory reaper"\).*:walk\(0x4000\)\n/, '');
case("eval ':bt 3 4'", 2, '', "kmon: usage: :bt TASK\n");
case("eval ':ring a b'", 2, '', "kmon: usage: :ring QUEUE\n");
case("eval ':walk sh'", 2, '', "kmon: usage: :walk TASK ADDRESS\n");
case('run tests/console/two-lines.lua a b', 0, "hello from a script\n", '');
case('exec - </dev/null', 0, "hello from a script\n", '');
case("exec - <<X\nerror\nX", 1, '', qr/went wrong/);
case("check - <<X\ntap\nX", 7, "1..2\nok 1 - a\nnot ok 2 - b\n", '');
case("check - <<X\n1+1\nX", 7, '', "kmon: - made no test\n");

my $big = "$dir/big.lua";
open my $f, '>', $big or die;
print $f "length\n", '-- ' . 'x' x 76 . "\n" for 1 .. 700;
close $f;
case("eval \"\$(head -c 60000 $big)\"", 0, "60000\n", '');
print {open $f, '>>', $big and $f} 'y' x 20000;
close $f;
case("run $big", 2, '', qr/\Akmon: .*a script has at most \d+ bytes; put parts of it into modules \(require\)\n\z/);

# ---- calls: the number of one may come again
write_file("$dir/$_", $_) for 'first', 'second';
write_file("$dir/calls", join '', map { "k> call file name $dir/$_\nstatus 0 <$_>\n" } 'first', 'second');
case("transcript $dir/calls", 0, qr/^ok 2 /m, '');

# ---- watch, and scripts that change
case('watch -n 0.01 --until "upto 3" 1+1', 0, "2\n2\n2\n", '');
case('watch -n 0.01 --until 1+nil error', 1, '', qr/went wrong/);
case('watch -n 0.01 --until error 1+1', 1, "2\n", qr/went wrong/);
case('watch --json --until "upto 1" x', 0, qr/\A\{"va":.*\}\n\z/, '');
case('watch -n 9 1+1 --timeout 0.5', 4, "2\n", qr/\Akmon: timeout while watching\n\z/);
case('watch --timeout 0.5 --until "upto 1" hang', 4, '', qr/timeout while the script ran/);

{
    my $fake_pid = start_fake();
    write_file("$dir/s.lua", "error\n");
    my $pid = start("connect unix:$socket run --watch $dir/s.lua");
    shows('err', qr/went wrong.*s\.lua ended with 1; it runs again/s, '--watch: an error does not end it');
    write_file("$dir/t.lua", "call file name $dir/module.lua");
    write_file("$dir/module.lua", 'one');
    rename "$dir/t.lua", "$dir/s.lua";
    shows('err', qr/ended with 0/, '--watch: the script was replaced and runs again');
    write_file("$dir/module.lua", 'three');
    shows('err', qr/ended with 0.*ended with 0/s, '--watch: a file that it read was changed');
    unlink "$dir/s.lua";
    write_file("$dir/t.lua", 'say and hang');
    rename "$dir/t.lua", "$dir/s.lua";
    shows('out', qr/^runs$/m, '--watch: one that was away for a while');
    kill 'INT', $pid;
    shows('err', qr/ended with 130/, '--watch: ^C ends the script');
    kill 'INT', $pid;
    ends($pid, 130, '--watch: ^C once more ends kmon');
    kill 'KILL', $fake_pid;
    waitpid $fake_pid, 0;
}

# ---- transcripts
sub transcript {
    my ($text, $status, $out, $err, $name) = @_;
    write_file("$dir/t", $text);
    my @got = kmon("transcript $dir/t");
    is($got[0], $status, "$name: exit $status") or diag "@got";
    like($got[1], $out, "$name: stdout");
    like($got[2], $err, "$name: stderr");
}
transcript("# why\nk> 1+1\n2\n\nk[ro h4 t12]> error\nx.lua:2: *wrong\n", 0,
           qr/\Aok 1 - \S+:2 1\+1\nok 2 - \S+:5 error\n1\.\.2\n\z/, qr/\A\z/, 'a transcript');
transcript("k> 1+1\n3\nk> 1+1\n2\n", 7, qr/\Anot ok 1 - .*\n# expected\n#   3\n# got\n#   2\nok 2/, qr/\A\z/, 'another answer');
transcript("k> 1+1\n", 7, qr/^not ok 1/, qr/\A\z/, 'an answer that is not expected');
transcript("k> 1+1\n2\n2\n", 7, qr/^not ok 1/, qr/\A\z/, 'an answer that does not come');
transcript("k> 1+1\n2*2\n", 7, qr/^not ok 1/, qr/\A\z/, 'a pattern that does not match');
transcript("k> 1+1\n...\n*2*\n...\n", 0, qr/^ok 1/, qr/\A\z/, 'wildcards');
transcript("k> for i = 1, 3 do\n ..> end\nhello *\n", 0, qr/^ok 1/, qr/\A\z/, 'an entry of two lines');
transcript("k> for i = 1, 3 do\n", 7, qr/^not ok 1.*\n# the entry is not complete/, qr/\A\z/, 'an entry without its end');
transcript("k> k?\nhelp: it helps\nk> :bt 3 --lua\nk.task(3):backtrace()\n" .
    qq(k> :walk sh 10000 --lua\nlocal t = k.task("sh") *t.space.pt:walk(0x10000)\n), 0, qr/^ok 3/m, qr/\A\z/, 'help and shorthands');
transcript("# nothing\n", 7, qr/\A1\.\.0\n\z/, qr/enters nothing/, 'nothing entered');
transcript("out\nk> 1+1\n", 2, qr/\A\z/, qr/\Akmon: \S+:1: output before anything was entered\n\z/, 'output first');
transcript("k> die\n", 6, qr/\A\z/, qr/\Akmon: the line ended/, 'the line ends');

# ---- ends of all kinds
case('eval panic', 5, '', qr/PANIC on hart 1: the sky fell\nhalted\nkmon: the kernel panicked/);
case('eval die', 6, '', qr/\Akmon: the line ended while the script ran\n\z/);
case('eval garbage', 6, '', qr/\Akmon: the kernel sent 2 bytes that are no message\n\z/);
case('eval hang --timeout 0.5', 4, '', qr/\Akmon: timeout while the script ran\n\z/);
case('--timeout 0.5 eval hang', 4, '', qr/timeout/);
case('eval 1+1', 6, '', qr/\Akmon: the kernel speaks version 99/, 'bad-version');
case('--timeout 1 eval 1+1', 4, '', qr/timeout while connecting/, 'silent');
case('--timeout 1 eval 1+1', 4, '', qr/timeout while connecting/, 'plain');
case('--timeout 5 eval hang', 6, '', qr/\Akmon: the kernel was booted anew\n\z/, 'reboot');
# What an ELF file says of names and lines would be of another kernel.
$ENV{TIDEPOOL_KERNEL} = "$dir/elf";
for (['0123456789abcdef', ''], ['0123456789abcdee', "kmon: the kernel that runs is not $dir/elf\r\n"]) {
    my ($build, $told) = @$_;
    write_file("$dir/elf", "\177ELF\4\0\0\0\24\0\0\0\3\0\0\0GNU\0" . pack('H*', $build . '00' x 12));
    case('eval 1+1', 0, "2\n", $told, 'built');
}
delete $ENV{TIDEPOOL_KERNEL};

# ---- a bad line: what is asked is done once, what is shown is right or the loss is told
my $told = qr/\A(kmon: a part of the output was lost on the line\n)+\z/;
case('sh "seq 1 5000"', 0, join('', map { "$_\n" } 1 .. 5000), '', 'twice');
case('eval long', 0, 'x' x 4095 . "\n", '', 'twice');
case('sh "seq 1 5000"', 0, join('', map { "$_\n" } 1 .. 5000), '', 'stops');
for my $mode ('gaps', 'late') {
    case("eval count", 0, "1\n", $told, $mode);
    case("eval long", 0, 'x' x 4095 . "\n", $told, $mode);
}
case('eval count', 0, "1\n", $told, 'stale');
case('--timeout 8 eval hang', 4, '', qr/\Akmon: timeout while the script ran\n\z/, 'mute');
{
    my $fake_pid = start_fake();
    my $pid = start("connect unix:$socket eval 'say and hang'");
    shows('out', qr/^runs$/, 'a script that hangs');
    kill 'INT', $pid;
    ends($pid, 130, '^C interrupts the script: exit 130');
    is(text_of('err'), "interrupted\n", '^C: says so');
    kill 'KILL', $fake_pid;
    waitpid $fake_pid, 0;
}

# ---- the guest's shell
case('sh "echo hi; echo there"', 0, "hi\nthere\n", '');
case('sh "exit 3"', 3, '', '');
case('sh "printf no-newline"', 0, 'no-newline', '');
case(q{sh 'echo "it'"'"'s $((6*7))"'}, 0, "it's 42\n", '');
case("sh 'printf \"a\tb\\\\n%s\\\\n\" \"100%\"; echo two\necho three'", 0, "a\tb\n100%\ntwo\nthree\n", '');
case('sh "seq 1 20000 | tail -n 3"', 0, "19998\n19999\n20000\n", '');
case('sh "seq 1 5000"', 0, join('', map { "$_\n" } 1 .. 5000), '');
case('sh "true ' . 'x' x 61000 . '"', 2, '', qr/\Akmon: the command line is longer/);

# ---- calls of a script
case('eval "call sh command echo from the guest; exit 4"', 0, "status 4 <from the guest\n>\n", '');
case('eval "call file name tests/console/two-lines.lua"', 0, qr/\Astatus 0 <local a = 1\n/, '');
case('eval "call file name /no/such"', 0, qr{\Afailed: /no/such: No such file}, '');
case('eval "call expect pattern ~ # "', 0, "status 0 <~ # >\n", '');
case('eval "call expect pattern never"', 0, qr/\Afailed: timeout while expecting "never"/, '');
case('eval "call expect pattern %"', 0, qr/\Afailed: malformed pattern/, '');
case('eval "call type text x"', 0, "status 0 <>\n", '');
case('eval "call spawn command true"', 0, "status 0 <>\n", '');
case('eval "call fly to moon"', 0, "failed: kmon knows no host.fly\n", '');

# ---- the terminal: stdin is a pipe
case("tty <<X\necho hello world\nX", 0, qr/booted\r\n~ # echo hello world\r\nhello world\r\n/, '');
case("<<X\npoweroff\r\nX", 0, qr/~ # poweroff\r\n/, '');
case("tty <<X\n\recho plain\nX", 0, qr/plain\r\nplain\r\n/, '', 'plain');

# ---- the prompt: on a terminal of its own, keys typed ahead
sub prompt {
    my ($keys, $out, $name) = @_;
    my $pid = start_fake();
    local $ENV{XDG_STATE_HOME} = $dir;
    local $ENV{TERM} = 'xterm';
    local $ENV{NO_COLOR} = 1;
    open my $pipe, '|-', "timeout 20 script -qec '$kmon connect unix:$socket tty' $dir/typed >/dev/null" or die;
    print $pipe $keys;
    close $pipe;
    open my $f, '<', "$dir/typed" or die;
    my $text = do { local $/; <$f> };
    like($text, $out, $name);
    kill 'KILL', $pid;
    waitpid $pid, 0;
}
prompt("\x1d1+1\r\x1decho back\rexit\r", qr/k\[ro h4 t12\]> .*1\+1\r\n2\r\n.*back\r\n.*\nback\r\n/s,
       'Ctrl-] opens the prompt and leaves it');
prompt("\x1dfor i = 1, 3 do\rend\r\x1dpoweroff\r", qr/\.\.> .*end\r\nhello from a script\r\n/s,
       'lines are gathered until they are complete');
prompt("\x1derror\r\x1dpoweroff\r", qr/x\.lua:2: it went wrong\r\n/, 'an error is shown');
prompt("\x1d1\t\r\x1dpoweroff\r", qr/\n2\r\n/, 'completion from the kernel');
prompt("\x1d:fa\t --lua\r\x1dpoweroff\r", qr/k\.spaces\(\):sort/, 'completion of a shorthand');
prompt("\x1dslow\t\r\x1dpoweroff\r", qr/hello from a script/, 'completion that does not come in time is given up');
prompt("\x1derror\r\x1dpoweroff\r", qr/\A[^\e]*(\e\[[^m]*[A-Za-ln-z][^\e]*)*\z/, 'NO_COLOR: no colour');
prompt("\x1dk?\r\x1dpoweroff\r", qr/help: it helps/, 'x? is help');
prompt("\x1d:bt 3 --lua\r:bt\r:nothing\r\x1dpoweroff\r",
       qr/k\.task\(3\):backtrace\(\).*usage: :bt TASK.*no shorthand :nothing/s, 'shorthands');
open my $h, '<', "$dir/tidepool/history" or die;
like(join('', <$h>), qr/for/, 'the history is kept');

# What is typed while a job prints: the print stands above it, and the line is whole, with the cursor where it was.
system("gcc -Wall -Wextra -Werror tests/console/in_pty.c -o $dir/in_pty -lutil") == 0 or BAIL_OUT('in_pty does not build');
sub interrupted_line {
    my ($columns, $typed, $shown, $name) = @_;
    my $fake_pid = start_fake();
    local $ENV{XDG_STATE_HOME} = $dir;
    local $ENV{TERM} = 'vt100';
    my $screen = Screen->new(40, $columns);
    my $pid = open2(my $from, my $to, "$dir/in_pty", "40x$columns", $kmon, 'connect', "unix:$socket", 'tty');
    my $see = sub {
        my ($pattern) = @_;
        for (1 .. 100) {
            return 1 if $screen->text =~ $pattern;
            my $in = '';
            vec($in, fileno $from, 1) = 1;
            select $in, undef, undef, 0.2 or next;
            sysread $from, my $data, 65536 or last;
            $screen->take($data);
        }
        return 0;
    };
    $see->(qr/~ #/);
    syswrite $to, "\x1dlater\r";
    $see->(qr/soon.*> $|soon\n.*>/s);
    syswrite $to, $typed;
    $see->(qr/EXIT Task#35\n[^\n]*>.*\n/s);
    syswrite $to, 'Z';
    $see->($shown); # the key's echo may come in parts
    like($screen->text, $shown, $name);
    kill 'KILL', $fake_pid, $pid;
    waitpid $_, 0 for $fake_pid, $pid;
}
interrupted_line(80, '1 + ', qr/^soon\nSPAWN Task#35 sleep\nEXIT Task#35\nk\[ro h4 t12\]> 1 \+ Z\n/m, 'a print stands above what is typed');
interrupted_line(30, 'x' x 40 . "\x02", qr/^soon\nSPAWN Task#35 sleep\nEXIT Task#35\nk\[ro h4 t12\]> x{16}\nx{23}Zx\n/m,
                 'also of more than one row, with the cursor within');

done_testing;
