package Books;

# Books - compares, at the end of a soak, what each client received from a node
# with what the node charged it, and both with mod_logio's figures.
#
# The promises (README, Limits): an HTTP/1.1 download that broke off is charged
# up to 256 KiB less than the kernel took; an HTTP/2 stream that did, up to
# 64 KiB and its buffer more; a child that is killed leaves up to a piece of
# each open transfer uncounted. Everything else is exact.

use strict;
use warnings;
use Httpd;

use constant { PIECE => 256 * 1024, PIECE2 => 64 * 1024, FIELDS => 1000,
    BUFFER2 => 64 * 1024,       # H2StreamMaxMemSize
    FILE_MAX => 16_001_000 };

# The yardstick: address, status, bytes that the kernel took, state of the
# connection (X: aborted)
use constant LOG => <<'EOT';
LogFormat "%a %>s %O %X" soak
CustomLog logs/soak.log soak
EOT

my @NOTHING = map { $_ => 0 } qw(lines bytes refused refusals aborted);

# {address => {lines, bytes, refused (bytes of 429s), refusals, aborted}}
sub read_log {
    my ($node) = @_;
    my %log;
    open my $file, '<', "$node->{dir}/logs/soak.log" or die "soak.log: $!";
    while (my $line = <$file>) {
        my ($from, $status, $bytes, $state) = split ' ', $line;
        my $log = $log{$from} //= {@NOTHING};
        $log->{lines}++;
        $log->{bytes} += $bytes;
        $log->{aborted}++ if $state eq 'X';
        next if $status != 429;
        $log->{refused} += $bytes;
        $log->{refusals}++;
    }
    return \%log;
}

# The faults of a node's figures of one client, '' if nothing. gives_up:
# it is one that goes away before the end.
sub wrong {
    my ($name, $book, $log, $row, $gives_up) = @_;
    $log //= {@NOTHING};
    my $charged = $row ? $row->{here}{used} + $row->{free} : 0;
    my $received = $book->{received} // 0;
    my $unlogged = ($book->{requests} // 0) - $log->{lines};
    $unlogged = 0 if $unlogged < 0;
    my $lost = $book->{broken} // $unlogged + $log->{aborted};
    my ($low, $high);
    if (defined $book->{data}) {
        $low = $book->{data} - $lost * PIECE2;
        $high = $book->{data} + $book->{answers} * FIELDS
            + $lost * (PIECE2 + BUFFER2);
    }
    else {
        $low = $received - $log->{refused} - $lost * PIECE;
        # what came and was not logged is of a child that was killed
        $high = ($gives_up ? $log->{bytes} + $unlogged * FILE_MAX : $received)
            - $log->{refused};
        return "$name: received $received, the log has $log->{bytes}"
            if !$gives_up && !$lost && $received != $log->{bytes};
    }
    return '' if $charged >= $low && $charged <= $high;
    return "$name: charged $charged, expected $low to $high ($lost broken; "
        . join(' ', map { "$_ $book->{$_}" } sort keys %$book) . '; log: '
        . join(' ', map { "$_ $log->{$_}" } sort keys %$log) . ')';
}

1;
