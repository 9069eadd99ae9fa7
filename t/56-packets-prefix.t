# The kernel jail with real packets where a client is a network, IPv4 /24 and
# IPv6 /56, under rules that mask as long, in all four jails; then another
# prefix and other rules under a tool that watches.
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
my @near = ('10.77.1.9', 'fd77:0:1:2::9');      # of its network
my @far = ('10.77.2.2', 'fd77:0:1:100::2');
my $ours = '10.77.0.9';                         # in the network of 10.77.0.1
lay(@bad, @near, @far, $ours);

# The masks of conf/, made as long as the prefixes
sub widen {
    my ($text) = @_;
    $text =~ s/^(\s*)ip saddr \@jail4/$1ip saddr & 255.255.255.0 \@jail4/m;
    $text =~ s/ffff:ffff:ffff:ffff::(?= \@| -j)/ffff:ffff:ffff:ff00::/;
    $text =~ s/(--name DenyAccessClamAV) -j/$1 --mask 255.255.255.0 -j/;
    $text =~ s/^(create clamquota4 hash:ip)/$1 netmask 24/m;
    $text =~ s/netmask 64/netmask 56/;
    return $text;
}

# both kinds of iptables have one list
my @all = Wire::Jail->loaded(\&widen) or done_testing(), exit;
my %listed;
my @jails = grep { !$listed{$_->{spec}}++ } @all;
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
my @two = (('10.77.1.0') x @jails, ('fd77:0:1::') x @jails);
my @plus = map { "+$_" } @two;
my @minus = map { "-$_" } @two;
offend($server, $_, 5) for @bad, $ours;
$server->set_time('2026-03-01 12:01:02');
is_deeply($sync->changes(scalar @two), \@plus, 'in, as network addresses');
is($_->inside, '10.77.1.0 fd77:0:1::', "$_->{name}: no other client") for @jails;
is(dropped(\@all, $_), 'dropped', "$_: dropped") for @bad, @near;
is(dropped(\@all, $_), 'connected', "$_: another network") for @far;
is(ask($server, $ours, '/f'), 429, 'one that shares our network is answered');

# ---- midnight: the second day allows 2,000, and 1,500 are used ----
$server->set_time('2026-03-01 23:59:59');
is_deeply($sync->changes(scalar @two), \@minus, 'released at midnight');
is(ask($server, $_, '/f', 5), '200 429 429 429 429 429',
    "$_: served, and again refused") for @bad;
$server->set_time('2026-03-02 00:02:00');
is_deeply($sync->changes(scalar @two), \@plus, 'in again');

# ---- another table under the same name, under a tool that watches; the rules
# do not fit yet ----
ok($server->stop, 'stop');
unlink "$server->{dir}/state/clamquota.table" or die "unlink: $!";
$server->{conf} =~ s/24 56/32 64/;
is($server->start, '', 'start anew, a client is an address or a /64');
is_deeply($sync->changes(scalar @two), \@minus, 'releases them');
offend($server, $_, 5, '/g') for @bad, $ours;
$server->set_time('2026-03-02 00:04:00');
ok(Httpd::poll(20, sub { grep { /prefix length/ } $sync->notes }),
    'says that the rules mask otherwise');
is($_->inside, '', "$_->{name}: empty") for @jails;

# ---- now they do; a list of xt_recent has the mask of its first rule, and is
# deleted with its last. The tool sees all of it at once. ----
kill 'STOP', $sync->{pid};
$_->unload for @all;
delete $_->{edit} for @all;
$_->load for @all;
kill 'CONT', $sync->{pid};
$server->set_time('2026-03-02 00:06:00');
my @in = sort map { my $jail = $_; map { '+' . $jail->printed($_) }
    @bad, $ours } @jails;
is_deeply($sync->changes(scalar @in), \@in, 'each jail has each of them');
is(dropped(\@all, $_), 'dropped', "$_: dropped") for @bad, $ours;
is(dropped(\@all, $_), 'connected', "$_: another client") for @near;

is($sync->end, 0, 'SIGTERM ends the tool');
is_deeply([grep { !/prefix length/ && !/does not exist/ } $sync->notes], [],
    'that said nothing else');
is($_->inside =~ tr/ //, 2, "$_->{name}: keeps them") for @jails;
finish();
