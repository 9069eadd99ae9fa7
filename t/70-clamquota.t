# The command clamquota beside a real httpd: what it prints, what it changes,
# and what it makes of tables that are none.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Basename qw(dirname);
use Httpd;
use JSON::PP ();
use Test::More;

my $tool = dirname($ENV{CQ_TEST_MODULE} // "$Httpd::ROOT/build/x")
    . '/clamquota';
my $server = Httpd->run(conf => <<'EOT');
ClamQuotaPeriod Day
ClamQuotaDaily 25000
ClamQuotaGrace 100
ClamQuotaCopies 2
ClamQuotaClient 127.0.3.0/24 Unlimited
<Location /other>
    ClamQuotaDaily 1M
    ClamQuotaGrace 0
    ClamQuotaPool other
    ClamQuotaCopies Off
</Location>
EOT
my $table = "$server->{dir}/state/clamquota.table";
mkdir "$server->{dir}/htdocs/other";
write_file("$server->{dir}/htdocs/$_", 'f' x 5000) for 'file', 'other/file',
    map { "f$_" } 1 .. 6;
sub path { return join ',', map { "f$_" } @_ }
$server->get("/other/file?[1-$_]", '--interface', "127.0.2.$_") for 1 .. 3;
# .9 is over quota, and refused once; .8 has used up its copies of a file
$server->get('/f[1-5]', '--interface', '127.0.2.9');
$server->row('127.0.2.9', hits => 5, in_flight => 0);
$server->get('/f6', '--interface', '127.0.2.9');
$server->get('/file?[1-3]', '--interface', '127.0.2.8');
# .7 has more than one copy of a file and may have the rest of the second
$server->get('/file', '--interface', '127.0.2.7');
$server->get('/file', '--interface', '127.0.2.7', '-r', '0-4499');
$server->row('127.0.2.7', hits => 2, in_flight => 0);
$server->get('/other/file', '--interface', '127.0.3.1');
$server->row('127.0.3.1', pool => 'other', hits => 1, in_flight => 0);

# (exit status, standard output, standard error) of the command, its time that
# of the server
sub clamquota {
    my (@arguments) = @_;
    my $said = "$server->{dir}/run/said";
    push @arguments, '--table', $table if !grep { /^--table/ } @arguments;
    my $pid = $server->spawn($said, 'sh', '-c', 'exec "$@" 2>"$0"',
        "$said.err", $tool, @arguments);
    waitpid $pid, 0;
    return ($? >> 8, read_file($said), read_file("$said.err"));
}
sub says {      # exact: exit status, output and sentence
    my ($name, $status, $out, $err, @arguments) = @_;
    my @got = clamquota(@arguments);
    is($got[0], $status, "$name: exit status $status");
    ref $out ? like($got[1], $out, "$name: output")
             : is($got[1], $out, "$name: output");
    ref $err ? like($got[2], $err, "$name: sentence")
             : is($got[2], $err, "$name: sentence");
    return $got[1];
}

# ---- report ----

my $used = $server->row('127.0.2.9')->{used};
my $report = says('report', 0, qr/^CLIENT +POOL +LAST HIT +USED +SHARE/, '',
    'report');
like($report, qr/^127\.0\.2\.9 +default .* KiB +10\d\.\d % .* 5 +1 +over$/m,
    'a client over quota');
like($report, qr{^127\.0\.3\.1 +other .* - .* exempt$}m, 'one without limit');
like($report, qr{^7 of 7 clients; of all 7, 1 are over quota, 1 exempt$}m,
    'and totals');
unlike($report, qr/\e|\r/, 'without colours in a pipe');
is((clamquota(qw(report --over)))[1] =~ s/ .*//sr, 'CLIENT', 'only over');
like((clamquota(qw(report --over)))[1], qr/^127\.0\.2\.9 .*\n1 of 1 /m,
    'over: one client');
like((clamquota(qw(report --pool other --sort hits --limit 1)))[1],
    qr/^127\.0\.2\.3 .*\n1 of 4 clients/m, 'pool, sort, limit');
like((clamquota("report", "--by-net", "24,48", "--sort", "hits"))[1],
    qr{^127\.0\.2\.0/24 +6 }m, 'networks');

# JSON is the page's, but for the moment and what httpd alone knows
my $json = JSON::PP::decode_json((clamquota('report', '--json'))[1]);
my $page = $server->json;
for my $both ($json, $page) {
    delete @$both{qw(now notice history days)};
    delete @$both{qw(totals pools forecast)};   # the page counts itself
    delete @{$_}{qw(retry_after copies)} for @{$both->{clients}};
}
is_deeply($json, $page, 'report --json is the ?json of the page');

my $csv = (clamquota('report', '--csv'))[1];
like($csv, qr/\Aclient,prefix,pool,last_hit,used,[^\n]*\r\n/, 'csv: header');
is(scalar(() = $csv =~ /\r\n/g), 8, 'csv: lines end as RFC 4180 says');
write_file("$server->{dir}/run/r.csv", $csv);
is(`python3 -c '
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1], newline="")))
print(len(rows), *[r["used"] for r in rows if r["client"] == "127.0.2.9"])
' '$server->{dir}/run/r.csv'`, "7 $used\n", 'csv: Python reads it');

$csv = (clamquota(qw(report --csv --sort hits --by-net), '24,48'))[1];
like($csv, qr{\Anetwork,prefix,clients,over,last_hit,used,today,free,hits,refused\r
127\.0\.2\.0,24,6,1,\d+,\d+,\d+,0,15,2\r\n127\.0\.3\.0,24,1,0,}, 'csv: networks');

# ---- show ----

my $show = says('show', 0, qr/\A127\.0\.2\.9\n  pool +default\n/, '',
    'show', '127.0.2.9');
like($show, qr/^  state +over quota, refused, since .* ago$/m, 'state');
like($show, qr/^  rule +ClamQuotaDaily 25000$/m, 'rule');
like($show, qr/^  allowance +day 1 x 25000 \+ 100 = 24\.5 KiB, used \S+ KiB$/m,
    'the sum');
like($show, qr/^  admitted again 20\S+ 00:00 UTC, in /m, 'when');
like($show, qr/^  today +\S+ KiB used, 1 times refused$/m, 'today');
like($show, qr/^  clamquota reset 127\.0\.2\.9 --table \Q$table\E$/m,
    'the command that frees it');
like((clamquota('show', '127.0.2.8'))[1],
    qr{^  refused file +\S*/file: 9\.8 KiB of 9\.8 KiB today, until 20}m,
    'copies: which file, how much, until when');
like((clamquota('show', '127.0.2.7'))[1],
    qr{^  repeated file +\S*/file: 9\.3 KiB of 9\.8 KiB today$}m,
    'and which one it downloads again and again');
like((clamquota('show', '127.0.2.9'))[1],
    qr{^  jail +never jailed: a reserved address, e\.g\. loopback$}m,
    'why no jail holds it');
like((clamquota('show', '127.0.3.77'))[1],
    qr{ok: no quota applies to it\n.*ClamQuotaClient 127\.0\.3\.0/24 Unlimi}s,
    'an unlimited one that was never seen');
like((clamquota('show', '192.0.2.200'))[1],
    qr/nothing was counted in this period/, 'one that was never seen');
like((clamquota('show', '127.0.2.0/24'))[1], qr/^6 of 6 clients/m,
    'a network');

# ---- reset and exempt: the next request knows ----

says('reset', 0, "127.0.2.9: reset, 1 row\n", '', 'reset', '127.0.2.9');
is($server->get('/f6', '--interface', '127.0.2.9')->{status}, 200,
    'reset: it may download again');
$server->row('127.0.2.9', hits => 6, in_flight => 0);
$server->get('/f[1-4]', '--interface', '127.0.2.9');
$server->row('127.0.2.9', hits => 10, in_flight => 0);
is($server->get('/file', '--interface', '127.0.2.9')->{status}, 429,
    'until it is over quota again');
says('exempt', 0, qr/\A127\.0\.2\.9: is exempt until 20\S+ \d\d:\d\d UTC\n\z/,
    '', qw(exempt 127.0.2.9 --for 1h));
is($server->get('/file', '--interface', '127.0.2.9')->{status}, 200,
    'exempt: it is served');
like((clamquota('exempt', '--list'))[1],
    qr/^127\.0\.2\.9 +20\S+ \d\d:\d\d UTC +(?:1 h|59 min)$/m, 'listed');
like((clamquota('show', '127.0.2.9'))[1], qr/^  state +exempt until 20/m,
    'show knows');
like((clamquota('show', '127.0.2.9'))[1],
    qr/^(?:  changes)? +20\S+ [\d:]+ UTC exempt\n +20\S+ [\d:]+ UTC over\n/m,
    'and its last changes of state');
says('a network', 0, qr{\A127\.0\.2\.0/24: is exempt until 20}, '',
    qw(exempt 127.0.2.0/24 --for 1h));
says('end', 0, "127.0.2.0/24: is no longer exempt\n", '',
    qw(exempt 127.0.2.0/24 --end));
says('end', 0, "127.0.2.9: is no longer exempt\n", '',
    qw(exempt 127.0.2.9 --end));
says('end again', 1, '', "clamquota exempt: 127.0.2.9: is not exempt, "
    . "expected an address or a network as in clamquota exempt --list\n",
    qw(exempt 127.0.2.9 --end));
is($server->get('/file', '--interface', '127.0.2.9')->{status}, 429,
    'ended: it is refused');

# more than one client: a question, or --yes
says('network', 2, '',
    qr/^clamquota reset: reset 127\.0\.2\.0\/24, 6 clients: /,
    'reset', '127.0.2.0/24');
sub on_terminal {       # typed answer -> what the terminal showed
    my ($answer, @arguments) = @_;
    my $shown = "$server->{dir}/run/terminal";
    my $line = join ' ', $tool, @arguments, '--table', $table;
    write_file("$shown.in", $answer);
    waitpid $server->spawn($shown, 'sh', '-c',
        "script -qec '$line' /dev/null <$shown.in"), 0;
    return ($? >> 8, read_file($shown));
}
my ($status, $shown) = on_terminal("n\n", 'reset', '127.0.2.0/24');
is($status, 1, 'no: exit status 1');
like($shown, qr/reset 127\.0\.2\.0\/24, 6 clients\? \[y\/N\]/, 'it asks');
cmp_ok($server->row('127.0.2.9')->{used}, '>', 25000, 'nothing was changed');
($status, $shown) = on_terminal("y\n", 'reset', '127.0.2.0/24');
is($status, 0, 'yes: exit status 0');
is($server->row('127.0.2.9')->{used}, 0, 'and it is reset');
like((on_terminal('', 'report'))[1], qr/\A\e\[1mCLIENT\e\[0m/,
    'colours on a terminal');
{
    local $server->{env} = { NO_COLOR => 1 };
    unlike((on_terminal('', 'report'))[1], qr/\e/, 'none with NO_COLOR');
}

# ---- top, cluster, check ----

my $top = "$server->{dir}/run/top";
my $pid = $server->spawn($top, $tool, 'top', '--table', $table);
poll(10, sub { read_file($top) =~ /transfers open/ });
my $slow = $server->connect;
$slow->send("GET /other/file HTTP/1.1\r\nHost: x\r\n\r\n");
ok(poll(10, sub { read_file($top) =~ m{^127\.0\.0\.1 +other +[1-9]}m }),
    'top: the clients that download, and their rates') or diag(read_file($top));
$slow->close;
kill INT => $pid;
waitpid $pid, 0;
is($?, 0, 'top: ends at SIGINT');
says('cluster', 0, qr/^No cluster: /, '', 'cluster');
says('cluster --forget', 1, '', qr/^clamquota cluster: --forget: there is no /,
    'cluster', '--forget', 'b');
says('check', 0, "$table: in order, as far as can be seen while it is in use\n",
    '', 'check');

SKIP: {
    my @elsewhere = qw(unshare --pid --fork --mount-proc);
    skip 'no process namespace of its own here', 2
        if system("@elsewhere true 2>/dev/null");
    like(`@elsewhere '$tool' check --table '$table'`, qr/while it is in use/,
        'from another process namespace httpd is seen, too');
    `@elsewhere '$tool' feed --daily 1M --table '$table' </dev/null 2>&1`;
    is($? >> 8, 6, 'and feed does not count beside it');
}

# ---- usage: one sentence each, and nothing else ----

for my $wrong (['report', '--sort', 'x'], ['report', '--limit', 0],
    ['report', '--by-net', '33,0'], ['report', '--pool', 'nope'],
    ['report', '--pool', 'default', '--pool', 'other'],
    ['report', '--json', '--csv'], ['report', 'x'], ['show'],
    ['show', '127.0.0.1/8'], ['show', "a\e[2J"], ['reset'],
    ['reset', '--all', '127.0.0.1'], ['exempt', '127.0.0.1'],
    ['exempt', '--list', '--end'], ['exempt', '127.0.0.1', '--for', '0'],
    ['top', '--every', 'x'], ['check', 'x']) {
    says("@$wrong" =~ s/\e/ESC/r, 2, '',
        qr/\Aclamquota $wrong->[0]: [ -~]+\n\z/,
        @$wrong);
}

is(`'$tool' 'no\tsuch' 2>&1`, "clamquota: \"no?such\": no such command; see "
    . "clamquota --help, e.g. clamquota report\n", 'a command that is none');
is($? >> 8, 2, 'exit status 2');
is(`'$tool' 2>&1`, `'$tool' --help`, 'without a command: the usage');

# ---- not permitted; no table; httpd down ----

SKIP: {
    skip 'not root', 4 if $>;
    my @nobody = qw(setpriv --reuid 65534 --regid 65534 --clear-groups);
    my $said = `@nobody '$tool' report --table '$table' 2>&1`;
    is($? >> 8, 4, 'report: not permitted');
    chmod 0755, $server->{dir}, "$server->{dir}/state";
    chmod 0644, $table;
    $said = `@nobody '$tool' reset 127.0.2.1 --table '$table' 2>&1`;
    is($? >> 8, 4, 'reset: not permitted');
    is($said, "clamquota reset: $table: may not be written by this user, "
        . "expected root, e.g. sudo clamquota reset ...\n", 'and which user');
    `@nobody '$tool' report --table '$table'`;
    is($?, 0, 'a report may be read');
}
my $other = "$server->{dir}/run/other";
SKIP: {
    my @private = qw(unshare -m --);
    skip 'no mount namespace of its own here', 1
        if system("@private mount -t tmpfs none /mnt 2>/dev/null");
    like(`@private sh -c "mount -t tmpfs none /mnt && cp '$table' /mnt/t &&
        mount -o remount,ro /mnt && '$tool' reset 127.0.2.1 --table /mnt/t" 2>&1`,
        qr{^clamquota reset: /mnt/t: cannot be written: Read-only file system$}m,
        'reset: a read-only file system is no matter of the user');
}
my %bytes = (empty => '', foreign => 'x' x 10000,
    damaged => substr(read_file($table), 0, 4096));
for my $kind (sort keys %bytes) {
    write_file($other, $bytes{$kind});
    says("$_: $kind", 6, '', qr/\Aclamquota $_: \Q$other\E: [ -~]+\n\z/,
        split(' ', $_ =~ /show|reset|exempt/ ? "$_ 127.0.0.1" : $_),
        $_ eq 'exempt' ? ('--for', '1d') : (), '--table', $other)
        for qw(report show reset exempt top cluster check);
    is(read_file($other), $bytes{$kind}, "$kind: untouched");
}
says('missing', 6, '', qr/: no such table: /, 'report', '--table', "$other.no");
$server->stop;
says('check, down', 0, "$table: in order\n", '', 'check');
says('reset, down', 0, qr/\A127\.0\.2\.1: reset, /, '', 'reset', '127.0.2.1');
says('exempt, down', 0, qr/is exempt until/, '',
    qw(exempt ::/0 --for 1d --yes));
is(JSON::PP::decode_json((clamquota('report', '--json'))[1])->{engine}, 'Off',
    'and nothing counts');
is($server->start, '', 'httpd starts');
like((clamquota('exempt', '--list'))[1], qr{^::/0 }m,
    'an exemption outlives the restart');

finish($server);
