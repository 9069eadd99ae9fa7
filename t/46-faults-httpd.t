# mpm: once
# Every system call with which httpd makes, opens or enlarges its table, and
# every allocation of the module, fails once, in turn: httpd starts and counts,
# or says one sentence and ends. The table is whole and nothing in it is lost.
# And httpd is killed before each of these calls: the next one starts. httpd -t
# leaves out what it cannot read.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Broken;
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use Httpd;
use Test::More;

my $build = dirname($ENV{CQ_TEST_MODULE} // "$Httpd::ROOT/build/x");
my $dir = tempdir(CLEANUP => 1);
$Broken::STEP = 4 if $Broken::STEP > 1;     # they are few
chmod 0755, $dir;
my $faults = Broken->new(dir => $dir);
plan skip_all => $Broken::why_not if !$faults;

my $server = Httpd->new(conf => <<'EOT2', preload => [$faults->{alloc}],
ClamQuotaPeriod Day
ClamQuotaTimezone UTC
ClamQuotaDaily 10M
ClamQuotaClient 192.0.2.0/24 20M
EOT2
    env => { CQ_FAULT_OBJECT => 'mod_clamquota', CQ_FAULT_ALLOC => 0,
        CQ_FAULT_COUNT => "$dir/count" });
write_file("$server->{dir}/htdocs/file", 'f' x 5000);
my $table = "$server->{dir}/state/clamquota.table";
system("$build/peer/offend", "$dir/orig", 'daily', 'default', 10_000_000,
    'draw', 'default', '192.0.2.1', 5000, 0, 0) == 0 or die "offend\n";

# A client's bytes in the table
sub used {
    my ($client) = @_;
    my ($line) = grep { /^\Q$client\E,/ }
        split /\n/, `$build/clamquota report --csv --table $table`;
    return $line ? (split /,/, $line)[4] : 0;
}

my $there;      # the table is there already
sub prepare {
    unlink glob "$server->{dir}/state/*";
    return if !$there;
    copy("$dir/orig", $table) or die "$table: $!\n";
    return;
}

# Starts httpd through these words; what is wrong, and whether it runs.
sub started {
    prepare();
    return judge(@_);
}

sub judge {
    my @through = @_;
    my $mark = $server->mark;
    my $said = $server->start(@through);
    my $runs = $server->{pid};
    my @wrong;
    if ($runs) {
        push @wrong, 'does not serve' if $server->get('/file')->{status} != 200;
        push @wrong, 'does not count'
            if !poll(5, sub { used('127.0.0.1') > 5000 });
        $server->stop;
    }
    # on the terminal, in the log or in both; a directive's is without a tag
    my %sentences = map { /\b(CQ\d+: .*|^ClamQuota\w+: .*)/ ? ($1 => 1) : () }
        split(/\n/, $said),
        $server->log_lines(qr/:(?:error|emerg)\]|^ClamQuota/, $mark);
    push @wrong, 'says ' . join '|', $said, sort keys %sentences
        if keys %sentences != ($runs ? 0 : 1);
    push @wrong, 'crashes' if $server->log_lines(qr/exit signal/, $mark);
    my $check = `$build/peer/tablecheck -q $table 2>&1`;
    push @wrong, "the table: $check" if $? != 0 && -e $table;
    push @wrong, 'lost: ' . used('192.0.2.1')
        if $there && used('192.0.2.1') != 5000;
    push @wrong, map { "left: $_" } grep { $_ ne $table }
        glob "$server->{dir}/state/*";
    return (join('; ', @wrong), $runs);
}

# The calls of the start, or of what else runs httpd, that name this directory
sub calls {
    my ($run, $where) = @_;
    my $trace = "$dir/trace";
    my @calls = sort keys %Broken::errno;
    my ($wrong) = $run->('strace', '-D', '-f', '-y', '-qq', '-o', $trace,
        '--trace=' . join(',', @calls));
    is($wrong, '', 'traced, without a fault');
    my (%n, @faults, $first);
    for (split /\n/, read_file($trace)) {
        my ($pid, $call, $text) = /^(\d+) +(\w+)\((.*)/ or next;
        $first //= $pid;
        last if $pid != $first;     # a child: the start is over
        $n{$call}++;
        next if $text !~ /\Q$server->{dir}\E\/$where/
            || $text =~ /F_GETLK/;
        push @faults, { call => $call, n => $n{$call},
            errno => $Broken::errno{$call}, text => substr $text, 0, 90 };
    }
    return @faults;
}

# How strace makes a call fail, or worse. Not with --seccomp-bpf, by which no
# signal comes.
sub inject {
    my ($fault, $how) = @_;
    return ('strace', '-D', '-f', '-qq', '-o', '/dev/null',
        "--trace=$fault->{call}",
        "--inject=$fault->{call}:$how:when=$fault->{n}");
}

# What is wrong with the start after one that was killed there
sub killed {
    my ($fault) = @_;
    prepare();
    $server->start(inject($fault, 'signal=KILL'));
    if ($server->{pid}) {
        $server->stop;
        return 'survives';
    }
    unlink grep { $_ ne $table } glob "$server->{dir}/state/*";
    return (judge())[0];
}

for my $scenario (['a new table' => 0], ['a table that becomes larger' => 1]) {
    (my $name, $there) = @$scenario;
    my ($wrong, $runs) = started();
    is($wrong, '', "$name: without a fault");
    ok($runs, "$name: starts");
    my ($allocations) = read_file("$dir/count") =~ /^(\d+)$/;
    cmp_ok($allocations, '>', 3, "$name: allocations");
    my @all = Broken::choose(calls(\&started, qr/state/),
        map { { alloc => $_ } } 1 .. $allocations);
    cmp_ok(scalar @all, '>', 4, "$name: " . @all . ' faults');
    my ($stopped, @bad) = 0;
    for my $fault (@all) {
        local $server->{env}{CQ_FAULT_ALLOC} = $fault->{alloc} // 0;
        ($wrong, $runs) = started($fault->{call}
            ? inject($fault, "error=$fault->{errno}") : ());
        push @bad, Broken::name($fault) . ": $wrong" if $wrong;
        $stopped++ if !$runs;
    }
    cmp_ok($stopped, '>', 0, "$name: $stopped of them stop httpd");
    is(join("\n", @bad), '', "$name: in turn");
    my %after = map { Broken::name($_) => killed($_) } grep { $_->{call} } @all;
    is_deeply({ map { $after{$_} ? ($_ => $after{$_}) : () } keys %after }, {},
        "$name: killed " . keys(%after) . ' times');
}

# httpd -t looks for files larger than a quota, and leaves out what it cannot
# read. That the DocumentRoot is a directory is for httpd to say.
sub checked {
    my ($status, $said) = $server->config_test($server->{conf}, @_);
    my @lines = grep { !/^AH00526: / } split /\n/, $said;
    my $expected = $status eq '0' ? qr/^Syntax OK$/ : qr/ClamQuota\w+: \S/;
    return '' if @lines == 1 && $lines[0] =~ $expected;
    return "ends with $status: $said";
}
is(checked(), '', 'httpd -t: without a fault');
my ($allocations) = read_file("$dir/count") =~ /^(\d+)$/;
my @all = (calls(\&checked, qr/htdocs(?!", \{)/),
    map { { alloc => $_ } } 1 .. $allocations);
cmp_ok(scalar @all, '>', 2, 'httpd -t: ' . @all . ' faults');
my @bad;
for my $fault (@all) {
    local $server->{env}{CQ_FAULT_ALLOC} = $fault->{alloc} // 0;
    my $wrong = checked($fault->{call}
        ? inject($fault, "error=$fault->{errno}") : ());
    push @bad, Broken::name($fault) . ": $wrong" if $wrong;
}
is(join("\n", @bad), '', 'httpd -t: in turn');
done_testing();
