# mpm: once
# memcached fails in every way that was thought of: nodes go on by themselves,
# the log has it once, and when all is well again they agree to the byte.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Cluster;
use Httpd;
use Load;
use Memcached;
use Proxy;
use Test::More;

need_memcached();

# Three memcached behind proxies, two nodes.
my @memcached = map { Memcached->run } 1 .. 3;
my @proxies = map { Proxy->run(to => $_->{port}) } @memcached;
my $cluster = Cluster->new(nodes => 2, memcached => 0,
    servers => [map { $_->address } @proxies],
    conf => "ClamQuotaDaily 10M\n");
my @nodes = $cluster->nodes;
my $net = 10;

# Until every node has every server up, or this one down.
sub await_servers {
    my ($name, %down) = @_;
    for my $node (@nodes) {
        my $state;
        ok(poll(20, sub {
            $state = join ' ', map { $_->{up} ? 'up' : 'down' }
                @{Cluster::cluster($node)->{servers}};
            return $state eq join ' ', map { $down{$_} ? 'down' : 'up' } 0 .. 2;
        }), "$name: $node->{port} shows it") or diag $state;
    }
}

sub await_all_up { await_servers("$_[0], and back") }

# ---- down at the start ----
$memcached[$_]->stop for 0 .. 2;
for my $node (@nodes) {
    is($node->start, '', 'every server is down: httpd starts');
    ok($node->wait_log(qr/CQ0155: /), 'it is logged');
}
await_servers('down at the start', 0 => 1, 1 => 1, 2 => 1);
my ($client, $sent) = ('127.9.1.1', 0);
$sent += $_->get('/small', '--interface', $client)->{bytes} for @nodes;
is(Cluster::client($_, $client)->{used}, Cluster::client($_, $client)
    ->{here}{used}, 'each node counts by itself') for @nodes;
$memcached[$_]->start for 0 .. 2;
await_all_up('down at the start');
ok($_->wait_log(qr/CQ0156: /), 'that is logged, too') for @nodes;
is(Cluster::await($_, $client, used => $sent)->{used}, $sent,
    'what was counted alone is shared') for @nodes;
is(scalar $_->log_lines(qr/CQ0155: /), 1, 'once') for @nodes;

# ---- each fault under load: [name, breaks, is it seen as down, mends] ----
# Those with a star are slow or kin of another one: for CQ_TEST_ALL.
my $old;
my @faults = (
    ['killed, and back empty', sub { $memcached[0]->stop }, 1,
        sub { $memcached[0]->start }],
    ['*flush_all', sub { $memcached[1]->command('flush_all') }, 0, sub { }],
    ['SIGSTOP', sub { $memcached[0]->freeze }, 1, sub {
            # and what comes out of its sockets afterwards
            poll(5, sub { $cluster->download(5, $net); 0 })
                if $ENV{CQ_TEST_ALL};
            $memcached[0]->thaw;
        }],
    ['lost, and back with old values', sub {
            $memcached[2]->command('flush_all');
            $memcached[2]->put($old);
        }, 0, sub { }],
    ['*connections cut', sub { $proxies[1]->order('cut') }, 1,
        sub { $proxies[1]->order('pass') }],
    ['answers lost', sub { $proxies[1]->order('mute') }, 1,
        sub { $proxies[1]->order('pass') }],
    ['*requests lost', sub { $proxies[2]->order('deaf') }, 1,
        sub { $proxies[2]->order('pass') }],
    ['*slow', sub { $_->order('delay 30') for @proxies }, 0,
        sub { $_->order('pass') for @proxies }],
    ['a bad line', sub { $_->order('lose 3') for @proxies }, 0,
        sub { $_->order('pass') for @proxies }],
    ['noise for values', sub {
            for my $memcached (@memcached) {
                $memcached->put({ map { $_ => join '', map { chr int rand 256 }
                    1 .. rand 3000 } $memcached->keys });
            }
        }, 0, sub { }],
    ['*empty values', sub {
            $_->put({ map { $_ => '' } $_->keys }) for @memcached;
        }, 0, sub { }],
    ['*values of other keys', sub {
            for my $memcached (@memcached) {
                my $items = $memcached->items;
                my @values = values %$items;
                $memcached->put({ map { $_ => $values[rand @values] }
                    keys %$items });
            }
        }, 0, sub { }],
);
for my $fault (@faults) {
    my ($name, $break, $down, $mend) = @$fault;
    next if $name =~ s/^\*// && !$ENV{CQ_TEST_ALL};
    $net++;
    $cluster->{sent} = {};
    $cluster->download(40, $net);
    $old = $memcached[2]->items if !$old;
    Cluster::await_rounds($_, 1) for @nodes;
    $break->();
    $cluster->download(40, $net);
    if ($down) {
        for my $node (@nodes) {
            ok(poll(20, sub { grep { !$_->{up} }
                @{Cluster::cluster($node)->{servers}} }),
                "$name: $node->{port} shows a server down");
        }
        $cluster->download(20, $net);
    }
    $mend->();
    await_all_up($name);
    $cluster->download(20, $net);
    $cluster->agrees($name);
}
like(join("\n", $_->log_lines(qr/CQ015/)), qr/CQ0153.*CQ0154/s,
    'down and up are logged') for @nodes;
is(Load::check_table($_), '', "$_->{port}: the table is sound") for @nodes;
$_->stop for @nodes;

# ---- memcached with a clock of its own, with little room, with few
# connections ----
my ($ahead, $small, $few) = (Memcached->run(faketime => '+40d'),
    Memcached->run(arguments => ['-m', 2]),
    Memcached->run(arguments => ['-c', 40]));
my $odd = Cluster->run(nodes => 2, memcached => 0, conf => "ClamQuotaDaily 10M\n",
    servers => [map { $_->address } $ahead, $small, $few]);
$odd->download(60, 30);
$odd->agrees('odd servers');
cmp_ok($_->stats->{curr_items}, '>', 3, 'each has its part')
    for $ahead, $small, $few;
my $before = $small->stats->{evictions};
$small->fill(40_000);
cmp_ok($small->stats->{evictions}, '>', $before, 'little room: items are evicted');
$odd->download(60, 30);
$odd->agrees('little room');

# The connections are taken when exchangers want theirs: memcached accepts, but
# answers nothing, or looks empty.
my @taken = map { $few->hold } 1 .. 60;
ok($_->graceful, 'few connections: a new exchanger') for $odd->nodes;
$odd->download(60, 30);
@taken = ();
$odd->download(20, 30);
$odd->agrees('few connections');
$_->stop for $odd->nodes;
$ahead->stop;
ok(!eval { $ahead->command('version') }, 'memcached ends with its faketime');

$_->allow_log(qr/CQ015[35]: /, scalar $_->log_lines(qr/CQ015[35]: /))
    for @nodes, $odd->nodes;
finish();
