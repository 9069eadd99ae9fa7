# mpm: once
# Every system call and every allocation of clamquota-sync fails once, in turn:
# it ends in order, says one sentence if it did not do all it was asked to, and
# the next pass puts everything right. The machine's own address and gateway are
# offenders and are never jailed, whatever fails.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Broken;
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use Httpd ();
use Peer qw(own_network);
use Test::More;

my $build = dirname($ENV{CQ_TEST_MODULE} // "$Httpd::ROOT/build/x");
own_network();
plan skip_all => 'nft lists nothing here'
    if system('nft list ruleset >/dev/null 2>&1') != 0;
my $dir = tempdir(CLEANUP => 1);
my $faults = Broken->new(dir => $dir);
plan skip_all => $Broken::why_not if !$faults;

# 198.51.100.1 is this machine, 198.51.100.2 its gateway.
for my $command ('ip link set lo up', 'ip address add 198.51.100.1/32 dev lo',
    'ip route add default via 198.51.100.2 dev lo onlink') {
    system($command) == 0 or die "$command\n";
}
system("$build/peer/offend", "$dir/orig", 'daily', 'default', 1000,
    map { ('draw', 'default', $_, 5000, 300, 100) } '198.51.100.1',
    '198.51.100.2', '198.51.100.7', '2001:db8::1') == 0 or die "offend\n";
Httpd::write_file("$dir/deny", "203.0.113.5\n203.0.113.128/25\n");
my $rules = Httpd::read_file("$Httpd::ROOT/conf/clamquota.nft");
Httpd::write_file("$dir/rules", $rules);

my ($table, $state, $spec) = ("$dir/table", "$dir/state",
    'nft:inet/clamquota/jail4,jail6,deny4,deny6');
my @sync = ("$build/clamquota-sync", '--table', $table, '--state', $state,
    '--jail', $spec, '--deny-file', "$dir/deny", '--grace', '0s');
my $wanted = '198.51.100.7 2001:db8:: 203.0.113.128/25 203.0.113.5';

sub jailed {
    my @elements;
    for my $set (qw(jail4 jail6 deny4 deny6)) {
        my $text = `nft list set inet clamquota $set`;
        push @elements, map { s/ .*//r } split /,\s*/, $1
            if $text =~ /elements = \{\s*(.*?)\s*\}/s;
    }
    return join ' ', sort @elements;
}

sub start_anew {
    unlink glob("$dir/table*"), glob("$dir/state*");
    copy("$dir/orig", $table) or die "$table: $!\n";
    chmod 0640, $table;
    system('nft', '-f', "$dir/rules") == 0 or die "nft\n";
    return;
}

sub sync_once { return $faults->run(@sync) }

for my $try ([pass => 0], ['another pass' => 1], [ 'dry run' => 0, '-n' ],
    [ status => 1, '--status' ], [ json => 1, '--status', '--json' ],
    [ flush => 1, '--flush' ]) {
    my ($name, $filled, @words) = @$try;
    $faults->{prepare} = sub { start_anew(); sync_once() if $filled };
    my @command = (@sync, @words);
    $faults->prepare;
    my $clean = $faults->run(@command);
    my $after = jailed();
    is("$clean->{status} $clean->{err}", '0 ', "$name: without a fault");
    is($after, $name =~ /flush|dry/ ? '' : $wanted, "$name: what is jailed");
    my @all = $faults->all(@command);
    my @bad;
    for my $fault (@all) {
        my $result = $faults->run_with($fault, @command);
        my @said = split /\n/, $result->{err};
        my $now = jailed();
        my @wrong;
        push @wrong, "ends with $result->{status}"
            if $result->{status} !~ /^[0-6]$/;
        push @wrong, 'not one sentence: ' . join '|', @said
            if @said != ($result->{status} eq '0' ? 0 : 1)
            || grep { !/^clamquota-sync: \S.*\S$/ } @said;
        push @wrong, "jailed: $now" if $result->{status} eq '0'
            ? $now ne $after : $now =~ /198\.51\.100\.[12]\b/;
        push @wrong, 'prints less'
            if $result->{status} eq '0' && $name eq 'dry run'
            && $result->{out} ne $clean->{out};
        my $check = `$build/peer/tablecheck -q $table 2>&1`;
        push @wrong, "the table: $check" if $? != 0;
        my $next = sync_once();
        push @wrong, "then $next->{status} $next->{err}" . jailed()
            if "$next->{status}$next->{err}" ne '0' || jailed() ne $wanted;
        push @bad, Broken::name($fault) . ': ' . join '; ', @wrong if @wrong;
    }
    is(join("\n", @bad), '', "$name: " . @all . ' faults');
}

# The daemon goes on, and puts every offender back.
$faults->{prepare} = \&start_anew;
my @watch = (@sync, '--watch');
my @calls = $ENV{CQ_TEST_ALL} ? qw(openat mmap newfstatat socket sendto sendmsg
    recvmsg read fsync rename write pread64) : qw(openat sendmsg);
my @bad;
for my $call (@calls) {
    for my $nth (1, 2) {
        start_anew();
        # counted from the second full pass on: a SIGHUP asks for one
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            open STDERR, '>', "$dir/watch" or die;
            exec @watch or die;
        }
        Httpd::poll(20, sub { jailed() eq $wanted })
            or push @bad, "$call: never jailed";
        my $tracer = fork // die "fork: $!\n";
        if (!$tracer) {
            open STDERR, '>', "$dir/tracer" or die;
            exec 'strace', '-o', '/dev/null', "--trace=$call",
                "--inject=$call:error=EIO:when=$nth", '-p', $pid or die;
        }
        Httpd::poll(20, sub { Httpd::read_file("$dir/tracer") =~ /attached/ })
            or die "strace -p\n";
        system('nft', 'flush set inet clamquota jail4') == 0 or die "nft\n";
        kill 'HUP', $pid;
        push @bad, "$call $nth: not jailed again; " . jailed()
            . Httpd::read_file("$dir/watch")
            if !Httpd::poll(20, sub { kill 'HUP', $pid; jailed() eq $wanted });
        kill 'TERM', $pid;
        waitpid $pid, 0;
        push @bad, "$call $nth: ends with $?" if $? != 0;
        waitpid $tracer, 0;
    }
}
is(join("\n", @bad), '', '--watch: ' . 2 * @calls . ' faults');

done_testing();
