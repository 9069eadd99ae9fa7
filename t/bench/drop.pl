#!/usr/bin/perl
# What a connection costs that ClamQuotaDropAfter closes, against a refused
# request over TLS: user instructions of httpd (callgrind), a count, so it does
# not depend on how busy the machine is. Each figure is the difference of a
# long and a short run of new connections, so that start and stop cancel out.
# Needs root: a client that comes from loopback is never dropped, so this runs in two
# network namespaces, which end with it. Its table is made by t/peer/offend.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use POSIX qw(setsid WNOHANG);
use Time::HiRes qw(sleep time);

my $top = abs_path(dirname(__FILE__) . '/../..');
my $build = $ENV{BUILD} // 'build';
$build = "$top/$build" unless $build =~ m{^/};
if ($> != 0 || system('unshare', '-n', 'true') != 0) {
    print "skipped: this needs root, for network namespaces\n";
    exit 0;
}
if (!$ENV{CQ_BENCH_NAMESPACE}) {
    $ENV{CQ_BENCH_NAMESPACE} = 1;
    exec 'unshare', '-n', $^X, abs_path($0);
}
require 'syscall.ph';
my ($httpd) = grep { -x } map { "$_/apache2" } qw(/usr/sbin /usr/local/sbin);
chomp(my $modules = `apxs -q LIBEXECDIR`);

sub slurp { local (@ARGV, $/) = grep { -e } @_; return @ARGV ? <> // '' : '' }
sub command { system(@_) == 0 or die "@_: failed\n" }

my $holder = open my $pipe, '|-', 'unshare', '-n', 'cat' or die "unshare: $!";
sleep 0.05 while readlink("/proc/$holder/ns/net") eq
    readlink "/proc/$$/ns/net";
open my $here, '<', "/proc/$$/ns/net" or die $!;
open my $there, '<', "/proc/$holder/ns/net" or die $!;
sub enter { syscall(SYS_setns(), fileno $_[0], 0) == 0 or die "setns: $!" }
command(split ' ', $_) for 'ip link set lo up',
    "ip link add cq0 type veth peer name cq1 netns $holder",
    'ip address add 10.77.0.1/24 dev cq0', 'ip link set cq0 up';
enter($there);
command(split ' ', $_) for 'ip link set cq1 up',
    'ip address add 10.77.0.2/24 dev cq1';
enter($here);

sub make_directory {
    my ($directives) = @_;
    my $dir = tempdir('cq-bench-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    mkdir "$dir/docs";
    chmod 0755, $dir, "$dir/docs";
    my $openssl = 'openssl req -x509 -batch -nodes -newkey rsa:2048 -days 30'
        . " -subj /CN=bench -keyout $dir/key -out $dir/crt";
    open my $quiet, '-|', "$openssl 2>&1" or die "openssl: $!";
    my $said = join '', <$quiet>;
    close $quiet or die $said;
    open my $file, '>', "$dir/docs/1k" or die "$dir: $!";
    print $file 'x' x 1024;
    close $file;
    # over for two minutes and refused ten times
    command("$build/peer/offend", "$dir/table", qw(daily default 1000
        draw default 10.77.0.2 2000 10 120));
    open my $conf, '>', "$dir/httpd.conf" or die "$dir: $!";
    print $conf (map { "LoadModule ${_}_module $modules/mod_$_.so\n" }
        grep { -e "$modules/mod_$_.so" } qw(mpm_event authz_core ssl
        socache_shmcb unixd)), <<"CONF";
LoadModule clamquota_module $build/mod_clamquota.so
ServerRoot $dir
ServerName bench
AcceptFilter http none
AcceptFilter https none
Listen 10.77.0.1:80
Listen 10.77.0.1:443
PidFile $dir/pid
DefaultRuntimeDir $dir
Mutex pthread
ErrorLog $dir/error.log
DocumentRoot $dir/docs
ThreadsPerChild 4
MaxRequestWorkers 4
User www-data
Group www-data
ClamQuotaTable $dir/table
ClamQuotaClients 1024
ClamQuotaPeriod Day
ClamQuotaTimezone UTC
$directives
<VirtualHost *:443>
    SSLEngine on
    SSLCertificateFile crt
    SSLCertificateKeyFile key
</VirtualHost>
CONF
    close $conf;
    return $dir;
}

# what a connection does, in the clients' namespace; says what came of it
sub drop {
    my $socket = IO::Socket::INET->new(PeerHost => '10.77.0.1',
        PeerPort => 443) or return 'reset';
    return sysread($socket, my $data, 100) ? 'data' : 'reset';
}

sub ask {
    my ($url) = @_;
    open my $curl, '-|', qw(curl -q -s -k -m 60 -o /dev/null -w),
        '%{http_code}', $url or die "curl: $!";
    return scalar <$curl>;
}

# httpd -X under callgrind while that is done n times: instructions
sub instructions {
    my ($directives, $do, $expected, $n) = @_;
    my $dir = make_directory($directives);
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        setsid();
        open STDOUT, '>', "$dir/out";
        open STDERR, '>&', \*STDOUT;
        exec qw(valgrind --tool=callgrind --callgrind-out-file=/dev/null),
            $httpd, '-X', '-d', $dir, '-f', "$dir/httpd.conf";
        die "exec: $!";
    }
    # from an address of the server's own: served, whatever it is
    for (my $end = time + 120; !IO::Socket::INET->new('10.77.0.1:80');) {
        if (time > $end || waitpid($pid, WNOHANG) == $pid) {
            kill KILL => -$pid;
            die slurp("$dir/out"), slurp("$dir/error.log");
        }
        sleep 0.1;
    }
    enter($there);
    for (1 .. $n) {
        my $seen = $do->();
        next if $seen eq $expected;
        kill KILL => -$pid;
        die "expected $expected, got $seen\n", slurp("$dir/error.log");
    }
    enter($here);
    kill TERM => slurp("$dir/pid") =~ /(\d+)/;
    for (my $end = time + 60; waitpid($pid, WNOHANG) != $pid;) {
        kill KILL => -$pid if time > $end;
        sleep 0.1;
    }
    return slurp("$dir/out") =~ /Collected : (\d+)/ ? $1
        : die slurp("$dir/out");
}

sub each_costs {
    my ($name, $directives, $do, $expected, $short, $long) = @_;
    my ($less, $more) = map { instructions($directives, $do, $expected, $_) }
        $short, $long;
    my $n = ($more - $less) / ($long - $short);
    printf "%-42s %12.0f\n", $name, $n;
    return $n;
}

printf "%-42s %12s\n", 'user instructions/connection', '';
my $quota = "ClamQuotaDaily 1000\n";
my $after = "${quota}ClamQuotaDropAfter 3\n";
my $tls = sub { ask('https://10.77.0.1/1k') };
my $plain = sub { ask('http://10.77.0.1/1k') };
my $refused = each_costs('refused over TLS', $quota, $tls, 429, 5, 25);
my $cost = each_costs('dropped', $after, \&drop, 'reset', 20, 220);
my $logged = each_costs('dropped and logged',
    "${after}LogLevel clamquota:info", \&drop, 'reset', 20, 220);
my $off = each_costs('refused in plain, DropAfter Off', $quota, $plain, 429,
    10, 60);
my $on = each_costs('refused in plain, DropAfter 1000000',
    "${quota}ClamQuotaDropAfter 1000000", $plain, 429, 10, 60);
printf "%-42s %12.5f\n", 'ratio: dropped / refused over TLS', $cost / $refused;
printf "%-42s %12.5f\n", '  and logged', $logged / $refused;
printf "%-42s %+12.0f\n", 'a client that is not dropped pays', $on - $off;
