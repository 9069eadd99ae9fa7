# clamquota-sync and each of the four jails as conf/ makes them: what it says
# when it cannot work, what it leaves alone, and killed before any step that
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

# Offenders of both families, and an address that the operator added
my ($one, $other, $foreign) = (['192.0.2.1', '2001:db8::1'],
    ['192.0.2.2', '2001:db8:0:1::1'], '192.0.2.77');
must($offend, $table, 'daily', 'default', 1000, map { ('draw', 'default', $_,
    2000, 200, 61) } @$one, @$other);
my $whole = read_file($table);
my @not_one = ('--never', '192.0.2.1', '--never', '2001:db8::/64');
my @not_other = ('--never', '192.0.2.2', '--never', '2001:db8:0:1::/64');
my @nobody = ('--after', 1_000_000);
my ($in_one, $in_other, $kept);        # what is in it then

# Calls before which it is killed, and at most how many of each, from the last
# one back: whatever comes before only asks the kernel.
my %calls = ((map { $_ => 99 } qw(write rename unlink)),
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
    # An xt_recent list belongs to clamquota-sync; in a set, what has no
    # time-out or a long one is the operator's.
    $kept = $recent ? '' : ' 192.0.2.77';
    $in_one = "192.0.2.1$kept 2001:db8::";
    $in_other = "192.0.2.2$kept 2001:db8:0:1::";
    my ($set) = $jail->{spec} =~ m{([\w]+),};
    says('not there', 3, qr/$set.*clamquota\.(?:ipt|nft|ipset)/);
    $jail->load;
    $jail->put($foreign);
    my $taken = $recent ? $foreign : '198.18.0.0/15';
    $jail->must('nft', "add element inet clamquota deny4 { $taken }")
        if $jail->{name} eq 'nft';
    like(sync(@not_other), $jail->{name} eq 'ipset' ? qr/\A0: \z/
        : qr/\A0: .* removes 1 address.* \Q$taken\E;/,
        'it is there now, with an address of others');
    is($jail->inside, $in_one, 'the clients in it');
    trouble($recent);
    noise();

    # ---- changed by others ----
    $jail->empty;
    $jail->put($foreign);
    quiet('emptied: in again', $in_one, @not_other);
    if ($jail->{name} eq 'nft') {
        $jail->must('nft',
            'add element inet clamquota jail6 { 2001:db8::5 timeout 1h }');
        like(sync('-v', @not_other),
            qr/released 2001:db8::5: it is an address inside of a client's n/,
            'an address of a client that no rule looks for');
    }
    $jail->put('192.0.2.2');
    quiet('wanted, but added by hand', $recent ? '192.0.2.1 192.0.2.2'
        . ' 2001:db8:: 2001:db8:0:1::' : "192.0.2.1 192.0.2.2$kept"
        . ' 2001:db8:: 2001:db8:0:1::');
    quiet('not wanted any more: what is not the operator\'s goes',
        $recent ? '' : "192.0.2.2$kept", @nobody);
    $jail->put('192.0.2.1') if $recent;
    is(sync('--flush') . $jail->inside, $recent ? '0: '
        : "0: 192.0.2.2$kept", '--flush spares the operator\'s');
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
    my $why = qr/(?:not permitted|may not be written).* as root/i;
    says('not root', 4, $why);
    unlink glob "$his/*";
    # root of a user namespace has no rights in this network
    push @through, qw(unshare --user --map-root-user);
    my $refusal = refusal("@through true");
    SKIP: {
        skip $refusal, 2 if $refusal;
        says('root of a user namespace', 4, $recent ? qr/not permitted/i
            : $why);
    }
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

# ---- no table, or no table at all: releases no client, jails no client ----
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
    # One pass releases some and adds others, killed somewhere, and the next
    # makes good; after a third one only the operator's is left.
    my $try = sub {
        my ($first, @kill) = @_;
        unlink $state;
        $jail->empty if $first;
        $jail->put($foreign) if $first;
        sync(@not_other) if !$first;
        unlink $state;
        @through = (@trace, @kill);
        my $how = sync(@not_one) =~ s/:.*//sr;
        @through = ();
        my $then = sync(@not_one) =~ s/clamquota-sync: \S+: the first pass.*\n//r
            . $jail->inside . ', ' . sync(@nobody) . $jail->inside;
        push @wrong, "@kill: $then"
            if $then ne "0: $in_other, 0: " . $kept =~ s/^ //r;
        return $how;
    };
    for my $first (1, 0) {
        is($try->($first), 0, 'a pass that is only looked at');
        my %count;
        $count{$_}++ for read_file("$dir/trace") =~ /^(\w+)\(/mg;
        cmp_ok(scalar keys %count, '>', 0, 'calls that change something');
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
