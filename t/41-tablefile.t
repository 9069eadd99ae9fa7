# What a server does with a table file that is not as it should be. It stops
# with one sentence and leaves the file alone; a graceful restart never fails.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Test::More;

my $conf = "ClamQuotaPeriod Day\nClamQuotaDaily 1M\n";

sub server { # not started
    my $server = Httpd->new(conf => $conf, @_);
    write_file("$server->{dir}/htdocs/file", 'f' x 5000);
    $server->{table} = "$server->{dir}/state/clamquota.table";
    return $server;
}

# It must not start, say why in one sentence that names the file, and say it
# on the terminal.
sub refused {
    my ($name, $server, $why, @as) = @_;
    my $said = $server->start(@as);
    my @lines = grep { /\S/ } split /\n/, $said;
    @lines = grep { !/AH00016|AH00013|AH00014|AH00020/ } @lines;
    is(scalar @lines, 1, "$name: one sentence") or diag $said;
    like($lines[0] // '', $why, "$name: that says why");
    like($lines[0] // '', qr{state/clamquota\.table}, "$name: and which file");
    # what it may have logged as well was judged just now
    unlink "$server->{dir}/logs/error.log";
}

# ---- files that are no table, or a damaged one ----
my $good = do { # a real table's bytes, to damage
    my $server = server();
    $server->start eq '' or die 'no start';
    $server->get('/file');
    $server->row('127.0.0.1', hits => 1);
    $server->stop;
    read_file($server->{table});
};
cmp_ok(length $good, '>', 1000 * 128, 'a table has room for its clients');
my %content = (
    'noise' => [join('', map { chr(($_ * 7919 + ($_ >> 8) * 104_729) % 256) }
        1 .. 300_000), qr/not a clamquota table/],
    'a text' => ["hello\n", qr/not a clamquota table/],
);
for my $name (sort keys %content) {
    my ($bytes, $why) = @{$content{$name}};
    my $server = server();
    write_file($server->{table}, $bytes);
    refused($name, $server, $why);
    ok(read_file($server->{table}) eq $bytes, "$name: untouched");
    is(join(' ', glob "$server->{dir}/state/*"), $server->{table},
        "$name: nothing beside it");
}

# ---- a damaged one is set aside, and the server runs ----
my %damaged = (
    'zeros' => "\0" x length $good,
    'an empty file' => '',
    'cut in half' => substr($good, 0, length($good) / 2),
    'only its head' => substr($good, 0, 100),
);
for my $name (sort keys %damaged) {
    my $server = server();
    write_file($server->{table}, $damaged{$name});
    is($server->start, '', "$name: starts");
    is($server->get('/file')->{status}, 200, "$name: serves");
    is($server->row('127.0.0.1', hits => 1)->{hits}, 1, "$name: and counts");
    ok(read_file("$server->{table}.damaged") eq $damaged{$name},
        "$name: is set aside");
    is(scalar(() = $server->log_lines(qr/CQ0129: /)), 1,
        "$name: logged once");
    $server->allow_log(qr/CQ0129: /, 1);
    $server->stop;
}

# ---- another layout: the version is a 32-bit word of the header ----
sub with_version {
    my ($to) = @_;
    my $copy = $good;
    my $at = version_offset();
    substr $copy, $at, 4, pack 'L', unpack('L', substr $copy, $at, 4) + $to;
    return $copy;
}

# right behind the magic of 8 bytes, see table/layout.h
sub version_offset { return 8 }

my $newer = server();
write_file($newer->{table}, with_version(1));
refused('a newer layout', $newer, qr/newer|version/);
ok(read_file($newer->{table}) eq with_version(1), 'a newer layout: untouched');

my $older = server();
write_file($older->{table}, with_version(-2));
is($older->start, '', 'an older layout: starts');
my $version = unpack 'L', substr with_version(-2), version_offset(), 4;
ok(read_file("$older->{table}.v$version") eq with_version(-2),
    'an older layout: set aside');
is($older->row('127.0.0.1'), undef, 'an older layout: a new table');
is(scalar(() = $older->log_lines(qr/CQ\d+: .*older layout/)), 1,
    'an older layout: said once');

# ---- things that are no file, or not for us ----
my $directory = server();
mkdir $directory->{table};
refused('a directory', $directory, qr/directory|not a (?:regular )?file/);
ok(-d $directory->{table}, 'a directory: untouched');

my $symlink = server();
write_file("$symlink->{dir}/state/elsewhere", $good);
symlink "$symlink->{dir}/state/elsewhere", $symlink->{table};
refused('a symbolic link', $symlink, qr/symbolic link|symlink/);
ok(read_file("$symlink->{dir}/state/elsewhere") eq $good,
    'a symbolic link: its target is untouched');

my $dangling = server();
symlink "$dangling->{dir}/state/nowhere", $dangling->{table};
refused('a dangling link', $dangling, qr/symbolic link|symlink/);
ok(!-e "$dangling->{dir}/state/nowhere", 'a dangling link: nothing is made');

my $nowhere = server();
rmdir "$nowhere->{dir}/state" or die;
refused('no directory', $nowhere, qr/director/);

SKIP: {
    skip 'a user without rights is made by root', 8 if $<;
    my ($user) = grep { getpwnam $_ } qw(www-data nobody);
    my @as = ('setpriv', "--reuid=$user", '--regid=' . (getpwnam $user)[3],
        '--clear-groups');
    for my $what ('file', 'directory') {
        # libfaketime would complain as well
        my $server = server(faketime => '');
        my $dir = $server->{dir};
        chmod 0777, "$dir/logs", "$dir/run";
        unlink "$dir/logs/access.log", "$dir/logs/error.log";
        chmod 0755, "$dir/state";
        if ($what eq 'file') {
            write_file($server->{table}, $good);
            chmod 0644, $server->{table};
        }
        refused("a $what that is not writable", $server,
            qr/[Pp]ermi|writ/, @as);
        ok(($what eq 'file' ? read_file($server->{table}) eq $good
            : !-e $server->{table}), "a $what that is not writable: untouched");
    }
}

SKIP: {
    skip 'a full disk is made by root', 5 if $<;
    my $server = server(clients => 100_000);
    my $state = "$server->{dir}/state";
    system('mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', $state) == 0
        or skip 'a small tmpfs can not be mounted here', 5;
    refused('a full disk', $server, qr/space/);
    is(join(' ', glob "$state/*"), '', 'a full disk: nothing is left behind');
    system('umount', $state) == 0 or diag 'umount failed';
}

# A process that writes beyond its limit is killed by SIGXFSZ, without a word.
my $limited = server();
refused('a limit of sizes', $limited, qr/limited to 100000 \(ulimit -f/,
    'prlimit', '--fsize=100000');
is(join(' ', glob "$limited->{dir}/state/*"), '',
    'a limit of sizes: nothing is left behind');
write_file($limited->{table}, $good);
$limited->{clients} = 20_000;
refused('a limit below the new size', $limited, qr/limited to \d+ \(ulimit -f/,
    'prlimit', '--fsize=' . length $good);
is(join(' ', glob "$limited->{dir}/state/*"), $limited->{table},
    'a limit below it: nothing is left behind');
is($limited->start, '', 'without a limit it starts');
is($limited->row('127.0.0.1')->{hits}, 1, 'and has the old row');
ok($limited->stop, 'and stops');

# ---- two servers ----
my $first = server();
is($first->start, '', 'the first server');
my $second = server(conf => $conf);
rmdir "$second->{dir}/state";
symlink "$first->{dir}/state", "$second->{dir}/state";
refused('a second server on one table', $second, qr/(?:another|other) server/);
is($first->get('/file')->{status}, 200, 'the first goes on');
is($first->row('127.0.0.1', hits => 1)->{hits}, 1, 'and counts');
ok($first->stop, 'the first stops');
is($second->start, '', 'then the second may have it');
is($second->row('127.0.0.1')->{hits}, 1, 'with what the first counted');
ok($second->stop, 'the second stops');

# ---- ClamQuotaClients ----
my $server = server(clients => 500);
is($server->start, '', '500 clients');
$server->get('/file', '--interface', "127.0.2.$_") for 1 .. 20;
$server->row('127.0.2.20', hits => 1);
sub rows { return { map { ($_->{client} => [@$_{qw(used free hits today)}]) }
    @{$server->json->{clients}} } }
my $rows = rows();
is(scalar keys %$rows, 20, '20 of them came');
my $size = -s $server->{table};
for my $clients (20_000, 300) {
    $server->stop;
    $server->{clients} = $clients;
    is($server->start, '', "then $clients");
    is($server->json->{table}{capacity}, $clients, 'the capacity');
    is_deeply(rows(), $rows, 'the rows are all there');
}
$server->stop;
$server->{clients} = 500;
is($server->start, '', 'and 500 again');
is(-s $server->{table}, $size, 'the file has its old size');

# ---- a graceful restart takes what it gets ----
my $mark = $server->mark;
$server->{clients} = 700;
ok($server->graceful, 'graceful with other Clients');
is($server->json->{table}{capacity}, 500, 'the old number stays');
is_deeply(rows(), $rows, 'with every row');
is(scalar(() = $server->log_lines(qr/CQ\d+: .*ClamQuotaClients/, $mark)), 1,
    'which is reported in one line');
$server->{clients} = 500;
$mark = $server->mark;
$server->{conf} = $conf . "ClamQuotaTable %DIR%/state/other.table\n";
ok($server->graceful, 'graceful with another Table');
ok(!-e "$server->{dir}/state/other.table", 'it is not made');
is_deeply(rows(), $rows, 'the rows stay');
is(scalar(() = $server->log_lines(qr/CQ\d+: .*ClamQuotaTable/, $mark)), 1,
    'which is reported in one line');
$server->{conf} = $conf;
$mark = $server->mark;
ok($server->graceful, 'graceful with the old Table');
is(scalar(() = $server->log_lines(qr/CQ\d+: .*ClamQuota/, $mark)), 0,
    'says nothing');

# damaged on disk, beside the mapping: a file of zeros in its place
write_file($server->{table}, "\0" x 4096);
ok($server->graceful, 'graceful with a file that was replaced by zeros');
is($server->get('/file', '--interface', '127.0.2.1')->{status}, 200,
    'serves');
unlink $server->{table};
ok($server->graceful, 'graceful without a file');
is($server->get('/file', '--interface', '127.0.2.1')->{status}, 200,
    'serves');
my $answer = $server->row('127.0.2.1', hits => 3);
is($answer->{hits}, 3, 'and counts');
my $gone = qr/CQ0128: /;
is(scalar(() = $server->log_lines($gone)), 1, 'which is logged once');
$server->allow_log($gone, 1);

# ---- cut short under a server that counts in it ----
for my $length (0, 4096, 100_000) {
    my $cut = server();
    $cut->start eq '' or die 'no start';
    $cut->get('/file', '--interface', "127.0.3.$_") for 1 .. 20;
    my $parent = $cut->{pid};
    truncate $cut->{table}, $length or die "truncate: $!\n";
    my %status;
    $status{$cut->get('/file', '--interface', "127.0.3.$_")->{status}}++
        for 1 .. 40;
    is_deeply(\%status, { 200 => 40 }, "cut to $length: all are served");
    my $lost = qr/CQ0127: /;
    ok($cut->graceful, "cut to $length: graceful");
    is($cut->get('/file')->{status}, 200, "cut to $length: served after it");
    is($cut->{pid}, $parent, "cut to $length: the parent lives");
    is(scalar(() = $cut->log_lines($lost)), 1, "cut to $length: logged once");
    $cut->allow_log($lost, 1);
    ok($cut->stop, "cut to $length: stops");
}

finish();
