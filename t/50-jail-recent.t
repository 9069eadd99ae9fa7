# mpm: once
# The jail of xt_recent against the kernel, with the rules of conf/: every
# operation and every error, in a network namespace of its own.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Jail;
use Test::More;

my $ns = Jail::Namespace->new;
plan skip_all => $Jail::why_not if !$ns;

my $other = Jail::Namespace->new;
my $rule = "*filter\n-I INPUT -m recent --rcheck --name x -j DROP\nCOMMIT\n";
my ($cannot, $said) = $other->run(\$rule, 'iptables-restore', '-n');
plan skip_all => "iptables makes no list of xt_recent here: $said" if $cannot;
$other->remove;

my ($a, $b) = ('DenyAccessClamAV', 'DenyAccessClamAV6');
my $path = "/proc/net/xt_recent";

# ---- before there is a rule ----
my $jail = $ns->jail("recent:$a");
is_deeply($jail->{parsed}, { status => 0, why => '', lines => [] }, 'spec');
my $answer = $jail->ask('open w');
is($answer->{status}, 3, 'no rule names the list');
like($answer->{why}, qr{^\Q$path/$a\E does not exist; .*iptables-restore},
    'and what to do');
is($jail->ask('list')->{status}, 3, 'nor a second time');
is($ns->jail("recent:$a", under => [ Jail::as_nobody() ])
        ->ask('open w')->{status}, 4, 'not permitted comes before missing');
is($ns->jail("recent:$a", under => [ Jail::read_only_proc() ])
        ->ask('open w')->{status}, 5, 'a read-only /proc too');

sub restore {
    my ($how) = @_;
    $ns->load('clamquota.iptables', "iptables$how-restore", '-n');
    $ns->load('clamquota.ip6tables', "ip6tables$how-restore", '-n');
    return;
}

# Rules by hand, each in its own table
sub rule {
    my ($program, @words) = @_;
    return $ns->must($program, qw(-w -t raw -I PREROUTING -m recent),
        @words, qw(-j DROP));
}

sub drop_rules {
    my ($how) = @_;
    $ns->must("$_$how", qw(-w -t raw -F)) for 'iptables', 'ip6tables';
    return;
}

sub command {
    my ($list, $command) = @_;
    $ns->must('sh', '-c', "printf %s '$command' >$path/$list");
    return;
}

sub file { return scalar(split /\n/, $ns->must('cat', "$path/$_[0]")) }

# without /sys the tool, too, goes by the kernel's default
my $parameter = '/sys/module/xt_recent/parameters/ip_list_tot';
my $places = -e $parameter ? `cat $parameter` + 0 : 100;

# ---- both kinds of rules, as they are shipped ----
for my $how ('-legacy', '-nft') {
    restore($how);
    is($jail->ask('open w')->{status}, 0, "$how: opens, missing before");
    is($jail->ask('open r')->{status}, 0, 'to look at as well');
    is($jail->ask('open w')->{status}, 0, 'and anew');
    is_deeply($jail->addresses, [], 'and is empty');

    $answer = $jail->ask('+ 192.0.2.7', '+ 192.0.2.8', '+ 2001:db8::7',
        '+ ::ffff:192.0.2.9', 'apply');
    is_deeply($answer, { status => 0, why => '', lines => [] }, 'adds');
    my @list = @{ $jail->ask('list')->{lines} };
    is_deeply([ map { s/ .*//r } @list ], [ '192.0.2.7', '192.0.2.8',
        '192.0.2.9', '2001:db8::7' ], 'lists, a mapped address as IPv4');
    is((grep { / (?:3598|3599|3600)$/ } @list), 4, 'with a lease');
    is(file($a), 4, 'and so it stands in the kernel');
    $ns->must(qw(grep -q -x), 'src=192.0.2.9 .*', "$path/$a");

    $answer = $jail->ask('- 192.0.2.8', '- 198.51.100.1', 'apply');
    is($answer->{status}, 0, 'removes, also one that is not there');
    command($a, '+203.0.113.5');
    is_deeply($jail->addresses, [ '192.0.2.7', '192.0.2.9', '203.0.113.5',
        '2001:db8::7' ], "another program's is listed");

    # ring of one stamp: a renewed entry shows another one
    my $stamp = sub {
        my ($line) = grep { /^src=192\.0\.2\.7 / }
            split /\n/, $ns->must('cat', "$path/$a");
        return $line =~ /last_seen: (\d+)/ ? $1 : die "no stamp: $line";
    };
    my $before = $stamp->();
    my $tries = 0;
    until ($stamp->() > $before || $tries++ > 10_000) {
        $answer = $jail->ask('* 192.0.2.7', 'apply');
        last if $answer->{status} != 0;
    }
    is($answer->{status}, 0, 'renews');
    cmp_ok($stamp->(), '>', $before, 'so that its time starts anew');
    is(file($a), 4, 'in its place');
    is($jail->ask('figures')->{lines}[0], "v4 $places v6 $places shared 1 "
        . 'packets ' . ($how eq '-nft' ? 0 : -1), 'figures');

    is($jail->ask('flush')->{status}, 0, 'flush');
    is(file($a), 0, 'removes all');
    drop_rules($how);
}

# ---- the age of an entry, also of another program's; the rule's own --seconds ----
rule('iptables-nft', qw(--rcheck --seconds 600 --name), $a);
$jail->ask('open w');
command($a, '+192.0.2.1');
my $long = $ns->jail("recent:$a", lease => 7200);
$long->ask('open w');
like($jail->left_of('192.0.2.1'), qr/^(?:59[89]|600)$/, 'less than the lease');
like($long->left_of('192.0.2.1'), qr/^(?:59[89]|600)$/, 'also than a longer');
my $aged = 0;
for (1 .. 400) {
    last if $aged = $jail->left_of('192.0.2.1') < 598;
    select undef, undef, undef, 0.01;
}
ok($aged, 'it grows old');
is($jail->ask('* 192.0.2.1', 'apply')->{status}, 0, 'renewed');
cmp_ok($jail->left_of('192.0.2.1'), '>=', 598, 'it is young');
my $brief = $ns->jail("recent:$a", lease => 1);
$brief->ask('open w');
my $due = 0;
for (1 .. 400) {
    last if $due = $brief->left_of('192.0.2.1') < 0;
    select undef, undef, undef, 0.01;
}
ok($due, 'one past its lease takes a place, and is listed');
undef $brief;
undef $long;
drop_rules('-nft');

# ---- a list that goes, and comes back under an open descriptor ----
restore('');
is($jail->ask('open w')->{status}, 0, 'open');
is($jail->ask('+ 192.0.2.1', 'apply')->{status}, 0, 'one inside');
is_deeply($jail->ask('changed')->{lines}, ['no'], 'the same list');
drop_rules('');
is_deeply($jail->ask('changed')->{lines}, ['yes'], 'deleted');
$answer = $jail->ask('list');
is($answer->{status}, 3, 'the rules are gone: list');
like($answer->{why}, qr{^\Q$path/$a\E does not exist; }, 'says it');
restore('');
$jail->ask('open w');
drop_rules('');
$answer = $jail->ask('+ 192.0.2.1', '- 192.0.2.2', 'apply');
is($answer->{status}, 3, 'apply');
is_deeply($answer->{lines}, [ 'failed +192.0.2.1', 'failed -192.0.2.2' ],
    'and which changes were not done');
restore('');
is($jail->ask('open w')->{status}, 0, 'back');
drop_rules('');
restore('');
is_deeply($jail->ask('changed')->{lines}, ['yes'], 'made anew');
is_deeply($jail->addresses, [], 'another of that name: listed');
drop_rules('');
restore('');
$answer = $jail->ask('+ 192.0.2.1', 'apply');
is_deeply($answer->{lines}, ['failed +192.0.2.1'], 'made anew: not written');
is($jail->ask('open w')->{status}, 0, 'opened again');
is($jail->ask('+ 192.0.2.1', 'apply')->{status}, 0, 'written');
is_deeply($jail->addresses, ['192.0.2.1'], 'into the other list');
undef $jail;

# ---- a second list ----
for my $how ('-legacy', '-nft') {
    drop_rules($_) for '', '-legacy';
    restore($how);
    $jail = $ns->jail("recent:$a,$b");
    is($jail->ask('open w')->{status}, 0, "$how: two lists");
    Jail::can_hold($jail, '192.0.2.1' => 'yes', '2001:db8::/64' => 'yes',
        map { $_ => $Jail::differ } '2001:db8::1', '2001:db8::/48',
        '192.0.2.0/24');
    is($jail->ask('+ 2001:db8:0:7::/64', '+ 192.0.2.1', 'apply')->{status}, 0,
        'adds to both');
    like($ns->must('cat', "$path/$b"),
        qr/\Asrc=2001:0db8:0000:0007:0000:0000:0000:0000 ttl.*\n\z/,
        'a /64 is its network address in the second list');
}
command($b, '+192.0.2.99');
command($a, '+::ffff:192.0.2.77');
is_deeply($jail->addresses, [ '192.0.2.1', '2001:db8:0:7::' ],
    'what could never match is not listed');
command($a, '+2001:db8:0:9::');
cmp_ok($jail->left_of('2001:db8:0:9::'), '<=', 0,
    'IPv6 in the first list: to be written at once');
is($jail->ask('* 2001:db8:0:9::', '- 2001:db8:0:7::', 'apply')->{status}, 0,
    'renewed');
unlike($ns->must('cat', "$path/$a"), qr/2001/, 'it has moved');
is_deeply($jail->addresses, [ '192.0.2.1', '2001:db8:0:9::' ],
    'into the second');
like($jail->ask('figures')->{lines}[0],
    qr/^v4 $places v6 $places shared 0 packets 0$/, 'figures');
Jail::cannot_deny($jail);
is_deeply($jail->ask('networks')->{lines}, [], 'none');
is($jail->ask('flush')->{status}, 0, 'flush');
is_deeply($jail->addresses, [], 'empties both');

# ---- masks of rules by hand ----
my $single = $ns->jail("recent:$a");
$single->ask('open w');
Jail::can_hold($single, '2001:db8::/64' => $Jail::differ,
    '2001:db8::1' => 'yes');
drop_rules('');
rule('iptables-nft', qw(--rcheck --name), $a, '--mask', '255.255.255.0');
rule('ip6tables-nft', qw(--rcheck --name), $b, '--mask', 'ffff:ffff:ffff::');
$jail->ask('open w');
Jail::can_hold($jail, '192.0.2.0/24' => 'yes', '2001:db8::/48' => 'yes',
    '192.0.2.1' => $Jail::differ);
drop_rules('');
restore('');
$ns->must(qw(ip6tables -t raw -D PREROUTING 1));
$answer = $jail->ask('open w');
is($answer->{status}, 3, 'only the second list is missing');
like($answer->{why}, qr{^\Q$path/$b\E does not exist; .*ip6tables-restore},
    'and said to be');
undef $jail;

# ---- a full list ----
$single->ask('open w');
command($a, '/');
command($a, '+203.0.113.5');
my @many = map { '10.0.' . ($_ >> 8) . '.' . ($_ & 255) } 1 .. 10_000;
is(scalar @{ $single->addresses }, 1, 'one inside');
$answer = $single->ask((map { "+ $_" } @many), 'apply');
is($answer->{status}, 1, '10,000 addresses into a list of its size');
is(scalar @{ $answer->{lines} }, 10_000 - ($places - 1),
    'what has no place fails');
like($answer->{why}, qr{^\Q$path/$a\E is full; raise ip_list_tot}, 'with a reason');
is(file($a), $places, 'the list is full');
my $inside = $single->addresses;
is(scalar @{$inside}, $places, 'and is listed whole, over several reads');
is((grep { $_ eq '203.0.113.5' } @{$inside}), 1,
    "another program's was not pushed out");
is_deeply([ @{$answer->{lines}}[0, -1] ], [ "failed +$many[$places - 1]",
    "failed +$many[-1]" ], 'the first ones have a place');
is($single->ask('* 10.0.0.1', 'apply')->{status}, 0, 'renewing needs none');
is($single->ask('- 10.0.0.1', '+ 198.51.100.1', '+ 198.51.100.2',
    'apply')->{lines}[0], 'failed +198.51.100.2',
    'a place that was made is used, and no more');
command($a, '-10.0.0.2');
is($single->ask('+ 198.51.100.2', 'apply')->{status}, 0,
    'also one that another program made');
is($single->ask('- 198.51.100.77', '+ 198.51.100.3', 'apply')->{lines}[0],
    'failed +198.51.100.3', 'to remove one that is not there makes none');
is((grep { $_ eq '203.0.113.5' } @{ $single->addresses }), 1,
    'none was pushed out');
command($a, '/');
is($single->ask((map { "- $_" } @many), 'apply')->{status}, 0,
    '10,000 removals of what is not there');

# ---- rights ----
$jail = $ns->jail("recent:$a", under => [ Jail::as_nobody() ]);
$answer = $jail->ask('open w');
is($answer->{status}, 4, 'the user nobody may not write');
like($answer->{why}, qr{^\Q$path/$a\E is not permitted .*as root}, 'what to do');
is($jail->ask('open r')->{status}, 0, 'but look');
is_deeply($jail->addresses, [], 'and list');
$answer = $jail->ask('+ 192.0.2.1', 'apply');
is($answer->{status} != 0 && "@{$answer->{lines}}", 'failed +192.0.2.1',
    'not write');
is(file($a), 0, 'nothing was written');
$jail = $ns->jail("recent:$a", under => [ Jail::read_only_proc() ]);
$answer = $jail->ask('open w');
is($answer->{status}, 5, 'read-only /proc');
like($answer->{why}, qr{/proc is mounted read-only}, 'said to be');
is($jail->ask('open r')->{status}, 0, 'looking is possible');
undef $jail;
undef $single;

# ---- names ----
Jail::judges_names($ns, 'recent', [ '', ',', 'a,', 'a/b', '../passwd', '.', '..', '-a', 'a b',
    'a,a', 'a,b/', 'a,b/64', 'a,b,c', "\xc3\xa4", 'x' x 200,
    'a,' . 'x' x 200 ],
    [ 'x' x 199 ]);
like($ns->jail('recent:a/b')->{parsed}{why},
    qr{^--jail "recent:a/b": .*expected recent:NAME.*, e\.g\. recent:\w+$},
    'a sentence');
is($ns->jail($_)->{parsed}{status}, 2, "no kind: \"$_\"")
    for '', 'recent', 'rec:a', 'recently:a', ':a', 'DenyAccessClamAV';

$ns->remove;
done_testing();
