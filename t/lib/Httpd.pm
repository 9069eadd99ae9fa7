package Httpd;

# Httpd - a private httpd for one test file.
#
# Owns its start, stop, temporary directory, log and clock; Client.pm (mixed
# in) talks to it. A test gives configuration text, in which %DIR%, %PORT%,
# %PORT2% and %TLSPORT% stand for this server's own, and ends with finish(),
# which stops what runs and demands a log without warnings. CQ_TEST_MPM chooses
# the MPM, CQ_TEST_MODULE another .so, CQ_TEST_PRELOAD is for libasan, and
# CQ_TEST_LEAVE keeps the directory.

use strict;
use warnings;
use Cwd 'abs_path';
use Exporter 'import';
use File::Basename 'dirname';
use File::Copy 'copy';
use File::Path 'remove_tree';
use File::Temp ();
use IO::Socket::IP;
use POSIX ();
use Test::More;
use Time::HiRes ();
use Client;
use Conf;

our @ISA = ('Client', 'Conf');
our @EXPORT = qw(finish poll write_file read_file mpm);
our $ROOT = abs_path(dirname(__FILE__) . '/../..');
my $HTTPD = (grep { -x } map { ("$_/apache2", "$_/httpd") }
    '/usr/sbin', '/usr/local/apache2/bin', split /:/, $ENV{PATH})[0]
    or die "no httpd found: ./build.sh deps\n";
my $FAKETIME = (glob '/usr/lib/*/faketime/libfaketimeMT.so.1')[0];
# event closes the sockets under its workers when it is stopped at once (its
# signal_threads()); one that is about to hand its connection back reports it. And
# one that has just freed its connection: close_worker_sockets() then calls
# apr_os_sock_get() on what is gone, and the child dies of it. worker does the
# same, prefork does not: there a crash at a stop would be ours.
my $CLOSED = mpm() eq 'prefork' ? qr/(?!)/
    : qr/mpm_event:error\].*\(9\)Bad\ file\ descriptor:
        \ AH(?:0309[23]|03465)
        |AH0005[12]:\ child\ pid\ \d+\ exit\ signal\ Segmentation\ fault/x;
my @servers;
POSIX::setlocale(POSIX::LC_ALL(), 'C');     # dates are for programs to read
umask 022;      # children of a root httpd read what is made here
$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP PIPE);

sub mpm { $ENV{CQ_TEST_MPM} || 'event' }

# Calls until the answer is true or the time is up; returns the last answer.
sub poll {
    my ($seconds, $done) = @_;
    my $end = Time::HiRes::time() + $seconds;
    while (1) {
        my $answer = $done->();
        return $answer if $answer || Time::HiRes::time() > $end;
        Time::HiRes::sleep(0.01);
    }
}

sub write_file {
    my ($path, $content) = @_;
    open my $fh, '>:raw', "$path.new" or die "$path: $!";
    print $fh $content;
    close $fh or die "$path: $!";
    # older than a second: httpd makes a strong ETag of it
    utime time - 60, time - 60, "$path.new";
    rename "$path.new", $path or die "$path: $!";
}

sub read_file {
    open my $fh, '<:raw', $_[0] or return '';
    local $/;
    return scalar(<$fh>) // '';
}

# conf: text; modules: names; clients: 1000; quota => 0: without our module;
# tls, ipv6: listen there too; preload: libraries; faketime: "2026-01-31 23:59:50"; tz; env: {}
sub new {
    my ($class, %option) = @_;
    my $dir = File::Temp::tempdir('cq-XXXXXX', TMPDIR => 1);
    my $self = bless { clients => 1000, quota => 1, tz => 'UTC', env => {},
        modules => [], allow => [], preload => [], %option, dir => $dir }, $class;
    mkdir "$dir/$_" or die for qw(htdocs logs run state);
    chmod 0755, $dir, "$dir/htdocs", "$dir/run";
    # of its own: another user may start it from a checkout that only root can
    # enter, and a build meanwhile takes nothing away
    my $so = $ENV{CQ_TEST_MODULE} || "$ROOT/build/mod_clamquota.so";
    copy($so, "$dir/mod_clamquota.so") or die "$so: $!" if $self->{quota};
    my @probes = map { IO::Socket::IP->new(LocalHost => '127.0.0.1',
        Listen => 1) or die "no free port: $@" } 1 .. 3;
    @$self{qw(port port2 tls_port)} = map { $_->sockport } @probes;
    $self->certificate if $self->{tls};
    $self->{faketime} //= away_from_midnight();
    $self->{began} = $self->set_time($self->{faketime}) if $self->{faketime};
    push @servers, $self;
    return $self;
}

# A day must not end within a test that does not know: half an hour before
# midnight its server lives six hours ahead, as far as libfaketime is here.
# (Not behind: no file may be of its future.)
sub away_from_midnight {
    return if !$FAKETIME || 86_400 - time % 86_400 > 1800;
    return POSIX::strftime('%Y-%m-%d %H:%M:%S', gmtime(time + 6 * 3600));
}

# The server's second, exact where time() lags by a tick.
sub now { return int(Time::HiRes::time() + ($_[0]{offset} // 0)) }

# A server that runs, or the end of the test.
sub run {
    my $self = shift->new(@_);
    my $failure = $self->start;
    die "httpd did not start: $failure\n" if $failure;
    return $self;
}

# In a new process: own session (prefork kills its process group), own output.
sub spawn {
    my ($self, $output, @command) = @_;
    my @preload = ($ENV{CQ_TEST_PRELOAD} // (),
        $self->{faketime} ? $FAKETIME : (), @{$self->{preload}});
    defined(my $pid = fork) or die "fork: $!";
    return $pid if $pid;
    POSIX::setsid();
    open STDIN, '<', '/dev/null';
    open STDOUT, '>', $output;
    open STDERR, '>&', \*STDOUT;
    %ENV = (%ENV, TZ => $self->{tz}, %{$self->{env}});
    $ENV{LD_PRELOAD} = join ':', @preload if @preload;
    %ENV = (%ENV, FAKETIME_TIMESTAMP_FILE => "$self->{dir}/run/faketime",
        FAKETIME_NO_CACHE => 1, FAKETIME_DONT_FAKE_MONOTONIC => 1,
        NO_FAKE_STAT => 1) if $self->{faketime};
    exec { $command[0] } @command or POSIX::_exit(127);
}

# Checks a configuration: (exit status, what it said). as: see start()
sub config_test {
    my ($self, $conf, @as) = @_;
    write_file("$self->{dir}/test.conf", $self->conf_text($conf));
    my $output = "$self->{dir}/logs/config_test";
    waitpid $self->spawn($output, @as, $HTTPD, '-t', '-f',
        "$self->{dir}/test.conf"), 0;
    return ($? & 127 ? "signal $?" : $? >> 8, read_file($output));
}

# '' when it runs; else what it said on the terminal. as: a command to start it
# through, e.g. setpriv and its arguments.
sub start {
    my ($self, @as) = @_;
    my ($terminal, $mark) = ("$self->{dir}/logs/terminal", $self->mark);
    write_file("$self->{dir}/httpd.conf", $self->conf_text);
    $self->{pid} = $self->spawn($terminal, @as, $HTTPD, '-DFOREGROUND', '-f',
        "$self->{dir}/httpd.conf");
    poll(20, sub { $self->gone || $self->log_since($mark) =~ /resuming norm/ });
    return '' if $self->{pid};
    return read_file($terminal) || "silent, exit status $self->{exit}";
}

sub gone {
    my ($self) = @_;
    return 1 if !$self->{pid};
    return 0 if waitpid($self->{pid}, POSIX::WNOHANG()) == 0;
    ($self->{exit}, $self->{pid}) = ($? >> 8, undef);
    return 1;
}

# How (a signal): TERM, or WINCH to let downloads finish.
sub stop {
    my ($self, $how) = @_;
    return 1 if !$self->{pid};
    $self->await_quiet;
    my $mark = $self->mark;
    kill $how // 'TERM', $self->{pid};
    my $gone = poll(15, sub { $self->gone });
    $self->{closed} += $self->log_lines($CLOSED, $mark);
    return $gone || ($self->kill9_all, 0)[1];
}

# Until no connection is being closed (see $CLOSED): a moment, unless a test
# keeps some open.
sub await_quiet {
    my ($self) = @_;
    my $port = join '|', map { sprintf '%04X', $_ }
        @$self{qw(port port2 tls_port)};
    poll(0.3, sub {
        !grep { /^\s*\d+: \w+:(?:$port) \w+:\w+ (?!0A|06)/ } map {
            split /\n/, read_file($_) } glob '/proc/net/tcp*' });
    return;
}

# Every process of the server at one blow, as when the machine stops.
sub kill9_all {
    my ($self) = @_;
    return if !(my $group = $self->{pid});
    kill 'KILL', -$group;
    poll(10, sub { $self->gone && !grep { $_->[2] == $group } processes() })
        or die "processes of $group survived SIGKILL";
    unlink "$self->{dir}/run/httpd.pid";
}

# [pid, parent, group] of each process that is not a zombie
sub processes {
    return map { read_file($_) =~ /^(\d+) \(.*\) ([^Z]) (\d+) (\d+)/s
        ? [$1, $3, $4] : () } glob '/proc/[0-9]*/stat';
}

sub children {
    my ($self) = @_;
    return map { $_->[0] } grep { $_->[1] == ($self->{pid} // 0) } processes();
}

# Each waits until the new generation runs.
sub graceful { return shift->again('USR1') }
sub restart { return shift->again('HUP') }

sub again {
    my ($self, $signal) = @_;
    $self->await_quiet if $signal eq 'HUP';
    my $mark = $self->mark;
    write_file("$self->{dir}/httpd.conf", $self->conf_text);
    kill $signal, $self->{pid};
    poll(20, sub { $self->gone || $self->log_since($mark) =~ /resuming norm/ });
    $self->{closed} += $self->log_lines($CLOSED, $mark) if $signal eq 'HUP';
    return $self->{pid} ? 1 : 0;
}

# "2026-01-31 23:59:50" in the server's zone; from then on the clock runs, or
# it stands still: only where a restart is all that happens meanwhile, as
# httpd's timeouts stand still as well.
sub set_time {
    my ($self, $text, $still) = @_;
    my ($y, $mo, $d, $h, $mi, $s) = $text =~ /\d+/g;
    local $ENV{TZ} = $self->{tz};
    POSIX::tzset();
    my $at = POSIX::mktime($s, $mi, $h, $d, $mo - 1, $y - 1900, 0, 0, -1);
    $self->{offset} = $at - time;
    write_file("$self->{dir}/run/faketime", $still ? "$text\n"
        : sprintf "%+d\n", $self->{offset});
    chmod 0644, "$self->{dir}/run/faketime";
    return $at;
}

sub mark { return -s "$_[0]{dir}/logs/error.log" // 0 }
sub log_since {
    return substr read_file("$_[0]{dir}/logs/error.log"), $_[1] // 0;
}

# The lines of the error log since the mark that match.
sub log_lines {
    my ($self, $wanted, $mark) = @_;
    return grep { $_ =~ $wanted } split /\n/, $self->log_since($mark);
}

# The first such line, as soon as it is there; undef after 15 s.
sub wait_log {
    my ($self, $wanted, $mark) = @_;
    return poll(15, sub { ($self->log_lines($wanted, $mark))[0] });
}

# Says that warnings that match are meant, exactly N of them.
sub allow_log {
    my ($self, $wanted, $count) = @_;
    push @{$self->{allow}}, [$wanted, $count // 1];
}

# Stops it if it runs; its log may hold no warning but those allowed.
sub assert_clean {
    my ($self) = @_;
    # Not in the middle of a download that was just aborted: at a stop event
    # closes the sockets of its workers under them, and what a worker is about
    # to free may crash it (event.c, close_worker_sockets()).
    eval { poll(2, sub { $self->json('limit=1')->{totals}{in_flight} == 0 }) }
        if $self->{pid} && $self->{quota};
    ok($self->stop, 'httpd stops') if $self->{pid};
    # All errors and our own warnings. What other modules warn of is
    # this machine, e.g. a libssl that is older than mod_ssl (AH01882).
    my @told = $self->log_lines(qr/\[\w*:(?:warn|error|crit|alert|emerg)\]
        |exit\ signal|Sanitizer|runtime\ error:/x);
    my @bad = grep { !/^\[[^\]]*\] \[(?!clamquota:)\w*:warn\](?!.*exit signal)/ }
        @told;
    # only where it was stopped, and where it never was there is none
    my $closed = grep { $_ =~ $CLOSED } @bad;
    @bad = grep { $_ !~ $CLOSED } @bad if $closed == ($self->{closed} // 0);
    for my $allowed (@{$self->{allow}}) {
        my ($wanted, $count) = @$allowed;
        is(scalar(grep { $_ =~ $wanted } @told), $count, "logged: $wanted");
        @bad = grep { $_ !~ $wanted } @bad;
    }
    is(join("\n", @bad), '', 'the error log is clean');
}

# The end of every test file.
sub finish {
    $_->assert_clean for @servers;
    done_testing();
}

END {
    my $exit = $?;
    $SIG{PIPE} = 'IGNORE';
    for my $server (@servers) {
        $server->kill9_all;
        remove_tree($server->{dir}) if !$ENV{CQ_TEST_LEAVE};
        diag("left in $server->{dir}") if $ENV{CQ_TEST_LEAVE};
    }
    $? = $exit;
}

1;
