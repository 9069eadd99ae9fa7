# clamquota-sync --watch beside a program that changes the same nft sets: a
# random walk (CQ_TEST_SEED) over elements added, removed and flushed, sets made
# anew with other flags, rulesets flushed and loaded, and the tool killed. When
# it ends, packets of the wanted clients are dropped, and of no other one.
# mpm: once
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp qw(tempdir);
use Httpd qw(poll write_file read_file);
use IO::Socket::INET;
use Test::More;
use Wire;

my @client = map { "10.77.1.$_" } 1 .. 12;
my @wanted = @client[0 .. 5];
my $denied = '10.77.1.12';              # in a network of the deny file
lay(@client);
my ($jail) = grep { $_->{name} eq 'nft' } Wire::Jail->all;
my $why = $jail->lacks;
plan skip_all => $why if $why;

my $seed = $ENV{CQ_TEST_SEED} // 57;
srand $seed;
diag "CQ_TEST_SEED=$seed" if $ENV{CQ_TEST_SEED};
my $dir = tempdir(CLEANUP => 1);
my $offend = $Wire::Sync::PROGRAM =~ s{[^/]+$}{peer/offend}r;
must($offend, "$dir/table", 'daily', 'default', 1000,
    map { ('draw', 'default', $_, 2000, 200, 61) } @wanted);
write_file("$dir/deny", "10.77.1.12/31\n10.77.1.14\n");
utime time - 60, time - 60, "$dir/deny";
my $listener = IO::Socket::INET->new(LocalHost => Wire::V4, LocalPort => 80,
    Listen => 100, ReuseAddr => 1) or die "listen: $@";

my $pid;
END { local $?; kill 'KILL', $pid if $pid }
sub watch {
    $pid = fork // die "fork: $!";
    return if $pid;
    open STDERR, '>>', "$dir/said" or die;
    exec $Wire::Sync::PROGRAM, '--table', "$dir/table", '--state',
        "$dir/state", '--jail', 'nft:inet/clamquota/jail4,jail6,deny4,deny6',
        '--deny-file', "$dir/deny", '--watch';
}

# It fails where an earlier step removed what it changes.
sub nft { system 'sh', '-c', 'exec nft "$@" 2>/dev/null', 'sh', @_; return }
sub others {
    my $client = $client[rand @client];
    my $load = sub { nft('-f', "$Httpd::ROOT/conf/clamquota.nft") };
    my $set = 'inet clamquota jail4';
    my $clamquota = 'table inet clamquota';
    my @steps = (
        sub { nft("add element $set { $client timeout 10m }") },
        sub { nft("delete element $set { $client }") },
        sub { nft("flush set $set") },
        sub { nft('add element inet clamquota deny4 { 10.78.0.0/16 }') },
        sub { nft('flush set inet clamquota deny4') },
        $load,
        sub { nft('flush ruleset'); $load->() },
        sub { nft("delete $clamquota; $clamquota { "
            . join '', map({ my ($n, $f) = @$_; "set $n { type ipv"
                . substr($n, -1) . "_addr; flags $f; }; " }
                ['jail4', 'interval, timeout'], ['jail6', 'timeout'],
                ['deny4', 'interval'], ['deny6', 'interval']), '}');
            poll(3, sub { read_file("$dir/said") =~ /flag interval/ });
            is(must(qw(nft list set), split ' ', $set) =~ /elements/, '',
                'nothing is added to a set of intervals');
            $load->() },
        sub { kill 'KILL', $pid; waitpid $pid, 0; watch() });
    $steps[rand @steps]->();
}

watch();
for (1 .. 60) {
    others();
    select undef, undef, undef, 0.05;   # the pace of the others' changes
}
my $expected = join ' ', @wanted, '10.77.1.14';
ok(poll(10, sub { $jail->inside eq $expected }), 'the wanted ones are in it')
    or diag $jail->inside, "\n", read_file("$dir/said");
ok(poll(10, sub { must(qw(nft list set inet clamquota deny4))
    =~ m{elements = \{ 10\.77\.1\.12/31 \}} }), 'and the networks');
for my $client (@client) {
    my $is = grep { $_ eq $client } @wanted, $denied;
    is(dropped($jail, $client), $is ? 'dropped' : 'connected', "$client: "
        . ($is ? 'wanted' : 'not wanted'));
}
kill 'TERM', $pid;
waitpid $pid, 0;
is($?, 0, 'SIGTERM ends it');
undef $pid;
done_testing();
