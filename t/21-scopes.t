# Where a quota holds: hosts, locations, directories, files, pools, ranges of
# addresses, and the client behind a proxy.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Test::More;

my $server = Httpd->run(conf => <<'EOT');
ClamQuotaPeriod Day
ClamQuotaClient 127.0.5.0/24 Unlimited
ClamQuotaClient 127.0.5.8/29 50k
ClamQuotaClient 127.0.5.9/32 1k
ClamQuotaClient 127.0.6.0/24 1M
<Location /location>
    ClamQuotaDaily 4000
    ClamQuotaPool location
</Location>
<Directory %DIR%/htdocs/directory>
    ClamQuotaDaily 4000
    ClamQuotaPool directory
</Directory>
<Files "*.quota">
    ClamQuotaDaily 4000
    ClamQuotaPool files
</Files>
<Location /off>
    ClamQuotaEngine Off
</Location>
<Location /off/inside>
    ClamQuotaDaily 1
    ClamQuotaPool off
</Location>
<Location /logonly>
    ClamQuotaEngine LogOnly
</Location>
<Location /logonly/inside>
    ClamQuotaDaily 2000
    ClamQuotaPool logonly
</Location>
<Location /grace>
    ClamQuotaDaily 1000
    ClamQuotaGrace 9000
    ClamQuotaPool grace
</Location>
<Directory %DIR%/htdocs/access>
    AllowOverride All
</Directory>
Listen 127.0.0.1:%PORT2%
<VirtualHost 127.0.0.1:%PORT%>
</VirtualHost>
<VirtualHost 127.0.0.1:%PORT2%>
    ClamQuotaDaily 4000
    ClamQuotaPool host
</VirtualHost>
EOT
my $htdocs = "$server->{dir}/htdocs";
for (qw(location directory off off/inside logonly logonly/inside grace access
    .)) {
    mkdir "$htdocs/$_";
    write_file("$htdocs/$_/file", 'f' x 5000);
}
write_file("$htdocs/a.quota", 'q' x 5000);
write_file("$htdocs/access/.htaccess", "ClamQuotaEngine Off\n");

# Status of two requests by one client, as soon as the first is booked.
my $last = 1;
sub two {
    my ($path, $pool, $from) = @_;
    $from //= '127.0.1.' . ++$last;
    my $first = $server->get($path, '--interface', $from);
    my $row = $pool && $server->row($from, pool => $pool,
        used => $first->{bytes});
    my $second = $server->get($path, '--interface', $from);
    return ("$first->{status} $second->{status}", $row);
}

for (['Location', '/location/file', 'location'],
    ['Directory', '/directory/file', 'directory'],
    ['Files', '/a.quota', 'files'],
    ['VirtualHost', "http://127.0.0.1:$server->{port2}/file", 'host']) {
    my ($what, $path, $pool) = @$_;
    my ($codes, $row) = two($path, $pool, '127.0.0.2');
    is($codes, '200 429', "$what: a quota of its own");
    is($row->{allowance}, 4000, "$what: its allowance");
    is($row->{rule}, 'ClamQuotaDaily', "$what: by ClamQuotaDaily");
}
is(scalar(grep { $_->{client} eq '127.0.0.2' } @{$server->json->{clients}}), 4,
    'a client has a row in each pool');
is((two('/file'))[0], '200 200', 'outside: no quota');
is($server->row("127.0.1.$last"), undef, 'and no row');

# the Engine
is((two('/off/inside/file'))[0], '200 200', 'a Daily inside Off stays Off');
is($server->row("127.0.1.$last", pool => 'off'), undef, 'and counts nothing');
my $mark = $server->mark;
my ($codes, $row) = two('/logonly/inside/file', 'logonly');
is($codes, '200 200', 'a Daily inside LogOnly refuses nothing');
ok($row && $row->{used} > 5000, 'but counts');
my $json;
poll(5, sub { $json = $server->json; $json->{totals}{would_refuse} == 1 });
is($json->{totals}{would_refuse}, 1, 'and tallies what it would refuse');
my ($pool) = grep { $_->{pool} eq 'logonly' } @{$json->{pools}};
is($pool->{would_refuse}, 1, 'in its pool too');
is($pool->{refused}, 0, 'as no refusal');
my $line = $server->wait_log(qr/clamquota:info.*CQ\d+: /, $mark);
like($line, qr/127\.0\.1\.$last/, 'and logs it with the client');

# Grace
($codes, $row) = two('/grace/file', 'grace');
is($codes, '200 200', 'Grace is added');
is($row->{allowance}, 10_000, 'once');

# not in .htaccess
is($server->get('/access/file')->{status}, 500, 'an Engine in .htaccess');
like($server->wait_log(qr/htaccess: ClamQuotaEngine not allowed here/),
    qr/not allowed/, 'is refused by httpd');
$server->allow_log(qr/core:alert.*ClamQuotaEngine not allowed here/, 1);

# ranges of addresses: the longest prefix wins
for (['127.0.5.1', '200 200', 'exempt', 'ClamQuotaClient 127.0.5.0/24'],
    ['127.0.5.10', '200 200', 'ok', 'ClamQuotaClient 127.0.5.8/29', 51_200],
    ['127.0.5.9', '200 429', 'over', 'ClamQuotaClient 127.0.5.9/32', 1024],
    ['127.0.6.1', '200 200', 'ok', 'ClamQuotaClient 127.0.6.0/24', 1_048_576],
    ['127.0.7.1', '200 429', 'over', 'ClamQuotaDaily', 4000]) {
    my ($from, $want, $state, $rule, $allowance) = @$_;
    ($codes) = two('/location/file', 'location', $from);
    $row = $server->row($from, pool => 'location', in_flight => 0);
    is($codes, $want, "$from: $want");
    is($row->{state}, $state, "$from: $state");
    is($row->{rule}, $rule, "$from: by $rule");
    is($row->{allowance}, $allowance, "$from: $allowance") if $allowance;
    ok($row->{used} > 5000, "$from: counted");
}

# an undeclared proxy in front: reported once
$mark = $server->mark;
$server->get('/location/file', '-H', 'X-Forwarded-For: 192.0.2.7',
    '--interface', '127.0.8.1') for 1 .. 5;
ok($server->wait_log(qr/clamquota:warn.*mod_remoteip/, $mark),
    'X-Forwarded-For without mod_remoteip is warned about');
is($server->row('192.0.2.7', pool => 'location'), undef, 'and not believed');
is($server->row('127.0.8.1', pool => 'location')->{spared}, 'reserved',
    'a peer on loopback is never jailable');
$server->allow_log(qr/clamquota:warn.*mod_remoteip/, 1);

# a proxy that mod_remoteip trusts
my $behind = Httpd->run(modules => ['remoteip'], conf => <<'EOT');
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.1
ClamQuotaPeriod Day
ClamQuotaDaily 4000
EOT
write_file("$behind->{dir}/htdocs/file", 'f' x 5000);
sub through { return ('-H', "X-Forwarded-For: $_[0]") }
my $answer = $behind->get('/file', through('192.0.2.7'));
$row = $behind->row('192.0.2.7', used => $answer->{bytes});
is($row->{used}, $answer->{bytes}, 'mod_remoteip: its client is the client');
ok(!$row->{jailable}, 'a client that was seen through a proxy is not jailable');
is($behind->row('127.0.0.1'), undef, 'the proxy is none');
is($behind->get('/file', through('192.0.2.7'))->{status}, 429, 'refused');
is($behind->get('/file', through('192.0.2.8'))->{status}, 200, 'another not');
$answer = $behind->get('/file', through('2001:db8:1:2:3::4'));
$row = $behind->row('2001:db8:1:2::', used => $answer->{bytes});
is($row->{prefix}, 64, 'IPv6 from the header: its /64');
is($behind->get('/file', through('2001:db8:1:2:ffff::'))->{status}, 429,
    'shared by the whole /64');
is($behind->get('/file', through('::ffff:192.0.2.8'))->{status}, 429,
    'a mapped address is the IPv4 client');
$answer = $behind->get('/file', '--interface', '127.0.0.2',
    through('192.0.2.9'));
$row = $behind->row('127.0.0.2', used => $answer->{bytes});
is($row->{used}, $answer->{bytes}, 'a client that comes by itself is itself');
is($behind->row('192.0.2.9'), undef, 'and its header is ignored');

finish();
