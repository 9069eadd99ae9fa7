# clamquota feed where it is meant to be: behind a piped log of httpd through
# every kind of restart, behind syslog-ng as conf/ shows it, behind tail -F
# while a log is rotated, over the end of a month; and clamquota-sync behind it.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Feed;
use File::Temp 'tempdir';
use Httpd;
use Peer;
use POSIX ();
use Test::More;

my $dir = tempdir(CLEANUP => 1);
my $top = $Httpd::ROOT;
my @children;

sub start { # a command, in a process group of its own
    my ($output, @command) = @_;
    defined(my $pid = fork) or die "fork: $!";
    if (!$pid) {
        POSIX::setsid();
        %ENV = (%ENV, Peer::environment($command[0]));
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $output;
        open STDERR, '>&', \*STDOUT;
        exec @command or POSIX::_exit(127);
    }
    push @children, $pid;
    return $pid;
}
END {
    local $?;
    kill 'KILL', map { -$_ } @children if @children;
    waitpid $_, 0 for @children;
}

# ---- a piped log: each %O of the log is in the table, once ----
my $table = "$dir/httpd";
my $server = Httpd->run(quota => 0, conf => <<"EOT");
LogFormat "%a %O" pairs
CustomLog "|$Feed::BUILD/clamquota feed --until-end --format pairs --daily 1G --table $table" pairs
EOT
write_file("$server->{dir}/htdocs/f", 'x' x 5000);
write_file("$server->{dir}/htdocs/big", 'x' x 20_000_000);

sub logged { # "client used hits" by the access log, all lines of a server
    my %sum;
    for (split /\n/, read_file("$server->{dir}/logs/access.log")) {
        my ($client, $bytes) = /^(\S+) \d+ (\d+) / or next;
        $sum{$client}[0] += $bytes;
        $sum{$client}[1]++;
    }
    return join ' ', map { "$_ @{$sum{$_}}" } sort keys %sum;
}

sub counted {
    my $rows = Feed::rows($table);
    return join ' ', map { "$_ @{$rows->{$_}}{qw(used hits)}" }
        sort keys %$rows;
}

sub visit { $server->get('/f', '--interface', "127.0.0.$_") for 2 .. 4 }

visit();
# a download that the old child goes on with
my $slow = $server->connect(from => '127.0.0.9');
$slow->send("GET /big HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
ok($server->graceful, 'a graceful restart');
visit();
$slow->drain;
poll(10, sub { logged() =~ /127\.0\.0\.9/ });
poll(10, sub { counted() eq logged() });
is(counted(), logged(), 'the old and the new generation are counted');
like(counted(), qr/127\.0\.0\.9 20\d{6} 1/, 'the download, too');
ok($server->restart, 'a restart at once');
visit();
poll(10, sub { counted() eq logged() });
is(counted(), logged(), 'is counted');
ok($server->stop, 'a stop');
poll(10, sub { counted() eq logged() });
is(counted(), logged(), 'and all that was logged');
is((split / /, counted())[2], 3, 'three hits of each');
# the old process of a graceful restart may be about to end
is(system("$Feed::BUILD/clamquota check --table $table >/dev/null"), 0,
    'the table is in order');

# ---- tail -F, and both ways to rotate a log ----
my ($log, $client) = ("$dir/access.log", '192.0.2.1');
sub append {
    my ($lines) = @_;
    open my $file, '>>', $log or die "$log: $!";
    print $file Feed::line($client, 1) x $lines;
    close $file or die "$log: $!";
}
append(10);
$table = "$dir/tail";
my $tail = start("$dir/tail.out", 'sh', '-c', 'tail -n +1 -s 0.1 -F "$1" |'
    . ' exec "$2" feed --table "$3"', 'sh', $log, "$Feed::BUILD/clamquota",
    $table);
is(Feed::figures($table, $client, '10 0 10 0'), '10 0 10 0', 'tail -F');
rename $log, "$log.1" or die;
append(10);
is(Feed::figures($table, $client, '20 0 20 0'), '20 0 20 0', 'renamed');
system('cp', $log, "$log.2") == 0 && truncate $log, 0 or die;
poll(10, sub { read_file("$dir/tail.out") =~ /truncated/ });
append(3);
is(Feed::figures($table, $client, '23 0 23 0'), '23 0 23 0', 'copytruncate');
kill 'TERM', -$tail;
waitpid $tail, 0;
is(Feed::figures($table, $client), '23 0 23 0', 'SIGTERM to both');

# ---- syslog-ng, with the post's parser and filter, as conf/ has them ----
SKIP: {
    my $syslog = program('syslog-ng')
        or skip 'no syslog-ng: ' . Peer::reason('syslog-ng-core'), 2;
    my $logger = program('logger') or skip 'no logger', 2;
    $table = "$dir/syslog";
    my $sample = read_file("$top/conf/clamquota.syslog-ng");
    $sample =~ s{/usr/sbin/clamquota feed}{$Feed::BUILD/clamquota feed --table $table}
        or die 'no command in the sample';
    my ($version) = do {
        local %ENV = (%ENV, Peer::environment($syslog),
            LD_LIBRARY_PATH => library_path($syslog));
        `$syslog --version 2>&1` =~ /^Config version: (\S+)/m };
    write_file("$dir/syslog.conf", "\@version: $version\nsource s_src {"
        . " unix-dgram(\"$dir/socket\"); };\n$sample");
    my ($modules) = glob Peer::root() . '/usr/lib/syslog-ng/*/libcsvparser.so';
    my @modules = $modules ? '--module-path=' . $modules =~ s{/[^/]+$}{}r : ();
    my $pid = start("$dir/syslog.out", 'env', 'LD_LIBRARY_PATH='
        . library_path($syslog), $syslog, '--foreground', '--no-caps', '-f',
        "$dir/syslog.conf", '-R', "$dir/persist", '-p', "$dir/pid", '-c',
        "$dir/control", @modules);
    poll(20, sub { -S "$dir/socket" && -e $table })
        or diag read_file("$dir/syslog.out");
    my $line = 'mirror 192.0.2.4 - - [' . POSIX::strftime('%d/%b/%Y:%T +0000',
        gmtime) . '] "GET /main.cvd HTTP/1.1" %s 30000000 "-" "ClamAV/1 (OS:'
        . ' linux)"' . "\n";
    write_file("$dir/lines", join '', map { sprintf $line, $_ }
        200, 206, 403, 404, (200) x 48);
    system($logger, '-u', "$dir/socket", '-t', 'apache2', '-f',
        "$dir/lines") == 0 or die 'logger';
    my $expected = 'hits and refusals: 50';
    my $got = '';
    poll(10, sub {
        my $row = Feed::rows($table)->{'192.0.2.4'} // {};
        $got = 'hits and refusals: ' . (($row->{hits} // 0)
            + ($row->{refused} // 0));
        return $got eq $expected;
    });
    is($got, $expected, 'syslog-ng: each 200 and 206, none of the others');
    kill 'TERM', $pid;
    waitpid $pid, 0;
    is(system("$Feed::BUILD/clamquota check --table $table >/dev/null"), 0,
        'and the table is in order');
}

# Where its own libraries are, beside those of each unpacked package
sub library_path {
    my ($program) = @_;
    my %environment = Peer::environment($program) or return '';
    return join ':', $environment{LD_LIBRARY_PATH},
        Peer::root() . '/usr/lib/syslog-ng';
}

# ---- clamquota-sync --after 1 ----
$table = "$dir/sync";
Feed::all($table, [qw(--daily 1k --period Day)], map { Feed::line($_, 2000) x 2 }
    '203.0.114.7', '2a02:db8::1');
SKIP: {
    my $sets = "unshare -n sh -c 'nft -f $top/conf/clamquota.nft";
    my $refusal = refusal("$sets'");
    skip $refusal, 1 if $refusal;
    is(join(' ', sort split /\n/, `$sets && $Feed::BUILD/clamquota-sync -n \\
        --after 1 --grace 0 --table $table \\
        --jail nft:inet/clamquota/jail4,jail6,deny4,deny6'`),
        '+203.0.114.7 +2a02:db8::', 'clamquota-sync jails its offenders');
}

# ---- over the end of a month ----
SKIP: {
    my ($faketime) = glob '/usr/lib/*/faketime/libfaketimeMT.so.1';
    skip 'libfaketime is not here (./build.sh deps)', 5 if !$faketime;
    my $zero = 1_769_904_000;       # 2026-02-01 00:00:00 UTC
    my $at = sub { write_file("$dir/clock", sprintf "%+d\n",
        $zero + $_[0] - time) };
    my %env = (LD_PRELOAD => $faketime, FAKETIME_NO_CACHE => 1,
        FAKETIME_TIMESTAMP_FILE => "$dir/clock", NO_FAKE_STAT => 1,
        FAKETIME_DONT_FAKE_MONOTONIC => 1, TZ => 'UTC');
    my $line = sub { Feed::line('192.0.2.1', $_[0], time => $zero + $_[1]) };
    $table = "$dir/month";
    $at->(-60);
    my $feed = Feed->begin($table, { env => \%env }, '--daily', '1k')->ready;
    local %ENV = (%ENV, %env);
    $feed->write($line->(31 * 1024, -65), $line->(7, -64));
    is(Feed::figures($table, '192.0.2.1', '31744 0 1 1'), '31744 0 1 1',
        'the last day of a month');
    $at->(5);
    $feed->write($line->(500, 3), $line->(20, -600));
    is(Feed::figures($table, '192.0.2.1', '520 0 2 0'), '520 0 2 0',
        'the first: a new period, and what was begun in the old one');
    $feed->write($line->(1000, -90_000), $line->(600, 4), $line->(1, 5));
    is(Feed::figures($table, '192.0.2.1', '1120 0 3 1'), '1120 0 3 1',
        'without what is older, and with the first day\'s allowance');
    is($feed->end, 0, 'and ends');
    like($feed->said, qr/: 0 could not be read, 0 had no address, 1 were old/,
        'reports the older one');
}
finish();
