# mpm: once
# Nodes restart, die, lose their table, are copied, or have other settings:
# nothing is lost, nothing counts twice, and no reset comes back.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Cluster;
use File::Copy 'copy';
use Httpd;
use Load;
use Memcached;
use Test::More;

need_memcached();
my $cluster = Cluster->run(nodes => 3, memcached => 2,
    conf => "ClamQuotaDaily 10M\n");
my ($one, $two, $three) = my @nodes = $cluster->nodes;

# ---- the exchanger is killed in the middle of a round, and replaced ----
my ($exchanger, $died) = (Cluster::await_exchanger($one), 0);
for (1 .. 3) {
    $cluster->download(30, 40);
    kill 'KILL', $exchanger;
    $cluster->download(10, 40);
    $exchanger = Cluster::await_exchanger($one, $exchanger);
    ok($exchanger, 'killed: another one follows');
}
$one->allow_log(qr/CQ0151: /, 3);
$cluster->agrees('the exchanger was killed');

# ---- graceful restarts under load ----
for (1 .. 4) {
    ok($_->graceful, 'graceful') for @nodes;
    $cluster->download(20, 40);
}
$cluster->agrees('graceful restarts');

# ---- a child, then a whole node dies ----
kill 'KILL', grep { $_ != (Cluster::exchanger($two) // 0) } $two->children;
ok(poll(10, sub { eval { $two->json('limit=1') } }), 'children die');
$cluster->download(20, 40);
$cluster->agrees('children died');
$two->kill9_all;
$cluster->download(20, 40);
is($two->start, '', 'a node dies, and starts again');
$cluster->download(20, 40);
$cluster->agrees('a node died');

# ---- a reset while a node is away ----
my ($client) = sort keys %{$cluster->{asked}{$three->{port}}};
ok($three->stop, 'a node is away');
is(Cluster::reset_client($one, $client), 303, 'a reset meanwhile');
$cluster->{sent}{$client} = 0;
is(Cluster::await($two, $client, used => 0)->{used}, 0, 'reaches the others');
is($three->start, '', 'it is back');
is(Cluster::await($three, $client, used => 0)->{used}, 0, 'reaches it, too');
$cluster->agrees('after the reset');

# ---- a node that lost its table is a new one; its former share counts ----
my $former = Cluster::cluster($three)->{id};
$three->stop;
unlink "$three->{dir}/state/clamquota.table" or die "table: $!";
is($three->start, '', 'a lost table');
isnt(Cluster::cluster($three)->{id}, $former, 'a lost table: a new id');
$cluster->{asked}{$three->{port}} = {};
$cluster->download(150, 40);
$cluster->agrees('a lost table');

# ---- a copy of a node's table, used by another server ----
Cluster::await_rounds($_, 3) for @nodes;
$one->stop;
my $clone = Httpd->new(conf => $cluster->conf_of(3));
write_file("$clone->{dir}/htdocs/small", 'c' x 1000);
copy("$one->{dir}/state/clamquota.table", "$clone->{dir}/state/clamquota.table")
    or die "copy: $!";
is($one->start, '', 'a copy: the original');
Cluster::await_rounds($one, 3);
is($clone->start, '', 'a copy: starts, too');
push @{$cluster->{nodes}}, $clone;
$cluster->{asked}{$clone->{port}} = { %{$cluster->{asked}{$one->{port}}} };
my $renewed = qr/CQ01(?:59|61): /;
ok(poll(20, sub { $one->log_lines($renewed) + $clone->log_lines($renewed) }),
    'a copy: noticed');
is($one->log_lines($renewed) + $clone->log_lines($renewed), 1,
    'a copy: one of them has a new id');
ok(poll(10, sub { Cluster::cluster($one)->{id} ne
    Cluster::cluster($clone)->{id} }), 'a copy: two ids');
$_->allow_log($renewed, scalar $_->log_lines($renewed)) for $one, $clone;
$cluster->download(60, 40);
$cluster->agrees('a copy');
ok($clone->stop, 'a copy: gone for good');
$cluster->download(30, 40);
$cluster->agrees('a node gone for good');

is(Load::check_table($_), '', "$_->{port}: the table is sound") for @nodes;
$_->stop for @nodes;

# ---- settings that do not fit: [name, servers and conf of b, what a logs] ----
my @memcached = map { Memcached->run } 1, 2;
my @servers = map { $_->address } @memcached;
my @odd = (
    ['another order', [reverse @servers], '', undef],
    ['another spelling', [$servers[0], $servers[1] =~ s/127.0.0.1/localhost/r],
        '', qr/CQ0157: node b:?.*server/],
    ['another period', \@servers, "ClamQuotaPeriod Week\n",
        qr/CQ0157: node b:?.*period/i],
    ['other prefixes', \@servers, "ClamQuotaPrefix 24 64\n",
        qr/CQ0157: node b:?.*prefix/i],
    ['another Daily', \@servers, "ClamQuotaGrace 1M\n", undef],
);
for my $case (@odd) {
    my ($name, $servers, $conf, $logged) = @$case;
    $_->command('flush_all') for @memcached;
    my $pair = Cluster->new(nodes => 2, memcached => 0, servers => \@servers,
        conf => "ClamQuotaDaily 10M\n");
    my ($a, $b) = $pair->nodes;
    $pair->{servers} = $servers;
    $b->{conf} = $pair->conf_of(1) . $conf;
    is($_->start, '', "$name: start") for $a, $b;
    $pair->await_nodes;
    if ($logged) {
        ok($a->wait_log($logged), "$name: logged, with the other's label")
            or diag $a->log_since;
        ok($b->wait_log(qr/CQ0157: node a/), "$name: by the other, too");
    }
    else {
        $pair->download(40, 50);
        $pair->agrees($name);
    }
    $_->allow_log(qr/CQ0157: /, $logged ? 1 : 0) for $a, $b;
    $_->stop for $a, $b;
}

finish();
