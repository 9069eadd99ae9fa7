# The kernel jail with real packets where a client is a network: IPv4 /24 and
# IPv6 /56 under the rule of 2012, then another prefix in another table.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Test::More;
use Wire;

plan skip_all => 'libfaketime is not here (./build.sh deps)'
    if !glob '/usr/lib/*/faketime/libfaketimeMT.so.1';

my @bad = ('10.77.1.2', 'fd77:0:1:1::2');
my @near = ('10.77.1.9', 'fd77:0:1:2::9');      # of his network
my @far = ('10.77.2.2', 'fd77:0:1:100::2');
my $ours = '10.77.0.9';                         # in the network of 10.77.0.1
lay(@bad, @near, @far, $ours);

# an xt_recent list holds no networks of these lengths
my @jails = grep { $_->{name} ne 'iptables-legacy' } Wire::Jail->loaded;
my @nets = grep { $_->{spec} !~ /^recent/ } @jails or done_testing(), exit;
my $server = Httpd->run(faketime => '2026-03-01 12:00:00', conf => <<'EOC');
Listen 80
MaxKeepAliveRequests 0
ClamQuotaDaily 1000
ClamQuotaPrefix 24 56
EOC
write_file("$server->{dir}/htdocs/$_->[0]", 'd' x $_->[1])
    for ['f', 1500], ['g', 5000];
my $sync = Wire::Sync->begin($server, \@jails, '--after', 5);

# ---- networks ----
my @two = (('10.77.1.0/24') x @nets, ('fd77:0:1::/56') x @nets);
offend($server, $_, 5) for @bad, $ours;
$server->set_time('2026-03-01 12:01:02');
my @plus = map { "+$_" } @two;
my @minus = map { "-$_" } @two;
is_deeply($sync->changes(scalar @two), \@plus, 'nft and ipset have them');
is($_->inside, "10.77.1.0/24 fd77:0:1::/56", "$_->{name}: nobody else")
    for @nets;
is(dropped(\@jails, $_), 'dropped', "$_: dropped") for @bad, @near;
is(dropped(\@jails, $_), 'connected', "$_: another network") for @far;
is(ask($server, $ours, '/f'), 429, 'who shares our network is answered');

# ---- midnight: the second day allows 2,000, and 1,500 are drawn ----
$server->set_time('2026-03-01 23:59:59');
is_deeply($sync->changes(scalar @two), \@minus, 'midnight lets them go');
is(ask($server, $_, '/f', 5), '200 429 429 429 429 429',
    "$_: served, and again refused") for @bad;
$server->set_time('2026-03-02 00:02:00');
is_deeply($sync->changes(scalar @two), \@plus, 'in again');

# ---- another table under the same name, under a tool that watches ----
ok($server->stop, 'stop');
unlink "$server->{dir}/state/clamquota.table" or die "unlink: $!";
$server->{conf} =~ s/24 56/32 64/;
is($server->start, '', 'start anew, a client is an address or a /64');
is_deeply($sync->changes(scalar @two), \@minus, 'lets them go');
offend($server, $_, 5, '/g') for @bad, $ours;
$server->set_time('2026-03-02 00:04:00');
my @in = sort map { my $jail = $_; map { '+' . $jail->printed($_) }
    @bad, $ours } @jails;
is_deeply($sync->changes(scalar @in), \@in, 'each jail has each of them');
is(dropped(\@jails, $_), 'dropped', "$_: dropped") for @bad, $ours;
is(dropped(\@jails, $_), 'connected', "$_: another client") for @near;

is($sync->end, 0, 'SIGTERM ends the tool');
my %notes = map { $_ => 1 } $sync->notes;
is_deeply([grep { !/no networks: \d clients are not jailed there$/ }
    keys %notes], [], 'that said only what the list cannot hold');
is($_->inside =~ tr/ //, 2, "$_->{name}: leaves them in") for @jails;
finish();
