# mpm: once
# Three nodes with one quota over two memcached: sums to the byte, refusals,
# resets, what is in flight, and every form of the page.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Cluster;
use HTTP::Tiny;
use Httpd;
use List::Util 'sum';
use Load;
use Test::More;

need_memcached();
my $cluster = Cluster->run(nodes => 3, memcached => 2,
    conf => "ClamQuotaDaily 1M\nClamQuotaPeriod Day\nSendBufferSize 65536\n");
my @nodes = $cluster->nodes;
for my $node (@nodes) {
    write_file("$node->{dir}/htdocs/$_->[0]", 'c' x $_->[1])
        for ['half', 600_000], ['big', 4_000_000];
}

sub draw {
    my ($node, $client, $path) = @_;
    return $node->get($path, '--interface', $client);
}

# ---- every node is known to every other ----
for my $n (0 .. 2) {
    my $view = Cluster::cluster($nodes[$n]);
    is($view->{node}, chr(97 + $n), "node $n: its label");
    is_deeply([sort map { $_->{node} } @{$view->{nodes}}], [qw(a b c)],
        "node $n: knows all three");
    is_deeply([map { $_->{node} } grep { $_->{self} } @{$view->{nodes}}],
        [chr 97 + $n], "node $n: and which one it is");
    is_deeply([map { "$_->{server} $_->{up}" } @{$view->{servers}}],
        [map { $_->address . ' 1' } $cluster->memcached],
        "node $n: both servers answer");
    is(scalar(grep { $_->{other_period} || $_->{other_servers}
        || $_->{other_daily} } @{$view->{nodes}}), 0,
        "node $n: all have the same settings");
}
my %ids = map { $_->{id} => 1 } map { @{Cluster::cluster($_)->{nodes}} } @nodes;
is(scalar keys %ids, 3, 'the same three everywhere');

# ---- one client on each node in turn ----
my $client = '127.7.0.1';
my ($total, @here) = (0);
for my $n (0 .. 2) {
    for (0 .. $n) {
        my $answer = draw($nodes[$n], $client, '/small');
        is($answer->{status}, 200, "node $n: served");
        $here[$n] += $answer->{bytes};
    }
}
$total = sum @here;
for my $n (0 .. 2) {
    my $row = Cluster::await($nodes[$n], $client, used => $total);
    is($row->{used}, $total, "node $n: the sum of all, to the byte");
    is($row->{here}{used}, $here[$n], "node $n: its own part");
    is($row->{hits}, $n + 1, "node $n: hits are its own");
    is($row->{state}, 'ok', "node $n: ok");
    is($row->{spared}, 'reserved', "node $n: not marked as a proxy's");
}

# ---- over on A: refused on B, which never saw this client ----
$client = '127.7.0.2';
is(draw($nodes[0], $client, '/half')->{status}, 200, "A: served ($_)") for 1, 2;
Cluster::await($nodes[0], $client, state => 'over');
Cluster::await_rounds($_, 2) for @nodes;
for my $n (1, 2) {
    my $answer = draw($nodes[$n], $client, '/small');
    is($answer->{status}, 429, "node $n: its first request is refused");
    like($answer->{body}, qr/1\.1 MiB/, "node $n: used is the sum");
    my $row = Cluster::client($nodes[$n], $client);
    is($row->{state}, 'over', "node $n: the page shows it");
    is($row->{here}{used}, 0, "node $n: nothing of it was sent here");
    is($row->{here}{refused}, 1, "node $n: refused here");
    cmp_ok($row->{retry_after}, '>', 0, "node $n: until midnight");
    is($nodes[$n]->json->{totals}{sent}, $here[$n],
        "node $n: totals are its own");
}

# ---- a reset on one node reaches all, and nothing comes back ----
is(Cluster::reset_client($nodes[2], $client), 303, 'reset on C');
for my $n (0 .. 2) {
    my $row = Cluster::await($nodes[$n], $client, used => 0);
    is($row->{used}, 0, "node $n: reset");
}
Cluster::await_rounds($_, 5) for @nodes;
is(Cluster::client($nodes[$_], $client)->{used}, 0, "node $_: it stays so")
    for 0 .. 2;
is(draw($nodes[0], $client, '/small')->{status}, 200, 'and it is served again');

# on a node that never saw the client, too
$client = '127.7.0.4';
is(draw($nodes[0], $client, '/small')->{status}, 200, 'A: served');
is(Cluster::reset_client($nodes[2], $client), 303, 'reset on C, which has no row');
is(Cluster::await($nodes[0], $client, used => 0)->{used}, 0, 'A: reset');

# ---- what is in flight elsewhere makes it busy here, until that node dies ----
$client = '127.7.0.3';
is(draw($nodes[1], $client, '/small')->{status}, 200, 'B: served');
my $download = $nodes[0]->connect(from => $client, buffer => 65_536);
$download->send("GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n");
$download->take(100_000);
my $busy = poll(10, sub {
    Cluster::client($nodes[1], $client)->{in_flight} > 1_000_000 });
ok($busy, 'in flight on A, seen on B');
my $refused = draw($nodes[1], $client, '/small');
is($refused->{status}, 429, 'busy on B');
cmp_ok($refused->{headers}{'retry-after'}, '<=', 40, 'for half a minute');
$nodes[0]->kill9_all;
my $lapsed = poll(20, sub {
    Cluster::client($nodes[1], $client)->{in_flight} == 0 });
ok($lapsed, 'A died: nothing is in flight for it');
is(draw($nodes[1], $client, '/small')->{status}, 200, 'and it is served');
is($nodes[0]->start, '', 'A starts again');
$cluster->await_nodes;

# ---- random clients, random nodes: quiet, all agree to the byte ----
$cluster->download(300, 8);
$cluster->agrees('quiet');

# ---- the other forms ----
sub form {
    return HTTP::Tiny->new->get("http://127.0.0.1:$nodes[1]{port}/clamquota$_[0]")
        ->{content};
}
my ($one, $two) = map { $_->address } $cluster->memcached;
like(form('?openmetrics'), qr/^clamquota_cluster_up\{server="\Q$_\E"\} 1$/m,
    "metrics: $_") for $one, $two;
like(form('?openmetrics'), qr/^clamquota_cluster_lag_seconds \d+\.\d{3}$/m,
    'metrics: lag');
like(form('?openmetrics'), qr/^clamquota_cluster_missing_shares_total 0$/m,
    'metrics: no share was missing');
like(form('?auto'), qr/^ClamQuotaClusterNode: b\n.*ClusterServersUp: 2$/ms,
    'auto');
like(form(''), qr{<h2>Cluster</h2>}, 'the page has a section');

is(Load::check_table($_), '', "$_->{port}: the table is sound") for @nodes;
finish();
