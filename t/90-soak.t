# A soak: clients of every kind download from two nodes that share their
# counters, while everything that can fail does. In the end the books balance:
# what each client received is what it was charged (Books.pm), the tables are
# sound, the logs name what was done and nothing else, no process has grown, and
# no client is jailed but those that hammer.
#
# CQ_TEST_SOAK is how many seconds (./build.sh soak S: S/3 under each MPM);
# CQ_TEST_SEED=n repeats the order of faults and what each client does;
# CQ_TEST_VERBOSE prints each fault.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Books;
use Cluster;
use Crowd;
use Faults;
use Httpd;
use Load;
use Mirror ();
use Peer;
use Test::More;
use Wire;

use constant { DAILY => 3_000_000, MEDIUM => 5_000_000 };

if (!$ENV{CQ_TEST_MOUNTS}) {
    my $refusal = refusal('unshare --mount true');
    plan skip_all => $refusal if $refusal;
    $ENV{CQ_TEST_MOUNTS} = 1;
    exec 'unshare', '--mount', $^X, $0 or die "unshare: $!\n";
}

my @crowd = grep { Crowd::is_here($_) } (qw(looper loader slow aborter) x 2,
    qw(prober curl wget aria2 apt freshclam streams streams curl2 h2load
    looper));
my @rogues = qw(attacker attacker attacker hammer hammer polite);
my %kind = ((map { ('10.77.1.' . ($_ + 2) => $crowd[$_]) } 0 .. $#crowd),
    map { ('10.77.2.' . ($_ + 2) => $rogues[$_]) } 0 .. $#rogues);
my $seconds = $ENV{CQ_TEST_SOAK} || 8;

lay(sort keys %kind);
need_memcached();
my ($nft) = grep { $_->{name} eq 'nft' } Wire::Jail->all;
my $why = $nft->lacks;
plan skip_all => $why if $why;

# ---- two nodes; the first one's table is on a disk that will be full ----
my %port;
my $cluster = Cluster->new(nodes => 2, memcached => 2, each => [map { {
    faketime => '2036-11-20 12:00:00', modules => mpm() eq 'prefork' ? []
    : ['http2'], conf => Books::LOG . <<"EOC" } } 80, 443]);
Listen 10.77.0.1:$_
ClamQuotaPeriod Day
ClamQuotaTimezone UTC
ClamQuotaDaily 1T
ClamQuotaClient 10.77.2.0/24 @{[DAILY]}
LogLevel clamquota:notice
<IfModule mpm_prefork_module>
    StartServers 20
    MaxSpareServers 60
    ServerLimit 400
    MaxRequestWorkers 400
</IfModule>
<IfModule !mpm_prefork_module>
    ServerLimit 80
    ThreadsPerChild 20
    StartServers 3
    MaxSpareThreads 120
    MaxRequestWorkers 400
</IfModule>
<IfModule http2_module>
    Protocols h2c http/1.1
</IfModule>
EOC
my ($first, $second) = my @nodes = $cluster->nodes;
my $disk = "$first->{dir}/state";
must(qw(mount -t tmpfs -o size=48m soak), $disk);
for my $node (@nodes) {
    my $htdocs = "$node->{dir}/htdocs";
    write_file("$htdocs/$_->[0]", 's' x $_->[1]) for ['tiny', 10],
        ['small', 20_000], ['medium', MEDIUM], ['big', 16_000_000];
    mkdir "$htdocs/fc";
    write_file("$htdocs/fc/$_.cvd", Mirror::database(6, 400_000))
        for qw(daily main bytecode);
    is($node->start, '', 'a node starts');
}
$cluster->await_nodes;

# ---- the soak ----
my $begun = time;
my $faults = Faults->new(cluster => $cluster, jail => $nft,
    noon => $first->{began}, seed => int rand 1 << 30);
for my $from (sort keys %kind) {
    my $is_rogue = $from =~ /^10\.77\.2\./;
    # the last one asks both nodes
    Crowd->begin($first, $kind{$from}, $from, int rand 1 << 30,
        $is_rogue ? 80 : $from eq '10.77.1.' . (1 + @crowd) ? (80, 443)
        : $from =~ /[02468]$/ ? 80 : 443);
}
$faults->run($seconds);
note "faults: ", join ', ', map { "$faults->{done}{$_} $_" }
    sort keys %{$faults->{done}};
is(join("\n", @{$faults->{wrong} // []}), '', 'clamquota beside it ends well');

# ---- the end: all come out, the books are closed ----
is($faults->end_sync, 0, 'clamquota-sync ends on SIGTERM');
my $jailed = $faults->jailed;
$nft->unload;
my $books = Crowd::stop();
note "$kind{$_} $_: $books->{$_}{times} times, $books->{$_}{unanswered} "
    . 'without an answer' for sort keys %kind;

my (%row, %log);
sub read_rows {
    for my $node (@nodes) {
        $row{$node->{port}} = { map { $_->{client} => $_ }
            @{$node->json('limit=10000')->{clients}} };
        $log{$node->{port}} = Books::read_log($node);
    }
}

sub wrong_books {
    my @wrong;
    for my $from (sort keys %kind) {
        for my $n (0, 1) {
            my $port = $nodes[$n]{port};
            push @wrong, Books::wrong("$kind{$from} $from, node $n",
                $books->{$from}{book}{(80, 443)[$n]} // {},
                $log{$port}{$from}, $row{$port}{$from},
                $kind{$from} =~ /^(?:aborter|attacker|curl|aria2)$/);
        }
    }
    return join "\n", grep { $_ ne '' } @wrong;
}

# A client that asked a node is there with the sum of both.
sub disagreements {
    my @wrong;
    for my $from (sort keys %kind) {
        my @rows = grep { defined } map { $row{$_->{port}}{$from} } @nodes;
        my $sum = 0;
        $sum += $_->{here}{used} for @rows;
        push @wrong, "$from: $_->{used}, not $sum"
            for grep { $_->{used} != $sum } @rows;
    }
    return join "\n", @wrong;
}

sub in_flight {
    return grep { $_->json('limit=1')->{totals}{in_flight} } @nodes;
}

ok(poll(20, sub { !in_flight() }), 'nothing is in flight');
my ($unbalanced, $unequal);
poll(30, sub {
    read_rows();
    ($unbalanced, $unequal) = (wrong_books(), disagreements());
    return "$unbalanced$unequal" eq '';
});
is($unbalanced, '', 'the books balance');
is($unequal, '', 'the nodes agree');
for my $from (sort keys %kind) {
    my ($row, $log) = map { $_->{$first->{port}}{$from} // {} } \%row, \%log;
    if ($from =~ /^10\.77\.2\./) {
        cmp_ok($row->{used}, '<=', DAILY + MEDIUM + 1000,
            "$kind{$from} $from: over by at most one answer");
    }
    else {
        my ($refusals) = $log->{refusals} // 0;
        is($refusals, 0, "$kind{$from} $from: never refused");
    }
    cmp_ok($books->{$from}{times}, '>', 0, "$kind{$from} $from: it worked");
}
is_deeply([grep { $kind{$_} !~ /^(?:hammer|attacker)$/ } keys %$jailed], [],
    'no polite client is jailed');
cmp_ok(scalar keys %$jailed, '>', 0, 'the others are');

for my $node (@nodes) {
    is(Load::check_quiet_table($node), '', "$node->{port}: the table is sound");
    my ($exit, $said) = Mirror::run($node, $Wire::Sync::PROGRAM =~ s/-sync$//r,
        'check', '--table', "$node->{dir}/state/clamquota.table");
    is($exit, 0, "$node->{port}: clamquota check") or diag $said;
    my $json = $node->json('limit=1');
    is("$json->{table}{evictions} $json->{table}{untracked}", '0 0',
        "$node->{port}: no client is forgotten");
    note sprintf '%s: %d bytes sent, %d hits, %d refused in %d s',
        $node->{port}, @{$json->{totals}}{qw(sent hits refused)},
        time - $begun;
}

# ---- nothing has grown ----
$faults->sample($_) for @nodes;
for my $name (sort keys %{$faults->{samples}}) {
    my @samples = @{$faults->{samples}{$name}};
    next if @samples < 3;
    my ($before, $after) = @samples[1, -1];
    note "$name: $before->[0] to $after->[0] KiB, $before->[1] to $after->[1] "
        . 'descriptors in ' . @samples . ' samples';
    cmp_ok($after->[0], '<=', $before->[0] + 4096, "$name: memory");
    cmp_ok($after->[1], '<=', $before->[1] + 2, "$name: descriptors");
}
note "children: at most $faults->{most_kb} KiB, $faults->{most_fds} "
    . 'descriptors';

# ---- what was done is logged, and nothing else: an attacker's header, killed
# exchangers and children, servers of the cluster, jumps of the clock ----
for my $node (@nodes) {
    ok($node->stop, "$node->{port} stops");     # what it logs last counts, too
    $node->allow_log($_, scalar $node->log_lines($_)) for map {
        qr/:(?:warn|error)\] .*$_: / } 'CQ0122', 'CQ0134', 'CQ0151',
        'CQ015[3-7]', 'AH1039[23]';
}
finish();

END {
    local $?;
    system 'umount', '-l', $disk if $disk;
}
