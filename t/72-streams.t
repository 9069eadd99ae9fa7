# A tool that is started with a closed standard stream opens nothing in its
# place: the table neither gets what the tool prints nor is read as a log.
# Output that cannot be printed is an error.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Feed;
use File::Temp 'tempdir';
use Httpd qw(read_file write_file);
use Test::More;

my $dir = tempdir(CLEANUP => 1);
my ($tool, $table) = ("$Feed::BUILD/clamquota", "$dir/table");
write_file("$dir/log", Feed::line('192.0.2.1', 1000)
    . Feed::line('name.example', 5) . "no line\n");
my ($status) = Feed::all($table, ['--daily', 100], Feed::line('192.0.2.1', 50));
is($status, 0, 'a table');

sub is_whole {
    my ($name, $used) = @_;
    is(`$tool check --table $table 2>&1`, "$table: in order\n",
        "$name: the table is whole");
    is(Feed::rows($table)->{'192.0.2.1'}{used}, $used, "$name: used");
}
# (exit status) of a shell's command
sub run {
    my ($command) = @_;
    return system('sh', '-c', $command) >> 8;
}

is(run("$tool feed --table $table <$dir/log 2>&-"), 1,
    'feed without standard error');
is_whole('feed', 1050);
is(run("$tool feed --table $table <&- 2>$dir/said"), 1,
    'feed without standard input');
is(read_file("$dir/said"), "clamquota feed: standard input: Bad file "
    . "descriptor\n", 'and says it');
is_whole('feed', 1050);
for my $words ('report', 'show 192.0.2.1', 'exempt --list', 'cluster', 'check',
    'export mysql', 'top', "replay $dir/log", 'exempt 192.0.2.9 --for 1d',
    'reset 192.0.2.9', '--help', '--version', 'report --help')
{
    my $at = $words =~ /^(?:-|replay)/ ? '' : "--table $table";
    is(run("$tool $words $at >&- 2>$dir/said"), 1,
        "$words without standard output");
    like(read_file("$dir/said"), qr/^clamquota: standard output: could not be /m,
        'and says it');
    is(run("$tool $words $at >/dev/full 2>$dir/said"), 1, 'on a full disk');
}
is_whole('readers', 1050);

# clamquota-sync opens the table to write to it, and keeps it open
my $state = "$dir/state.sync";
my $sync = "$Feed::BUILD/clamquota-sync --table $table --state $state"
    . ' --jail recent:CqNone';
for my $closed ('<&-', '>&-', '2>&-', '<&- >&- 2>&-') {
    run("$sync $_ 2>$dir/said $closed") for '', '-n', '--status';
    is_whole("clamquota-sync $closed", 1050);
}
done_testing;
