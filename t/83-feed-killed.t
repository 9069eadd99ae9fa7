# clamquota feed, killed before each system call that it makes, from the first
# one to the last: the table is sound or not there yet, its rows stay, and the
# next feed opens it and goes on. Only lines that were read and not counted are
# lost.
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

my ($client, $other, $before) = ('192.0.2.1', '192.0.2.2', '192.0.2.3');
my $dir = tempdir(CLEANUP => 1);
# Those that change something, and those that it waits in
my @calls = qw(openat mmap munmap ftruncate fallocate rename link unlink fsync
    fcntl flock read write ioctl setitimer);
my @wrong;

# Feeds two lines, killed there; then a third one to the next feed.
sub killed {
    my ($name, $clients, $table, @kill) = @_;
    my @size = ('--daily', '1k', '--clients', $clients);
    my $feed = Feed->begin($table, { through => ['strace', '-f', '-o',
        "$dir/trace", '-e', 'trace=' . join(',', @calls), @kill] }, @size);
    $feed->write(Feed::line($client, 300), Feed::line($client, 300));
    my $how = $feed->end;
    my ($exit, $said) = Feed::all($table, [@size], Feed::line($other, 70));
    push @wrong, "$name: then exit $exit: $said" if $exit ne '0';
    my $check = `$Feed::BUILD/clamquota check --table $table 2>&1`;
    push @wrong, "$name: $check" if $?;
    my $rows = Feed::rows($table);
    my $row = $rows->{$client} // { used => 0, hits => 0 };
    push @wrong, "$name: $row->{used} bytes of $row->{hits} lines"
        if $row->{used} != 300 * $row->{hits} || $row->{hits} > 2;
    push @wrong, "$name: the next one counted $rows->{$other}{used}"
        if $rows->{$other}{used} != 70;
    return ($how, $row->{hits}, $rows->{$before}{used});
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

# For how many clients the table was made, if it is there already, and is fed
for my $scenario (['a new table', undef, 100],
    ['a table that is there', 100, 100],
    ['a table that becomes larger', 100, 5000]) {
    my ($name, $made, $clients) = @$scenario;
    my $used = $made ? 50 : undef;
    my $n = 0;
    my $table = sub {
        my $path = "$dir/" . ($name =~ tr/ /-/r) . ++$n;
        Feed::all($path, ['--clients', $made], Feed::line($before, 50))
            if $made;
        return $path;
    };
    is_deeply([killed($name, $clients, $table->())], [0, 2, $used],
        "$name: both lines count");
    my @places = places();
    cmp_ok(scalar @places, '>', 10, "$name: calls to be killed at");
    my ($hits, @survived) = ('');
    for (@places) {
        my ($call, $when) = @$_;
        my @result = killed("$name, $call $when", $clients, $table->(), '-e',
            "inject=$call:signal=KILL:when=$when");
        $hits .= $result[1];
        push @survived, "$call $when" if $result[0] ne 'signal 9';
        push @wrong, "$name, $call $when: lost what was there"
            if ($result[2] // 0) != ($used // 0);
    }
    is_deeply(\@survived, [], "$name: killed in " . @places . ' places');
    # once counted, no later death takes them back
    like($hits, qr/^0+2+$/, "$name: before and after the lines");
}
is(join("\n", @wrong), '', 'the next one goes on');
done_testing();
