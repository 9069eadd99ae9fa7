# clamquota-sync and each of the four jails as conf/ makes them: what it says
# when it cannot work, whom it leaves alone, and killed before any step that
# changes something, the next pass makes good.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp qw(tempdir);
use Httpd qw(poll write_file read_file);
use Peer;
use Test::More;
use Wire;

lay();
my $no_trace = refusal('strace -o /dev/null true');
plan skip_all => $no_trace if $no_trace;

my $offend = $Wire::Sync::PROGRAM =~ s{[^/]+$}{peer/offend}r;
my $dir = tempdir(CLEANUP => 1);
chmod 0755, $dir;
my ($table, $state) = ("$dir/table", "$dir/state");

# Offenders of both families, and who is in the jail for another reason
my ($one, $other, $foreign) = (['192.0.2.1', '2001:db8::1'],
    ['192.0.2.2', '2001:db8:0:1::1'], '192.0.2.77');
must($offend, $table, 'daily', 'default', 1000, map { ('draw', 'default', $_,
    2000, 200, 61) } @$one, @$other);
my $whole = read_file($table);
my @not_one = ('--never', '192.0.2.1', '--never', '2001:db8::/64');
my @not_other = ('--never', '192.0.2.2', '--never', '2001:db8:0:1::/64');
my @nobody = ('--after', 1_000_000);
my $in_one = '192.0.2.1 192.0.2.77 2001:db8::/64';
my $in_other = '192.0.2.2 192.0.2.77 2001:db8:0:1::/64';

# Calls before which it is killed, and at most how many of each, from the last
# one back: whatever comes before only asks the kernel.
my %calls = ((map { $_ => 99 } qw(write fsync rename unlink)),
    sendto => 3, sendmsg => 3, clone => 2, clone3 => 2, vfork => 2, wait4 => 2);

my $jail;
my @through;            # words to run it through

# "exit status: what it said"; a number above 128: a signal
sub sync {
    my ($exit, $said) = $jail->run(@through, $Wire::Sync::PROGRAM, '--table',
        $table, '--state', $state, '--jail', $jail->{spec}, @_);
    $exit = 128 + ($? & 127) if $? & 127;
    return "$exit: $said";
}

sub quiet {
    my ($name, $inside, @options) = @_;
    is(sync(@options) . $jail->inside, "0: $inside", $name);
}

sub says {
    my ($name, $exit, $sentence) = @_;
    like(sync(@not_other),
        qr/\A$exit: clamquota-sync: [^\n]*$sentence[^\n]*\n\z/,
        "$name: exit status $exit and a sentence");
    is(sync(@not_other), "$exit: ", "$name: said once");
}

for (Wire::Jail->all) {
    $jail = $_;
    unlink $state;
    subtest $jail->{name} => \&one_jail;
}

sub one_jail {
    my $why = $jail->lacks;
    plan skip_all => $why if $why;
    $jail->unload;
    my $recent = $jail->{spec} =~ /^recent/;
    my ($set) = $jail->{spec} =~ m{([\w]+),};
    says('not there', 3, qr/$set.*(?:restore.* <|nft -f )clamquota\./);
    $jail->load;
    $jail->put($foreign);
    quiet('it is there now', $in_one, @not_other);
    trouble($recent);
    noise();

    # ---- behind our back ----
    $jail->empty;
    $jail->put($foreign);
    quiet('emptied by somebody: in again', $in_one, @not_other);
    $jail->put('192.0.2.2');
    quiet('wanted, but put in by hand', "192.0.2.1 $in_other" =~
        s/ (2001\S+)$/ 2001:db8::\/64 $1/r);
    quiet('not wanted any more: what is ours goes',
        "192.0.2.2 $foreign", @nobody);
    $jail->empty;
    $jail->put($foreign);
    unlink $state;

    # the list is the same for both kinds of iptables
    killed() if $jail->{name} ne 'iptables-legacy';
    $jail->unload;
}

# ---- not permitted ----
sub trouble {
    my ($recent) = @_;
    my ($his, $mine) = ("$dir/his", $state);
    mkdir $his;
    chown 65534, 65534, $his;
    chmod 0644, $table;
    $state = "$his/state";
    @through = Jail::as_nobody();
    says('not root', 4, qr/(?:not permitted|may not be written).* as root/);
    unlink glob "$his/*";
    $state = $mine;

    # only the lists are in /proc
    @through = Jail::read_only_proc();
    says('/proc is read-only', 5, qr/read-only/) if $recent;
    quiet('/proc is read-only: nothing to it', $in_one, @not_other)
        if !$recent;
    @through = ();
    is($jail->inside, $in_one, 'all as before');
    is(sync(@not_other), '0: ', 'and nothing to do');
}

# ---- no table, or no table at all: frees nobody, jails nobody ----
sub noise {
    srand 55;
    for (['noise', join '', map { chr int rand 256 } 1 .. length $whole],
        ['zeros', "\0" x length $whole], ['nothing', ''],
        ['half of one', substr $whole, 0, length($whole) / 2],
        ['its header, and noise', substr($whole, 0, 64)
            . join '', map { chr int rand 256 } 65 .. length $whole]) {
        write_file($table, $_->[1]);
        like(sync(), qr/\A6: /, "a table of $_->[0]: exit status 6");
        is($jail->inside, $in_one, "a table of $_->[0]: all as before");
    }
    unlink $table;
    says('no table', 6, qr/\Q$table\E: no such table/);
    is($jail->inside, $in_one, 'no table: all as before');
    write_file($table, $whole);
    quiet('the table is back', $in_one, @not_other);
}

# ---- killed before any call that changes something ----

sub killed {
    my ($places, @wrong, @survived) = (0);
    my @trace = ('strace', '-o', "$dir/trace", '-e', 'trace='
        . join ',', sort keys %calls);
    # One pass lets some go and puts others in, killed somewhere, and the next
    # makes good; after a third one nobody of ours is left: it knew of them all.
    my $try = sub {
        my ($first, @kill) = @_;
        unlink $state if $first;
        sync(@not_other) if !$first;
        @through = (@trace, @kill);
        my $how = sync(@not_one) =~ s/:.*//sr;
        @through = ();
        my $then = sync(@not_one) . $jail->inside . ', '
            . sync(@nobody) . $jail->inside;
        push @wrong, "@kill: $then" if $then ne "0: $in_other, 0: $foreign";
        return $how;
    };
    for my $first (1, 0) {
        is($try->($first), 0, 'a pass that is only looked at');
        my %count;
        $count{$_}++ for read_file("$dir/trace") =~ /^(\w+)\(/mg;
        cmp_ok($count{write}, '>', 0, 'it writes down what will be ours');
        for my $call (sort keys %count) {
            for my $n (1 .. $count{$call}) {
                next if $n <= $count{$call} - $calls{$call};
                my @kill = ('-e', "inject=$call:signal=KILL:when=$n");
                $places++;
                push @survived, "@kill" if $try->($first, @kill) != 137;
            }
        }
    }
    is_deeply(\@survived, [], "killed in $places places");
    is_deeply(\@wrong, [], 'the next pass made good');
}

done_testing();
