# clamquota feed: each line counts once, in the column that the module would
# have had for it, and whatever ends the process loses nothing that was written
# to it, but for kill -9.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Feed;
use File::Temp 'tempdir';
use Httpd;
use Peer;
use Test::More;

my $dir = tempdir(CLEANUP => 1);
my $n = 0;
sub table { return "$dir/table" . ++$n }
sub line { return Feed::line(@_) }
sub is_sound {
    my ($table) = @_;
    is(`$Feed::BUILD/clamquota check --table $table`, "$table: in order\n",
        'check');
}

# ---- columns ----
my $table = table();
my @day = ('--period', 'Day');
my ($status, $said) = Feed::all($table,
    [@day, qw(--daily 10000 --free \.cdiff$)],
    line('192.0.2.1', 4000), line('192.0.2.1', 5000, status => 206),
    line('192.0.2.1', 300, status => 304), line('192.0.2.1', 20, status => 404),
    line('192.0.2.1', 9, request => 'HEAD /x HTTP/1.1'),
    line('192.0.2.1', 7, request => 'GET /a.cdiff?x HTTP/1.1'),
    line('192.0.2.1', 500, status => 206), line('192.0.2.1', 2000),
    line('192.0.2.1', 2000), line('192.0.2.1', 3, status => 404),
    line('::ffff:192.0.2.2', 1), line('2001:db8::1', 2),
    line('2001:db8::2', 4), line('192.0.2.9', 0));
is($status, 0, 'counts');
is($said, "clamquota feed: $table: made a new table\n", 'says what it made');
my $rows = Feed::rows($table);
my %expected = ('192.0.2.1' => '11000 839 9 1', '192.0.2.2' => '1 0 1 0',
    '2001:db8::' => '6 0 2 0', '192.0.2.9' => '0 0 1 0');
is(Feed::figures($table, $_), $expected{$_}, "$_: used free hits refused")
    for sort keys %expected;
is($rows->{'192.0.2.1'}{state}, 'over', 'over quota');
cmp_ok(abs($rows->{'192.0.2.1'}{over_since} - time), '<', 60, 'since now');
($status, $said) = Feed::all($table, [qw(--daily 10000)],
    line('192.0.2.2', 1), line('192.0.2.1', 1));
is("$status$said", 0, 'the same table again, with its period');
is(Feed::figures($table, '192.0.2.2'), '2 0 2 0', 'twice is twice');
is(Feed::figures($table, '192.0.2.1'), '11000 839 9 2', 'refused again');
Feed::all($table, [qw(--pool other)], line('192.0.2.1', 50_000));
is(Feed::figures($table, 'other 192.0.2.1'), '50000 0 1 0',
    'without a Daily it only counts');
is_sound($table);

# ---- lines that are wrong, old, early ----
$table = table();
my @past = map { line('192.0.2.3', 5, time => time - $_ * 86_400) } 2, 3, 400;
($status, $said) = Feed::all($table, [@day], line('192.0.2.3', 1), "\n",
    "noise\n", line('host.example.org', 5), @past,
    line('192.0.2.3', 2, time => time + 9000), "\0\0\0\n",
    line('192.0.2.3', 4) =~ s/\n//r);
is($status, 1, 'exit 1: a line could not be read');
is(Feed::figures($table, '192.0.2.3'), '7 0 3 0', 'the others are counted');
like($said, qr/standard input:\d+: expected .*: noise$/m, 'which one');
is(() = $said =~ /older than the period: it is not/g, 1,
    'lines of past periods are reported once');
like($said, qr/: 1 had no address|1 had no address, 3 were older/,
    'and counted');
cmp_ok(Feed::rows($table)->{'192.0.2.3'}{last_hit}, '<=', time,
    'a time to come is now');

# ---- formats ----
my %format = (
    pairs => "192.0.2.4 123\n",
    clamav => 'mirror 192.0.2.4 - - [' . (line(1, 1) =~ /\[(.*?)\]/)[0]
        . '] "GET /main.cvd HTTP/1.1" 200 123 "-" "-"' . "\n",
    '%a %>s %O' => "192.0.2.4 200 123\n",
);
for my $format (sort keys %format) {
    my $one = table();
    is(join('', Feed::all($one, ['--format', $format], $format{$format})),
        "0clamquota feed: $one: made a new table\n", "format $format");
    is(Feed::figures($one, '192.0.2.4'), '123 0 1 0', 'is read');
}

# ---- what is wrong ----
my @wrong = (
    [2, qr/--daily "x": expected a size/, '--daily', 'x'],
    [2, qr/--daily "0": expected a size/, '--daily', '0'],
    [2, qr/--period "Year": expected Month/, '--period', 'Year'],
    [2, qr/--free "\(": /, '--free', '('],
    [2, qr/--format "%": /, '--format', '%'],
    [2, qr/--pool "b": expected one pool/, '--pool', 'a', '--pool', 'b'],
    [2, qr/expected only options/, 'access.log'],
    [6, qr/not a clamquota table/, '--table', $0],
    [6, qr/cannot be made in its directory/, '--table', "$dir/none/table"],
);
for my $case (@wrong) {
    my ($exit, $pattern, @arguments) = @$case;
    my ($got, $what) = Feed::all(table(), \@arguments, line('192.0.2.1', 1));
    is($got, $exit, "exit $exit: @arguments");
    like($what, qr/^clamquota feed: .*$pattern.*\n\z/, 'one sentence');
}

# ---- a full disk ----
SKIP: {
    my $refusal = refusal('unshare -m mount -t tmpfs -o size=1M none /mnt');
    skip $refusal, 2 if $refusal;
    my $feed = Feed->begin('/mnt/table', { through => ['unshare', '-m', 'sh',
        '-c', 'mount -t tmpfs -o size=1M none /mnt && exec "$@"', 'sh'] });
    is($feed->end, 6, 'exit 6: no room for the table');
    like($feed->said, qr/^clamquota feed: .*No space left on device\n\z/,
        'one sentence');
}

# ---- signals: what was written before is counted ----
for my $signal (qw(TERM INT HUP)) {
    my $one = table();
    my $feed = Feed->begin($one)->ready;
    $feed->write(line('192.0.2.5', 10), line('192.0.2.5', 10));
    is(Feed::figures($one, '192.0.2.5', '20 0 2 0'), '20 0 2 0',
        'counts at once');
    # a reader that is stalled, with a full pipe
    kill 'STOP', $feed->{pid};
    $feed->write(line('192.0.2.5', 10) x 500, line('192.0.2.6', 10) =~ s/\n//r);
    kill $signal, $feed->{pid};
    kill 'CONT', $feed->{pid};
    is($feed->wait, 0, "SIG$signal ends it");
    is(Feed::figures($one, '192.0.2.5'), '5020 0 502 0', 'nothing is lost');
    is(Feed::figures($one, '192.0.2.6'), '10 0 1 0', 'nor the last line');
    is_sound($one);
}

# ---- kill -9, and another one goes on reading the same pipe ----
$table = table();
my $first = Feed->begin($table)->ready;
my $written = 0;
for my $round (1 .. 10) {
    $first->write(line('192.0.2.7', 1) x 300);
    $written += 300;
    Feed::figures($table, '192.0.2.7', "$written 0 $written 0") if $round % 2;
    kill 'KILL', $first->{pid};
    $first->wait;
    my $next = Feed->begin($table, { reader => $first->{reader} });
    $next->{to} = $first->{to};
    $first = $next;
}
is($first->end, 0, 'killed ten times');
my ($used) = Feed::figures($table, '192.0.2.7') =~ /^(\d+) 0 \1 0$/;
ok(defined $used, 'as many hits as bytes');
cmp_ok($used // 0, '<=', $written, 'nothing counts twice');
cmp_ok($used // 0, '>=', $written - 10 * 300, 'at most what it was reading');
is_sound($table);

# ---- two of them ----
$table = table();
$first = Feed->begin($table, '--until-end')->ready;
my $second = Feed->begin($table);
is($second->wait, 6, 'exit 6: the table is in use');
like($second->said, qr/used by another server \(process $first->{pid}\)/,
    'says by which process');
kill 'TERM', $first->{pid};
$second = Feed->begin($table);
for (1 .. 50) {
    $first->write(line('192.0.2.8', 1));
    $second->write(line('192.0.2.8', 1));
}
is(Feed::figures($table, '192.0.2.8', '100 0 100 0'), '100 0 100 0',
    '--until-end: after SIGTERM both count');
is($second->end, 0, 'the second ends');
$first->write(line('192.0.2.8', 1));
is($first->end, 0, 'the first ends with its input');
is(Feed::figures($table, '192.0.2.8'), '101 0 101 0', 'each line counts');
is_sound($table);

# ---- the table is damaged or taken away meanwhile ----
$table = table();
$first = Feed->begin($table)->ready;
$first->write(line('192.0.2.1', 1));
Feed::figures($table, '192.0.2.1', '1 0 1 0');
unlink $table;
$first->ready(qr/removed or replaced: opened again/);
$first->write(line('192.0.2.1', 2));
is(Feed::figures($table, '192.0.2.1', '2 0 1 0'), '2 0 1 0',
    'removed: goes on with a new table');
truncate $table, 4096;
$first->ready(qr/cut short or overwritten.*\n(?:.*\n)*.*set aside/);
$first->write(line('192.0.2.1', 3));
is(Feed::figures($table, '192.0.2.1', '3 0 1 0'), '3 0 1 0',
    'cut short: goes on with a new table');
is($first->end, 0, 'and ends in order');

done_testing();
