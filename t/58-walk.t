# A random walk over what others do to the kernel's lists, between two passes
# and beside --watch: addresses added, removed, renewed, sets made anew with
# other flags, time-outs and sizes, rulesets flushed, the tool killed at any
# system call. Then packets: dropped are exactly the wanted ones and the
# operator's.
#
# CQ_TEST_SEED=n repeats a walk; with CQ_TEST_ALL it is twenty times as long.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp qw(tempdir);
use Httpd qw(poll write_file);
use IO::Select;
use IO::Socket::IP;
use Peer;
use Test::More;
use Wire;

my @clients = ((map { "10.77.1.$_" } 2 .. 7), map { "fd77:0:1:${_}::2" } 2 .. 7);
my @near = ('10.77.1.9', 'fd77:0:1:9::2');      # never in any list
my @denied = ('10.77.8.2', 'fd77:0:8::2');      # in networks of deny files
lay(@clients, @near, @denied);
my $no_trace = refusal('strace -o /dev/null true');
plan skip_all => $no_trace if $no_trace;

my $seed = $ENV{CQ_TEST_SEED} // time;
srand $seed;
my $steps = $ENV{CQ_TEST_ALL} ? 60 : 3;

my $dir = tempdir(CLEANUP => 1);
my $offend = $Wire::Sync::PROGRAM =~ s{[^/]+$}{peer/offend}r;
must($offend, "$dir/table", 'daily', 'default', 1000,
    map { ('draw', 'default', $_, 2000, 200, 61) } @clients);
my @listen = map { IO::Socket::IP->new(LocalHost => $_, LocalPort => 80,
    Listen => 100) // die "listen: $@" } Wire::V4, Wire::V6;

my ($jail, $kind, @log, @deny);
my $operators;          # { client => 1 }: added to stay
my $broken;             # sets that clamquota-sync must refuse, or too small

sub pick { return $_[rand @_] }
sub key { return $_[0] =~ /:/ ? $_[0] =~ s/::2$/::/r : $_[0] }
sub set { return ($_[0] =~ /:/ ? 6 : 4) }

# By hand, in the words of each kind; that may fail, as others' mistakes do
sub by_hand {
    my (@command) = @_;
    push @log, "@command";
    my ($status) = $jail->run(@command);
    return $status;
}

sub recent {
    my ($sign, $client) = @_;
    my $list = 'DenyAccessClamAV' . ($client =~ /:/ ? '6' : '');
    return by_hand('sh', '-c', "echo $sign" . key($client)
        . " >/proc/net/xt_recent/$list");
}

sub nft_set {
    my ($six, $rest) = @_;
    return "set jail$six { type ipv${six}_addr; $rest }";
}

# A table with rules, in which one set is as told
sub nft_table {
    my ($set, $rest) = @_;
    ($operators, $broken) = ({}, $rest !~ /^flags timeout;(?! size 3)/);
    my %rest = (4 => 'flags timeout;', 6 => 'flags timeout;', $set => $rest);
    push @log, "jail$set { $rest }";
    return $jail->must(\join("\n", 'table inet clamquota',
        'delete table inet clamquota', 'table inet clamquota {',
        (map { nft_set($_, $rest{$_}) } 4, 6),
        'set deny4 { type ipv4_addr; flags interval; }',
        'set deny6 { type ipv6_addr; flags interval; }', 'chain jail {', '}',
        'chain prerouting {', 'type filter hook prerouting priority raw;',
        'tcp dport 80 tcp flags syn / syn,ack jump jail', '}',
        'chain jail {', 'ip saddr @jail4 counter drop',
        'ip6 saddr & ffff:ffff:ffff:ffff:: @jail6 counter drop',
        'ip saddr @deny4 counter drop', 'ip6 saddr @deny6 counter drop', '}',
        '}', ''), qw(nft -f -));
}

sub anew {
    ($operators, $broken) = ({}, 0);
    eval { $jail->unload };
    $jail->load;
    push @log, 'all anew';
}

# What others do
my %acts = (
    recent => [
        sub { recent('+', pick(@clients, '192.0.2.1')) },
        sub { recent('-', pick(@clients)) },
        sub { recent('+', $_) for map { "192.0.2.$_" } 1 .. 130 },
        sub { by_hand('sh', '-c',
            'echo / >/proc/net/xt_recent/' . pick('DenyAccessClamAV',
            'DenyAccessClamAV6')) },
        \&anew,
        sub { $jail->load; push @log, 'rules twice' },
    ],
    nft => [
        (sub { my $c = pick(@clients, '192.0.2.1'); by_hand('nft',
            'add element inet clamquota jail' . set($c) . ' { ' . key($c)
            . ' timeout ' . pick('2s', '30s', '1h', '2h') . ' }') }) x 2,
        sub { my $c = pick(@clients); delete $operators->{$c}
            if by_hand('nft', 'delete element inet clamquota jail' . set($c)
                . ' { ' . key($c) . ' }') == 0; },
        sub { my $c = pick(@clients); by_hand('nft', 'delete element inet '
            . 'clamquota jail' . set($c) . ' { ' . key($c) . ' }');
            $operators->{$c} = 1 if by_hand('nft', 'add element inet clamquota'
                . ' jail' . set($c) . ' { ' . key($c) . pick('', ' timeout 9h')
                . ' }') == 0; },
        sub { my $set = pick(4, 6); by_hand("nft",
            "flush set inet clamquota jail$set");
            delete $operators->{$_} for grep { set($_) == $set } @clients },
        sub { by_hand('nft', 'flush set inet clamquota deny' . pick(4, 6)) },
        sub { by_hand('nft', 'add element inet clamquota '
            . pick('deny4 { 10.77.1.0-10.77.1.5 }',
                'deny6 { fd77:0:1::/48 }')) },
        sub { by_hand(qw(nft flush ruleset));
            ($operators, $broken) = ({}, 1) },
        sub { nft_table(pick(4, 6), pick(
            'flags interval, timeout;', 'flags interval;', '',
            'flags timeout; timeout 2s;', 'flags timeout; timeout 30d;',
            'flags timeout; size 3;', 'flags timeout; size 65536;')) },
        sub { $jail->load; ($operators, $broken) = ({}, 0);
            push @log, 'table anew' },
    ],
    ipset => [
        (sub { my $c = pick(@clients, '192.0.2.1'); by_hand('ipset', '-exist',
            'add', 'clamquota' . set($c), key($c), 'timeout',
            pick(2, 30, 3600, 7200)); delete $operators->{$c} }) x 2,
        sub { my $c = pick(@clients); by_hand('ipset', 'del',
            'clamquota' . set($c), key($c)); delete $operators->{$c} },
        sub { my $c = pick(@clients); $operators->{$c} = 1
            if by_hand('ipset', '-exist', 'add', 'clamquota' . set($c),
                key($c), 'timeout', pick(0, 99_999)) == 0 },
        sub { by_hand(qw(ipset flush)); $operators = {} },
        sub { my $rest = pick('hash:net timeout 60', 'hash:ip',
            'hash:ip timeout 2', 'hash:ip timeout 600 maxelem 3');
            my $set = pick(4, 6);
            anew();
            $broken = $rest !~ /^hash:ip timeout \d+$/;
            $jail->must(qw(iptables -w -t raw -F PREROUTING));
            $jail->must(qw(ip6tables -w -t raw -F PREROUTING));
            $jail->must('ipset', 'destroy', "clamquota$set");
            $jail->must('ipset', 'create', "clamquota$set", split(/ /, $rest),
                $set == 4 ? () : ('family', 'inet6',
                $rest =~ /hash:ip/ ? ('netmask', 64) : ()));
            push @log, "clamquota$set $rest";
            $jail->load_rules },
        \&anew,
    ],
);

# clamquota-sync, which is to jail these clients
sub sync {
    my ($wanted, @options) = @_;
    # a never file without an address is not believed
    write_file("$dir/never", join "\n", "192.0.2.200",
        (grep { !$wanted->{$_} } @clients), "");
    write_file("$dir/deny", join "\n", @deny, '');
    # long ago: a pass waits for a file that is being written
    utime time - 60, time - 60, "$dir/never", "$dir/deny";
    return ($Wire::Sync::PROGRAM, '--table', "$dir/table", '--state',
        "$dir/state", '--jail', $jail->{spec}, '--never-file', "$dir/never",
        $kind eq 'nft' ? ('--deny-file', "$dir/deny") : (), @options);
}

# One pass, through another program
sub look {
    my ($wanted, @through) = @_;
    my ($status, $said) = $jail->run(@through, sync($wanted));
    push @log, "look @through: $status $said";
    return ($status, $said);
}

my $watcher;
END { local $?; kill 'KILL', $watcher if $watcher }
sub watch {
    my (@command) = @_;
    $watcher = fork // die "fork: $!";
    return if $watcher;
    open STDERR, '>>', "$dir/watch" or die;
    exec @command or die;
}

sub kill_watcher {
    my ($signal) = @_;
    kill $signal, $watcher;
    waitpid $watcher, 0;
    undef $watcher;
    return $?;
}

# The clients whose SYN the rules drop: all begin a connection, and those that
# are not connected when as many packets were dropped are the others.
sub dropped_ones {
    my (@all) = @_;
    my $drops = sub { $jail->drops('10.0.0.1') + $jail->drops('fd77::') };
    my $before = $drops->();
    my %left = map { my $from = $_; $from => there(sub {
        IO::Socket::IP->new(PeerHost => Wire::to($from), PeerPort => 80,
            LocalHost => $from, Blocking => 0) // die "connect: $@" }) } @all;
    poll(20, sub {
        my $dropped = $drops->() - $before;
        IO::Select->new($left{$_})->can_write(0) && delete $left{$_}
            for keys %left;
        return $dropped >= keys %left;
    }) or return 'neither';
    return join ' ', sort keys %left;
}

sub Wire::Jail::load_rules {
    my ($self) = @_;
    $self->Jail::Namespace::load("clamquota-ipset.$_", "$_-restore", '-w', '-n')
        for qw(iptables ip6tables);
}

# Clients that are to be jailed, and networks
sub want {
    @log = ();
    @deny = $kind eq 'nft' ? grep { rand() < 0.5 } '10.77.8.0/24',
        'fd77:0:8::/48', '10.77.9.0/24', 'fd77:0:9::1' : ();
    return map { $_ => 1 } grep { rand() < 0.5 } @clients;
}

# Whose packets are dropped, and whose should be
sub packets {
    my (@held) = @_;
    push @held, $denied[0] if grep { $_ eq '10.77.8.0/24' } @deny;
    push @held, $denied[1] if grep { $_ eq 'fd77:0:8::/48' } @deny;
    return (dropped_ones(@clients, @near, @denied), join ' ', sort @held);
}

sub is_or_log {
    my ($is, $expected, $name) = @_;
    is($is, $expected, $name) or diag("CQ_TEST_SEED=$seed\n",
        map { "    $_\n" } @log);
    return $is eq $expected;
}

sub step {
    my ($name, $packets) = @_;
    my %wanted = want();
    look(\%wanted);
    pick(@{ $acts{$kind} })->() for 1 .. 1 + rand 4;
    %wanted = map { $_ => 1 } grep { rand() < 0.5 } @clients;
    # killed before one of the calls with which it asks or changes something,
    # or before any
    my $call = pick(qw(sendto sendto write lseek recvmsg rename openat all));
    look(\%wanted, 'strace', '-o', "$dir/trace", '-e', "trace=$call", '-e',
        "inject=$call:signal=KILL:when=" . int 1 + rand($call eq 'all' ? 250
        : 12)) if rand() < 0.7;
    pick(@{ $acts{$kind} })->() if rand() < 0.3;
    my ($status) = look(\%wanted);
    my @held = grep { $wanted{$_} || $operators->{$_} } @clients;
    my $more = '';
    # what cannot be used is refused, what is small holds no others; after that
    # all is right with the rules of conf/
    if ($broken) {
        my %held = map { key($_) => 1 } @held;
        $more = join ' ', grep { !$held{$_} } split / /, $jail->inside
            if $status != 3;
        anew();
        ($status) = look(\%wanted);
        @held = grep { $wanted{$_} } @clients;
    }
    my $is = "$more$status; " . join ' ', sort split / /, $jail->inside;
    my $expected = join ' ', '0;', sort map { key($_) } @held;
    if ($packets) {
        my ($dropped, $wanted) = packets(@held);
        $is .= "; $dropped";
        $expected .= "; $wanted";
    }
    return is_or_log($is, $expected, $name);
}

# What the kernel has of the operator's, as it may depend on the order
sub operators {
    my $program = $jail->jail($jail->{spec});
    $program->ask('open r');
    my %is = map { /^(\S+) .*operator's$/ ? ($1 => 1) : () }
        @{ $program->ask('list')->{lines} };
    return grep { $is{ key($_) } } @clients;
}

sub networks {
    my $program = $jail->jail($jail->{spec});
    $program->ask('open r');
    return @{ $program->ask('networks')->{lines} };
}

# Beside --watch, which is killed now and then. What it does not hear of
# (xt_recent and ipset notify no program) it finds at SIGHUP, as at its next full pass.
sub watched {
    my ($name) = @_;
    my %wanted = want();
    my @command = sync(\%wanted, '--watch');
    anew();
    watch(@command);
    for (1 .. $steps * 5) {
        pick(@{ $acts{$kind} })->();
        if (rand() < 0.15) {
            kill_watcher('KILL');
            watch(@command);
        }
        select undef, undef, undef, 0.05;   # the pace of the others' changes
    }
    anew() if $broken;
    my ($is, $expected, @held);
    my $settled = sub {
        @held = grep { $wanted{$_} } @clients;
        push @held, grep { !$wanted{$_} } operators();
        $is = join ' ', (sort split / /, $jail->inside), networks();
        $expected = join ' ', (sort map { key($_) } @held),
            map { m{/} ? $_ : "$_/128" } sort @deny;
        return $is eq $expected;
    };
    # an nft set is right within a look, without a word
    if ($kind eq 'nft' ? !poll(8, $settled) : 1) {
        kill 'HUP', $watcher;
        poll(20, $settled);
        fail("$name: the kernel's generation was noticed") if $kind eq 'nft';
    }
    is_or_log($is, $expected, "$name: the wanted ones are in");
    is_or_log(packets(@held), "$name: dropped");
    is(kill_watcher('TERM'), 0, "$name: SIGTERM ends it");
}

for (Wire::Jail->all) {
    $jail = $_;
    $kind = $jail->{spec} =~ /^(\w+)/ ? $1 : die;
    ($operators, $broken) = ({}, 0);
    next if $jail->{name} eq 'iptables-legacy';     # the same list
    my $why = $jail->lacks;
    SKIP: {
        skip $why, 1 if $why;
        unlink "$dir/state";
        for my $n (1 .. $steps) {
            step("$jail->{name}, step $n", $n % 3 == 0) or last;
        }
        watched("$jail->{name}, --watch");
        eval { $jail->unload };
    }
}
done_testing();
