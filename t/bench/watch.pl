#!/usr/bin/perl
# clamquota-sync --watch beside a real httpd, with real packets: what it costs
# at rest, how long after the refusal that makes a client an offender its first
# SYN is dropped while others hammer, and what system calls the module makes
# in a flood of refusals. Root, as it lays a cable between two network
# namespaces of its own.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use List::Util qw(max min sum0);
use Time::HiRes qw(sleep time);

my $build;

BEGIN {
    $build = $ENV{BUILD} // 'build';
    $build = "$FindBin::Bin/../../$build" if $build !~ m{^/};
    $ENV{CQ_TEST_MODULE} //= "$build/mod_clamquota.so";
}
use Httpd;
use IO::Socket::INET;
use Test::More;
use Wire;

my ($ROUNDS, $AFTER) = (100, 200);
my @victims = map { "10.77.1.$_" } 1 .. $ROUNDS;
my ($flood, $reader, $graced) = qw(10.77.2.1 10.77.3.1 10.77.4.1);
lay(@victims, $flood, $reader, $graced);
my ($jail) = grep { $_->{name} eq 'nft' } Wire::Jail->all;
my %running;
END { local $?; kill 'KILL', keys %running; waitpid $_, 0 for keys %running }

# Starts a program; what it says goes into a file.
sub begin {
    my ($output, @command) = @_;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDOUT, '>', $output;
        open STDERR, '>&', \*STDOUT;
        exec @command or POSIX::_exit(127);
    }
    $running{$pid} = 1;
    return $pid;
}

sub end {
    my ($pid, $signal) = @_;
    kill $signal, $pid;
    waitpid $pid, 0;
    delete $running{$pid};
}

# milliseconds of CPU that a process has had
sub cpu_ms { return (split ' ', read_file("/proc/$_[0]/schedstat"))[0] / 1e6 }

sub median { return (sort { $a <=> $b } @_)[@_ / 2] }

# ---- at rest: 262,144 clients, 100,000 of them jailed ----
sub rest {
    my $dir = tempdir('cq-bench-XXXXXX', DIR => '/dev/shm', CLEANUP => 1);
    must("$build/bench/pass", "$dir/table");
    $jail->load;
    my $pid = begin("$dir/said", "$build/clamquota-sync", '--table',
        "$dir/table", '--state', "$dir/state", '--jail', $jail->{spec},
        '--grace', 0, '--watch');
    # it has jailed all, and has had time for the pass that finds so
    poll(60, sub { 100_000 == (() = must(qw(nft list set inet clamquota jail4))
        =~ /expires/g) })
        or die 'not jailed: ', read_file("$dir/said");
    sleep 5;
    my $before = cpu_ms($pid);
    sleep 20;
    my $rest = cpu_ms($pid) - $before;
    $before = cpu_ms($pid);
    for (1 .. 10) {
        kill 'HUP', $pid;
        sleep 0.5;
    }
    # five seconds hold two looks and a half besides
    my $full = (cpu_ms($pid) - $before - $rest / 4) / 10;
    my ($most) = read_file("/proc/$pid/status") =~ /^VmHWM:\s*(\d+)/m;
    printf "at rest, 100,000 of 262,144 jailed: %.1f ms of CPU a second; "
        . "a full pass %.1f ms; memory at most %.0f MB\n", $rest / 20, $full,
        $most / 1024;
    my $trace = begin("$dir/none", qw(strace -f -o), "$dir/strace", '-p',
        $pid);
    poll(10, sub { read_file("/proc/$pid/status") =~ /TracerPid:\s*[1-9]/ });
    kill 'HUP', $pid;
    sleep 7;
    end($trace, 'INT');
    my %calls;
    $calls{$_}++ for read_file("$dir/strace") =~ /^\d+\s+(\w+)\(/mg;
    my $batches = () = read_file("$dir/strace") =~ /BATCH_BEGIN/g;
    my $written = sum0(map { $calls{$_} // 0 } qw(write writev pwrite64 fsync
        rename renameat unlink ftruncate));
    printf "    in 7 s with a full pass: %d transactions, %d writes; calls: "
        . "%s\n", $batches, $written,
        join ' ', map { "$_ $calls{$_}" } sort keys %calls;
    end($pid, 'TERM');
    $jail->unload;
}

# ---- the server and its attackers ----
my $conf = <<"EOC";
Listen 10.77.0.1:80
MaxKeepAliveRequests 0
KeepAliveTimeout 60
LogLevel crit
ServerLimit 1
StartServers 1
ThreadsPerChild 200
ThreadLimit 200
MaxRequestWorkers 200
ClamQuotaPeriod Day
ClamQuotaDaily 1000
ClamQuotaClient $reader Unlimited
EOC

sub server {
    my ($more) = @_;
    my $server = Httpd->run(conf => $conf . ($more // ''));
    write_file("$server->{dir}/htdocs/f", 'd' x 1500);
    write_file("$server->{dir}/htdocs/large", 'd' x 1_000_000);
    return $server;
}

sub hammer {
    my ($server) = @_;
    my @from = ([$flood, 'f', 8], [$reader, 'large', 4]);
    return map { my ($from, $path, $n) = @$_;
        there(sub { begin("$server->{dir}/logs/ab.$path", qw(ab -k -q -r -t
            36000 -n 2000000 -c), $n, '-B', $from,
            "http://10.77.0.1/$path") }) } @from;
}

# The requests of one connection, each answered before the next; last status.
sub requests {
    my ($socket, $n) = @_;
    my ($answer, $status) = ('');
    for (1 .. $n) {
        print $socket "GET /f HTTP/1.1\r\nHost: b\r\n\r\n";
        my $length;
        while (!defined $length) {
            if ($answer =~ s/\AHTTP\S+[ ](\d+).*?^Content-Length:[ ](\d+)\r\n
                (?:.*?\r\n)?\r\n//msxi) {
                ($status, $length) = ($1, $2);
                last;
            }
            sysread($socket, $answer, 65536, length $answer) or die 'closed';
        }
        while (length $answer < $length) {
            sysread($socket, $answer, 65536, length $answer) or die 'closed';
        }
        substr $answer, 0, $length, '';
    }
    return $status;
}

sub connection {
    my ($from, %more) = @_;
    return there(sub { IO::Socket::INET->new(PeerHost => '10.77.0.1',
        PeerPort => 80, LocalHost => $from, %more) }) // die "connect: $@";
}

# ---- until the first SYN is dropped ----

# Begins connections until one finds no answer: when that one was begun.
# A SYN comes a second time after a second, so half a second decides.
sub first_dropped {
    my ($from) = @_;
    my ($end, @tries) = (time + 10);
    while (time < $end) {
        push @tries, [time, connection($from, Blocking => 0)];
        sleep 0.002;
        my @open = grep { !$_->[2] } @tries;
        for (@open) {
            $_->[2] = 1 if IO::Select->new($_->[1])->can_write(0);
        }
        my ($oldest) = grep { !$_->[2] } @tries;
        return $oldest->[0] if $oldest && time - $oldest->[0] > 0.5;
        # those that are answered make room in the server
        close $_->[1] for grep { $_->[2] && $_->[1] } @open;
    }
    die "$from: is never dropped";
}

sub reaction {
    my $server = server();
    $jail->load;
    my $sync = Wire::Sync->begin($server, $jail, '--grace', 0);
    my @load = hammer($server);
    sleep 3;
    my $refused = $server->json('limit=1')->{totals}{refused};
    my ($begun, $cpu, @ms) = (time, cpu_ms($sync->{pid}));
    for my $from (@victims) {
        my $socket = connection($from);
        # 200, and all but one refusal; event closes connections that are
        # kept when it has no worker left: then it is the next one's turn
        eval { requests($socket, $AFTER); requests($socket, 1) == 429 }
            or next;
        my $at = time;
        push @ms, 1000 * max(0, first_dropped($from) - $at);
    }
    my $took = time - $begun;
    $refused = $server->json('limit=1')->{totals}{refused} - $refused;
    printf "refusal %d to the first SYN dropped, %d rounds under %.0f "
        . "refusals a second: median %.0f ms, 99 %% below %.0f, maximum %.0f; "
        . "%.1f ms of CPU a second\n", $AFTER, scalar @ms, $refused / $took,
        median(@ms), (sort { $a <=> $b } @ms)[@ms * 0.99], max(@ms),
        (cpu_ms($sync->{pid}) - $cpu) / $took;
    end($_, 'KILL') for @load;
    $sync->end;
    $jail->unload;
    $server->stop;
}

# ---- system calls in a flood ----

# All calls of httpd's child for N refusals on one connection
sub flood {
    my ($name, $more, @options) = @_;
    my ($server, $n) = (server($more), 4000);
    $jail->load;
    my $sync = @options ? Wire::Sync->begin($server, $jail, @options) : undef;
    my $socket = connection($graced);
    requests($socket, $AFTER + 50);
    sleep 1;
    my ($child) = $server->children;
    my $file = "$server->{dir}/logs/strace";
    my $trace = begin("$server->{dir}/logs/none", qw(strace -f -o), $file,
        '-p', $child);
    poll(10, sub { !grep { read_file($_) !~ /TracerPid:\s*[1-9]/ }
        glob "/proc/$child/task/*/status" }) or die 'no strace';
    my $begun = time;
    requests($socket, $n) == 429 or die 'not refused';
    my $took = time - $begun;
    end($trace, 'INT');
    my $text = read_file($file);
    my $calls = () = $text =~ /^\d+\s+\w+\(/mg;
    # httpd's own are FUTEX_WAKE_PRIVATE
    my $wakes = () = $text =~ /futex\(\w+, FUTEX_WAKE, /g;
    printf "%-34s %6.2f %9d %9.1f\n", $name, $calls / $n, $wakes,
        $wakes / $took;
    close $socket;
    $sync->end if $sync;
    $jail->unload;
    $server->stop;
}

$| = 1;
rest();
reaction();
printf "%-34s %6s %9s %9s\n", 'system calls of 4000 refusals', 'each',
    'wakes', 'a second';
flood('no client watches', '');
flood('no client watches, DropAfter', "ClamQuotaDropAfter 1000000\n");
flood('a watcher, an offender', '', '--grace', 0);
flood('a watcher, still in its --grace', '', '--grace', 3600);
