# ClamQuotaDropAfter closes the connections of a client that keeps sending
# requests after its refusals, before a byte is exchanged and exactly until it
# is admitted again; connections of spared addresses are never closed.
#
# Loopback and own addresses are never shut out, so this runs in a network
# namespace of its own, and its clients in a second one. Both vanish with the
# processes in them.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Errno qw(ECONNRESET EPIPE);
use Httpd;
use IO::Select;
use IO::Socket::INET;
use Peer;
use Test::More;

plan skip_all => 'libfaketime is not here (./build.sh deps)'
    if !glob '/usr/lib/*/faketime/libfaketimeMT.so.1';
own_network();
require 'syscall.ph';

# ---- the wire: 10.77.0.1 and fd77::1 here, the clients at its other end ----
my $SERVER = '10.77.0.1';
sub ip { return "10.77.0.$_[0]" }
sub command { system(@_) == 0 or die "@_: failed\n" }

# cat holds the second namespace until this process ends
my $holder = open my $pipe, '|-', 'unshare', '-n', 'cat' or die "unshare: $!";
poll(20, sub { readlink("/proc/$holder/ns/net") ne
    readlink "/proc/$$/ns/net" }) or die 'no second namespace';
open my $here, '<', "/proc/$$/ns/net" or die $!;
open my $there, '<', "/proc/$holder/ns/net" or die $!;

sub enter { syscall(SYS_setns(), fileno $_[0], 0) == 0 or die "setns: $!" }

# Runs something with the network of the clients; what it opens stays there.
sub there {
    my ($code) = @_;
    enter($there);
    my $answer = eval { $code->() };
    my $error = $@;
    enter($here);
    die $error if $error;
    return $answer;
}

command(split ' ', $_) for 'ip link set lo up',
    "ip link add cq0 type veth peer name cq1 netns $holder",
    'ip address add 10.77.0.1/24 dev cq0', 'ip link set cq0 up',
    'ip address add 10.77.0.62/32 dev lo',
    'ip -6 address add fd77::1/64 dev cq0 nodad',
    (map { "ip -6 route add fd7$_\::/64 dev cq0" } 8, 9),
    'ip route add default via 10.77.0.44', 'ip -6 route add default via fd79::2';
there(sub {
    command(split ' ', $_) for 'ip link set lo up', 'ip link set cq1 up',
        'ip -6 address add fd77::2/64 dev cq1 nodad',
        (map { "ip -6 address add fd7$_\::2/64 dev cq1 nodad" } 8, 9),
        map { 'ip address add ' . ip($_) . '/24 dev cq1' } 2 .. 60;
});

# ---- the server ----
my $prefork = mpm() eq 'prefork';
# Else the kernel keeps a connection to itself until a byte is sent on it.
my $conf = <<'EOT';
AcceptFilter http none
AcceptFilter https none
KeepAliveTimeout 3600
Timeout 3600
Listen 10.77.0.1:%PORT%
Listen [fd77::1]:%PORT%
Listen 0.0.0.0:%PORT2%
Listen 10.77.0.1:%TLSPORT%
<VirtualHost 10.77.0.1:%TLSPORT%>
    ServerName localhost
    SSLEngine on
    SSLCertificateFile run/crt
    SSLCertificateKeyFile run/key
</VirtualHost>
RemoteIPHeader X-Client
RemoteIPInternalProxy 10.77.0.40 10.77.0.43
<VirtualHost 10.77.0.62:%PORT2%>
    ServerName localhost
    RemoteIPProxyProtocol On
</VirtualHost>
ProxyPass /back http://10.77.0.50:8080/
<Location /status>
    SetHandler server-status
</Location>
<LocationMatch ^/(back|status)>
    ClamQuotaEngine Off
</LocationMatch>
<Location /two>
    ClamQuotaPool two
    ClamQuotaDaily 1000
</Location>
<Location /log>
    ClamQuotaPool log
    ClamQuotaEngine LogOnly
    ClamQuotaDaily 1000
</Location>
EOT
$conf .= "Protocols h2 http/1.1\n" if !$prefork;
my $quota = "ClamQuotaDaily 1000\nClamQuotaDropAfter 3\n";
my $server = Httpd->run(tls => 1, faketime => '2026-03-01 12:00:00',
    conf => $conf . $quota, modules => [qw(status remoteip proxy proxy_http),
    $prefork ? () : 'http2']);
my $htdocs = "$server->{dir}/htdocs";
mkdir "$htdocs/$_" for qw(two log);
write_file("$htdocs/$_", 'd' x 1500) for qw(f two/f log/f);

my $dropped = 0;        # so many as the server must have counted

# One GET, or a number of them on one connection: what was answered.
sub ask {
    my ($from, $path, @arguments) = @_;
    my $host = $from =~ /:/ ? '[fd77::1]' : $SERVER;
    my $answer = there(sub { $server->get("http://$host:$server->{port}"
        . ($path // '/f'), '--interface', $from, @arguments) });
    return join ' ', @{$answer->{codes}};
}

sub is_dropped {
    my ($from, $name) = @_;
    is(ask($from), '000', "$name: dropped");
    $dropped++;
}

# It downloads what it may and more, and is refused N times.
sub offend {
    my ($from, $refusals, $path, @arguments) = @_;
    my $n = 1 + $refusals;
    is(ask($from, ($path // '/f') . "?[1-$n]", @arguments),
        join(' ', 200, (429) x $refusals), "$from: $refusals refusals");
}

# The answer to a connection on which nothing, or this text, is sent.
sub outcome {
    my ($from, $port, $say) = @_;
    my $socket = there(sub { IO::Socket::INET->new(PeerHost => $SERVER,
        PeerPort => $port, LocalHost => $from) });
    $dropped++;
    return $! == ECONNRESET ? 'reset' : "connect: $!" if !$socket;
    local $SIG{PIPE} = 'IGNORE';
    return 'reset' if defined $say && !defined syswrite($socket, $say)
        && ($! == ECONNRESET || $! == EPIPE);
    IO::Select->new($socket)->can_read(20) or return 'open';
    my $n = sysread $socket, my $data, 1000;
    my $seen = $n ? 'data' : defined $n ? 'closed'
        : $! == ECONNRESET ? 'reset' : "read: $!";
    return wantarray ? ($seen, $socket) : $seen;
}

# ---- not before a minute has passed ----
offend(ip($_), 3) for 2 .. 9, 50;
offend(ip(10), 2);
offend(ip(20), 3, '/two/f');
is(ask(ip(21), '/log/f?[1-9]'), join(' ', (200) x 9), 'LogOnly: served');
is(ask(ip(30)), 200, 'h2: downloaded, not refused');
offend($_, 3) for 'fd77::2', 'fd78::2';
offend(ip(41), 3, '/f', '-H', 'X-Client: 10.77.0.41', '--interface', ip(40));
offend(ip(40), 3);
is(ask(ip(40), '/f', '-H', 'X-Client: 10.77.0.42'), 200, 'a proxy');
offend($_, 3) for ip(43), ip(44), 'fd79::2';
my $wrapped = "http://10.77.0.62:$server->{port2}/f";
is(join(' ', @{there(sub { $server->get("$wrapped?[1-4]", '--interface', ip(45),
    '--haproxy-protocol') })->{codes}}), '200 429 429 429',
    'PROXY protocol: refused in its own name');
for my $own ('127.0.0.9', $SERVER, '10.77.0.62') {
    is(join(' ', @{$server->get("http://$SERVER:$server->{port}/f?[1-9]",
        '--interface', $own)->{codes}}), join(' ', 200, (429) x 8),
        "own: $own is refused");
}
command(split ' ', 'ip address add 10.77.0.61/32 dev lo');
my $late = "http://10.77.0.61:$server->{port2}/f";
$server->get("$late?[1-9]", '--interface', '10.77.0.61');
my $kept = there(sub { $server->connect(from => ip(2), to => $SERVER) });
my $request = "GET /f HTTP/1.1\r\nHost: localhost\r\n\r\n";
is($kept->send($request)->response->{status}, 429, 'a kept connection');
is(ask(ip(3)), 429, 'over for less than a minute: answered');
my $now = $server->json->{now};
for my $row (grep { $_->{over_since} } @{$server->json->{clients}}) {
    cmp_ok($now - $row->{over_since}, '<', 60, "$row->{client}: not yet");
}
is($server->json->{totals}{dropped}, 0, 'no client was dropped');

# ---- and then ----
$server->set_time('2026-03-01 12:05:00');
my $mark = $server->mark;
is_dropped(ip(2), 'after a minute');
is(scalar(my @said = $server->log_lines(
    qr/\[clamquota:info\].*10\.77\.0\.2:.*CQ0203: .*10\.77\.0\.2.*default/,
    $mark)), 1, 'and logged, once');
is($kept->send($request)->response->{status}, 429, 'what is open stays so');
is(ask(ip(10)), 429, 'one refusal less: answered');
is_dropped(ip(10), 'with this one');
is_dropped(ip(20), 'of another pool');
is(ask(ip(21)), 200, 'LogOnly: not dropped');
is(ask(ip(21), '/log/f'), 200, 'LogOnly: nor there');
is(scalar outcome(ip(2), $server->{port}), 'reset', 'reset, if it sends nothing');
is(scalar outcome(ip(2), $server->{port}, $request), 'reset', 'or something');
is(scalar outcome(ip(2), $server->{tls_port}), 'reset', 'TLS: reset');
# the reset may even be there before curl has seen that it is connected
like(there(sub { $server->get("https://$SERVER:$server->{tls_port}/f",
    '--interface', ip(2)) })->{exit}, qr/^(?:7|35)$/, 'TLS: no handshake');
$dropped++;
is(there(sub { $server->get("https://$SERVER:$server->{tls_port}/f",
    '--interface', ip(11)) })->{status}, 200, 'TLS: others');
is_dropped('fd78::2', 'IPv6');

# ---- spared clients ----
is(ask('fd77::2'), 429, 'IPv6: its network holds our address');
for my $own ('127.0.0.9', $SERVER, '10.77.0.62') {
    is($server->get("http://$SERVER:$server->{port}/f", '--interface',
        $own)->{status}, 429, "own: $own is answered");
}
is($server->get($late, '--interface', '10.77.0.61')->{status}, 429,
    'own: an address that came after the start');
is(ask(ip(43)), 429, 'a declared proxy that never brought a client');
is(there(sub { $server->get($wrapped, '--interface', ip(45),
    '--haproxy-protocol') })->{status}, 429, 'a client with the PROXY protocol');
is(ask(ip(44)), 429, 'the default gateway');
is(ask('fd79::2'), 429, 'the default gateway of IPv6');
is(scalar($server->log_lines(qr/clamquota:notice.*CQ0142:.*
    \ 10\.77\.0\.44,\ fd79::2:/x)), 1, 'the start says which clients it spares');
is(scalar($server->log_lines(qr/clamquota:warn.*CQ0141:\ the\ default\ gateway
    \ 10\.77\.0\.44\ is\ refused/x)), 1, 'and the log that it was refused');
is(ask(ip(41)), 429, 'seen through mod_remoteip');
offend(ip(41), 3, '/two/f');
is(ask(ip(40)), 429, 'the proxy itself');
SKIP: {
    skip 'prefork has no HTTP/2', 2 if $prefork;
    my $answer = there(sub { $server->get("https://$SERVER:$server->{tls_port}"
        . '/f?[1-9]', '--http2', '--interface', ip(30)) });
    is(join(' ', $answer->{head} =~ /^(\S+) /, @{$answer->{codes}}),
        join(' ', 'HTTP/2', (429) x 9),
        'h2: streams of an open connection are answered');
    is_dropped(ip(30), 'h2: the next connection');
}
my $listener = there(sub { IO::Socket::INET->new(LocalHost => ip(50),
    LocalPort => 8080, Listen => 5) }) or die "backend: $@";
my $backend = fork // die "fork: $!";
if (!$backend) {
    local $SIG{ALRM} = 'DEFAULT';
    alarm 60;           # if httpd never comes
    my $connection = $listener->accept;
    1 while <$connection> !~ /^\r?$/;
    print $connection "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nback";
    close $connection;
    POSIX::_exit(0);
}
is_dropped(ip(50), 'the backend as a client');
is($server->get('/back')->{body}, 'back', 'we may connect to it');
waitpid $backend, 0;
$server->set_time('2026-03-01 12:10:00');
is(ask(ip(41), '/two/f'), 429, 'seen through mod_remoteip in another pool');

# ---- no worker is held, no socket stays ----
my @open = map { [outcome(ip(2), $server->{port})] } 1 .. 100;
is(scalar(grep { $_->[0] eq 'reset' } @open), 100, '100 more are reset');
is(ask(ip(12)), 200, 'others are served');
my $status;
# one shows this; elsewhere than under event another waits for the one that is
# kept
my $busy = mpm() eq 'event' ? 1 : 2;
ok(poll(10, sub {
    $status = $server->get('/status?auto')->{body};
    return $status =~ /^BusyWorkers: $busy$/m && ($status !~ /^ConnsTotal: (\d+)/m
        || $1 <= 2);
}), 'no worker is held') or diag $status;
# 10.77.0.2 as the kernel writes it; the one that is kept
is(scalar(my @left = grep { /^\s*\d+: \S+ 02004D0A:/ } split /\n/,
    read_file('/proc/net/tcp')), 1, 'no socket of its connections is left');
undef @open;
$kept->close;

# ---- released by the configuration ----
sub configure {
    my ($text) = @_;
    my %old = map { $_ => 1 } $server->children;
    $server->{conf} = $conf . $text;
    ok($server->graceful, 'graceful: ' . ((split /\n/, $text)[-1]));
    # until then one of these may take a connection
    ok(poll(20, sub { !grep { $old{$_} } $server->children }),
        'the old children went');
}

sub configured {
    my ($text, $from, $status) = @_;
    configure($text);
    is(ask($from), $status, "$from: $status");
    configure($quota);
}
is_dropped(ip(3), 'before');
configured("ClamQuotaDaily 1000\nClamQuotaDropAfter Off\n", ip(3), 429);
is_dropped(ip(3), 'DropAfter again');
configured("ClamQuotaDaily 1000\nClamQuotaDropAfter 100\n", ip(3), 429);
configured("ClamQuotaDropAfter 3\nClamQuotaDaily 1M\n", ip(4), 200);
is(ask(ip(4)), 429, 'lowered again: it has its refusals before it');
configured("${quota}ClamQuotaEngine LogOnly\n", ip(5), 200);
is_dropped(ip(5), 'no longer LogOnly');
configured("${quota}ClamQuotaEngine Off\n", ip(5), 200);
is_dropped(ip(5), 'no longer Off');
configured("${quota}ClamQuotaClient 10.77.0.6/31 Unlimited\n", ip(6), 200);
is_dropped(ip(6), 'no longer Unlimited');
configured("${quota}ClamQuotaClient 10.77.0.6/31 1M\n", ip(6), 200);
is(ask(ip(6)), 429, 'no longer 1M: it has its refusals before it');

# ---- by the operator ----
is_dropped(ip(7), 'before the reset');
is($server->post('action=reset&client=10.77.0.7', '-H',
    "Origin: http://127.0.0.1:$server->{port}")->{status}, 303, 'reset');
is(ask(ip(7)), 200, 'served after it');

# ---- by a new day ----
$server->set_time('2026-03-01 23:59:00');
is_dropped(ip(8), 'before midnight');
$server->set_time('2026-03-02 00:00:01');
is(ask(ip(8)), 200, 'served from midnight on');
is(ask(ip(8)), 429, 'refused again: over for a second');

my $json = $server->json;
is($json->{totals}{dropped}, $dropped, 'each is counted');
is(scalar(my @lines = $server->log_lines(qr/CQ0203/)), $dropped, 'and logged');
my ($two) = grep { $_->{pool} eq 'two' } @{$json->{pools}};
is($two->{dropped}, 1, 'in its pool');
like($server->get('/clamquota?auto')->{body}, qr/^ClamQuotaDropped: $dropped$/m,
    'and shown as text');
like($server->get('/clamquota?openmetrics')->{body},
    qr/^clamquota_dropped_total\{pool="two"\} 1$/m, 'and as a metric');

close $pipe;
$server->allow_log(qr/CQ014[01]: /, 2);
finish();
