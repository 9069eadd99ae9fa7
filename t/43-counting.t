# When requests are not counted although they should be, every form of the page
# reports it and what to do, until a restart puts it right.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Test::More;

my $quota = "ClamQuotaPeriod Day\nClamQuotaDaily 10000\n";
my $pages = <<'EOT';
<Location /server-status>
    SetHandler server-status
</Location>
<Location /clamquota>
    ClamQuotaChanges On
</Location>
<Location /me>
    SetHandler clamquota-me
</Location>
EOT

# A server that runs with this.
sub server {
    my ($conf) = @_;
    my $server = Httpd->run(modules => ['status'], conf => $pages . $conf);
    write_file("$server->{dir}/htdocs/file", 'f' x 5000);
    return $server;
}

# A graceful restart, until no old child is left that may answer.
sub renew {
    my ($server) = @_;
    my %old = map { $_ => 1 } $server->children;
    ok($server->graceful, 'a graceful restart');
    ok(poll(20, sub { !grep { $old{$_} } $server->children }),
        'the old children went');
}

# All forms at once. notice: undef where there is none.
sub shows {
    my ($server, $name, $engine, $up, $notice) = @_;
    my $json = $server->json;
    is($json->{engine}, $engine, "$name: engine $engine");
    is(!!$json->{up}, !!$up, "$name: up " . ($up ? 'true' : 'false'));
    if ($notice) { like($json->{notice}, $notice, "$name: json says why") }
    else { is($json->{notice}, undef, "$name: nothing to say") }
    my $auto = $server->get('/clamquota?auto')->{body};
    like($auto, qr/^ClamQuotaEngine: $engine$/m, "$name: auto");
    like($auto, qr/^ClamQuotaUp: $up$/m, "$name: auto says it");
    like($server->get('/clamquota?openmetrics')->{body},
        qr/^clamquota_up $up\n.*engine="$engine"/ms, "$name: openmetrics");
    my $html = $server->get('/clamquota')->{body};
    like($html, qr/<style nonce="\w+">.*<header>.*Engine $engine/s, "$name: in our style");
    my $status = $server->get('/server-status')->{body};
    $notice or return;
    like($_->[1], $notice, "$name: $_->[0] says why and what to do")
        for ['auto', $auto], ['html', $html], ['mod_status', $status],
        ['mod_status?auto', $server->get('/server-status?auto')->{body}];
    is($server->get('/file')->{status}, 200, "$name: requests are served");
}

sub is_uncounted {
    my ($server, $name) = @_;
    is($server->get('/file', '--interface', '127.0.0.9')->{status}, 200,
        "$name: never refused") for 1 .. 4;
    like($server->get('/me', '--interface', '127.0.0.9')->{body},
        qr/Nothing is counted/, "$name: a client sees it");
}

# ---- another version of the module ----
my $server = server($quota);
shows($server, 'as it should be', 'On', 1);
my $version = $server->json->{version};
(my $older = $version) =~ tr/0-9/1-90/;
my $module = "$server->{dir}/mod_clamquota.so";
write_file($module, read_file($module) =~ s/\b\Q$version\E\0/$older\0/gr);
renew($server);
is($server->json->{version}, $older, 'the module was replaced');
shows($server, 'replaced', 'stale', 0, qr/not counted.* Stop and start httpd/);
is_uncounted($server, 'replaced');
ok($server->stop, 'stopped');
is($server->start, '', 'and started');
shows($server, 'started anew', 'On', 1);
$server->allow_log(qr/CQ0121: /, 1);

# ---- a table that can't be opened ----
$server = server("ClamQuotaEngine Off\n");
is($server->json->{engine}, 'Off', 'Off');
like($server->json->{notice}, qr/ClamQuotaEngine is Off/, 'Off: reports it');
$server->{conf} = "$pages${quota}ClamQuotaTable nowhere/table\n";
renew($server);
shows($server, 'no table', 'unusable', 0,
    qr/not counted.*CQ0120.* stop and start/);
is_uncounted($server, 'no table');
$server->allow_log(qr/CQ0120: /, 1);

# ---- a table that is lost ----
$server = server($quota);
$server->get('/file', '--interface', '127.0.0.2');
$server->row('127.0.0.2', hits => 1);
unlink "$server->{dir}/state/clamquota.table" or die $!;
ok($server->wait_log(qr/CQ0128: /), 'the file is removed');
shows($server, 'removed', 'On', 1, qr/removed or replaced.* Restart httpd/);
is($server->row('127.0.0.2')->{hits}, 1, 'removed: the figures are there');
$server->allow_log(qr/CQ0128: /, 1);
$server = server($quota);
truncate "$server->{dir}/state/clamquota.table", 4096 or die $!;
ok($server->wait_log(qr/CQ0127: /), 'the file is cut short');
shows($server, 'cut', 'unusable', 0, qr/not counted.*CQ0127.* stop and start/);
is_uncounted($server, 'cut');
my $reset = $server->get('/clamquota', '-d', 'action=reset&client=127.0.0.2',
    '-H', "Origin: http://127.0.0.1:$server->{port}");
is($reset->{status}, 503, 'cut: nothing can be reset');
like($reset->{body}, qr/not counted.*CQ0127/, 'and the answer says why');
$server->allow_log(qr/CQ0127: /, 1);

# ---- children that get no lock in the table, nor does the exchanger ----
my $lock = "$server->{dir}/lock.so";
my $locks = "$server->{dir}/run/locks";
system('cc', '-shared', '-fPIC', '-o', $lock, "$Httpd::ROOT/t/fault/lock.c") == 0
    or die "t/fault/lock.c\n";
write_file($locks, '');
$server = Httpd->run(modules => ['status'], preload => [$lock],
    env => { CQ_FAULT_LOCK => $locks }, conf => $pages . $quota
    . "ClamQuotaMemcached --SERVER=127.0.0.1:1\n");
write_file("$server->{dir}/htdocs/file", 'f' x 5000);
shows($server, 'no lock', 'unusable', 0, qr/not counted.*CQ0138.* graceful/);
is_uncounted($server, 'no lock');
my $unshared = qr/CQ0152: .*clamquota\.table: cannot be locked: No locks avail/;
ok($server->wait_log($unshared), 'no lock: the exchanger says why it ends');
unlink $locks or die $!;
renew($server);
shows($server, 'with locks', 'On', 1);
is(join(' ', map { $server->get('/file', '--interface', '127.0.0.9')->{status} }
    1 .. 3), '200 200 429', 'with locks: from zero');
$server->allow_log(qr{No locks available: CQ0138: \S+ cannot be locked by}, 1);
$server->allow_log($_, scalar $server->log_lines($_))
    for $unshared, qr/CQ0151: /, qr/CQ015[3-9]: /;

finish();
