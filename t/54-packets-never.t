# Clients that are never jailed, with real packets and the tool's defaults:
# never lists, proxies and their visitors, our own addresses, LogOnly and
# Unlimited, in 1,000 refusals each; a polite freshclam and an apt run.
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

my @bad = ('10.77.1.2', 'fd77:0:1::2');         # whoever is not spared is in
my @never = ('10.77.50.2', '10.77.51.2', 'fd77:0:50::2', 'fd77:0:52::2');
my %proxy = ('10.77.60.1' => '10.77.61.1', 'fd77:0:60::1' => 'fd77:0:61::1');
my ($balancer, $behind) = ('10.77.62.1', '10.77.63.1');   # PROXY protocol
my ($unlimited, $link, $fresh, $apt, $late) = ('10.77.54.2', 'fe80::2%cq1',
    '10.77.70.2', '10.77.71.2', '10.77.72.2');
lay(@bad, @never, %proxy, $balancer, $behind, $unlimited, $fresh, $apt, $late,
    'fe80::2');

# one list for both kinds of iptables: it is looked at once
my @all = Wire::Jail->loaded;
my %listed;
my @jails = grep { !$listed{$_->{spec}}++ } @all or done_testing(), exit;
is($_->inside, '', "$_->{name}: no client is in it") for @jails;

my $server = Httpd->run(faketime => '2026-03-01 12:00:00',
    modules => ['remoteip'], conf => <<"EOC");
Listen 80
Listen 81
<VirtualHost *:81>
    RemoteIPProxyProtocol On
</VirtualHost>
MaxKeepAliveRequests 0
KeepAliveTimeout 3600
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy @{[sort keys %proxy]}
ClamQuotaDaily 1000
ClamQuotaClient $unlimited Unlimited
<Location /two>
    ClamQuotaPool two
    ClamQuotaDaily 1000
</Location>
<Location /log>
    ClamQuotaPool log
    ClamQuotaEngine LogOnly
    ClamQuotaDaily 1000
</Location>
EOC
my $htdocs = "$server->{dir}/htdocs";
mkdir "$htdocs/$_" for qw(two log);
write_file("$htdocs/$_", 'd' x 1500) for qw(f two/f log/f);
write_file("$htdocs/days", 'd' x 30_000);
write_file("$server->{dir}/never", "# ours\n10.77.51.0/28\nfd77:0:50::/48\n"
    . "fd77:0:52:0:1::7\n");

my @lists = ('--never', '10.77.50.0/24', '--never-file',
    "$server->{dir}/never");
my $sync = Wire::Sync->begin($server, \@jails, @lists);

# What a pass would change now, per jail; without the lists.
sub would {
    my $answer = Wire::Sync->pass($server, \@jails, '-n', @_);
    my $exit = shift @$answer;
    return join ' ', $exit, grep { !/^#/ } @$answer;
}

sub printed {
    return map { my $jail = $_; map { $jail->printed($_) } @_ } @jails;
}

# ---- 1,000 refusals each; however long they take here, within a minute ----
$server->set_time('2026-03-01 12:00:00', 1);
offend($server, $_, 1000, '/days') for @bad;
offend($server, $_, 1000) for @never;
for my $from (sort keys %proxy) {
    my @header = "X-Forwarded-For: $proxy{$from}";
    offend($server, $from, 1000, '/f', @header);
    is(ask($server, $proxy{$from}, '/f'), 429, "$proxy{$from}: uses its own address");
    offend($server, $proxy{$from}, 1000, '/two/f');
    offend($server, $from, 1000);
}
offend($server, $balancer, 1000, '/f',
    "PROXY TCP4 $behind 10.77.0.1 5000 81");
is(ask($server, $behind, '/f'), 429, "$behind: uses its own address");
offend($server, $balancer, 1000);
{
    local $Wire::stay = 1;
    offend($server, $_, 1000) for qw(127.0.0.1 10.77.0.1);
    offend($server, '::1', 1000);
    offend($server, 'fd77::1', 1000);
}
offend($server, $link, 1000);
is(ask($server, '10.77.50.2', '/log/f', 1000), join(' ', (200) x 1001),
    'LogOnly: 1,000 tries');
is(ask($server, $unlimited, '/f', 1000), join(' ', (200) x 1001),
    'Unlimited: 1,000 tries');
is_deeply($sync->changes(0), [], 'no client is jailed within the first minute');

$server->set_time('2026-03-01 12:01:02');
my @in = sort map { "+$_" } printed(@bad);
is_deeply($sync->changes(scalar @in), \@in, 'then clients that are not spared');
is($_->inside =~ tr/ //, 1, "$_->{name}: no other client") for @jails;
is(dropped(\@all, $_), 'dropped', "$_: dropped") for @bad;
for my $from (@never, %proxy, $balancer, $behind, $link) {
    is(ask($server, $from, '/f', 1), '429 429', "$from: answered");
}
is(would(@lists), 0, 'nor would they at the next pass');
is(would(), join(' ', 0, map { my $jail = $_; map { "+$_" }
    sort { ($a =~ /:/) <=> ($b =~ /:/) || $a cmp $b }
    map { $jail->printed($_) } @never } @jails),
    'it is the never lists that spare those four');
is_deeply($sync->changes(0), [], 'and the tool that stays left them alone');

# ---- exactly 200 refusals, exactly a minute; at a clock that stands ----
$server->set_time('2026-03-02 00:10:00', 1);
offend($server, $late, 199, '/days');
$server->set_time('2026-03-02 00:11:00', 1);
is(would(@lists), 0, '199 refusals: not by the defaults');
is(ask($server, $late, '/f'), 429, 'one more');
is(would(@lists), join(' ', 0, ("+$late") x @jails), 'then it would be');
$server->set_time('2026-03-02 00:10:59', 1);
is(would(@lists), 0, 'not within the minute');
$server->set_time('2026-03-02 00:11:01');
is_deeply($sync->changes(scalar @jails), [("+$late") x @jails], 'and is');
is(dropped(\@all, $late), 'dropped', 'and dropped');

# ---- a polite freshclam: 6 runs a day, 3 refusals each, day after day ----
is(ask($server, $fresh, '/days'), 200, 'freshclam downloads for 30 days');
for my $day (2 .. 16) {
    for my $hour (map { 1 + 4 * $_ } 0 .. 5) {
        $server->set_time(sprintf '2026-03-%02d %02d:00:00', $day, $hour);
        my $answer = ask($server, $fresh, '/f', 2);
        is($answer, '429 429 429', "freshclam, day $day, hour $hour")
            if $answer ne '429 429 429';
    }
    is(would(@lists), 0, "day $day: freshclam is not jailed")
        if $day == 2 || $day == 16;
}
is($server->row($fresh)->{refused}, 270, 'in 270 refusals, 18 a day');

# ---- an apt run: it asks four times for each package that it wants ----
is(ask($server, $apt, '/days', 4 * 40), join(' ', 200, (429) x 160),
    'apt wants 40 packages');
$server->set_time('2026-03-16 22:00:00');
is(would(@lists), 0, 'and is not jailed');
is(ask($server, $_, '/f'), 429, "$_: answered") for $fresh, $apt;

is($sync->end, 0, 'SIGTERM ends the tool');
is_deeply([$sync->notes], [], 'and had no trouble');
my $why = $sync->left_out;
delete $why->{$late};   # a look while it was still in its --grace
is_deeply($why, {
    (map { $_ => 'a reserved address, e.g. loopback' }
        qw(127.0.0.1 :: fe80::)),
    (map { $_ => 'this machine or its default gateway' }
        qw(10.77.0.1 fd77::)),
    (map { $_ => 'it is on a never list' }
        qw(10.77.50.2 10.77.51.2 fd77:0:50:: fd77:0:52::)),
    (map { $_ => 'other clients share its address' }
        qw(10.77.60.1 10.77.61.1 10.77.62.1 10.77.63.1
            fd77:0:60:: fd77:0:61::))
    }, 'it reported each client that it spared, and why');
$server->allow_log(qr/CQ0140: /, 1);
finish();
