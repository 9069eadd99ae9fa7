# One visitor is one client, however its address is written: with a zone, as an
# IPv4 address in an IPv6 one, through NAT64. In a network namespace of its own,
# which vanishes with this process.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Test::More;

plan skip_all => 'this needs root, for a network namespace' if $<;
if (!$ENV{CQ_TEST_NAMESPACE}) {
    plan skip_all => 'network namespaces cannot be made here'
        if system('unshare', '-n', 'true') != 0;
    $ENV{CQ_TEST_NAMESPACE} = 1;
    exec 'unshare', '-n', $^X, $0 or die "unshare: $!";
}
system(split ' ', $_) == 0 or die "$_: failed\n" for 'ip link set lo up',
    'ip link add cq0 type veth peer name cq1', 'ip link set cq0 up',
    'ip link set cq1 up',
    'ip -6 address add fe80::1/64 dev cq0 nodad',
    'ip address add 192.0.2.7/32 dev lo',
    'ip -6 address add 64:ff9b::c000:207/128 dev lo nodad';

my $server = Httpd->run(modules => ['headers'], conf => <<'EOT');
ClamQuotaPeriod Day
ClamQuotaDaily 11000
ClamQuotaPrefix 32 128
ClamQuotaVariables On
ClamQuotaClient 64:ff9b::192.0.2.0/120 16000
Header always set X-Client "expr=%{CLAMQUOTA_CLIENT}"
LogFormat "%{CLAMQUOTA_CLIENT}e" client
CustomLog logs/client.log client
Listen [::]:%PORT2%
EOT
write_file("$server->{dir}/htdocs/file", 'f' x 5000);

sub ask {
    my ($from, $to) = @_;
    return $server->get("http://$to:$server->{port2}/file", '--interface',
        $from);
}

# ---- a zone is no part of a client ----
my @answers = map { ask('cq0', '[fe80::1%25cq0]') } 1 .. 4;
is(join(' ', map { $_->{status} } @answers), '200 200 200 429',
    'link-local: counted and refused');
unlike($answers[-1]{head} . $answers[-1]{body}, qr/%/,
    'no zone in the answer');
like($answers[-1]{body}, qr/\bfe80::1\b/, 'but its address');
is($server->row('fe80::1')->{hits}, 3, 'nor in the row');
my @told;
poll(5, sub { 4 == (@told = grep { /fe80/ } split /\n/,
    read_file("$server->{dir}/logs/client.log")) });
is(join(' ', @told), 'fe80::1 fe80::1 fe80::1 fe80::1',
    'nor in the environment');
my $answer = $server->get('/clamquota?client=fe80::1%25cq0');
is($answer->{status}, 400, 'the page finds none with a zone');
like($answer->{body}, qr/no %zone/, 'and says why');
is(scalar($server->log_lines(qr/CQ0201: .*%/)), 0, 'nor in the log');

# ---- IPv4 in IPv6 ----
is(ask('64:ff9b::c000:207', '[::1]')->{status}, 200, 'NAT64: served');
is(ask('192.0.2.7', '127.0.0.1')->{status}, 200, '::ffff: served');
my $row = $server->row('192.0.2.7', hits => 2, in_flight => 0);
is($row->{hits}, 2, 'one client');
is($row->{rule}, 'ClamQuotaClient 192.0.2.0/24', 'by its rule');
is($row->{allowance}, 16_000, 'with its allowance');
ok(!$row->{jailable}, 'not jailable: the kernel sees the other address');
is(scalar(@{$server->json->{clients}}), 2, 'there is no other client');
is(ask('64:ff9b::c000:207', '[::1]')->{status}, 200, 'below its allowance');
is(ask('64:ff9b::c000:207', '[::1]')->{status}, 200, 'with what crosses it');
$answer = ask('64:ff9b::c000:207', '[::1]');
is($answer->{status}, 429, 'over it');
like($answer->{body}, qr/\b192\.0\.2\.7\b/, 'named as it is counted');
is($answer->{headers}{'x-client'}, '192.0.2.7', 'and in the variable');
is($server->get('/clamquota?json&client=64:ff9b::192.0.2.7')->{body} =~
    /"client": "192\.0\.2\.7"/, 1, 'the page knows both');
finish();
