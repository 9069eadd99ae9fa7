# clamquota export, in real databases: what is in them is what the page shows,
# to the byte, however often it is exported; strings of a damaged table
# stay strings; an export that is cut off changes nothing.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Database;
use File::Basename 'dirname';
use Httpd;
use Peer;
use Test::More;

my $build = dirname($ENV{CQ_TEST_MODULE} // "$Httpd::ROOT/build/x");
my $server = Httpd->run(ipv6 => 1, conf => <<'EOT');
ClamQuotaPeriod Day
ClamQuotaDaily 8000
<Location /img>
    ClamQuotaPool images
    ClamQuotaDaily 1M
</Location>
EOT
mkdir "$server->{dir}/htdocs/img" or die;
write_file("$server->{dir}/htdocs/$_", 'x' x 5000) for 'f', 'img/f';
my $table = "$server->{dir}/state/clamquota.table";

sub export { # (exit status, script, what it says on standard error)
    my @arguments = map { "'$_'" } '--table', $table, @_;
    my $sql = `$build/clamquota export @arguments 2>'$server->{dir}/said'`;
    return ($? >> 8, $sql, read_file("$server->{dir}/said"));
}

# Downloads, refusals and a free answer by different clients and pools
sub visit {
    $server->get('/f', '--interface', '127.0.0.2') for 1 .. 3;
    $server->get('/f', '--interface', '127.0.0.3', '-I');
    $server->get('/img/f', '--interface', '127.0.0.2');
    $server->get("http://[::1]:$server->{port}/f") if -e '/proc/net/if_inet6';
    Httpd::poll(5, sub { $server->json->{totals}{in_flight} == 0 });
}

# The rows that a database should have, by the page
sub expected {
    my ($site) = @_;
    my $json = $server->json('limit=10000');
    return sort map { join '|', $site, $_->{pool}, $_->{client}, $_->{prefix},
        $json->{period}{start}, @$_{qw(used free hits refused last_hit
            over_since)} } @{$json->{clients}};
}

visit();
my @first = expected('one');
cmp_ok(scalar @first, '>=', 3, 'clients in two pools');
my ($over) = grep { /^one\|default\|127\.0\.0\.2\|/ } @first;
unlike($over, qr/\|0\|\d+\|\d+$|\|0$/, 'one of them refused and over quota');
my %script;
for my $kind (qw(mysql pgsql sqlite)) {
    my ($status, $sql, $said) = export($kind, '--site', 'one');
    is("$status$said", 0, "$kind: exported");
    $script{$kind} = $sql;
}
visit();
my @second = expected('one');
isnt("@second", "@first", 'more was downloaded meanwhile');
my %later = map { $_ => (export($_, '--site', 'one'))[1] } keys %script;

# The post's query; INET_NTOA is MySQL's
my %post = map { $_ => 'SELECT ' . ($_ eq 'mysql' ? 'INET_NTOA(source) AS '
    : '') . 'source, last_hit, bytes/1048576.0 AS traffic_mb FROM clamavtraffic'
    . ' WHERE bytes >= 50*1048576 ORDER BY bytes DESC' } keys %script;
my %told = (mysql => [ANSI => '--init-command', "SET sql_mode=ANSI"],
    pgsql => ['old strings'], sqlite => ['the same']);
my %env = (pgsql => {PGOPTIONS => '-c standard_conforming_strings=off'});
my $all = 'SELECT * FROM clamquota';

sub check {
    my ($kind, $database) = @_;
    my $rows = sub { [sort $database->rows($all)] };
    my $load = sub { join '', $database->load(@_) };
    is($load->($script{$kind}), '0', "$kind: loaded, and says nothing");
    is_deeply($rows->(), \@first, 'as the page shows it');
    is($load->($script{$kind}), '0', 'once more');
    is_deeply($rows->(), \@first, 'changes nothing');

    my $half = substr $later{$kind}, 0, rindex($later{$kind}, 'COMMIT');
    $load->($half);
    is_deeply($rows->(), \@first, 'one that is cut off changes nothing');
    my $wrong = $later{$kind} =~ s/COMMIT/INSERT INTO nothing VALUES (1);\n$&/r;
    isnt(($database->load($wrong))[0], 0, 'one that fails has an exit status');
    is_deeply($rows->(), \@first, 'and changes nothing');
    is($load->($later{$kind}), '0', 'a later one');
    is_deeply($rows->(), \@second, 'has the new figures');

    # another site's, with a name that no script should believe
    my $site = q{it's \ "\\');--};
    my (undef, $sql) = export($kind, '--site', $site =~ s/'/'\\''/gr);
    is($load->($sql, more => [@{$told{$kind}}[1 .. $#{$told{$kind}}]],
        env => $env{$kind}), '0', "another site ($told{$kind}[0])");
    is_deeply($rows->(), [sort @second, expected($site)], 'beside the first');

    my @seen = $database->rows("SELECT SUM(bytes), SUM(hits) FROM"
        . ' clamavtraffic');
    my ($bytes, $hits) = (0, 0);
    for (@second) {
        my ($client, $its, $count) = (split /\|/)[2, 5, 7];
        next if $kind eq 'mysql' && $client =~ /:/;     # no IPv6 in the post
        ($bytes, $hits) = ($bytes + 2 * $its, $hits + 2 * $count);
    }
    is_deeply(\@seen, ["$bytes|$hits"], "the post's table has both sites");
    is_deeply([$database->rows($post{$kind})], [], "the post's statistics");
    my $one = $post{$kind} =~ s/50\*1048576/5000/r;
    like(join(' ', $database->rows($one)),
        qr/^127\.0\.0\.2\|20\d\d-\d\d-\d\d \S+\|0\.0\d+/, 'show the largest');
    return;
}

for my $kind (qw(mysql pgsql sqlite)) {
    SKIP: {
        my $database = Database->run($kind) or skip $Database::why_not, 1;
        check($kind, $database);
        $database->load('DROP VIEW clamavtraffic;'
            . ' CREATE TABLE clamavtraffic (source INT);');
        is(join('', $database->load($script{$kind})), '0',
            "the post's own table stays, and is no failure");
    }
}

# ---- what is wrong ----
my @wrong = (
    [2, qr/"": expected mysql, pgsql or sqlite/],
    [2, qr/"oracle": expected mysql/, 'oracle'],
    [2, qr/--site "": expected 1 to 64/, 'mysql', '--site', ''],
    [2, qr/expected 1 to 64 printable/, 'mysql', '--site', 'x' x 65],
    [2, qr/expected 1 to 64 printable/, 'mysql', '--site', "a\tb"],
    [2, qr/operand too many/, 'mysql', 'pgsql'],
    [6, qr/no such table/, 'mysql', '--table', "$server->{dir}/none"],
    [6, qr/not a clamquota table/, 'mysql', '--table', $0],
);
for my $case (@wrong) {
    my ($status, $pattern, @arguments) = @$case;
    my ($got, $sql, $said) = export(@arguments);
    is("$got$sql", $status, "exit $status: @arguments");
    like($said, qr/^clamquota export: .*$pattern.*\n\z/, 'one sentence');
}
is(system("$build/clamquota export sqlite --table $table"
    . ' >/dev/full 2>/dev/null') >> 8, 1, 'exit 1: no room for the output');

# ---- a table that is another one before all rows were read: the reader of a
# pipe holds the script up until then, which is larger than a pipe ----
my $large = "$server->{dir}/large";
open my $pairs, '|-', "exec $build/clamquota feed --format pairs --daily 1M "
    . "--table $large 2>$server->{dir}/said" or die "feed: $!";
print $pairs map { '10.1.' . ($_ >> 8) . '.' . ($_ & 255) . " 1000\n" }
    0 .. 4999;
close $pairs or die 'feed';
my $good = read_file($large);
my %lost = (replaced => sub { write_file("$large.new", $good);
        rename "$large.new", $large or die "rename: $!" },
    removed => sub { unlink $large or die "unlink: $!" },
    'cut short' => sub { truncate $large, 8192 or die "truncate: $!" });
for my $how ('left alone', sort keys %lost) {
    write_file($large, $good);
    open my $script, '-|', "exec $build/clamquota export sqlite --site one "
        . "--table $large 2>$server->{dir}/said" or die "export: $!";
    my $sql = <$script>;
    $lost{$how}->() if $lost{$how};
    $sql .= join '', <$script>;
    close $script;
    is($? >> 8, $lost{$how} ? 6 : 0, "$how: exit status");
    is(read_file("$server->{dir}/said"), $lost{$how} ? "clamquota export: "
        . "$large: was cut short or replaced meanwhile, so nothing was "
        . "exported; try again\n" : '', "$how: what it says");
    is(() = $sql =~ /^(?:COMMIT|ROLLBACK);$/mg, 1, "$how: one end");
    like($sql, $lost{$how} ? qr/^ROLLBACK;\n\z/m : qr/^COMMIT;\n\z/m,
        "$how: which");
    SKIP: {
        my $database = Database->run('sqlite') or skip $Database::why_not, 2;
        is(join('', $database->load($sql)), '0', "$how: it loads");
        is_deeply([$database->rows('SELECT COUNT(*) FROM sqlite_master')],
            [$lost{$how} ? 0 : 3], "$how: what is in the database");
    }
}

# ---- a table whose period has ended, and no server to turn it ----
ok($server->stop, 'httpd stops');
my ($own) = (export('sqlite', '--site', 'one'))[1] =~ /(INSERT.*)COMMIT/s;
SKIP: {
    skip 'no faketime (./build.sh deps)', 1 if !program('faketime');
    for my $days (40, 400) {
        my $sql = `faketime -f +${days}d $build/clamquota export sqlite \\
            --table $table --site one`;
        my ($rows) = $sql =~ /(INSERT.*)COMMIT/s;
        is($rows =~ s/\d+\)$//mgr, $own =~ s/\d+\)$//mgr,
            "$days days later: the rows of its period still");
    }
}

# ---- a damaged table ----
my $bytes = read_file($table);
$bytes =~ s/images\0/i'\\\xff;\n\0/ or die 'no name of a pool';
write_file($table, $bytes);
my ($status, $sql, $said) = export('sqlite');
is("$status$said", 0, 'a damaged name of a pool');
like($sql, qr/,'i''\\\?;\?.*','127\.0\.0\.2',/, 'is a string');
SKIP: {
    my $database = Database->run('sqlite') or skip $Database::why_not, 1;
    is(join('', $database->load($sql)), '0', 'and loads');
}
finish();
