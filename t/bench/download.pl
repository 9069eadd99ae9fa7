#!/usr/bin/perl
# What the module costs a large download, to the same httpd without it: system
# calls that send (strace; is sendfile still used?), CPU time of the children
# per GB over http and https, and how often a request asks for the local time
# (a library that counts its calls). CQ_BENCH_ROUNDS (15).
use strict;
use warnings;
use Cwd 'abs_path';
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use Httpd;
use List::Util qw(sum);

my $build = abs_path($ENV{BUILD} // "$FindBin::Bin/../../build");
$ENV{CQ_TEST_MODULE} //= "$build/mod_clamquota.so";
my $rounds = $ENV{CQ_BENCH_ROUNDS} // 15;
my $size = 160_000_000;
my $times = 3;      # downloads in a sample
my $conf = "EnableSendfile On\n";
my $counted = $conf . "ClamQuotaDaily 1T\n";
my $scratch = tempdir('cq-bench-XXXXXX', TMPDIR => 1, CLEANUP => 1);

sub server {
    my (%option) = @_;
    my $server = Httpd->run(%option);
    # one file for all: they differ in nothing but the module
    write_file("$scratch/big", 'd' x $size) if !-e "$scratch/big";
    write_file("$server->{dir}/htdocs/small", 's' x 1000);
    link "$scratch/big", "$server->{dir}/htdocs/big" or die "link: $!";
    return $server;
}

sub download {
    my ($server, $scheme, $n) = @_;
    my $url = $scheme eq 'https' ? $server->tls_url('/big')
        : $server->url('/big');
    my $bytes = `curl -q -s -k --noproxy '*' '$url?[1-$n]' | wc -c`;
    $bytes == $n * $size or die "$bytes bytes of $n downloads\n";
}

sub median { return (sort { $a <=> $b } @_)[@_ / 2] }

# ---- CPU ----

# nanoseconds that the children's threads have run; none may end meanwhile
sub run_ns {
    my ($server) = @_;
    my $sum = 0;
    for my $child ($server->children) {
        $sum += (split ' ', read_file($_))[0]
            for glob "/proc/$child/task/*/schedstat";
    }
    return $sum;
}

sub cpu {
    my %spare = (tls => 1);
    my @servers = (
        ['without the module', server(%spare, quota => 0, conf => $conf)],
        ['the same again (A/A)', server(%spare, quota => 0, conf => $conf)],
        ['counted', server(%spare, conf => $counted)],
    );
    printf "%-26s %12s %7s\n", 'CPU, ms/GB (medians)', '', 'ratio';
    for my $scheme ('http', 'https') {
        my @sample;
        download($_->[1], $scheme, 1) for @servers;
        for my $round (1 .. $rounds) {
            # each time another begins
            for my $i (map { ($_ + $round) % @servers } 0 .. $#servers) {
                my $before = run_ns($servers[$i][1]);
                download($servers[$i][1], $scheme, $times);
                push @{$sample[$i]}, (run_ns($servers[$i][1]) - $before)
                    / 1e6 / ($times * $size / 1e9);
            }
        }
        # paired: what disturbs a round disturbs all of it
        for my $i (0 .. $#servers) {
            printf "%-26s %12.1f %7.3f\n", "$scheme, $servers[$i][0]",
                median(@{$sample[$i]}), median(map {
                    $sample[$i][$_] / $sample[0][$_] } 0 .. $rounds - 1);
        }
    }
    $_->[1]->stop for @servers;
}

# ---- system calls ----

sub calls {
    my ($name, %option) = @_;
    my $server = server(%option);
    download($server, 'http', 1);       # threads are there
    my $out = "$scratch/strace";
    my $pid = $server->spawn("$scratch/said", 'strace', '-f', '-c', '-o',
        $out, map { ('-p', $_) } $server->children);
    poll(10, sub { read_file("$scratch/said") =~ /attached/ })
        or die 'strace: ', read_file("$scratch/said");
    download($server, 'http', 1);
    kill 'INT', $pid;
    waitpid $pid, 0;
    # % time, seconds, usecs/call, calls, [errors,] name
    my %count = map { /^[\d.\s]+\s\w+$/ && !/total$/
        ? ((split)[-1] => (split)[3]) : () } split /\n/, read_file($out);
    $count{total} = sum(values %count);
    printf "%-26s %9d %6d %6d %6d\n", $name,
        map { $count{$_} // 0 } qw(sendfile writev read total);
    $server->stop;
}

# ---- localtime ----

my $counter = <<'EOC';
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* a line for each call: pid, object that called */
static void note(const void *caller)
{
    char line[300];
    Dl_info info;
    int fd = open(getenv("CQ_LOCALTIME"), O_WRONLY | O_APPEND | O_CREAT, 0666);
    int n = snprintf(line, sizeof(line), "%d %s\n", (int)getpid(),
                     dladdr(caller, &info) ? info.dli_fname : "?");

    if (fd >= 0 && write(fd, line, (size_t)n) < 0) {
        abort();
    }
    close(fd);
}

struct tm *localtime_r(const time_t *t, struct tm *tm)
{
    static struct tm *(*real)(const time_t *, struct tm *);

    note(__builtin_return_address(0));
    if (real == NULL) {
        *(void **)&real = dlsym(RTLD_NEXT, "localtime_r");
    }
    return real(t, tm);
}

struct tm *localtime(const time_t *t)
{
    static struct tm *(*real)(const time_t *);

    note(__builtin_return_address(0));
    if (real == NULL) {
        *(void **)&real = dlsym(RTLD_NEXT, "localtime");
    }
    return real(t);
}

time_t mktime(struct tm *tm)
{
    static time_t (*real)(struct tm *);

    note(__builtin_return_address(0));
    if (real == NULL) {
        *(void **)&real = dlsym(RTLD_NEXT, "mktime");
    }
    return real(tm);
}
EOC

# 1000 small requests and a large one; calls in children, of which by us; and
# by us in the parent, which shows that the counter counts
sub local_times {
    my ($name, $status, %option) = @_;
    my $list = "$scratch/localtime";
    write_file($list, '');
    chmod 0666, $list;
    chmod 0755, $scratch;
    local $ENV{CQ_TEST_PRELOAD} = "$scratch/count.so";
    my $server = server(env => { CQ_LOCALTIME => $list }, %option);
    my $url = $server->url('/small?[1-1000]');
    my $codes = `curl -q -s --noproxy '*' -w '\\n%{http_code}\\n' '$url' |
        grep -cx $status`;
    $codes >= 999 or die "$codes responses $status";
    download($server, 'http', 1) if $status == 200;
    my %child = map { $_ => 1 } $server->children;
    my @call = map { [split] } split /\n/, read_file($list);
    printf "%-26s %9d %6d %6d\n", $name,
        scalar(grep { $child{$_->[0]} } @call),
        scalar(grep { $child{$_->[0]} && $_->[1] =~ /clamquota/ } @call),
        scalar(grep { !$child{$_->[0]} && $_->[1] =~ /clamquota/ } @call);
    $server->stop;
}

printf "%-26s %9s %6s %6s %6s\n", 'system calls/160 MB', qw(sendfile writev
    read all);
calls('without the module', quota => 0, conf => $conf);
calls('counted', conf => $counted);

write_file("$scratch/count.c", $counter);
system('cc', '-O1', '-shared', '-fPIC', '-o', "$scratch/count.so",
    "$scratch/count.c", '-ldl') == 0 or die 'cc';
# no access log and nothing refused said: those write the time themselves
my $mute = "LogLevel warn clamquota:warn\nCustomLog /dev/null \"-\"\n";
printf "%-26s %9s %6s %6s\n", 'localtime, 1001 requests', qw(children module
    parent);
local_times('without the module', 200, quota => 0, conf => "${conf}LogLevel"
    . " warn\n");
local_times('counted', 200, conf => "$counted$mute");
local_times('refused', 429, conf => "${conf}ClamQuotaDaily 1\n$mute");

cpu();
