# curl, wget and ab against a mirror: scenarios 5 to 8 and 11 to 13 of sixteen
# (the rest: t/33, t/35).

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Mirror;
use Peer;
use Test::More;

need(curl => 'curl', wget => 'wget', ab => 'apache2-utils');
plan skip_all => 'libfaketime is not here (./build.sh deps)'
    if !glob '/usr/lib/*/faketime/libfaketimeMT.so.1';

use constant BOUND => 10 * 1024 * 1024; # ClamQuotaFreeRangeDaily's default
use constant PIECE => 256 * 1024;       # what may be missing of an abort

my @scenarios = qw(s7 s8 s11 s13);
my %copies = (s5 => 2, s8c => 1, s11c => 1, s12 => 2);
my $server = Httpd->run(faketime => '2036-11-20 12:00:00',
    conf => LOG . <<'EOT' . join('', map { <<"EOS" } @scenarios)
ClamQuotaPeriod Day
ClamQuotaDaily 20000
ClamQuotaRetryJitter 0
ClamQuotaRetryMax 1d
ClamQuotaClient 127.0.13.1/32 3000000
ClamQuotaClient 127.0.13.2/31 300000
SendBufferSize 262144
MaxKeepAliveRequests 0
<FilesMatch "\.(cdiff|sign)$">
    ClamQuotaFree On
</FilesMatch>
<Location /s11r>
    ClamQuotaPool s11r
    ClamQuotaCopies 1
</Location>
EOT
<Location /$_>
    ClamQuotaPool $_
</Location>
EOS
    . join '', map { <<"EOS" } sort keys %copies);
<Location /$_>
    ClamQuotaPool $_
    ClamQuotaDaily 1G
    ClamQuotaCopies $copies{$_}
</Location>
EOS

my $htdocs = "$server->{dir}/htdocs";
for my $scenario (@scenarios, 's11r', keys %copies) {
    mkdir "$htdocs/$scenario";
    write_file("$htdocs/$scenario/filler", 'f' x 21_000);
}

my @curl = (program('curl'), qw(-q -s --noproxy *));
my @wget = (program('wget'), qw(--no-config --no-proxy -q -O /dev/null));

# Makes 127.0.0.1 a client that is over quota there; what it has downloaded.
sub go_over {
    my ($pool) = @_;
    my $bytes = $server->get("/$pool/filler")->{bytes};
    is($server->row('127.0.0.1', pool => $pool, used => $bytes)->{state},
        'over', "$pool: the client is over quota");
    return $bytes;
}

# ["429 main.cvd", ...] as {"429 main.cvd" => how many}
sub tally {
    my %count;
    $count{$_}++ for @{$_[0]};
    return \%count;
}

# ---- 5: far below its quota, the same database three times on one day: the
# third is refused until midnight, under whatever query; another is not ----
sub wget { return (run($server, @wget, '-t', 9, $server->url($_[0])))[0] }

write_file("$htdocs/s5/main.cvd", database(62, 1_000_000));
write_file("$htdocs/s5/daily.cvd", database(62, 500_000));
is_deeply([map { wget('/s5/main.cvd') } 1 .. 3], [0, 0, 8],
    '5: two copies, not three');
my $request = requests($server, '/s5', 3);
is_deeply($request->{seen}, [('200 main.cvd') x 2, '429 main.cvd'],
    '5: wget asks once although it may nine times');
is_deeply($request->{until}, [2_110_838_400], '5: until midnight');
my $used = $request->{bytes}{200};
is(wget('/s5/main.cvd?x=1'), 8, '5: with a query it is the same database');
is(wget('/s5/daily.cvd'), 0, '5: another is served');
$used += requests($server, '/s5', 2)->{bytes}{200};
my $row = $server->row('127.0.0.1', pool => 's5', used => $used);
is("$row->{used} $row->{state}", "$used ok", '5: and the client is not over');

# ---- 6: a new version of it is served: by its date, by its size ----
my $day = time - 3600;
utime $day, $day, "$htdocs/s5/main.cvd";
is_deeply([map { wget('/s5/main.cvd') } 1 .. 3], [0, 0, 8],
    '6: a new date: two copies');
write_file("$htdocs/s5/main.cvd", database(63, 1_000_001));
utime $day, $day, "$htdocs/s5/main.cvd";
is_deeply([map { wget('/s5/main.cvd') } 1 .. 3], [0, 0, 8],
    '6: a new size: two copies');
is(scalar @{requests($server, '/s5', 6)->{seen}}, 6, '6: one request each');

# ---- 7: over, 1,000 probes, 100 HEADs, 100 requests that end in 304. None is
# refused, all of it is free, nothing is used ----
write_file("$htdocs/s7/main.cvd", database(62, 1_000_000));
$used = go_over('s7');
my $fields = $server->get('/s7/main.cvd', '-I')->{headers};
my @ab = (program('ab'), qw(-q -c 8));
for (['probes', 1000, '-H', 'Range: bytes=0-511'], ['HEAD', 100, '-i'],
    ['304', 100, '-H', "If-Modified-Since: $fields->{'last-modified'}"]) {
    my ($what, $count, @arguments) = @$_;
    my ($exit, $said) = run($server, @ab, '-n', $count, @arguments,
        $server->url('/s7/main.cvd'));
    is($exit, 0, "7: $what: ab ends well") or diag $said;
}
$request = requests($server, '/s7', 1201);
is_deeply(tally($request->{seen}), {'206 main.cvd bytes=0-511' => 1000,
    'HEAD 200 main.cvd' => 101, '304 main.cvd' => 100}, '7: all are served');
my $free = $request->{bytes}{200} + $request->{bytes}{206}
    + $request->{bytes}{304};
cmp_ok($free, '>=', 512_000, '7: of which 512,000 bytes are bodies');
$row = $server->row('127.0.0.1', pool => 's7', free => $free);
is("$row->{used} $row->{free} $row->{refused}", "$used $free 0",
    '7: free to the byte, and nothing else');

# ---- 8: over, 10 MB of a file in pieces of 4 KiB: free until the day's bound
# for that, then refused. The file's second half: all have the same length ----
write_file("$htdocs/s8/main.cvd", database(62, 20_000_000));
$used = go_over('s8');
my $url = $server->url('/s8/main.cvd');
my @ranges = map { $_ . '-' . ($_ + 4095) } map { 10_000_000 + $_ * 4096 }
    0 .. 2440;
write_file("$server->{dir}/pieces", join "next\n", map { "url=$url\n"
    . "range=$_\noutput=/dev/null\n" } @ranges);
my ($exit) = run($server, @curl, '-K', "$server->{dir}/pieces");
is($exit, 0, '8: all pieces are asked for');
$request = requests($server, '/s8', scalar @ranges);
my %seen = (206 => 0, 429 => 0);
$seen{substr $_, 0, 3}++ for @{$request->{seen}};
is($seen{206} + $seen{429}, @ranges, '8: served or refused');
my $piece = $request->{bytes}{206} / $seen{206};
is($piece, int $piece, '8: each of the same length');
cmp_ok($request->{bytes}{206}, '>=', BOUND, '8: served to the bound');
cmp_ok($request->{bytes}{206} - $piece, '<', BOUND, '8: and not a piece more');
$row = $server->row('127.0.0.1', pool => 's8', refused => $seen{429});
is("$row->{used} $row->{free} $row->{refused}",
    "$used $request->{bytes}{206} $seen{429}", '8: those served were free');
is((run($server, @curl, '-f', '-r', '0-', $url))[0], 22,
    '8: the whole file as an open range: refused');

# and with Copies 1: an open range from the start is a copy like any other
write_file("$htdocs/s8c/main.cvd", database(62, 10_000_000));
$url = $server->url('/s8c/main.cvd');
my @quiet = ('-f', '-o', '/dev/null');
is_deeply([map { (run($server, @curl, @quiet, @$_, $url))[0] } ['-r', '0-'],
    [], ['-r', '0-'], ['-r', '0-511']], [0, 22, 22, 0],
    '8: 0- is a whole copy; a probe is served still');
$request = requests($server, '/s8c', 4);
is_deeply($request->{seen}, ['206 main.cvd bytes=0-', '206 main.cvd bytes=0-511',
    '429 main.cvd', '429 main.cvd bytes=0-'], '8: as the log has it');

# ---- 11: a client that goes away after 1 MB, three times, has downloaded three
# times that and what was on its way, not three files ----
use constant SIZE => 40_000_000;
write_file("$htdocs/s11/main.cvd", database(62, SIZE));
$url = $server->url('/s11/main.cvd');
for my $source ('127.0.11.1', '127.0.11.2', '127.0.11.3') {
    my @program = $source =~ /2$/ ? (@wget[0 .. 3], '-O', '-',
        "--bind-address=$source") : (@curl, '--interface', $source);
    open my $pipe, '-|', @program, $url or die "$program[0]: $!";
    my ($got, $left) = (0, 1_000_000);
    while ($left && ($got = read $pipe, my $part, $left)) { $left -= $got }
    close $pipe;
    # mod_logio is the yardstick: %O is what the kernel accepted
    my ($line) = $server->access(qr/^\Q$source\E /);
    my ($out) = ($line // '') =~ /^\S+ 200 (\d+) /;
    cmp_ok($out, '<', SIZE / 2, "11: $source went away ($out bytes)");
    $row = $server->row($source, pool => 's11', in_flight => 0, hits => 1);
    cmp_ok($row->{used}, '<=', $out, "11: $source: no more than left");
    cmp_ok($row->{used}, '>=', $out - PIECE, "11: $source: less by a piece");
    cmp_ok($row->{used}, '>=', 1_000_000 - PIECE, "11: $source: not nothing");
}

# nor is that a copy: with Copies 1 it is served whole after three of them
sub leave {
    my ($path, @arguments) = @_;
    open my $pipe, '-|', @curl, @arguments, $server->url($path)
        or die "$curl[0]: $!";
    my ($data, $got) = ('', 1);
    $got = read $pipe, $data, 1_000_000 - length $data, length $data
        while $got && length $data < 1_000_000;
    close $pipe;
    return $data;
}

write_file("$htdocs/s11c/main.cvd", database(62, SIZE));
leave('/s11c/main.cvd') for 1 .. 3;
$server->row('127.0.0.1', pool => 's11c', hits => 3, in_flight => 0);
is(wget('/s11c/main.cvd'), 0, '11: Copies 1: three aborts are not a copy');
is(wget('/s11c/main.cvd'), 8, '11: Copies 1: the whole is');

# a client that the first part has brought over its quota may finish it, as
# wget -c does, once
mkdir "$server->{dir}/resumed";
write_file("$htdocs/s11r/main.cvd", my $whole = database(62, SIZE));
write_file("$server->{dir}/resumed/main.cvd", leave('/s11r/main.cvd'));
is($server->row('127.0.0.1', pool => 's11r', hits => 1, in_flight => 0)
    ->{state}, 'over', '11: the part made it a client over quota');
my @resume = (@wget[0 .. 2], '-q', '-c', '-P', "$server->{dir}/resumed",
    $server->url('/s11r/main.cvd'));
is((run($server, @resume))[0], 0, '11: wget -c');
ok(read_file("$server->{dir}/resumed/main.cvd") eq $whole,
    '11: the file is whole');
$request = requests($server, '/s11r', 2);
is_deeply($request->{seen}, ['200 main.cvd', '206 main.cvd bytes=1000000-'],
    '11: it asked for the rest only');
is(wget('/s11r/main.cvd'), 8, '11: then it is over quota like any other');

# ---- 12: eight at once, of which two may: exactly two are served ----
write_file("$htdocs/s12/main.cvd", database(62, 10_000_000));
my @eight = map { begin($server, "$server->{dir}/logs/curl-$_", @curl, @quiet,
    $server->url('/s12/main.cvd')) } 1 .. 8;
is_deeply([sort map { ended($_, 60) // 'hangs' } @eight],
    [0, 0, (22) x 6], '12: two are served, six are not');
$request = requests($server, '/s12', 8);
is_deeply(tally($request->{seen}), {'200 main.cvd' => 2, '429 main.cvd' => 6},
    '12: as the log has it');
$row = $server->row('127.0.0.1', pool => 's12', used =>
    $request->{bytes}{200}, in_flight => 0);
is("$row->{used} $row->{in_flight}", "$request->{bytes}{200} 0",
    '12: two are counted');

# ---- 13: twelve installations behind one address. That address has the quota
# of ten, by a ClamQuotaClient: ten get a set each, the others are refused, the
# cdiffs are for all. Their user agents make no difference ----
my @names = qw(daily main bytecode);
write_file("$htdocs/s13/$_.cvd", database(62, 100_000)) for @names;
write_file("$htdocs/s13/daily-63.cdiff", 'c' x 1000);

# what an installation with that number gets from that address
sub installation {
    my ($address, $number) = @_;
    my $agent = sprintf 'ClamAV/1.4.6 (OS: Linux, ARCH: x86_64, CPU: x86_64, '
        . 'UUID: 9efe802e-1aae-4773-9c46-%012d)', $number;
    return join ' ', map { $server->get("/s13/$_", '-A', $agent,
        '--interface', $address)->{status} } 'daily-63.cdiff',
        map { "$_.cvd" } @names;
}

is(installation('127.0.13.1', $_), '200 200 200 200',
    "13: installation $_ gets its set") for 1 .. 10;
is(installation('127.0.13.1', $_), '200 429 429 429',
    "13: installation $_ gets cdiffs only") for 11, 12;
$row = $server->row('127.0.13.1', pool => 's13', refused => 6);
is("$row->{rule} $row->{allowance} $row->{refused}",
    'ClamQuotaClient 127.0.13.1/32 3000000 6', '13: by that rule');
is(installation('127.0.13.2', 1), '200 200 200 200',
    '13: an address of one installation: a set');
is(installation('127.0.13.2', 2), '200 429 429 429',
    '13: another name does not get it another');
is(installation('127.0.13.3', 2), '200 200 200 200',
    '13: nor does that name take one from another address');

finish();
