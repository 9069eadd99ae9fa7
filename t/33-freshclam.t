# The real freshclam against a mirror that refuses it: scenarios 1 to 4, 9, 10,
# 15 and 16 of sixteen that were measured with it; 5 to 8 and 11 to 13 are in
# t/34, 14 is in t/35.
# mpm: once
#
# A database by hand passes freshclam's probe but not its check of ClamAV's
# signature, so what a freshclam does after a database has arrived is not
# covered: that it keeps it (a DatabaseCustomURL stands in for that), and that
# it applies a cdiff and asks for the next. No DNS: it always probes.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Mirror;
use Peer;
use Test::More;

need(freshclam => 'clamav-freshclam');
plan skip_all => 'libfaketime is not here (./build.sh deps)'
    if !glob '/usr/lib/*/faketime/libfaketimeMT.so.1';

my @names = qw(daily main bytecode);
my @scenarios = qw(s1 s2 s3 s4 s9 s9c s10 s15);
my $server = Httpd->run(faketime => '2036-11-20 12:00:00',
    conf => LOG . <<'EOT' . join '', map { <<"EOS" } @scenarios[1 .. $#scenarios]);
ClamQuotaPeriod Day
ClamQuotaDaily 20000
ClamQuotaRetryJitter 0
ClamQuotaRetryMax 2h
<FilesMatch "\.(cdiff|sign)$">
    ClamQuotaFree On
</FilesMatch>
<Location /s1>
    ClamQuotaPool s1
    ClamQuotaDaily 10M
</Location>
<Location /s9c>
    ClamQuotaStatus 403
</Location>
EOT
<Location /$_>
    ClamQuotaPool $_
</Location>
EOS

my $htdocs = "$server->{dir}/htdocs";
for my $scenario (@scenarios) {
    mkdir "$htdocs/$scenario";
    write_file("$htdocs/$scenario/$_.cvd", database(6, 40_000)) for @names;
    write_file("$htdocs/$scenario/filler", 'f' x 21_000);
}

# Makes freshclam's host a client that is over quota there; what it has downloaded.
sub go_over {
    my ($pool) = @_;
    my $bytes = $server->get("/$pool/filler")->{bytes};
    is($server->row('127.0.0.1', pool => $pool, used => $bytes)->{state},
        'over', "$pool: the client is over quota");
    return $bytes;
}

sub each_name { return [sort map { my $name = $_; map { s/NAME/$name/r } @_ }
    @names] }

# ---- 1: a new installation below its quota. Three probes and three bodies,
# the counters are their sum; afterwards probes only ----
my ($used, $free, $request) = (0, 0);
for my $name (@names) {
    # one at a time: the first that does not verify ends a run
    my ($exit) = run($server, freshclam($server, '/s1', "MaxAttempts 1\n",
        "--update-db=$name"));
    is($exit, 7, "1: $name arrives (and has no signature: exit 7)");
    $request = requests($server, '/s1', 2);
    is_deeply($request->{seen}, ["200 $name.cvd",
        "206 $name.cvd bytes=0-511"], "1: $name: a probe and a body");
    $used += $request->{bytes}{200};
    $free += $request->{bytes}{206};
}
my $row = $server->row('127.0.0.1', pool => 's1', used => $used);
is("$row->{used} $row->{free}", "$used $free",
    '1: bodies are used, probes are free');
cmp_ok($used, '>=', 3 * 40_000, '1: of three databases');
cmp_ok($free, '>=', 3 * 512, '1: and three probes');

write_file(home($server, '/s1') . "/$_.cvd", database(6, 40_000)) for @names;
my ($exit, $said) = run($server, freshclam($server, '/s1', ''));
is($exit, 0, '1: it has them: exit 0');
$request = requests($server, '/s1', 3);
is_deeply($request->{seen}, each_name('206 NAME.cvd bytes=0-511'),
    '1: only probes');
$free += $request->{bytes}{206};

my $signature = "44d88612fea8a8f36de82e1278abb02f:68:Eicar\n";
write_file("$htdocs/s1/own.hdb", $signature);
my @custom = freshclam($server, '/s1', "DatabaseCustomURL "
    . $server->url('/s1/own.hdb') . "\n"
    . join '', map { "ExcludeDatabase $_\n" } @names);
($exit, $said) = run($server, @custom);
is($exit, 0, '1: DatabaseCustomURL: exit 0') or diag $said;
is(read_file(home($server, '/s1') . '/own.hdb'), $signature,
    '1: DatabaseCustomURL: it arrives');
is((run($server, @custom))[0], 0, '1: DatabaseCustomURL again: exit 0');
$request = requests($server, '/s1', 2);
is_deeply($request->{seen}, ['200 own.hdb', '304 own.hdb'],
    '1: DatabaseCustomURL: once, then it is not modified');
$used += $request->{bytes}{200};
$free += $request->{bytes}{304};
$row = $server->row('127.0.0.1', pool => 's1', used => $used, free => $free);
is("$row->{used} $row->{free} $row->{refused}", "$used $free 0",
    '1: all of it is counted');

# ---- 2: over, nothing here yet. Each probe is served, each body refused once,
# freshclam ends well, and stays away exactly as long as Retry-After ----
$used = go_over('s2');
my @freshclam = freshclam($server, '/s2', '');
($exit, $said) = run($server, @freshclam);
is($exit, 0, '2: exit 0') or diag $said;
like($said, qr/error code 429.*on cool-down until/s, '2: it says why');
$request = requests($server, '/s2', 6);
is_deeply($request->{seen}, each_name('206 NAME.cvd bytes=0-511',
    '429 NAME.cvd'), '2: three probes, three refusals');
is(scalar @{$request->{until}}, 3, '2: each with a Retry-After in seconds');
my ($until) = sort { $b <=> $a } @{$request->{until}};
cmp_ok(abs(cool_down($server, '/s2') - $until), '<=', 1,
    '2: freshclam.dat has what we said');
$row = $server->row('127.0.0.1', pool => 's2', refused => 3);
is("$row->{used} $row->{free} $row->{refused}",
    "$used $request->{bytes}{206} 3", '2: nothing was used');
for my $run (2, 3) {
    ($exit, $said) = run($server, @freshclam);
    is($exit, 0, "2: run $run: exit 0");
    like($said, qr/still on cool-down until/, "2: run $run: because of 429");
    is_deeply(requests($server, '/s2', 0)->{seen}, [],
        "2: run $run: not one request");
}

# ---- 3: over, five versions behind, the cdiffs are there. They are served.
# Not covered: that freshclam asks for all five itself and then for nothing
# else; ours has no signature, so after the first it wants the whole file ----

# An unpacked local database (.cld), which freshclam takes without a signature:
# a header and a tar of one empty file.
sub local_database {
    my ($version) = @_;
    my $tar = pack 'a100 a8 a8 a8 a12 a12 a8 a1 x100 a6 a2 x247',
        'COPYING', '0000644', '0000000', '0000000', '0' x 11, '0' x 11,
        ' ' x 8, '0', 'ustar', '00';
    substr $tar, 148, 8, sprintf "%06o\0 ", unpack '%32C*', $tar;
    return database($version, 512) . $tar . "\0" x 1024;
}

$used = go_over('s3');
write_file("$htdocs/s3/daily-$_.cdiff", 'c' x 1000) for 2 .. 6;
@freshclam = freshclam($server, '/s3', '', '--update-db=daily');
write_file(home($server, '/s3') . '/daily.cld', local_database(1));
($exit, $said) = run($server, @freshclam);
is($exit, 0, '3: exit 0') or diag $said;
$request = requests($server, '/s3', 3);
is_deeply($request->{seen}, ['200 daily-2.cdiff', '206 daily.cvd bytes=0-511',
    '429 daily.cvd'], '3: the cdiff is served, the whole file is not')
    or diag $said;
is(-s home($server, '/s3') . '/daily.cld', 2048,
    '3: it keeps what it had');
my ($agent) = 'ClamAV/1.4.6 (OS: Linux, ARCH: x86_64, CPU: x86_64, UUID: '
    . '9efe802e-1aae-4773-9c46-189a7cd42763)';
my @cdiffs = map { $server->get("/s3/daily-$_.cdiff", '-A', $agent) } 3 .. 6;
is_deeply([map { $_->{status} } @cdiffs], [200, 200, 200, 200],
    '3: the other four are served too (curl)');
$free = $request->{bytes}{200} + $request->{bytes}{206};
$free += $_->{bytes} for @cdiffs;
$row = $server->row('127.0.0.1', pool => 's3', free => $free, refused => 1);
is("$row->{used} $row->{free} $row->{refused}", "$used $free 1",
    '3: free, all five');

# ---- 4: as 3, but this mirror has no cdiffs. Three times 404, then the whole
# file, which is refused: one offence, and a cool-down ----
$used = go_over('s4');
@freshclam = freshclam($server, '/s4', '', '--update-db=daily');
write_file(home($server, '/s4') . '/daily.cld', local_database(1));
($exit, $said) = run($server, @freshclam);
is($exit, 0, '4: exit 0') or diag $said;
$request = requests($server, '/s4', 5);
is_deeply($request->{seen}, ['206 daily.cvd bytes=0-511',
    ('404 daily-2.cdiff') x 3, '429 daily.cvd'],
    '4: what is not there stays 404') or diag $said;
cmp_ok(abs(cool_down($server, '/s4') - $request->{until}[0]), '<=', 1,
    '4: it stays away as long as we said');
$free = $request->{bytes}{206} + $request->{bytes}{404};
$row = $server->row('127.0.0.1', pool => 's4', refused => 1);
is("$row->{used} $row->{free} $row->{refused}", "$used $free 1",
    '4: one refusal, three 404s that are free');

# ---- 9: a freshclam that runs as a daemon survives our 429 (and would not
# survive a 403, which is why ClamQuotaStatus is 429) ----
sub catches_usr1 {
    my ($pid) = @_;
    return read_file("/proc/$pid/status") =~ /^SigCgt:\s*([0-9a-f]+)/m
        && hex($1) & 1 << POSIX::SIGUSR1() - 1;
}

go_over('s9');
my $output = "$server->{dir}/logs/daemon";
my $daemon = begin($server, $output, freshclam($server, '/s9', ''), '-d');
$request = requests($server, '/s9', 6);
is_deeply($request->{seen}, each_name('206 NAME.cvd bytes=0-511',
    '429 NAME.cvd'), '9: the daemon asked, and was refused');
# its first look has ended when it waits for signals: this one means "look again"
ok(poll(20, sub { catches_usr1($daemon) }), '9: it sleeps to its next check');
kill 'USR1', $daemon;
ok(poll(20, sub { read_file($output) =~ /still on cool-down/ }),
    '9: and at that still is on cool-down');
is(ended($daemon, 0), undef, '9: it is alive');
is_deeply(requests($server, '/s9', 0)->{seen}, [], '9: and asks nothing');
kill 'TERM', $daemon;
is(ended($daemon, 20), 0, '9: until a signal ends it');

go_over('s9c');
$daemon = begin($server, $output, freshclam($server, '/s9c', ''), '-d');
is(ended($daemon, 20), 17, '9: control: refused by 403 it exits');
like(read_file($output), qr/This is fatal\. Retrying later won't help/,
    '9: control: for good');
$request = requests($server, '/s9c', 2);
is_deeply($request->{seen}, ['206 daily.cvd bytes=0-511', '403 daily.cvd'],
    '9: control: after the first');

# ---- 10: a client that calls us its PrivateMirror asks for .cld first. That
# is not here, and 404 although it is over quota (429 would be a cool-down, 403 too:
# clamav issue 395) ----
$used = go_over('s10');
($exit, $said) = run($server, freshclam($server, '/s10', 'PrivateMirror '
    . $server->url('/s10') . "\n"));
is($exit, 0, '10: exit 0') or diag $said;
$request = requests($server, '/s10', 9);
is_deeply($request->{seen}, each_name('404 NAME.cld bytes=0-511',
    '206 NAME.cvd bytes=0-511', '429 NAME.cvd'),
    '10: .cld 404, .cvd probed, its body refused') or diag $said;
$free = $request->{bytes}{206} + $request->{bytes}{404};
$row = $server->row('127.0.0.1', pool => 's10', refused => 3);
is("$row->{used} $row->{free} $row->{refused}", "$used $free 3",
    '10: only bodies are offences');

# ---- 15: refused in the last half second before midnight. Retry-After is
# never 0 (which freshclam takes for four hours), and the next day it is served.
# Both programs see a clock that stands still at that moment ----
sub stand_still {
    my ($time) = @_;
    write_file("$server->{dir}/run/faketime", "$time\n");
    chmod 0644, "$server->{dir}/run/faketime";
}

$used = go_over('s15');
@freshclam = freshclam($server, '/s15', "MaxAttempts 1\n",
    '--update-db=daily');
stand_still('2036-11-20 23:59:59.6');
($exit, $said) = run($server, @freshclam);
is($exit, 0, '15: exit 0') or diag $said;
$request = requests($server, '/s15', 2);
is_deeply($request->{seen}, ['206 daily.cvd bytes=0-511', '429 daily.cvd'],
    '15: refused at 23:59:59.6');
my $midnight = 2_110_838_400;
is_deeply($request->{until}, [$midnight], '15: Retry-After: 1');
cmp_ok(abs(cool_down($server, '/s15') - $midnight), '<=', 1,
    '15: freshclam.dat: until midnight');
stand_still('2036-11-21 00:00:02');
($exit, $said) = run($server, @freshclam);
like($said, qr/Cool-down expired, ok to try again/, '15: the next day');
$request = requests($server, '/s15', 2);
is_deeply($request->{seen}, ['200 daily.cvd', '206 daily.cvd bytes=0-511'],
    '15: it is served');
$row = $server->row('127.0.0.1', pool => 's15',
    used => $request->{bytes}{200});
is($row->{used}, $request->{bytes}{200}, '15: on a new account');

# ---- 16: a new installation on the 1st of the month, with the configuration
# that comes with the module and databases of the real sizes ----
my $mirror = Httpd->run(faketime => '2036-12-01 00:10:00', conf => LOG
    . "<VirtualHost *:*>\nInclude \"$Httpd::ROOT/conf/clamav-mirror.conf\"\n"
    . "</VirtualHost>\n");
my %size = (daily => 64_552_960, main => 170_479_789, bytecode => 284_179);
for my $name (@names) {
    my $path = "$mirror->{dir}/htdocs/$name.cvd";
    write_file($path, database(62, 512));
    truncate $path, $size{$name} or die "$path: $!";
    utime time - 60, time - 60, $path;
}
($used, $free) = (0, 0);
for my $name (@names) {
    run($mirror, freshclam($mirror, '', "MaxAttempts 1\n",
        "--update-db=$name"));
    $request = requests($mirror, '', 2);
    is_deeply($request->{seen}, ["200 $name.cvd",
        "206 $name.cvd bytes=0-511"], "16: $name arrives");
    cmp_ok($request->{bytes}{200}, '>=', $size{$name}, "16: $name: whole");
    $used += $request->{bytes}{200};
    $free += $request->{bytes}{206};
}
$row = $mirror->row('127.0.0.1', pool => 'clamav', used => $used);
is("$row->{used} $row->{free} $row->{refused} $row->{state}",
    "$used $free 0 ok", '16: nothing was refused, and it is not over');

finish();
