# The operator's page in all its forms, and requests that no client should send.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Test::More;
use JSON::PP ();

my $server = Httpd->run(modules => ['status'], conf => <<'EOT');
ClamQuotaPeriod Day
ClamQuotaDaily 25000
ClamQuotaGrace 100
ClamQuotaClient 127.0.3.0/24 Unlimited
ExtendedStatus On
<Location /server-status>
    SetHandler server-status
</Location>
<Location /other>
    ClamQuotaDaily 1M
    ClamQuotaGrace 0
    ClamQuotaPool other
</Location>
EOT
mkdir "$server->{dir}/htdocs/other";
write_file("$server->{dir}/htdocs/$_", 'f' x 5000) for 'file', 'other/file';
my $began = $server->now;
# 127.0.2.N downloads N times; .5 is over quota and refused once
for my $n (1 .. 5) {
    $server->get("/file?[1-$n]", '--interface', "127.0.2.$n");
}
$server->row('127.0.2.5', hits => 5, in_flight => 0);
$server->row('127.0.2.4', hits => 4, in_flight => 0);
$server->get('/file', '--interface', '127.0.2.5');
$server->get('/other/file', '--interface', '127.0.3.1');
$server->row('127.0.3.1', pool => 'other', hits => 1, in_flight => 0);

# ---- ?json ----
my $asked = $server->now;
my $answer = $server->get('/clamquota?json');
my $answered = $server->now;
is($answer->{headers}{'content-type'}, 'application/json', 'json: type');
my $json = JSON::PP::decode_json($answer->{body});
sub members { return join ' ', sort keys %{$_[0]} }
sub has { # every one of the members, each an integer unless said otherwise
    my ($what, $object, $strings, $integers) = @_;
    for my $member (split ' ', $strings) {
        like(JSON::PP->new->allow_nonref->encode($object->{$member} // 0),
            qr/^"/, "$what.$member is a string");
    }
    for my $member (split ' ', $integers) {
        like(JSON::PP->new->allow_nonref->encode($object->{$member} // 'none'),
            qr/^-?\d+$/, "$what.$member is an integer");
    }
}
has('json', $json, 'version engine', 'now');
has('period', $json->{period}, 'kind', 'start end day next_day');
has('pool', $json->{pools}[0], 'pool', 'daily grace sent free hits refused '
    . 'would_refuse');
has('table', $json->{table}, '', 'capacity used evictions untracked');
has('totals', $json->{totals}, '', 'sent free hits refused would_refuse '
    . 'in_flight');
has('client', $json->{clients}[0], 'client pool rule state', 'prefix used '
    . 'today free in_flight daily allowance hits refused last_hit over_since '
    . 'retry_after');
ok(JSON::PP::is_bool($json->{clients}[0]{jailable}), 'jailable is a boolean');
ok(exists $json->{cluster} && !defined $json->{cluster}, 'cluster is null');
is(ref $json->{history}, 'ARRAY', 'history is a list');
has('history', $_, '', 'start sent free hits refused')
    for @{$json->{history}}[0 .. ($#{$json->{history}} < 0 ? -1 : 0)];
is($json->{engine}, 'On', 'engine');
is($json->{period}{kind}, 'day', 'period');
cmp_ok($json->{now}, '>=', $asked, 'now: not before it was asked');
cmp_ok($json->{now}, '<=', $answered, 'now: not after it was answered');
is($json->{period}{end} - $json->{period}{start}, 86400, 'a day, in UTC');
is($json->{period}{next_day}, $json->{period}{end}, 'that ends at midnight');
is($json->{period}{day}, 1, 'day 1 of 1');
is($json->{table}{capacity}, 1000, 'capacity is ClamQuotaClients');
is($json->{table}{used}, 6, 'six clients');
my %pool = map { ($_->{pool} => $_) } @{$json->{pools}};
is_deeply([map { @$_{qw(daily grace hits refused)} } @pool{qw(default other)}],
    [25_000, 100, 15, 1, 1_048_576, 0, 1, 0], 'pools');
is($json->{totals}{sent}, $pool{default}{sent} + $pool{other}{sent},
    'totals are the sum of the pools');
my ($over) = grep { $_->{client} eq '127.0.2.5' } @{$json->{clients}};
is_deeply([@$over{qw(state allowance daily hits refused rule prefix)}],
    ['over', 25_100, 25_000, 5, 1, 'ClamQuotaDaily', 32], 'clients over quota');
cmp_ok($over->{over_since}, '>=', $began, 'since it was refused');
cmp_ok($over->{over_since}, '<=', $asked, 'and not later');
is($json->{now} + $over->{retry_after}, $json->{period}{end}, 'until midnight');
my ($exempt) = grep { $_->{client} eq '127.0.3.1' } @{$json->{clients}};
is($exempt->{state}, 'exempt', 'Unlimited: exempt');

# ---- filters ----
sub clients { return join ' ', map { $_->{client} =~ /(\d+\.\d+)$/ }
    @{$server->json($_[0])->{clients}} }
my $used = clients('sort=used');
like($used, qr/^2\.5 2\.4 2\.3 2\.2 /, 'sort=used');
like(clients('sort=today'), qr/^2\.5 2\.4 2\.3 2\.2 /, 'sort=today');
like(clients('sort=hits'), qr/^2\.5 2\.4 2\.3 2\.2 /, 'sort=hits');
like(clients('sort=refused'), qr/^2\.5 /, 'sort=refused');
like(clients('sort=last'), qr/\b3\.1\b/, 'sort=last');
is(clients('limit=2&sort=used'), join(' ', (split ' ', $used)[0, 1]), 'limit');
is(clients('client=127.0.2.3'), '2.3', 'client=ADDR');
is(clients('client=127.0.2.0/30&sort=used'), '2.3 2.2 2.1', 'client=CIDR');
is(clients('client=192.0.2.1'), '', 'client=ADDR that is not there');
is(clients('state=over'), '2.5', 'state=over');
is(clients('pool=other'), '3.1', 'pool');
is(clients('pool=none'), '', 'a pool that is not there');

# ---- the other forms ----
$answer = $server->get('/clamquota');
like($answer->{headers}{'content-type'}, qr{^text/html; ?charset=utf-8}i,
    'html: type');
like($answer->{body}, qr/^<!DOCTYPE html>.*<\/html>\s*$/is, 'html: complete');
ok($answer->{body} =~ /127\.0\.2\.5/, 'html: with the clients');
unlike($answer->{body}, qr/<script/i, 'html: no script');
like($server->get('/clamquota?refresh=7')->{body}
    . $server->get('/clamquota?refresh=7')->{head}, qr/refresh.*\b7\b/is,
    'refresh');

$answer = $server->get('/clamquota?auto');
like($answer->{headers}{'content-type'}, qr{^text/plain}, 'auto: type');
is_deeply([grep { !/^ClamQuota\w*(?:\[\S+\]|\{\S+\})?[\w .]*: \S.*$/ }
    split /\n/, $answer->{body}], [], 'auto: Key: value lines');
unlike($answer->{body}, qr/127\.0\./, 'auto: no addresses');
my @auto = $answer->{body} =~ /^(ClamQuota[^:]*):/mg;

$answer = $server->get('/clamquota?openmetrics');
is($answer->{headers}{'content-type'},
    'application/openmetrics-text; version=1.0.0; charset=utf-8',
    'openmetrics: type');
like($answer->{body}, qr/\n# EOF\n\z/, 'openmetrics: ends with # EOF');
unlike($answer->{body}, qr/127\.0\./, 'openmetrics: no addresses');
my %metric = $answer->{body} =~ /^(clamquota\S+) (\S+)$/mg;
my %want = ('clamquota_up' => 1,
    'clamquota_clients{pool="default",state="over"}' => 1,
    'clamquota_clients{pool="default",state="ok"}' => 4,
    'clamquota_clients{pool="other",state="exempt"}' => 1,
    'clamquota_hits_total{pool="default"}' => 15,
    'clamquota_refused_total{pool="default"}' => 1,
    'clamquota_sent_bytes_total{pool="other"}' => $pool{other}{sent},
    'clamquota_free_bytes_total{pool="other"}' => 0,
    'clamquota_in_flight_bytes' => 0, 'clamquota_evictions_total' => 0,
    'clamquota_untracked_total' => 0);
is($metric{$_}, $want{$_}, "openmetrics: $_") for sort keys %want;
cmp_ok(abs($metric{clamquota_table_fill_ratio} - 0.006), '<', 0.0001,
    'openmetrics: fill ratio');

# ---- mod_status ----
$answer = $server->get('/server-status');
like($answer->{body}, qr/clamquota/i, 'mod_status: a section');
my ($section) = $answer->{body} =~ /<h2>ClamQuota<\/h2>(.*)/s;
like($section, qr/refused 1,/, 'with the totals');
unlike($section, qr/127\.0\.2\.5/, 'and no client: no scan');
like($answer->{body}, qr/<\/html>\s*$/, 'inside the page');
$answer = $server->get('/server-status?auto');
is_deeply([$answer->{body} =~ /^(ClamQuota[^:]*):/mg], \@auto,
    'mod_status ?auto: the same keys');

# ---- nonsense ----
for my $query (qw(sort=colour limit=0 limit=-1 limit=99999999999999999999
    limit=x client=nobody client=1.2.3.4/33 state=angry refresh=x
    client=%00), 'pool=%zz', 'client=' . '1' x 5000) {
    $answer = $server->get("/clamquota?$query");
    my $short = substr $query, 0, 30;
    is($answer->{status}, 400, "?$short: 400");
    unlike($answer->{body}, qr/\n.*\S.*\n/s, "?$short: one sentence");
    cmp_ok(length $answer->{body}, '<', 700, "?$short: a short one");
}
unlike($server->get('/clamquota?pool=<script>alert(1)</script>')->{body},
    qr/<script>/, 'what the query says is escaped');
is($server->get('/clamquota', '-X', 'DELETE')->{status}, 405, 'DELETE: 405');
is($server->get('/clamquota/more/path')->{status} =~ /^(?:200|404)$/, 1,
    'path info');

my @pids = $server->children;
my $from = 0;
for my $lines (
    ["GET / HTTP/1.1", 'Host: ' . 'a.' x 3000],
    ["GET / HTTP/1.1", 'Host: [::1'],
    ["GET / HTTP/1.1", "Host: \x01\xff"],
    ["GET /file HTTP/1.1", 'Host: x', 'Range: bytes=' . '0-0,' x 1500 . '1-1'],
    ["GET /file HTTP/1.1", 'Host: x', 'Range: bytes=-0'],
    ["GET /file HTTP/1.1", 'Host: x', 'Range: bytes=99999999999999999999-'],
    ["GET /file HTTP/1.1", 'Host: x', 'Range: bytes=0-99999999999999999999'],
    ["GET /file HTTP/1.1", 'Host: x', 'Range: bytes=18446744073709551615-1'],
    ["GET /file HTTP/1.1", 'Host: x', 'Range: octets=0-1'],
    ["GET /" . 'p/' x 3500 . " HTTP/1.1", 'Host: x'],
    ["GET /%00%ff%2e%2e/ HTTP/1.1", 'Host: x'],
    ["GET http://elsewhere.example/file HTTP/1.1", 'Host: x'],
    ["GET /file HTTP/1.0"], ["GET /file"], ["\x16\x03\x01\x02\x00\x01"],
    ["POST /file HTTP/1.1", 'Host: x', 'Content-Length: 99999999999999999999'],
    ["OPTIONS * HTTP/1.1", 'Host: x'], ["TRACE /file HTTP/1.1", 'Host: x'],
    ["CONNECT x:1 HTTP/1.1", 'Host: x']) {
    my $connection = $server->connect(from => '127.0.4.' . ++$from);
    my $data = $connection->send(join "\r\n", @$lines, 'Connection: close',
        '', '')->drain;
    like($data, qr/^(?:HTTP\/1\.[01] \d{3}|f{5000}|<!DOCTYPE)/,
        'answered: ' . substr $lines->[0], 0, 40);
}
is($server->get('/file')->{status}, 200, 'and the server lives');
my %alive = map { ($_ => 1) } $server->children;
is_deeply([grep { !$alive{$_} } @pids], [], 'and all its children');
poll(5, sub { !$server->json->{totals}{in_flight} });
is($server->json->{totals}{in_flight}, 0, 'nothing is left in flight');
$server->allow_log(qr/AH00127: Cannot map/, 1);

finish();
