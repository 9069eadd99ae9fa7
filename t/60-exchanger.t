# The process that exchanges counters with other nodes: it begins and ends with
# httpd, another one follows when it dies, and no request notices.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Cluster;
use Httpd;
use Memcached;
use Test::More;

need_memcached();
my $memcached = Memcached->run;
my $conf = "ClamQuotaDaily 1G\nClamQuotaMemcached \"--SERVER="
    . $memcached->address . "\"\nClamQuotaSync 100ms\nClamQuotaNode a\n";
my $server = Httpd->run(conf => $conf);
write_file("$server->{dir}/htdocs/big", 'b' x 8_000_000);

sub exchangers {
    return grep { read_file("/proc/$_/comm") eq "clamquota-share\n" }
        map { $_->[0] } grep { $_->[2] == ($server->{pid} // $_[0]) }
        Httpd::processes();
}
sub lives { return -e "/proc/$_[0]" && read_file("/proc/$_[0]/stat") !~ /\) Z / }

my $died = qr/CQ0151: .* starts in (\d+) s/;

# ---- what it is ----
my $pid = Cluster::await_exchanger($server);
ok($pid, 'it runs beside the children');
is(scalar exchangers(), 1, 'there is one');
if (!$<) {
    my ($user) = grep { getpwnam $_ } qw(www-data apache nobody);
    my ($uid) = read_file("/proc/$pid/status") =~ /^Uid:\s+(\d+\s+\d+\s+\d+)/m;
    is(join(',', split ' ', $uid), join(',', (scalar getpwnam $user) x 3),
        'it has no more privileges than a child');
}
sub listening {
    my %listens = map { /^\s*\d+: \S+ \S+ 0A (?:\S+\s+){5}(\d+)/ ? ($1 => 1) : () }
        map { split /\n/, read_file($_) } '/proc/net/tcp', '/proc/net/tcp6';
    return grep { /socket:\[(\d+)\]/ && $listens{$1} }
        map { readlink($_) // '' } glob "/proc/$_[0]/fd/*";
}
cmp_ok(scalar listening($server->{pid}), '>=', 1, 'the parent listens');
is_deeply([listening($pid)], [], 'it does not');

# ---- a graceful restart, in the middle of a download ----
my $download = $server->connect(from => '127.0.6.1', buffer => 65_536);
$download->send("GET /big HTTP/1.1\r\nHost: localhost\r\n"
    . "Connection: close\r\n\r\n");
$download->take(500_000);
ok($server->graceful, 'graceful');
my $next = Cluster::await_exchanger($server, $pid);
ok($next, 'graceful: a new one follows');
ok(!lives($pid), 'graceful: the old one is gone');
is(scalar exchangers(), 1, 'graceful: there is one');

# ---- it dies: by kill, as by an assertion of libmemcached ----
# The pause is for one that did not live long.
poll(15, sub { time - (stat "/proc/$next")[9] > 10 }) if $ENV{CQ_TEST_ALL};
my $pause_s = $ENV{CQ_TEST_ALL} ? 0 : 1;
for my $death (['KILL', 9], ['ABRT', 6]) {
    my ($signal, $number) = @$death;
    my $mark = $server->mark;
    $pid = $next;
    kill $signal, $pid;
    my $line = $server->wait_log($died, $mark) // '';
    like($line, qr/process $pid, .*\(signal or status $number\)/,
        "$signal: it is logged");
    is(($line =~ $died)[0], $pause_s++, "$signal: the next one begins in time");
    $next = Cluster::await_exchanger($server, $pid);
    ok($next, "$signal: another one follows");
    is(scalar exchangers(), 1, "$signal: there is one");
}
$server->allow_log($died, 2);
$server->allow_log(qr/AH00052: .* exit signal Abort/, 1);

# ---- it hangs, as in a system call that does not return ----
kill 'STOP', $next;
ok($server->graceful, 'it hangs: graceful');
$pid = $next;
$next = Cluster::await_exchanger($server, $pid);
ok($next && !lives($pid), 'it hangs: a graceful restart replaces it');
kill 'STOP', $next;
$download->drain;
cmp_ok($download->{bytes}, '>', 8_000_000, 'the download ends as it should');
ok($server->stop, 'it hangs: httpd stops');
ok(!lives($next), 'it hangs: and it is gone');

# ---- children die ----
is($server->start, '', 'start');
$pid = Cluster::await_exchanger($server);
kill 'KILL', grep { $_ != $pid } $server->children;
is($server->get('/big')->{status}, 200, 'children die: requests are served');
is(Cluster::exchanger($server), $pid, 'children die: it goes on');

# ---- an ungraceful restart, a stop, and a graceful one ----
ok($server->restart, 'restart');
$next = Cluster::await_exchanger($server, $pid);
ok($next && !lives($pid), 'restart: a new one follows');
for my $signal (qw(TERM WINCH)) {
    $pid = Cluster::await_exchanger($server);
    ok($server->stop($signal), "SIG$signal: httpd stops");
    ok(!lives($pid), "SIG$signal: it is gone");
    is($server->start, '', 'start');
}

# ---- the parent dies ----
$pid = Cluster::await_exchanger($server);
my $group = $server->{pid};
kill 'KILL', $group;
ok(poll(10, sub { !lives($pid) }), 'kill -9 of the parent: it ends');
$server->kill9_all;

# ---- below ChrootDir ----
SKIP: {
    skip 'ChrootDir needs root', 2 if $<;
    # pthread_exit(3) loads it, and finds it no more
    chomp(my $libgcc = `gcc -print-file-name=libgcc_s.so.1`);
    $server->{conf} = $conf . "ChrootDir %DIR%\nLoadFile $libgcc\n";
    is($server->start, '', 'ChrootDir: start');
    $pid = Cluster::await_exchanger($server);
    is(readlink "/proc/$pid/root", $server->{dir}, 'ChrootDir: it is there');
}

# ---- the table is cut short under it ----
$server->stop;
$server->{conf} = $conf;
is($server->start, '', 'start');
SKIP: {
    skip 'takes ten seconds, the same under every MPM', 3 if mpm() ne 'event';
    $pid = Cluster::await_exchanger($server);
    truncate "$server->{dir}/state/clamquota.table", 8192 or die "truncate: $!";
    my $lost = qr/CQ0127: /;
    ok($server->wait_log($lost), 'the table is cut short: it is logged');
    $server->allow_log($lost);
    ok(lives($pid), 'the table is cut short: the process lives');
    is($server->get('/big')->{status}, 200, 'and requests are served');
    unlink "$server->{dir}/state/clamquota.table";
}

# ---- no cluster, none of its processes ----
$server->stop;
$server->{conf} = "ClamQuotaDaily 1G\n";
is($server->start, '', 'no ClamQuotaMemcached: start');
is(scalar exchangers(), 0, 'and no such process');

finish();
