# mpm: once
# Every system call and every allocation of clamquota, and of making and
# opening a table, fails once, in turn: it ends in order, says one sentence if
# it did not do all it was asked to, and the table is whole.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Broken;
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use Httpd ();
use POSIX qw(strftime);
use Test::More;

my $build = dirname($ENV{CQ_TEST_MODULE} // "$Httpd::ROOT/build/x");
my $dir = tempdir(CLEANUP => 1);
my ($table, $tool) = ("$dir/table", "$build/clamquota");
$ENV{TZ} = 'UTC';
my $faults = Broken->new(dir => $dir);
plan skip_all => $Broken::why_not if !$faults;

sub make_table {
    my ($name, @words) = @_;
    system("$build/peer/offend", $name, 'daily', 'default', 1000, @words) == 0
        or die "offend\n";
    return;
}
my @clients = ('draw', 'default', '192.0.2.1', 5000, 300, 100, 'draw',
    'default', '192.0.2.2', 500, 0, 100, 'draw', 'default', '2001:db8::1',
    100_000, 250, 100);
make_table("$dir/orig", @clients);
system("$tool exempt --table $dir/orig 198.51.100.0/24 --for 1d --yes >/dev/null")
    == 0 or die "exempt\n";
make_table("$dir/nodes", 'node', 'gone');
my @lines = map { sprintf '192.0.2.%d - - [%s +0000] "GET /a HTTP/1.1" 200 400'
    . ' "-" "ClamAV/1"' . "\n", $_, strftime('%d/%b/%Y:%H:%M:%S', gmtime) }
    1 .. 20;
Httpd::write_file("$dir/log", join '', @lines);
system('gzip', '-k', "$dir/log") == 0 or die "gzip\n";

$faults->{prepare} = sub {
    unlink glob "$dir/table*";
    copy("$dir/orig", $table) or die "$table: $!\n";
    chmod 0640, $table;
};

# What a table holds: client => bytes
sub used {
    my ($name) = @_;
    my %used;
    for (split /\n/, `$tool report --csv --limit 1000 --table '$name'`) {
        my @cells = split /,/;
        $used{ $cells[0] } = $cells[4] if $cells[4] =~ /^[1-9]\d*$/;
    }
    return \%used;
}

# Times are of the moment.
sub timeless {
    my ($text) = @_;
    my $now = substr time, 0, 6;
    $text =~ s/\b$now\d{4}\b/now/g;
    $text =~ s/"retry_after": \d+|,\d+(?=,[01],ClamQuotaDaily)/until/g;
    $text =~ s/\b\d+:\d+(?::\d+)?\b|\bin \d+ h.*/clock/g;
    $text =~ s/  (?:1 d|23 h 59 min)$/  a day/gm;    # that is left
    return [ split /\n/, $text ];
}

# The first line that differs
sub printed_otherwise {
    my ($expected, $got) = map { timeless($_) } @_;
    for my $i (0 .. (@$got > @$expected ? $#$got : $#$expected)) {
        my ($e, $g) = map { $_->[$i] // 'nothing' } $expected, $got;
        return "prints '$g', not '$e'" if $e ne $g;
    }
    return;
}

# All faults of a command. after(result, name): what else must hold; a list of
# what does not.
sub try_all {
    my ($words, %option) = @_;
    my $name = "@$words[0 .. ($#$words < 1 ? $#$words : 1)]";
    $name =~ s/\Q$dir\E\///g;
    my $may_say = $option{may_say} // qr/(?!)/;
    local $faults->{input} = $option{input};
    my @command = ($option{program} // $tool, @$words);
    my $clean = $faults->run_with({ alloc => 0 }, @command);
    is($clean->{status}, 0, "$name: without a fault") or diag($clean->{err});
    my @all = $faults->all(@command);
    my @bad;
    for my $fault (@all) {
        my $result = $faults->run_with($fault, @command);
        my @said = grep { !/$may_say/ } split /\n/, $result->{err};
        my @wrong;
        push @wrong, "ends with $result->{status}"
            if $result->{status} !~ /^[0-6]$/;
        push @wrong, 'not one sentence: ' . join '|', @said
            if @said != ($result->{status} eq '0' ? 0 : 1)
            || grep { !/^(?:clamquota(?: \w+)?|offend): \S.*\S$/ } @said;
        push @wrong, printed_otherwise($clean->{out}, $result->{out})
            if $result->{status} eq '0';
        my $check = `$build/peer/tablecheck -q $table 2>&1`;
        push @wrong, "the table: $check" if $? != 0 && -e $table;
        push @wrong, $option{after}->($result) if $option{after};
        push @wrong, map { "left: $_" } grep { !/table2?$/ } glob "$dir/table*";
        push @bad, Broken::name($fault) . ': ' . join '; ', @wrong if @wrong;
    }
    is(join("\n", @bad), '', "$name: " . @all . ' faults');
    return;
}

# Those that only look
my @at = ('--table', $table);
my %before = %{ used("$dir/orig") };
sub unchanged {
    my $now = used($table);
    return is_same($now, \%before) ? () : 'the table was changed';
}
sub is_same {
    my ($a, $b) = @_;
    return join(' ', map { "$_=$a->{$_}" } sort keys %$a)
        eq join(' ', map { "$_=$b->{$_}" } sort keys %$b);
}
is(scalar(keys %before), 3, 'three clients');
for my $words ([qw(report)], [qw(report --json)], [qw(report --csv)],
    [qw(show 192.0.2.1)], [qw(exempt --list)], [qw(check)],
    [qw(export sqlite)]) {
    try_all([ @$words, @at ], after => \&unchanged);
}
{
    local $faults->{env} = { CQ_FAULT_VIEWS => 2 };
    try_all([ 'top', @at ], after => \&unchanged);
}
{
    local $faults->{prepare} = sub { copy("$dir/nodes", $table) };
    try_all([ 'cluster', @at ]);
    try_all([ 'cluster', '--forget', 'gone', @at ]);
}
# Not --free: regcomp() of glibc 2.36 frees twice when it finds no memory.
try_all([ 'replay', "$dir/log.gz", '--daily', '1k,1M', '--copies', 2 ]);

# Those that change: all or nothing, and a result of 0 is all
my %others = %before;
delete $others{'192.0.2.1'};
for my $reset (['192.0.2.1', \%others], ['--all', {}]) {
    my ($what, $after) = @$reset;
    try_all([ 'reset', $what, '--yes', @at ], after => sub {
        my ($result) = @_;
        my $now = used($table);
        return is_same($now, $after)
            || ($result->{status} ne '0' && is_same($now, \%before)) ? ()
            : 'neither done nor not done';
    });
}
sub exemptions {
    return scalar(() = `$tool exempt --list --table $table` =~ m{^\S+/}mg);
}
for my $exempt ([['192.0.2.0/24', '--for', '1h'], 2],
    [['198.51.100.0/24', '--end'], 0]) {
    my ($words, $n) = @$exempt;
    try_all([ 'exempt', @$words, '--yes', @at ], after => sub {
        my ($result) = @_;
        my $now = exemptions();
        return $now == $n || ($result->{status} ne '0' && $now == 1) ? ()
            : "$now exemptions";
    });
}

# A feed: what was there stays, and 0 means that every line counts.
my %fed = (%before, map { ("192.0.2.$_" => 400 + ($before{"192.0.2.$_"} // 0)) }
    1 .. 20);
my $reports = qr/: (?:was copied into a|made a new) table|feed: \d+ lines: /;
try_all([ 'feed', '--clients', 2000, @at ], input => "$dir/log",
    may_say => $reports, after => sub {
        my ($result) = @_;
        my $now = used($table);
        my @lost = grep { ($now->{$_} // 0) < $before{$_} } sort keys %before;
        return "lost: @lost" if @lost;
        return $result->{status} ne '0' || is_same($now, \%fed) ? ()
            : 'not all lines count';
    });

# A table that is made, opened again and made larger, as httpd does it
try_all([ $table, @clients ], program => "$build/peer/offend", after => sub {
        my ($result) = @_;
        my $now = used($table);
        my @lost = grep { ($now->{$_} // 0) < $before{$_} } sort keys %before;
        return @lost ? "lost: @lost" : ();
    });
my $new = $faults->{prepare};
$faults->{prepare} = sub { $new->(); unlink $table };
try_all([ 'feed', '--daily', '1k', '--clients', 2000, @at ],
    input => "$dir/log", may_say => $reports, after => sub {
        my ($result) = @_;
        return if !-e $table && $result->{status} ne '0';
        my $now = used($table);
        return $result->{status} ne '0' || keys %$now == 20 ? ()
            : 'not all lines count';
    });

done_testing();
