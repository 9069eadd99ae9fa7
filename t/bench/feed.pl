#!/usr/bin/perl
# clamquota feed and export: lines a second on one core, the seconds that the
# text of 262,144 rows takes, and those of the databases, which only show.
# CQ_BENCH_LINES (1,000,000).
use strict;
use warnings;
use Cwd 'abs_path';
use FindBin;
use lib "$FindBin::Bin/../lib";
use Database;
use File::Temp 'tempdir';
use POSIX 'strftime';
use Time::HiRes 'time';

my $build = abs_path($ENV{BUILD} // "$FindBin::Bin/../../build");
my $lines = $ENV{CQ_BENCH_LINES} // 1_000_000;
my $clients = 262_144;
my $dir = tempdir(CLEANUP => 1);
my ($log, $table) = ("$dir/log", "$dir/table");
my $date = strftime('%d/%b/%Y:%H:%M:%S +0000', gmtime);
open my $file, '>', $log or die "$log: $!\n";
for my $n (0 .. $lines - 1) {
    my $client = $n * 40_503 % $clients;        # each, in no order
    print $file join('.', unpack 'C4', pack 'N', 0x0a000000 + $client),
        " - - [$date] \"GET /daily-27000.cdiff HTTP/1.1\" 200 ",
        $n % 100_000, " \"-\" \"ClamAV/1.4.1 (OS: Linux, ARCH: x86_64)\"\n";
}
close $file or die "$log: $!\n";

sub cpu_of { # seconds of processor time of a command
    my ($command) = @_;
    my @before = times;
    system($command) == 0 or die "failed: $command\n";
    my @after = times;
    return $after[2] + $after[3] - $before[2] - $before[3];
}

my @failed;
my $seconds = cpu_of("$build/clamquota feed --daily 50M --table $table <$log");
my $rate = $lines / $seconds;
printf "%-40s %.0f (wanted: 300000)\n", 'lines a second of feed', $rate;
push @failed, 'feed' if $rate < 300_000;
for my $kind (qw(mysql pgsql sqlite)) {
    my $text = "$dir/$kind";
    $seconds = cpu_of("$build/clamquota export $kind --table $table >$text");
    printf "%-40s %.2f s (wanted: 1.00), %.0f MB\n", "export $kind", $seconds,
        (-s $text) / 1e6;
    push @failed, $kind if $seconds > 1;
    my $database = Database->run($kind);
    if (!$database) {
        print "  not loaded: $Database::why_not\n";
        next;
    }
    for my $what ('loaded', 'loaded again') {
        my $began = time;
        my ($status, $said) = $database->load(Httpd::read_file($text));
        $status == 0 && $said eq '' or die "$kind: $said\n";
        printf "  %-38s %.2f s\n", $what, time - $began;
    }
}
print "too slow: @failed\n" if @failed;
exit(@failed ? 1 : 0);
