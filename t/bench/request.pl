#!/usr/bin/perl
# What the module costs a request: user instructions (callgrind) and system
# calls (strace), to the same httpd without it. Both are counts, so they don't
# depend on how busy the machine is. Each figure is the difference of a long
# and a short run of keep-alive GETs of a 1 KB file, so that start and stop
# cancel out.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use List::Util qw(max);
use POSIX qw(setsid WNOHANG);
use Time::HiRes qw(sleep time);

my $top = abs_path(dirname(__FILE__) . '/../..');
my $build = $ENV{BUILD} // 'build';
$build = "$top/$build" unless $build =~ m{^/};
my $module = "$build/mod_clamquota.so";
my ($httpd) = grep { -x } map { "$_/apache2" } qw(/usr/sbin /usr/local/sbin);
chomp(my $modules = `apxs -q LIBEXECDIR`);
my $port = 20000 + $$ % 20000;
my ($short, $long) = (200, 1000);   # no more than ClamQuotaCopies takes

# What Debian enables when httpd is installed, with its settings: a 200 of a
# bare core would be cheaper than any server's.
my $debian = join "\n", map { "LoadModule ${_}_module $modules/mod_$_.so" }
    qw(mpm_event authz_core authz_host authz_user authn_core authn_file
    auth_basic access_compat alias autoindex deflate dir env filter mime
    negotiation reqtimeout setenvif status);
$debian .= <<'CONF';

AddOutputFilterByType DEFLATE text/html text/plain text/xml text/css
TypesConfig /etc/mime.types
RequestReadTimeout header=20-40,minrate=500
RequestReadTimeout body=10,minrate=500
ExtendedStatus On
CONF

sub slurp { local (@ARGV, $/) = @_; return <> // '' }

# Waits until every thread of the server sleeps. A request that comes while the
# last one is still being cleaned up saves event a way through its listener:
# whether it does would depend on how busy the machine is.
sub idle {
    my ($pid) = @_;
    for (my $end = time + 60; time < $end; sleep 0.0005) {
        return if !grep { slurp($_) !~ /.*\) S/ } glob "/proc/$pid/task/*/stat";
    }
    die 'httpd does not come to rest';
}

# one run: httpd -X under a tool, $n requests; returns the tool's directory
sub run_httpd {
    my ($directives, $n, @tool) = @_;
    my $dir = tempdir('cq-bench-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    mkdir "$dir/docs";
    chmod 0755, $dir, "$dir/docs";
    open my $file, '>', "$dir/docs/1k" or die "$dir: $!";
    print $file 'x' x 1024;
    close $file;
    my $load = $directives eq 'none' ? ''
        : "LoadModule clamquota_module $module\n"
        . "ClamQuotaTable $dir/table\nClamQuotaClients 1000\n$directives\n";
    my $user = $> == 0 ? "User www-data\nGroup www-data" : '';
    open my $conf, '>', "$dir/httpd.conf" or die "$dir: $!";
    print $conf <<"CONF";
ServerRoot $dir
ServerName bench
Listen 127.0.0.1:$port
PidFile $dir/pid
DefaultRuntimeDir $dir
Mutex pthread
ErrorLog $dir/error.log
$debian
DocumentRoot $dir/docs
<Directory />
AllowOverride None
</Directory>
KeepAlive On
MaxKeepAliveRequests 0
ThreadsPerChild 4
MaxRequestWorkers 4
$user
$load
CONF
    close $conf;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        setsid();
        open STDOUT, '>', "$dir/out";
        open STDERR, '>&', \*STDOUT;
        exec map({ s/DIR/$dir/r } @tool), $httpd, '-X', '-d', $dir, '-f',
            "$dir/httpd.conf";
        die "exec: $!";
    }
    my $socket;
    for (my $end = time + 60; !$socket && time < $end;) {
        $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port")
            or sleep 0.05;
        last if waitpid($pid, WNOHANG) == $pid;
    }
    $socket or die "httpd did not start: ", slurp("$dir/out"),
        slurp("$dir/error.log");
    my $server;
    for (my $end = time + 60; !$server && time < $end; sleep 0.01) {
        ($server) = -e "$dir/pid" ? slurp("$dir/pid") =~ /(\d+)/ : ();
    }
    my %seen;
    for (1 .. $n) {
        idle($server);
        print $socket "GET /1k HTTP/1.1\r\nHost: bench\r\n\r\n";
        my $answer = '';
        until ($answer =~ /\r\n\r\n/) {
            sysread($socket, $answer, 65536, length $answer) or die "closed";
        }
        my ($head, $body) = split /\r\n\r\n/, $answer, 2;
        my ($length) = $head =~ /^Content-Length: (\d+)/mi;
        while (length $body < $length) {
            sysread($socket, $body, 65536, length $body) or die 'closed';
        }
        $seen{substr $head, 9, 3}++;
    }
    close $socket;
    kill TERM => $server;
    for (my $end = time + 60; waitpid($pid, WNOHANG) != $pid;) {
        die 'httpd does not stop' if time > $end;
        sleep 0.05;
    }
    return ($dir, join ' ', map { "$_ x $seen{$_}" } sort keys %seen);
}

sub instructions {
    my ($directives) = @_;
    my @count;
    for my $n ($short, $long) {
        my ($dir) = run_httpd($directives, $n, qw(valgrind --tool=callgrind
            --callgrind-out-file=/dev/null));
        # httpd's; the exchanger of a cluster has a smaller sum of its own
        push @count, max(slurp("$dir/out") =~ /Collected : (\d+)/g);
    }
    return ($count[1] - $count[0]) / ($long - $short);
}

sub syscalls {
    my ($directives) = @_;
    my @count;
    for my $n ($short, $long) {
        my ($dir) = run_httpd($directives, $n, qw(strace -f -c -o DIR/strace));
        push @count, slurp("$dir/strace")
            =~ /^\s*100\.00\s+\S+(?:\s+\S+)?\s+(\d+)(?:\s+\d+)?\s+total/m;
    }
    return ($count[1] - $count[0]) / ($long - $short);
}

my @variants = (
    ['without the module', 'none'],
    ['the same again (A/A)', 'none'],
    ['Engine Off', 'ClamQuotaEngine Off'],
    ['counted', 'ClamQuotaDaily 1T'],
    ['counted, Variables On', "ClamQuotaDaily 1T\nClamQuotaVariables On"],
    ['counted, Copies', "ClamQuotaDaily 1T\nClamQuotaCopies 1000"],
    ['counted, DropAfter', "ClamQuotaDaily 1T\nClamQuotaDropAfter 200"],
    ['counted, Memcached', "ClamQuotaDaily 1T\n"   # (none answers there)
        . 'ClamQuotaMemcached "--SERVER=127.0.0.1:1"'],
    ['refused', 'ClamQuotaDaily 1'],
);
my ($base, $counted);
printf "%-26s %12s %7s\n", 'user instructions/request', '', 'ratio';
for (@variants) {
    my ($name, $directives) = @$_;
    my $n = instructions($directives);
    $base //= $n;
    $counted = $n if $name eq 'counted';
    printf "%-26s %12.0f %7.3f\n", $name, $n, $n / $base;
    printf "%-26s %12s %7.3f\n", '  to the 200 it replaces', '', $n / $counted
        if $name eq 'refused';
}
printf "%-26s %12s %7s\n", 'system calls/request', '', 'more';
my $calls;
for (grep { $_->[0] !~ /same|Off|Variables|DropAfter|Memcached/ } @variants) {
    my $n = syscalls($_->[1]);
    $calls //= $n;
    printf "%-26s %12.2f %+7.2f\n", $_->[0], $n, $n - $calls;
}
