# Pictures of terminals, and of a timeline, as SVG: text that can be searched, and a line of the file for each line shown.
package Picture;
use strict;
use warnings;
use Exporter 'import';
our @EXPORT = qw(picture_of_text picture_of_screen picture_of_timeline);

my ($wide, $high, $edge) = (8, 17, 12);
my ($paper, $ink, $bright, $dim) = map { "#$_" } qw(14181d c8d0d8 ffffff 7f8b97);
my @colours = map { "#$_" } qw(4c9be8 e8a14c 67c587 d76c8a a58be0 c9c35a 5fc4c9 b98a6a e0e0e0 3f7f5f e85c4c 8fa0ff);

sub escaped { return $_[0] =~ s/&/&amp;/gr =~ s/</&lt;/gr =~ s/>/&gt;/gr =~ s/"/&quot;/gr }

sub svg {
    my ($width, $height, $title, @lines) = @_;
    return join "\n", qq(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 $width $height" width="$width" height="$height")
        . qq( font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="13">),
        '<title>' . escaped($title) . '</title>',
        qq(<rect width="$width" height="$height" rx="6" fill="$paper"/>), @lines, "</svg>\n";
}

# A run of characters that are shown alike.
sub run {
    my ($y, $x, $text, $how) = @_;
    return '' if $text =~ /^ *$/ && $how !~ /r/;
    my ($left, $base, $length) = ($edge + $x * $wide, $edge + $y * $high + 13, $wide * length $text);
    my $fill = $how =~ /r/ ? $paper : $how =~ /b/ ? $bright : $ink;
    my $under = $how =~ /r/ ? qq(<rect x="$left" y="@{[$base - 13]}" width="$length" height="$high" fill="#f5c542"/>) : '';
    my $weight = $how =~ /b/ ? ' font-weight="bold"' : '';
    return qq($under<text x="$left" y="$base" fill="$fill"$weight textLength="$length" xml:space="preserve">)
        . escaped($text) . '</text>';
}

sub line {
    my ($y, $text, $hows) = @_;
    my ($out, $from) = ('', 0);
    for my $x (1 .. length $text) {
        next if $x < length $text && $hows->[$x] eq $hows->[$from];
        $out .= run($y, $from, substr($text, $from, $x - $from), $hows->[$from]);
        $from = $x;
    }
    return $out;
}

sub picture_of_screen {
    my ($title, $screen) = @_;
    my @text = @{$screen->{text}};
    my @lines = map { line($_, $text[$_] =~ s/\s+$//r, $screen->{hows}[$_]) } 0 .. $#text;
    return svg(2 * $edge + $wide * $screen->{cols}, 2 * $edge + $high * @text, $title, grep { $_ ne '' } @lines);
}

# Of a session: what was entered is bold.
sub picture_of_text {
    my ($title, $text) = @_;
    my @text = map { 1 while s/\t/' ' x (8 - $-[0] % 8)/e; $_ } split /\n/, $text;
    my ($cols) = sort { $b <=> $a } 80, map { length } @text;
    my @lines = map {
        my ($line, $prompt) = ($text[$_], $text[$_] =~ /^(k\[.*?\]> | +\.\.> )/ ? length $1 : 0);
        line($_, $line, [map { $prompt && $_ >= $prompt ? 'b' : '' } 0 .. length $line]);
    } 0 .. $#text;
    return svg(2 * $edge + $wide * $cols, 2 * $edge + $high * @text, $title, grep { $_ ne '' } @lines);
}

# Of the events of Chrome's trace format: the tracks of process 0, the harts. Slices lie in one another: those that begin later
# are drawn over those that began before. Colours tell the twelve names that
# took longest.
sub picture_of_timeline {
    my ($title, $events) = @_;
    my @slices = sort { $a->{ts} <=> $b->{ts} || $b->{dur} <=> $a->{dur} } grep { $_->{ph} eq 'X' && $_->{pid} == 0 } @$events;
    my ($from) = map { $_->{ts} } @slices or die 'a timeline without slices';
    my ($to) = sort { $b <=> $a } map { $_->{ts} + $_->{dur} } @slices;
    my (%time, %end);
    my %harts = map { $_->{tid} => 1 } grep { $_->{pid} == 0 && $_->{name} eq 'thread_name' } @$events;
    for (@slices) {
        my $depth = 0;
        $depth++ while ($end{$_->{tid}}[$depth] // 0) > $_->{ts};
        $end{$_->{tid}}[$depth] = $_->{ts} + $_->{dur};
        $_->{depth} = $depth;
        $time{$_->{name}} += $_->{dur};
    }
    my @names = (sort { $time{$b} <=> $time{$a} || $a cmp $b } keys %time)[0 .. (keys(%time) < 12 ? keys(%time) : 12) - 1];
    my %colour = map { $names[$_] => $colours[$_] // $dim } 0 .. $#names;
    my ($width, $lane) = (900, 56);
    my $scale = ($width - 80) / ($to - $from);
    my $y = $edge;
    my @lines;
    for my $hart (sort { $a <=> $b } keys %harts) {
        push @lines, qq(<text x="$edge" y="@{[$y + 24]}" fill="$ink">hart $hart</text>)
            . qq(<rect x="70" y="$y" width="@{[$width - 80]}" height="@{[$lane - 10]}" fill="#20262d"/>);
        for (grep { $_->{tid} == $hart } @slices) {
            my $w = $_->{dur} * $scale;
            push @lines, sprintf '<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>', 70 + ($_->{ts} - $from) * $scale,
                $y + 14 * ($_->{depth} < 3 ? $_->{depth} : 2), $w < 0.5 ? 0.5 : $w, $lane - 10 - 14 * ($_->{depth} < 3 ? $_->{depth} : 2),
                $colour{$_->{name}} // $dim if $w >= 0.05;
        }
        $y += $lane;
    }
    push @lines, sprintf '<text x="70" y="%d" fill="%s">%.1f ms</text>', $y + 8, $dim, ($to - $from) / 1000;
    $y += 28;
    for my $i (0 .. $#names) {
        my ($x, $at) = (70 + 205 * ($i % 4), $y + 20 * int($i / 4));
        push @lines, qq(<rect x="$x" y="@{[$at - 10]}" width="11" height="11" fill="$colour{$names[$i]}"/>)
            . qq(<text x="@{[$x + 17]}" y="$at" fill="$ink">) . escaped($names[$i]) . '</text>';
    }
    return svg($width, $y + 20 * int(($#names + 4) / 4) + 8, $title, @lines);
}
1;
