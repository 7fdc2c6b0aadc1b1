#!/usr/bin/perl
# The pictures of README's tour: README shows each, and `make pictures` still makes the same kind of picture: whole SVG, of the same
# size, with the words that are told of it, and most of the others that it had when it was made (numbers differ each time). TAP.
use strict;
use warnings;
use File::Temp 'tempdir';
use Test::More;

my %says = (    # what each picture is there to show, line by line
    prompt      => [qr/^k\[ro h4 t\d+\]> k\.on\("fault\.page"/m, qr/^lazy touches \w+ and is parked; now it Walk\S+ stops at level 2: the entry is empty$/m,
                    qr/^Walk\S+ -> \w+ -da-u-wrv$/m, qr/mapping\.protect needs mode rw/, qr/^k\[rw h4 t\d+\]> m:protect\("r--"\)$/m,
                    qr/ r--p anonymous, 1 of 16384/, qr/^mapping\.protect +1 /m, qr/k\.undo\(\)\n.*\n.*\n.* rw-p anonymous, 1 of 16384/],
    'top-map'   => [qr/^address space of lazy  /m, qr/ rw-p \[[#:]+\*+\.+\] +\d+ of 256 +anonymous$/m, qr/ r-xp \[[#:.]{24}\] .* file$/m, qr/^filter: lazy/m],
    'top-tasks' => [qr/^tidepool .* 4 harts /m, qr/^> +1 init /m, qr/^ +\d+   sh .*\n +- \w+ +kernel\/\S+:\d+ /m, qr/^ +\d+   lazy /m, qr/^ +< user_loop /m],
    timeline    => [qr/^hart 0$/m, qr/^hart 3$/m, qr/^[\d.]+ ms$/m, qr/^newfstatat$/m, qr/^getdents64$/m, qr/^sh$/m],
);

sub slurp { open my $f, '<', $_[0] or return ''; local $/; return scalar <$f> }
sub shown {
    my $text = $_[0] =~ s/<text[^>]*? x="(\d+)"[^>]*>([^<]*)<\/text>/$2/gr;
    return $text =~ s/<[^>]*>//gr =~ s/&lt;/</gr =~ s/&gt;/>/gr =~ s/&quot;/"/gr =~ s/&amp;/&/gr;
}
sub size { return $_[0] =~ /\A<svg [^>]*viewBox="0 0 (\d+) (\d+)"/ ? ($1, $2) : (0, 0) }
sub words {
    my %all;
    $all{$_} = 1 for grep { !/\d/ } shown($_[0]) =~ /[A-Za-z_]\w{2,}/g;
    return \%all;
}

# Each element is closed, in order, and nothing in a text would be taken for one.
sub well_formed {
    my @open;
    my $rest = $_[0] =~ s/<(\/?)(\w+)((?:\s+[\w:-]+="[^"<&]*(?:&\w+;[^"<&]*)*")*)\s*(\/?)>/
        if ($1) { return 0 unless @open && pop @open eq $2 } elsif (!$4) { push @open, $2 } ''/gerx;
    return !@open && $rest !~ /[<>]/ && $rest !~ /&(?!(lt|gt|amp|quot);)/;
}

my $readme = slurp('README.md');
my $dir = tempdir(CLEANUP => 1);
my $made = `GUEST_TIMEOUT=200 tests/pictures $dir 2>$dir/errors`;
is($?, 0, 'pictures are made') or diag slurp("$dir/errors");
is(join(' ', sort map { m{.*/(.*)\.svg} } split /\n/, $made), join(' ', sort keys %says), 'those that are described here');
is(join(' ', sort map { m{.*/(.*)\.svg} } glob 'host-console/pictures/*'), join(' ', sort keys %says), 'and are kept');
is(join(' ', sort $readme =~ /!\[[^]\n]+\]\(host-console\/pictures\/([\w-]+)\.svg\)/g), join(' ', sort keys %says), 'and are shown in README');
for my $name (sort keys %says) {
    my ($old, $new) = (slurp("host-console/pictures/$name.svg"), slurp("$dir/$name.svg"));
    for (['kept', $old], ['made', $new]) {
        my ($which, $svg) = @$_;
        ok(well_formed($svg), "$name, as $which: well formed");
        my $text = shown($svg);
        like($text, $_, "$name, as $which") for @{$says{$name}};
    }
    is((size($new))[0], (size($old))[0], "$name: as wide as it was");
    my ($was, $is) = (words($old), words($new));
    my @common = grep { $was->{$_} } keys %$is;
    my $all = keys(%$was) + keys(%$is) - @common;
    # Which calls there are on a timeline depends on when it was drawn: what must be there is in its patterns.
    cmp_ok(@common / ($all || 1), '>=', $name eq 'timeline' ? 0.2 : 0.5, "$name: the same words") or diag 'was: ', join(' ', sort keys %$was), ' is: ', join(' ', sort keys %$is);
}
done_testing;
