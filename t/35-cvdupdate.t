# The real cvdupdate against a mirror that refuses it: scenario 14 of sixteen
# (the rest: t/33, t/34). It trusts what it gets, so nothing is left out here.
# It reads the versions from a TXT record: of a name server of our own, and all
# its URLs are on loopback.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Dns;
use Httpd;
use JSON::PP ();
use Mirror;
use Peer;
use Test::More;

need(cvdupdate => 'clamav-cvdupdate');
plan skip_all => 'libfaketime is not here (./build.sh deps)'
    if !glob '/usr/lib/*/faketime/libfaketimeMT.so.1';
# engine, main, daily, time, -, functionality level, -, bytecode
my $dns = Dns->new('1.4.6:62:27000:2110795200:0:90:0:335')
    or plan skip_all => "port 53 on loopback, which cvdupdate asks: $!";

my %version = (main => 62, daily => 27000, bytecode => 335);
my %field = (main => 1, daily => 2, bytecode => 7);
my @names = sort keys %version;
my @scenarios = qw(fresh over behind own);
my $server = Httpd->run(faketime => '2036-11-20 12:00:00',
    conf => LOG . <<'EOT' . join '', map { <<"EOS" } @scenarios[1 .. 3]);
ClamQuotaPeriod Day
ClamQuotaDaily 20000
ClamQuotaRetryJitter 0
ClamQuotaRetryMax 1d
<FilesMatch "\.(cdiff|sign)$">
    ClamQuotaFree On
</FilesMatch>
<Location /fresh>
    ClamQuotaPool fresh
    ClamQuotaDaily 10M
</Location>
EOT
<Location /$_>
    ClamQuotaPool $_
</Location>
EOS

for my $scenario (@scenarios) {
    my $mirror = "$server->{dir}/htdocs/$scenario";
    mkdir $mirror;
    write_file("$mirror/filler", 'f' x 21_000);
    for my $name (@names) {
        write_file("$mirror/$name.cvd", database($version{$name}, 5000));
        write_file("$mirror/$name-$_.cdiff", 'c' x 1000)
            for $version{$name} - 1, $version{$name};
    }
}

# Its configuration, with these databases, none of which it has.
sub configure {
    my ($scenario, %dbs) = @_;
    my $home = home($server, "/$scenario");
    mkdir "$home/$_" for qw(database logs);
    write_file("$home/config.json", JSON::PP::encode_json({nameserver =>
        $dns->address, 'max retry' => 3, 'log directory' => "$home/logs",
        'rotate logs' => JSON::PP::true, '# logs to keep' => 30,
        'db directory' => "$home/database", 'rotate cdiffs' => JSON::PP::true,
        '# cdiffs to keep' => 30, 'state file' => "$home/state.json"}));
    write_file("$home/state.json", JSON::PP::encode_json({uuid =>
        '9efe802e-1aae-4773-9c46-189a7cd42763', dbs => {map { ("$_.cvd" => {
        url => $server->url("/$scenario/$_.cvd"), 'retry after' => 0,
        'last modified' => 0, 'last checked' => 0, 'DNS field' => $dbs{$_},
        'local version' => 0, CDIFFs => []}) } keys %dbs}}));
}

# Runs it: (exit status, what it said).
sub update {
    my ($scenario) = @_;
    local $server->{env} = {%{$server->{env}},
        CVDUPDATE_NAMESERVER => $dns->address};
    my ($exit, $said) = run($server, program('cvdupdate'), 'update', '-V',
        '-c', home($server, "/$scenario") . '/config.json');
    unlike($said, qr/Traceback/, "$scenario: no exception") or diag $said;
    return ($exit, $said);
}

# what it remembers of a database
sub state_of {
    my ($scenario, $name) = @_;
    return JSON::PP::decode_json(read_file(home($server, "/$scenario")
        . '/state.json'))->{dbs}{"$name.cvd"};
}

sub go_over {
    my ($pool) = @_;
    my $bytes = $server->get("/$pool/filler")->{bytes};
    is($server->row('127.0.0.1', pool => $pool, used => $bytes)->{state},
        'over', "$pool: the client is over quota");
    return $bytes;
}

sub each_name {
    my (@wanted) = @_;
    return [sort map { my $name = $_; map { s/NAME/$name/gr
        =~ s/VERSION/$version{$name}/gr } @wanted } @names];
}

# ---- below its quota: everything arrives, then it asks nothing ----
configure('fresh', %field);
my ($exit, $said) = update('fresh');
is($exit, 0, 'fresh: exit 0') or diag $said;
my $request = requests($server, '/fresh', 6);
is_deeply($request->{seen}, each_name('200 NAME-VERSION.cdiff',
    '200 NAME.cvd?version=VERSION'), 'fresh: a cdiff and a database each');
is(read_file(home($server, '/fresh') . "/database/$_.cvd"),
    read_file("$server->{dir}/htdocs/fresh/$_.cvd"), "fresh: $_ arrives")
    for @names;
my $row = $server->row('127.0.0.1', pool => 'fresh', hits => 6);
is("$row->{used} $row->{free}", join(' ', @{$request->{bytes}}{'200 cvd',
    '200 cdiff'}), 'fresh: cdiffs are free, databases are used');
is((update('fresh'))[0], 0, 'fresh: again: exit 0');
is_deeply(requests($server, '/fresh', 0)->{seen}, [], 'fresh: no request');

# ---- over: cdiffs are served, databases refused, each once. It stays away
# exactly as long as Retry-After, and comes back the next day ----
my $used = go_over('over');
configure('over', %field);
my $began = $server->now;
($exit, $said) = update('over');
my $took_s = $server->now - $began;
is($exit, 3, 'over: exit 3, one for each database');
like($said, qr/We won't try \Q$_\E\.cvd again for 1[12]:\d\d:\d\d hours/,
    "over: it reports this of $_") for @names;
$request = requests($server, '/over', 6);
is_deeply($request->{seen}, each_name('200 NAME-VERSION.cdiff',
    '429 NAME.cvd?version=VERSION'), 'over: one refusal each');
my $midnight = 2_110_838_400;
is_deeply([sort @{$request->{until}}], [($midnight) x 3],
    'over: until midnight');
# it adds Retry-After to the moment in which it reads it
cmp_ok(abs(state_of('over', $_)->{'retry after'} - $midnight), '<=',
    1 + $took_s, "over: it remembers that of $_") for @names;
$row = $server->row('127.0.0.1', pool => 'over', refused => 3);
is("$row->{used} $row->{free} $row->{refused}",
    "$used $request->{bytes}{200} 3", 'over: cdiffs are free');
($exit, $said) = update('over');
is($exit, 3, 'over: again: exit 3');
like($said, qr/Skipping \Q$_\E\.cvd which is on cooldown until/,
    "over: again: it says why of $_") for @names;
is_deeply(requests($server, '/over', 0)->{seen}, [], 'over: no request');

# ---- over, one version behind: what it needs is free, but it wants both ----
$used = go_over('behind');
configure('behind', %field);
write_file(home($server, '/behind') . "/database/$_.cvd",
    database($version{$_} - 2, 5000)) for @names;
($exit, $said) = update('behind');
is($exit, 3, 'behind: exit 3');
$request = requests($server, '/behind', 9);
is_deeply($request->{seen}, [sort map { my $v = $version{$_};
    ("200 $_-" . ($v - 1) . '.cdiff', "200 $_-$v.cdiff",
    "429 $_.cvd?version=$v") } @names],
    'behind: all cdiffs are served, databases refused');
is(-s home($server, '/behind') . "/database/$_-$version{$_}.cdiff", 1000,
    "behind: $_: the mirror it feeds gets its cdiff") for @names;

# ---- over, a database that is not in the TXT record: it probes (bytes=0-95),
# which is free ----
$used = go_over('own');
configure('own', main => 0);
($exit, $said) = update('own');
is($exit, 1, 'own: exit 1');
$request = requests($server, '/own', 3);
is_deeply($request->{seen}, ['200 main-62.cdiff', '206 main.cvd bytes=0-95',
    '429 main.cvd?version=62'], 'own: the probe is served');
$row = $server->row('127.0.0.1', pool => 'own', refused => 1);
is("$row->{used} $row->{free} $row->{refused}", "$used "
    . ($request->{bytes}{200} + $request->{bytes}{206}) . ' 1',
    'own: and free');

# ---- the next day ----
my %expected = (over => each_name('200 NAME.cvd?version=VERSION'),
    behind => each_name('200 NAME.cvd?version=VERSION'),
    own => ['200 main.cvd?version=62', '206 main.cvd bytes=0-95']);
$server->set_time('2036-11-21 00:00:01');
for my $scenario (qw(over behind own)) {
    ($exit, $said) = update($scenario);
    is($exit, 0, "$scenario: next day: exit 0");
    like($said, qr/cooldown expired .*OK to try again/,
        "$scenario: next day: it tries again");
    # the cdiffs it has already
    is_deeply(requests($server, "/$scenario", scalar @{$expected{$scenario}})
        ->{seen}, $expected{$scenario}, "$scenario: next day: it is served");
}

finish();
