# mpm: once
# What `build.sh run` promises: it builds, serves the sample mirror under its
# quota to any user that may open a port, and Ctrl-C leaves nothing behind.
use strict;
use warnings;
use Fcntl qw(:DEFAULT :flock);
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::Bin/lib";
use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use JSON::PP qw(decode_json);
use Peer ();
use POSIX ();
use Test::More;

my $top = "$FindBin::Bin/..";
chdir $top or die "$top: $!\n";
my $scratch = tempdir(CLEANUP => 1);
chmod 0755, $scratch;
my %running;    # process groups to end if this test dies
$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);
END {
    my $status = $?;
    kill 'KILL', -$_ for keys %running;
    $? = $status;
}

sub free_port {
    my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
        or die "no free port: $!\n";
    return $socket->sockport;
}

# Starts a command in a session of its own, as a terminal would, and reads its
# output until the pattern is there or it ends. (pid, output, pipe)
sub start {
    my ($until, $environment, @command) = @_;
    pipe my $reader, my $writer or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        POSIX::setsid();
        open STDOUT, '>&', $writer or POSIX::_exit(126);
        open STDERR, '>&', $writer or POSIX::_exit(126);
        @ENV{ keys %{$environment} } = values %{$environment};
        exec { $command[0] } @command or POSIX::_exit(127);
    }
    close $writer;
    $running{$pid} = 1;
    my ($output, $end) = ('', time + 180);
    while ($output !~ $until && IO::Select->new($reader)->can_read($end - time))
    {
        sysread($reader, $output, 65536, length $output) or last;
    }
    return ($pid, $output, $reader);
}

# Exit status of a process that is expected to end; -1 if it does not.
sub ended {
    my ($pid) = @_;
    local $SIG{ALRM} = sub { kill 'KILL', -$pid };
    alarm 30;
    waitpid $pid, 0;
    alarm 0;
    delete $running{$pid};
    return $? & 127 ? -1 : $? >> 8;
}

sub entries {
    my ($directory) = @_;
    opendir my $handle, $directory or die "$directory: $!\n";
    return sort grep { !/^\.\.?$/ } readdir $handle;
}

# Command lines of living processes that name the directory.
sub processes_with {
    my ($directory) = @_;
    my @found;
    for my $name (glob '/proc/[0-9]*/cmdline') {
        open my $file, '<', $name or next;    # ended meanwhile
        local $/ = undef;
        my $command = <$file> // '';
        push @found, $command if index($command, $directory) >= 0;
    }
    return @found;
}

my $port = free_port();
my $url  = "http://127.0.0.1:$port";
# Blanks in paths, a umask that shuts out others, no HOME.
my $tmp = "$scratch/a tmp";
mkdir $tmp or die "$tmp: $!\n";
chmod 0755, $tmp;
my %environment = (PORT => $port, BUILD => "$scratch/a build", TMPDIR => $tmp);
umask 077;
delete $ENV{HOME};

# ---- what can't work is reported before anything is built ----
for my $absurd ('', '0', '65536', '80a', '-1', '1' x 30) {
    my ($run, $words) = start(qr/(?!)/, { %environment, PORT => $absurd },
        './build.sh', 'run');
    is(ended($run) . $words, "1serve: PORT=$absurd: expected a number from 1 "
        . "to 65535, e.g. PORT=8081\n", "PORT=$absurd");
}
{
    my $taken = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1',
        LocalPort => $port) or die "$port: $!\n";
    my ($run, $words) = start(qr/(?!)/, { %environment }, './build.sh', 'run');
    is(ended($run) . $words, "1serve: cannot listen on 127.0.0.1:$port: "
        . 'Address already in use; choose another port, e.g. PORT=8081 '
        . "./build.sh run\n", 'a busy port');
}
ok(!-e "$scratch/a build", 'nothing was built');
is_deeply([ entries($tmp) ], [], 'nothing was written');

# ---- one command at a time ----
{
    my $checkout = "$scratch/a checkout";
    mkdir $_ or die "$_: $!\n" for $checkout, "$checkout/conf",
        "$checkout/build";
    copy($_, "$checkout/$_") or die "$_: $!\n" for 'build.sh',
        'conf/install.sh';
    # held as another command holds it
    sysopen my $lock, $checkout, O_RDONLY | O_DIRECTORY or die "lock: $!\n";
    flock $lock, LOCK_EX or die "lock: $!\n";
    local $ENV{CQ_LOCKED};
    delete $ENV{CQ_LOCKED};
    my ($clean, $words) = start(qr/\n/, { BUILD => 'build' }, 'sh',
        "$checkout/build.sh", 'clean');
    is($words, "build.sh: waits for another build.sh in this checkout\n",
        'a second command waits, and reports it');
    ok(-d "$checkout/build", 'it has done nothing yet');
    close $lock;
    is(ended($clean), 0, 'then it continues');
    ok(!-e "$checkout/build", 'and does what it is for');
}

# ---- what it would install ----
mkdir "$scratch/bin" or die "$scratch/bin: $!\n";
# a machine on which nothing is installed, for a user without sudo
for my $stub (['dpkg-query', 'exit 1'], ['id', 'echo 65534'],
    ['sudo', 'exit 1'])
{
    open my $file, '>', "$scratch/bin/$stub->[0]" or die "stub: $!\n";
    print {$file} "#!/bin/sh\n$stub->[1]\n";
    close $file;
    chmod 0755, "$scratch/bin/$stub->[0]";
}
{
    my ($run, $words) = start(qr/(?!)/, { %environment,
        PATH => "$scratch/bin:$ENV{PATH}" }, './build.sh', 'run');
    is(ended($run), 1, 'without packages and without root it stops');
    my ($lacks) = $words =~ /^build.sh: these packages are missing: (.*)$/m;
    is_deeply([ sort split ' ', $lacks // '' ], [ sort qw(gcc libc6-dev
        apache2-dev pkg-config libmnl-dev libmemcached-dev zlib1g-dev apache2-bin
        curl perl util-linux) ], 'and names what run needs')
        or diag($words);
    like($words, qr/^Install them as root:\napt-get install -y .*gcc/m,
        'with the command');
}

# ---- it serves ----

my ($pid, $output, $pipe) = start(qr/Ctrl-C stops.*\n/, \%environment,
    './build.sh', 'run');
like($output, qr/Ctrl-C stops/, 'it comes up and reports it') or diag($output);
like($output, qr{\Q$url\E/clamquota\n}, 'it says where the page is');
like($output, qr{--interface 127\.0\.0\.\d+ }, 'and what to try');
like($output, qr{\Q$url\E/server-status\n}, 'httpd\'s own page, too');
like($output, qr{\ABuilds into \Q$scratch\E/a build/ and serves .*\Q$tmp\E},
    'and first where it writes');
my @served = entries($tmp);
is(scalar @served, 1, 'it has one directory') or diag("@served");

sub fetch {
    my ($path, %option) = @_;
    my $bytes  = 0;
    my $client = HTTP::Tiny->new(timeout => 30, keep_alive => 0,
        local_address => $option{from} // '127.0.0.1');
    my $content = '';
    my $answer  = $client->get("$url$path", {
        headers       => $option{headers} // {},
        data_callback => sub { $bytes += length $_[0];
            $content .= $_[0] if $bytes < 1e6 },
    });
    return { %{$answer}, bytes => $bytes, content => $content };
}

my $probe = fetch('/main.cvd', headers => { Range => 'bytes=0-511' });
is($probe->{status}, 206, 'the header of main.cvd');
like($probe->{content},
    qr/^ClamAV-VDB:[^:]{23}:\d+:\d+:\d+:[0-9a-f]{32}:[^:]+:\w+:\d+ +$/,
    'is a well-formed CVD header');
is($probe->{bytes}, 512, 'of 512 bytes');
my $first = fetch('/main.cvd');
is("$first->{status} $first->{bytes}", '200 ' . 20 * 1024 * 1024,
    'main.cvd is served');
is(fetch('/main.cvd')->{status}, 200, 'and once more');
my $refused = fetch('/main.cvd');
is($refused->{status}, 429, 'the third time it is refused');
like($refused->{headers}{'retry-after'}, qr/^[1-9]\d*$/, 'with Retry-After');
my ($line, $end) = ('', time + 30);
sysread($pipe, $line, 65536, length $line)
    while $line !~ /\n.*CQ0201.*\n/
    && IO::Select->new($pipe)->can_read($end - time);
like($line, qr/^\d\d:\d\d:\d\d CQ0111: made a new table/m,
    'what the module logs is shown');
like($line, qr/^\d\d:\d\d:\d\d CQ0201: refused .*127\.0\.0\.1 /m,
    'as it comes');
is(fetch('/server-status')->{status}, 200, 'httpd\'s own page');
is(fetch('/daily-27830.cdiff')->{status}, 200, 'a cdiff is free');
is(fetch('/main.cvd', from => '127.0.0.9')->{status}, 200,
    'another address is another client');
my %rows = map { $_->{client} => $_ }
    @{ decode_json(fetch('/clamquota?json')->{content})->{clients} };
is_deeply([ sort keys %rows ], [ '127.0.0.1', '127.0.0.9' ],
    'the page knows both');
is($rows{'127.0.0.1'}{state}, 'over', 'and that one is over quota');

# A reset, with the very command that it printed.
my ($reset) = $output =~ /^ *(curl .*action=reset.*)$/m;
ok($reset, 'it reports how to reset a client') or $reset = 'false';
my $code = `$reset -s -o /dev/null -w '%{http_code}'`;
is($code, 303, 'which is answered with 303');
is(fetch('/main.cvd')->{status}, 200, 'and the client is served again');

# The port is taken now.
my ($second, $said) = start(qr/(?!)/, { %environment },
    't/sample/serve', "$scratch/a build/mod_clamquota.so", $port);
is(ended($second), 1, 'a second one on the same port does not start');
like($said, qr/cannot listen on 127\.0\.0\.1:$port: .*PORT=/,
    'and says what to do');

kill 'INT', -$pid;
is(ended($pid), 0, 'Ctrl-C ends it');
is_deeply([ entries($tmp) ], [], 'nothing is left in TMPDIR');
is_deeply([ processes_with($scratch) ], [], 'no process is left');
ok(!IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port),
    'no client listens');

# ---- a cluster ----
for my $absurd ('1', '10', 'three') {
    my ($run, $words) = start(qr/(?!)/, { %environment, CLUSTER => $absurd },
        './build.sh', 'run');
    is(ended($run) . $words, "1serve: CLUSTER=$absurd: expected a number of "
        . "mirrors from 2 to 9, e.g. CLUSTER=3\n", "CLUSTER=$absurd");
}
SKIP: {
    my $memcached = Peer::program('memcached');
    skip 'no memcached: ' . Peer::reason('memcached'), 8 if !$memcached;
    my ($run, $words, $its) = start(qr/Ctrl-C stops.*\n.*\n/, \%environment,
        't/sample/serve', "$scratch/a build/mod_clamquota.so", $port, 3,
        $memcached);
    like($words, qr/^3 mirrors share their counters: \Q$url\E /,
        'a cluster: it comes up') or diag($words);
    my ($last) = $words =~ m{curl '(http://[\d.:]+)/clamquota\?json};
    is(fetch('/main.cvd')->{status}, 200, 'a cluster: served') for 1, 2;
    my $end = time + 30;
    my $status;
    do { $status = HTTP::Tiny->new->get("$last/main.cvd")->{status} }
        while $status != 429 && time < $end;
    is($status, 429, 'a cluster: refused by the last mirror');
    my $view;
    do { $view = decode_json(HTTP::Tiny->new->get("$last/clamquota?json")
        ->{content}) }      # a mirror is known once its heartbeat was read
        while @{ $view->{cluster}{nodes} } < 3 && time < $end;
    is(scalar @{ $view->{cluster}{nodes} }, 3, 'a cluster: three nodes');
    kill 'INT', -$run;
    is(ended($run), 0, 'a cluster: Ctrl-C ends it');
    is_deeply([ entries($tmp) ], [], 'a cluster: nothing is left in TMPDIR');
    is_deeply([ processes_with($scratch) ], [], 'a cluster: no process is left');
}

# No root needed: the same by a user without rights.
SKIP: {
    skip 'not started by root: that was it already', 4 if $> != 0;
    my $copy = "$scratch/copy";
    mkdir $copy or die "$copy: $!\n";
    for my $file (glob('t/sample/*'),
        "$scratch/a build/mod_clamquota.so") {
        copy($file, $copy) or die "$file: $!\n";
    }
    chmod 0755, $copy, "$copy/serve";
    chmod 0644, grep { !/serve$/ } glob "$copy/*";
    chmod 0777, $tmp;
    my @as = qw(setpriv --reuid=65534 --regid=65534 --clear-groups);
    my ($other, $text, $its) = start(qr/Ctrl-C stops.*\n/, \%environment,
        @as, "$copy/serve", "$copy/mod_clamquota.so", $port);
    like($text, qr/Ctrl-C stops/, 'without root: it comes up') or diag($text);
    is(fetch('/bytecode.cvd')->{status}, 200, 'without root: it serves');
    kill 'TERM', $other;
    is(ended($other), 0, 'without root: SIGTERM ends it');
    is_deeply([ entries($tmp) ], [], 'without root: nothing is left');
}

done_testing();
