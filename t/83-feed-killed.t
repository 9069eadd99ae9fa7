# clamquota feed, killed before each system call that it makes, from the first
# one to the last: the table is sound or not there yet, the next feed opens it
# and goes on, and what is lost is what was read and not counted.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Feed;
use File::Temp 'tempdir';
use Httpd qw(read_file);
use Peer;
use Test::More;

my $no_trace = refusal('strace -o /dev/null true');
plan skip_all => $no_trace if $no_trace;

my ($client, $other) = ('192.0.2.1', '192.0.2.2');
my $dir = tempdir(CLEANUP => 1);
# Those that change something, and those that it waits in
my @calls = qw(openat mmap munmap ftruncate fallocate rename link unlink fsync
    fcntl flock read write ioctl setitimer);
my @wrong;

# Feeds two lines, killed there; then a third one to the next feed.
sub killed {
    my ($name, $table, @kill) = @_;
    my $feed = Feed->begin($table, { through => ['strace', '-f', '-o',
        "$dir/trace", '-e', 'trace=' . join(',', @calls), @kill] },
        qw(--daily 1k --clients 100));
    $feed->write(Feed::line($client, 300), Feed::line($client, 300));
    my $how = $feed->end;
    my ($exit, $said) = Feed::all($table, [qw(--daily 1k --clients 100)],
        Feed::line($other, 70));
    push @wrong, "$name: then exit $exit: $said" if $exit ne '0';
    my $check = `$Feed::BUILD/clamquota check --table $table 2>&1`;
    push @wrong, "$name: $check" if $?;
    my $rows = Feed::rows($table);
    my $row = $rows->{$client} // { used => 0, hits => 0 };
    push @wrong, "$name: $row->{used} bytes of $row->{hits} lines"
        if $row->{used} != 300 * $row->{hits} || $row->{hits} > 2;
    push @wrong, "$name: the next one counted $rows->{$other}{used}"
        if $rows->{$other}{used} != 70;
    return ($how, $row->{hits});
}

# Where they are made: [call, the how many'th one], from the first that names
# the table. What the loader does before is not ours.
sub places {
    my (%n, @places, $begun);
    for (split /\n/, read_file("$dir/trace")) {
        my ($call) = /^\d+ +(\w+)\(/ or next;
        $n{$call}++;
        $begun = 1 if /\Q$dir\E/;
        push @places, [$call, $n{$call}] if $begun;
    }
    return @places;
}

# The table is made, or is there already.
for my $is_there (0, 1) {
    my $name = $is_there ? 'a table that is there' : 'a new table';
    my $n = 0;
    my $table = sub {
        my $path = "$dir/table" . ++$n . $is_there;
        Feed::all($path, [qw(--clients 100)]) if $is_there;
        return $path;
    };
    is_deeply([killed($name, $table->())], [0, 2], "$name: both lines count");
    my @places = places();
    cmp_ok(scalar @places, '>', 10, "$name: calls to be killed at");
    my (%hits, @survived);
    for (@places) {
        my ($call, $when) = @$_;
        my ($how, $hits) = killed("$name, $call $when", $table->(), '-e',
            "inject=$call:signal=KILL:when=$when");
        $hits{$hits}++;
        push @survived, "$call $when" if $how ne 'signal 9';
    }
    is_deeply(\@survived, [], "$name: killed in " . @places . ' places');
    is_deeply([sort keys %hits], [0, 2], "$name: before and after the lines");
}
is(join("\n", @wrong), '', 'the next one goes on');
done_testing();
