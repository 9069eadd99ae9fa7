# The visitor behind a proxy is the client, and the proxy itself is never taken
# for an offender: all ways to declare one to mod_remoteip, the PROXY protocol, a
# real haproxy with health checks.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Peer;
use Socket qw(AF_INET AF_INET6 inet_pton);
use Test::More;

my $haproxy = program('haproxy');

my $server = Httpd->new(modules => ['remoteip'],
    conf => <<'EOT');
ClamQuotaPeriod Day
ClamQuotaDaily 4000
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.1.1 127.0.1.128/25
RemoteIPTrustedProxy 127.0.2.0/255.255.255.0 127.0.3
RemoteIPInternalProxyList %DIR%/internal
<IfModule mod_remoteip.c>
    Include %DIR%/included
</IfModule>
Listen 127.0.0.1:%PORT2%
<VirtualHost 127.0.0.1:%PORT2%>
    ServerName localhost
    RemoteIPProxyProtocol On
    RemoteIPProxyProtocolExceptions 127.0.9.0/24
</VirtualHost>
EOT
write_file("$server->{dir}/internal", "# ours\n127.0.4.1  127.0.4.2 # two\n"
    . "\n127.0.4.3\n");
write_file("$server->{dir}/trusted", "127.0.5.1\n");
write_file("$server->{dir}/included", "RemoteIPTrustedProxyList "
    . "$server->{dir}/trusted\nRemoteIPTrustedProxy localhost\n");
write_file("$server->{dir}/htdocs/file", 'f' x 5000);
is($server->start, '', 'the server starts');

# Why an address is not jailable; every peer here has a loopback address, so
# one that is no proxy is "reserved".
sub spared {
    my ($row) = map { $server->row($_) } @_;
    return $row->{jailable} ? 'jailable' : $row->{spared};
}

# ---- in its own name: a health check, a header that is none ----
for my $peer (qw(127.0.1.1 127.0.1.200 127.0.2.77 127.0.3.1 127.0.4.1 127.0.4.2
    127.0.4.3 127.0.5.1 127.0.0.1)) {
    $server->get('/file', '--interface', $peer);
    is(spared($peer), 'proxied', "$peer: declared, not jailable");
}
$server->get('/file', '--interface', '127.0.1.2', '-H',
    'X-Forwarded-For: 198.51.100.7');
is($server->row('198.51.100.7'), undef, 'not declared: not believed');
is(spared('127.0.1.2'), 'reserved', 'and no proxy');
my $mark = $server->mark;
for my $value ('198.51.100.7:41234', 'unknown', '') {
    is($server->get('/file', '--interface', '127.0.1.1', '-H',
        "X-Forwarded-For: $value")->{status}, 429,
        "\"$value\" is no client: the proxy is refused");
}
is(spared('127.0.1.1'), 'proxied', 'and still not jailable');
is(scalar(my @said = $server->log_lines(qr/clamquota:warn.*CQ0140:\ the\ proxy
    \ 127\.0\.1\.1\ is\ refused\ itself.*RemoteIPHeader/x, $mark)),
    1, 'which is logged, once');
is($server->get('/file', '--interface', '127.0.1.1', '-H',
    'X-Forwarded-For: 198.51.100.7')->{status}, 200, 'its clients are served');
$server->get('/file', '--interface', '127.0.1.1', '-H',
    'X-Forwarded-For: 64:ff9b::198.51.100.7');
is($server->row('198.51.100.7')->{hits}, 1, 'through NAT64: the same client');
is(spared('198.51.100.7'), 'proxied', 'a client seen through a proxy is not jailable');

# ---- the PROXY protocol ----
my $request = "GET /file HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    . "\r\n";

# What a client that says this gets from the port of the PROXY protocol.
sub ask {
    my ($from, $header) = @_;
    my ($status) = $server->connect(from => $from, port => $server->{port2})
        ->send($header . $request)->drain =~ /^HTTP\S+ (\d+)/;
    return $status // 'nothing';
}

sub v2 {
    my ($command, $family, $from, $to) = @_;
    my $addresses = $family ? join '', map({ inet_pton($family, $_) } $from,
        $to), pack 'nn', 1234, 80 : '';
    return "\r\n\r\n\0\r\nQUIT\n" . pack('CCn', 0x20 | $command, !$family ? 0
        : $family == AF_INET ? 0x11 : 0x21, length $addresses) . $addresses;
}
for (['v1, TCP4', "PROXY TCP4 198.51.100.21 127.0.0.1 1234 80\r\n",
        '198.51.100.21', 32],
    ['v1, TCP6', "PROXY TCP6 2001:db8:1::7 ::1 1234 80\r\n", '2001:db8:1::',
        64],
    ['v2, TCP4', v2(1, AF_INET, '198.51.100.22', '127.0.0.1'),
        '198.51.100.22', 32],
    ['v2, TCP6', v2(1, AF_INET6, '2001:db8:2::7', '::1'), '2001:db8:2::', 64]) {
    my ($name, $header, $client, $prefix) = @$_;
    is(ask('127.0.6.1', $header), 200, "$name: served");
    is(ask('127.0.6.1', $header), 429, "$name: refused");
    my $row = $server->row($client);
    is("$row->{prefix} $row->{hits}", "$prefix 1", "$name: the client counts");
    is(spared($client), 'proxied', "$name: not jailable");
}
is($server->row('127.0.6.1'), undef, 'the proxy has used nothing');
for (['v1, UNKNOWN', "PROXY UNKNOWN - - 0 0\r\n", '127.0.6.2'],
    ['v2, LOCAL', v2(0), '127.0.6.3']) {
    my ($name, $header, $peer) = @$_;
    is(ask($peer, $header), 200, "$name: served");
    is(ask($peer, $header), 429, "$name: the proxy is refused");
    is($server->row($peer)->{hits}, 1, "$name: counts as the proxy's");
    is(spared($peer), 'proxied', "$name: but is not jailable");
}
is(ask('127.0.9.1', ''), 200, 'an exception needs no header');
is(spared('127.0.9.1'), 'reserved', 'and is no proxy');

# ---- haproxy, with both protocols and its health checks ----
SKIP: {
    skip 'haproxy: ' . Peer::reason('haproxy'), 9 if !$haproxy;
    my @port = map { IO::Socket::IP->new(LocalHost => '127.0.0.1', Listen => 1)
        ->sockport } 1 .. 3;
    write_file("$server->{dir}/haproxy.cfg", <<"EOT");
defaults
    mode http
    timeout connect 20s
    timeout client 60s
    timeout server 60s
    timeout check 60s
    option httpchk GET /file
    http-check expect rstatus ^(200|429)\$
    default-server inter 100ms
frontend header
    bind 127.0.0.1:$port[0]
    option forwardfor
    default_backend header
backend header
    server s 127.0.0.1:$server->{port} source 127.0.1.128 check
frontend v1
    bind 127.0.0.1:$port[1]
    default_backend v1
backend v1
    server s 127.0.0.1:$server->{port2} source 127.0.6.11 send-proxy check
frontend v2
    bind 127.0.0.1:$port[2]
    default_backend v2
backend v2
    server s 127.0.0.1:$server->{port2} source 127.0.6.12 send-proxy-v2 check
EOT
    my $log = "$server->{dir}/logs/haproxy";
    local $server->{env} = {Peer::environment($haproxy)};
    my $pid = $server->spawn($log, $haproxy, '-db', '-f',
        "$server->{dir}/haproxy.cfg");
    for (['X-Forwarded-For', $port[0], '127.0.1.128'],
        ['send-proxy', $port[1], '127.0.6.11'],
        ['send-proxy-v2', $port[2], '127.0.6.12']) {
        my ($name, $port, $peer) = @$_;
        # each check downloads a file
        ok(poll(20, sub { my $row = $server->row($peer);
            $row && $row->{state} eq 'over' && $row->{refused} > 1 }),
            "haproxy, $name: health checks make it over")
            or diag read_file($log);
        is(spared($peer), 'proxied', "haproxy, $name: but not jailable");
    }
    for (['X-Forwarded-For', $port[0], '127.0.12.1'],
        ['send-proxy', $port[1], '127.0.12.2'],
        ['send-proxy-v2', $port[2], '127.0.12.3']) {
        my ($name, $port, $client) = @$_;
        my $url = "http://127.0.0.1:$port/file";
        is_deeply([map { $server->get($url, '--interface', $client)->{status} }
            1 .. 2], [200, 429], "haproxy, $name: the client counts");
    }
    kill 'TERM', $pid;
    waitpid $pid, 0;
}

# ---- no mod_remoteip: its directives are unknown, as ever ----
my ($exit, $text) = Httpd->new->config_test('RemoteIPInternalProxy 10.0.0.1');
is($exit, 1, 'without mod_remoteip its directive is refused');
like($text, qr/mod_remoteip is not loaded/, 'with a sentence');

$server->allow_log(qr/CQ0140/, 1);
finish();
