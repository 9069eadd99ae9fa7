# clamquota-sync as cron starts it, in a network namespace of its own: which
# clients it jails and releases, its reports and their number, exit codes, and
# that -n changes nothing.
# mpm: once
use strict;
use warnings;
use Fcntl qw(:flock);
use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Peer;
use Test::More;

my $top = "$FindBin::Bin/..";
my ($build) = ($ENV{CQ_TEST_MODULE} // "$top/build/mod_clamquota.so")
    =~ m{^(.*)/};
my ($sync, $offend) = ("$build/clamquota-sync", "$build/peer/offend");
-x $sync && -x $offend or die "$sync: build first\n";

own_network();
system('ip link set lo up') == 0 or die "ip link set lo up\n";
system('ip address add 198.51.100.1/32 dev lo') == 0 or die "ip address\n";

my $list = 'CqTest51';
my @rule = ('-p', 'tcp', '--syn', '-m', 'recent', '--rcheck', '--hitcount',
    '1', '--name', $list, '-j', 'DROP');
my $proc = "/proc/net/xt_recent/$list";
my $dir = tempdir(CLEANUP => 1);
chmod 0755, $dir;
my ($table, $state) = ("$dir/table", "$dir/state");

sub slurp {
    my ($name) = @_;
    open my $file, '<:raw', $name or return "no $name: $!";
    local $/ = undef;
    return scalar(<$file>) // '';
}

sub spew {
    my ($name, $text) = @_;
    open my $file, '>', $name or die "$name: $!\n";
    print {$file} $text or die "$name: $!\n";
    close $file or die "$name: $!\n";
    return;
}

sub offend {
    system($offend, $table, @_) == 0 or die "offend @_\n";
    return;
}

# Runs a program; returns its exit status, what it printed and complained of.
sub run {
    my @words = @_;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDOUT, '>', "$dir/out" or die;
        open STDERR, '>', "$dir/err" or die;
        exec @words or die;
    }
    waitpid $pid, 0;
    my $status = $? & 127 ? "signal $?" : $? >> 8;
    return ($status, slurp("$dir/out"), slurp("$dir/err"));
}

my @base = ('--table', $table, '--state', $state, '--jail', "recent:$list");

sub sync { return run($sync, @base, @_) }

# A pass that has nothing to say.
sub quiet {
    my ($name, @words) = @_;
    is_deeply([ sync(@words) ], [ 0, '', '' ], $name);
    return;
}

# A pass that ends so and says one sentence.
sub says {
    my ($name, $exit, $sentence, @words) = @_;
    my ($status, $out, $err) = sync(@words);
    is($status, $exit, "$name: exit $exit");
    like($err, qr/\Aclamquota-sync: [^\n]*$sentence[^\n]*\n\z/,
        "$name: one sentence");
    is($out, '', "$name: nothing else");
    return;
}

# The same trouble again: not a word, the same exit code.
sub again {
    my ($name, $exit, @words) = @_;
    is_deeply([ sync(@words) ], [ $exit, '', '' ], "$name: said once");
    return;
}

sub jailed {
    my @in;
    for (slurp($proc) =~ /^src=(\S+)/mg) {
        (my $address = $_) =~ s/\b0+(?=[0-9a-f])//g;
        push @in, $address;
    }
    return join ' ', sort @in;
}

sub write_proc {
    open my $file, '>', $proc or die "$proc: $!\n";
    syswrite $file, $_[0] or die "$proc: $!\n";
    close $file;
    return;
}

# ---- the order of exit codes: 2, 6, 4/5, 3 ----

says('a bad value, before anything', 2, 'expected a number of refusals',
    '--after', 'many');
says('a bad jail', 2, 'no such kind of jail', '--jail', 'cage:x');
ok(!-e $state, 'nothing was written');
says('no table', 6, "$table: no such table");
again('no table', 6);
says('no table, -n', 6, 'no such table', '-n');
for my $noise (["\0" x 9000, 'zeros'], [join('', map { chr($_ * 7 % 256) }
        0 .. 40_000), 'noise'], ['', 'nothing']) {
    spew($table, $noise->[0]);
    my ($status, $out, $err) = sync();
    is("$status$out", 6, "a table of $noise->[1]: exit 6");
    again("a table of $noise->[1]", 6);
}
unlink $table;
offend('daily', 'default', 1000);
says('no list', 3, $list);
again('no list', 3);
says('no list, -n', 3, $list, '-n');

system('iptables', '-I', 'INPUT', @rule) == 0 or die "iptables\n";
quiet('an empty table');
is(jailed(), '', 'and an empty list');

# ---- clients that are jailed ----

offend('draw', 'default', '192.0.2.1', 2000, 200, 61,
    'draw', 'default', '192.0.2.2', 2000, 199, 61,
    'draw', 'default', '192.0.2.3', 2000, 200, 3,
    'draw', 'default', '192.0.2.4', 900, 0, 61,
    'draw', 'default', '192.0.2.5', 9000, 500, 61,
    'proxied', 'default', '192.0.2.5',
    'draw', 'default', '127.0.0.1', 9000, 500, 61,
    'draw', 'default', '169.254.1.1', 9000, 500, 61,
    'draw', 'default', '224.0.0.1', 9000, 500, 61,
    'draw', 'default', '198.51.100.1', 9000, 500, 61,
    'draw', 'default', '203.0.113.9', 9000, 500, 61);
my @never = ('--never', '203.0.113.0/24');
my $before = slurp($state);
is_deeply([ sync('-n', @never) ], [ 0, "+192.0.2.1\n", '' ],
    '-n: which clients it would jail');
is(jailed() . slurp($state), $before, '-n touches nothing');
quiet('the pass', @never);
is(jailed(), '192.0.2.1', 'over, long enough, refused often enough; no '
    . 'other, no special, own, proxied or never address');
is(slurp($state), "clamquota-sync state 2\nsaid fills recent:$list\nend 3\n",
    'it remembers what was reported, nothing else');
is(sprintf('%o', (stat $state)[2] & 07777), '600', 'for root only');
my $inode = (stat $state)[1];
quiet('nothing to do', @never);
is((stat $state)[1], $inode, 'nothing is written then');
is_deeply([ sync('-n', @never, '--after', 199, '--grace', 0) ],
    [ 0, "+192.0.2.2\n+192.0.2.3\n", '' ], '--after and --grace');
is_deeply([ sync('-n', '-n') ], [ 0, "+203.0.113.9\n", '' ],
    'without --never');
is_deeply([ sync('-n', @never, '--never', '192.0.2.1') ],
    [ 0, "-192.0.2.1\n", '' ], 'a client that becomes never-listed is released');

# ---- the list belongs to clamquota-sync ----

write_proc('+192.0.2.77');
write_proc('+192.0.2.2');
quiet('others added what is not wanted', @never);
is(jailed(), '192.0.2.1', 'it is removed');
write_proc('+192.0.2.2');
quiet('others added what is wanted', @never, '--after', 199);
is(jailed(), '192.0.2.1 192.0.2.2', 'it stays');
quiet('no longer wanted', @never, '--after', 16_000_000);
is(jailed(), '', 'also if another program added it');
quiet('wanted again', @never);
write_proc('/');
quiet('flushed by others', @never);
is(jailed(), '192.0.2.1', 'added again');
write_proc("+192.0.2.$_") for 50 .. 62;
unlink $state;
says('the first pass names what others added', 0, "recent:$list: the first pass"
    . ' removes 13 addresses .* not wanted: 192\.0\.2\.50, .*'
    . '192\.0\.2\.59, \.\.\.; addresses to keep .* deny file', @never);
is(jailed(), '192.0.2.1', 'and removes it');
write_proc("+192.0.2.50");
quiet('a later pass does not', @never);
rename $table, "$table.away" or die "$table: $!\n";
says('a pass without a table', 6, "no such table", @never);
rename "$table.away", $table or die "$table: $!\n";
write_proc("+192.0.2.50");
quiet('nor does one after a pass that failed', @never);
unlink $state;
write_proc("+192.0.2.50");
says('a first pass that removes nothing', 1, "none: cannot be read", @never,
    '--deny-file', "$dir/none");
says('the one after it names what it removes', 0, "recent:$list: the first pass"
    . ' removes 1 addresses .* not wanted: 192\.0\.2\.50;', @never);
is(jailed(), '192.0.2.1', 'though it removes it');

# ---- what another program adds again and again ----

for my $n (1 .. 3) {
    write_proc('+192.0.2.77');
    quiet("removal $n of one address", @never);
}
write_proc('+192.0.2.77');
says('it was put back three times running', 0, "recent:$list: 192\\.0\\.2\\.77"
    . ' was removed 3 times running and another program added it', @never);
is(jailed(), '192.0.2.1', 'and is removed by each pass');
write_proc('+192.0.2.77');
again('it', 0, @never);
quiet('a pass without it', @never);
for my $n (1 .. 3) {
    write_proc('+192.0.2.77');
    quiet("counted anew: $n", @never);
}
quiet('and again without', @never);

# ---- one line for each client, with -v ----

sub lines {
    return [ map { s/\A\S+: //r =~ s/for \d+ s/for N s/r } split /\n/,
        (sync(@_))[2] ];
}
write_proc('/');
is_deeply([ grep { /^jailed/ } @{ lines('-v', @never, '--after', 199) } ], [
    'jailed 192.0.2.1: over quota in pool default for N s, refused 200 times',
    'jailed 192.0.2.2: over quota in pool default for N s, refused 199 times'
    ], '-v: jailed clients, and why');
my ($released) = grep { /released/ } @{ lines('-v', @never) };
is($released, 'released 192.0.2.2: it was refused fewer times than --after'
    . ' says', '-v: released clients, and why');
($released) = grep { /released/ } @{ lines('-v', @never, '--never',
    '192.0.2.1') };
is($released, 'released 192.0.2.1: it is on a never list', '-v: a never list');
quiet('and back', @never);

# ---- a jail that holds no client ----

offend('draw', 'default', '192.0.2.1', 0, 1, 61);
quiet('refused once more, on a connection that was open', @never);
quiet('not again', @never);
offend('draw', 'default', '192.0.2.1', 0, 1, 61);
my ($in_json) = map { JSON::PP::decode_json($_) } (sync('--status', '--json',
    @never))[1];
is("@{$in_json->{jails}[0]{still_refused}}", '192.0.2.1', '--status');
says('refused in the jail', 0, '1 jailed clients are refused by httpd all the'
    . ' same, e\.g\. 192\.0\.2\.1: no firewall rule drops', @never);
quiet('not any more', @never);

# ---- what frees ----

offend('reset', '192.0.2.1');
quiet('a reset', @never);
is(jailed(), '', 'frees');
offend('draw', 'default', '192.0.2.1', 2000, 200, 61);
quiet('again', @never);
is(jailed(), '192.0.2.1', 'in');
for (['a raised Daily', 'daily', 'default', 1_000_000],
    ['a new Unlimited range', 'daily', 'default', 1000,
        'rule', '192.0.2.0/24', -1],
    ['LogOnly', 'daily', 'default', 1000, 'logonly', 'default'],
    ['no Daily at all', 'rule', '10.0.0.0/8', 1]) {
    my ($name, @words) = @{$_};
    offend(@words);
    is_deeply([ sync('-n', @never) ], [ 0, "-192.0.2.1\n", '' ],
        "$name frees");
}
offend('daily', 'default', 1000, 'daily', 'other', 1000);
quiet('as before', @never);
is_deeply([ sync('-n', @never, '--pool', 'other') ],
    [ 0, "-192.0.2.1\n", '' ], '--pool: others do not count');
($released) = grep { /released/ } @{ lines('-v', @never, '--pool', 'other') };
is($released, 'released 192.0.2.1: neither a pool that --pool names nor a deny'
    . ' file has it', '-v: another pool');
says('a pool that is none', 1, '--pool oter: no such pool .* default, other',
    @never, '--pool', 'oter');
quiet('and back', @never);

# ---- lists ----

my $deny = "$dir/deny";
my @lists = (@never, '--deny-file', $deny);

# Writes a list file, some time ago: what was written just now is waited for.
sub list_file {
    my ($name, $text) = @_;
    spew("$name.new", $text);
    utime time - 60, time - 60, "$name.new";
    rename "$name.new", $name or die "$name: $!\n";
    return;
}
sub deny { return list_file($deny, @_) }
sub never { return list_file("$dir/never", @_) }
deny("Deny from 192.0.2.100 10.1 all env=x 127.0.0.1\n<RequireAll>\n"
    . "Require not ip 192.0.2.101\n</RequireAll>\n192.0.2.102\n2001:db8::5\n"
    . "203.0.113.1\n");
my ($status, $out, $err) = sync('-nv', @lists);
is("$status:$out", "0:+192.0.2.100\n+192.0.2.101\n+192.0.2.102\n"
    . "+2001:db8::5\n", 'a deny file, and what is never-listed in it');
like($err, qr/deny:1: "all" is left out: that is every address/, '-v: all');
like($err, qr/deny:1: "env=x" is left out/, '-v: env=');
my $left_out = 'addresses of deny files are left out, e\.g\.';
like($err, qr{: 2 $left_out 203\.0\.113\.1/32 \(\Q$deny\E:7\): it is on a n},
    '-v: what is never jailed');
deny("# an office\n203.0.112.0/22\n");
like((sync('-nv', @lists))[2],
    qr{: 1 $left_out 203\.0\.112\.0/22 \(\Q$deny\E:2\): it is on a never },
    '-v: a network with a never-listed address in it');
deny("Deny from 192.0.2.100 10.1 192.0.2.101\n192.0.2.102\n2001:db8::5\n");
says('a network that an xt_recent list cannot hold', 0,
    "recent:$list holds no networks, only nft can: 1 of .* 10\\.1\\.0\\.0/16",
    @lists);
again('it', 0, @lists);
is(jailed(), '192.0.2.1 192.0.2.100 192.0.2.101 192.0.2.102 2001:db8:0:0:0:0:0:5', 'all in');
# an exemption comes before a deny file, too
sub exempt {
    my (@words) = @_;
    is((run("$build/clamquota", 'exempt', @words, '--table', $table))[0], 0,
        "exempt @words");
    return;
}
exempt('192.0.2.100', '--for', '1h');
($released) = grep { /released/ } @{ lines('-v', @lists) };
is($released, 'released 192.0.2.100: it is exempt', '-v: an exemption');
is(jailed(), '192.0.2.1 192.0.2.101 192.0.2.102 2001:db8:0:0:0:0:0:5',
    'an exempt address of a deny file is released');
exempt('192.0.2.100', '--end');
again('it', 0, @lists);
is(jailed(), '192.0.2.1 192.0.2.100 192.0.2.101 192.0.2.102 2001:db8:0:0:0:0:0:5',
    'until the exemption ends');
deny("192.0.2.100\n192.0.2.300\n");
says('a bad line', 1, "$deny:2: \"192\\.0\\.2\\.300\": not an address", @lists);
again('a bad line', 1, @lists);
is(jailed(), '192.0.2.1 192.0.2.100', 'the rest of the file is used');
write_proc('-192.0.2.100');
my ($line) = grep { /jailed/ } @{ lines('-v', @lists) };
is($line, "jailed 192.0.2.100: $deny:1", '-v: file and line');
deny("Deny from 192.0.2.103\n<Files a>\nDeny from 192.0.2.100\n</Files>\n");
says('a line inside of a section', 0,
    "$deny:3: is left out: it is inside <Files>", @lists);
again('it', 0, @lists);
is(jailed(), '192.0.2.1 192.0.2.103', 'and is not guessed at');
unlink $deny;
says('the file is gone', 1,
    "$deny: cannot be read: No such file .*; until it can, no address is",
    @lists);
again('the file is gone', 1, @lists);
is(jailed(), '192.0.2.1 192.0.2.103', 'no address is released');
is((sync(@lists, '--never', '192.0.2.103'))[0], 1, 'nor');
deny('');
quiet('an empty one', @lists);
is(jailed(), '192.0.2.1', 'releases');
($status, $out, $err) = sync(@never, '--after', 199, '--never-file',
    "$dir/never");
is($status, 1, 'a never file that was never read: exit 1');
like($err, qr/never: cannot be read: .*; until it can, no further client is jailed/,
    'and why');
is(jailed(), '192.0.2.1', 'no further client is jailed, none is released');
never("192.0.2.1\n");
quiet('with the never file', @never, '--never-file', "$dir/never");
is(jailed(), '', 'a client in it is released');
never('');
says('a never file that an editor truncated', 1, 'never: cannot be read: it is'
    . ' empty', @never, '--never-file', "$dir/never");
is(jailed(), '', 'is not believed');
# A file that changed just now is being written: it is read at rest.
never("# not yet\n");
utime undef, undef, "$dir/never";
open my $editor, '+<', "$dir/never" or die;
my $pass = fork // die;
if (!$pass) {
    exec $sync, @base, @never, '--never-file', "$dir/never" or die;
}
select undef, undef, undef, 0.3;
syswrite $editor, "192.0.2.1 \n" or die;
close $editor;
waitpid $pass, 0;
is("$?:" . jailed(), '0:', 'a never file is read when its editor is done');
quiet('without it', @never);
is(jailed(), '192.0.2.1', 'in again');

# ---- two instances, and a state that is not as it should be ----

open my $lock, '>', "$state.lock" or die "lock: $!\n";
flock $lock, LOCK_EX | LOCK_NB or die "flock: $!\n";
quiet('the second instance leaves quietly', @lists);
like((sync('-v'))[2], qr/another clamquota-sync is at work/, 'but with -v');
is_deeply([ sync('-n', @never) ], [ 0, '', '' ], '-n takes no lock');
close $lock;
my $good = slurp($state);
for my $damaged ("noise\n$good", "$good$good", substr($good, 0, -2), '') {
    spew($state, $damaged);
    says('a damaged state file', 1, "$state: is damaged; it was set aside as",
        @never);
    is(slurp("$state.damaged"), $damaged, 'is set aside');
    is(jailed(), '192.0.2.1', 'and the pass was made');
}

# ---- what is not permitted ----

SKIP: {
    my ($user) = grep { getpwnam $_ } qw(nobody www-data);
    skip 'the user nobody does not exist', 5 if !$user;
    chmod 0644, $table;
    my @as = ('setpriv', '--reuid', $user, '--clear-groups', $sync);
    is_deeply([ run(@as, @base, '-n', @never, '--never', '192.0.2.1') ],
        [ 0, "-192.0.2.1\n", '' ], '-n needs no right');
    ($status, $out, $err) = run(@as, @base, @never);
    is($status, 4, 'a pass does: exit 4');
    like($err, qr/state\.lock: .*Permission denied/, 'and says for what');
    mkdir "$dir/his" or die;
    chown +(getpwnam $user)[2], -1, "$dir/his";
    ($status, $out, $err) = run(@as, @base, '--state', "$dir/his/state",
        '--after', 199);
    is($status, 4, 'with a state of its own: the list');
    like($err, qr/$list/, 'is not writable');
    chmod 0600, $table;
    ($status) = run(@as, @base, '--state', "$dir/his/state");
    is($status, 4, 'a table that it may not read');
}
# Its own mounts: where nothing can be remembered the pass is made all the same
for (['a read-only /run', 'tmpfs -o ro none /run', 1, '/run/clamquota-sync/'
        . 'state\.lock: cannot be made: Read-only file system; trouble is',
        '192.0.2.1 192.0.2.2'],
    ['no /proc/net', 'tmpfs none /proc', 3, "$list does not exist",
        '192.0.2.1']) {
    my ($name, $mount, $exit, $sentence, $in) = @{$_};
    my $refusal = refusal("unshare -m sh -c 'mount -t $mount'");
    SKIP: {
        skip $refusal, 3 if $refusal;
        ($status, $out, $err) = run('unshare', '-m', 'sh', '-c',
            "mount -t $mount; exec \"\$\@\"", 'sh', $sync, '--table', $table,
            '--jail', "recent:$list", $exit == 1 ? () : ('--state', $state),
            @never, '--after', 199);
        is("$status$out", $exit, "$name: exit $exit");
        like($err, qr/\Aclamquota-sync: [^\n]*$sentence[^\n]*\n\z/,
            "$name: one sentence");
        is(jailed(), $in, "$name: the jailed clients");
    }
    quiet("without $name", @never);
}
SKIP: {
    my ($user) = grep { getpwnam $_ } qw(nobody www-data);
    my @as = ('setpriv', '--reuid', $user // 'nobody', '--clear-groups',
        'unshare', '--user', '--map-root-user');
    my $refusal = refusal("@as true");
    skip $refusal, 2 if $refusal;
    chmod 0644, $table;
    mkdir "$dir/userns" or die;
    chown +(getpwnam $user)[2], -1, "$dir/userns";
    ($status, $out, $err) = run(@as, $sync, @base, '--state',
        "$dir/userns/state", @never, '--after', 199);
    is("$status$out", 4, 'root of a user namespace only: exit 4');
    like($err, qr/\Aclamquota-sync: [^\n]*$list[^\n]*\n\z/, 'one sentence');
    chmod 0600, $table;
}
SKIP: {
    my $ro = "mount -t proc -o ro proc /proc";
    my $refusal = refusal("unshare -m sh -c '$ro'");
    skip $refusal, 2 if $refusal;
    ($status, $out, $err) = run('unshare', '-m', 'sh', '-c',
        "$ro; exec \"\$\@\"", 'sh', $sync, @base, '--after', 199);
    is($status, 5, 'a read-only /proc: exit 5');
    like($err, qr/read-only/i, 'and reports it');
}

# ---- an addition that fails ----

sub is_marked {
    my ($json) = (run("$build/clamquota", 'report', '--json', '--table',
        $table))[1];
    my ($client) = grep { $_->{client} eq '192.0.2.1' }
        @{JSON::PP::decode_json($json)->{clients}};
    return $client->{jailed} ? 'jailed' : 'not jailed';
}
write_proc('/');
quiet('a list with room', @never);
is(is_marked(), 'jailed', 'its row is marked');
write_proc('/');
# no packet has such an address, but it takes a place
write_proc("+::ffff:10.0.0.$_") for 1 .. 100;
says('a list full of what is no client', 1, "$list is full; raise", @never);
is(jailed() =~ /192\.0\.2\.1\b/ ? 'in' : 'out', 'out', 'the client is not in');
is(is_marked(), 'not jailed', 'its row is not marked');
write_proc('/');
quiet('there is room again', @never);
is(is_marked(), 'jailed', 'it is in');

# ---- places ----

my @many = map { ('draw', 'default', "192.0.2.$_", 2000 + $_, 200, 61) }
    110 .. 229;
offend(@many);
($status, $out, $err) = sync(@never);
is($status, 0, 'more offenders than places');
like($err, qr/is full: 100 of 121 are jailed, .* 21 have no place/, 'is reported');
again('it', 0, @never);
is(scalar(split / /, jailed()), 100, 'the list is full');
my $in = jailed();
is(join(' ', sort map { "192.0.2.$_" } 130 .. 229), $in, 'of the worst');
quiet('a third time', @never);
is(jailed(), $in, 'and they stay');

# ---- --status: as far as it is known outside ----

write_proc('/');
write_proc('+192.0.2.77');
write_proc('+192.0.2.229');
my $first = slurp($state);
my @status = ('--status', '--json', @never, '--after', 200);
offend('draw', 'default', '2001:db8::1', 2000, 200, 61);
($status, $out, $err) = sync(@status);
is("$status$err", '0', '--status --json');
my $json = eval { JSON::PP::decode_json($out) } // {};
my $jail = $json->{jails}[0];
is_deeply([ @{$jail}{qw(jail present operators wanted jailed not_held places
            error)} ],
    [ "recent:$list", 2, 0, 122, 100, 1, 100, undef ],
    'its figures');
is(scalar @{$jail->{missing}}, 99, 'clients that are not yet in');
is("@{$jail->{surplus}}", '192.0.2.77', 'what is not wanted');
is(scalar @{$jail->{left_out}}, 21, 'clients without a place');
is_deeply([ map { $_->{address} } @{$jail->{entries}} ],
    ['192.0.2.77', '192.0.2.229'], 'and the jailed clients');
is(slurp($state) . jailed(), "${first}192.0.2.229 192.0.2.77",
    'it changes nothing');
($status, $out) = sync(grep { $_ ne '--json' } @status);
like($out, qr/^recent:$list\n  in it +2\n  operator's +0\n  wanted +122\n/,
    '--status');
for my $other ("$dir/t\xe4ble", "$dir/t\xc3\xa4ble") {
    link $table, $other or die "$other: $!\n";
    ($status, $out, $err) = run($sync, @status, '--table', $other,
        '--jail', "recent:$list");
    ok($status == 0 && eval { JSON::PP->new->utf8->decode($out) },
        '--status --json with any bytes in a name') or diag "$out$err$@";
    unlink $other;
}
offend('reset', '2001:db8::1');

# ---- flush ----

is_deeply([ sync('--flush') ], [ 0, '', '' ], '--flush');
is(jailed(), '', 'empties');

# ---- killed at any step: the next pass makes good ----

SKIP: {
    my $refusal = refusal('strace -o /dev/null true');
    skip $refusal, 2 if $refusal;
    offend(map { ('reset', "192.0.2.$_") } 1, 110 .. 229);
    offend('draw', 'default', '192.0.2.1', 2000, 200, 61,
        'draw', 'default', '192.0.2.2', 2000, 200, 61);
    my ($killed, @wrong) = (0);
    for my $call (qw(write rename close unlink)) {
        for my $n (1 .. 5) {
            my @kill = ('strace', '-o', '/dev/null', '-e', "trace=$call",
                '-e', "inject=$call:signal=KILL:when=$n");
            write_proc('/');
            write_proc('+192.0.2.77');
            unlink $state;
            my ($how) = run(@kill, $sync, @base, @never);
            $killed++ if $how ne '0';
            sync(@never);
            push @wrong, "$call $n: " . jailed()
                if jailed() ne '192.0.2.1 192.0.2.2';
        }
    }
    is_deeply(\@wrong, [], 'killed at any step');
    cmp_ok($killed, '>', 10, 'which happened');
}

# ---- --watch ----

offend(map { ('reset', "192.0.2.$_") } 1, 2, 110 .. 229);
write_proc('/');
my $watch = fork // die "fork: $!\n";
if (!$watch) {
    open STDOUT, '>', "$dir/watch" or die;
    open STDERR, '>&', \*STDOUT or die;
    exec $sync, @base, '-v', '--watch', '--lease', 6, @lists or die;
}
END { kill 'KILL', $watch if $watch; $? = $?; }

sub comes {
    my ($name, $expected) = @_;
    for (1 .. 1500) {
        last if jailed() eq $expected;
        select undef, undef, undef, 0.01;
    }
    is(jailed(), $expected, $name);
    return;
}

# It watches as soon as it has jailed a client that only its first pass can have seen.
offend('draw', 'default', '192.0.2.20', 2000, 200, 61);
comes('--watch: an offender', '192.0.2.20');
offend('draw', 'default', '192.0.2.21', 2000, 200, 61);
comes('another', '192.0.2.20 192.0.2.21');
offend('draw', 'default', '192.0.2.22', 2000, 200, 58);
comes('one whose grace ends soon', '192.0.2.20 192.0.2.21 192.0.2.22');
# The first time may be another change's, the second is not.
my %renewed;
for (1 .. 2000) {
    $renewed{$1}++ if slurp($proc) =~ /^src=192\.0\.2\.20 .*last_seen: (\d+)/m;
    last if keys %renewed == 3;
    select undef, undef, undef, 0.01;
}
is(scalar keys %renewed, 3, 'while nothing happens, leases are renewed');
offend('reset', '192.0.2.20');
comes('a reset frees', '192.0.2.21 192.0.2.22');
# A file that changed just now is waited for: that is no work, which looks would
# have to make up for.
spew($deny, "192.0.2.105\n");
kill 'HUP', $watch;
comes('a deny file that changed just now', '192.0.2.105 192.0.2.21 192.0.2.22');
offend('reset', '192.0.2.21');
comes('does not keep it from looks', '192.0.2.105 192.0.2.22');
offend('draw', 'default', '192.0.2.21', 2000, 200, 61);
deny('');
kill 'HUP', $watch;
comes('an empty one', '192.0.2.21 192.0.2.22');
write_proc('/');
kill 'HUP', $watch;
comes('SIGHUP looks at everything', '192.0.2.21 192.0.2.22');
rename $table, "$table.old" or die;
offend('daily', 'default', 1000, 'draw', 'default', '192.0.2.30', 2000, 200,
    61);
comes('the table is replaced', '192.0.2.30');
offend('draw', 'default', '192.0.2.31', 2000, 200, 61);
comes('and its bell is heard', '192.0.2.30 192.0.2.31');
truncate $table, 4096 or die;
for (1 .. 1500) {
    last if slurp("$dir/watch") =~ /: (?:.*expected a whole|.*table)/;
    select undef, undef, undef, 0.01;
}
is(jailed(), '192.0.2.30 192.0.2.31', 'a table that is cut short frees no client');
unlink $table;
offend('daily', 'default', 1000, 'draw', 'default', '192.0.2.32', 2000, 200,
    61);
comes('a whole one does', '192.0.2.32');
system('iptables', '-F', 'INPUT') == 0 or die;
kill 'HUP', $watch;
for (1 .. 1500) {
    last if slurp("$dir/watch") =~ /does not exist/;
    select undef, undef, undef, 0.01;
}
system('iptables', '-I', 'INPUT', @rule) == 0 or die;
comes('the list vanishes and comes back', '192.0.2.32');
quiet('a pass beside it leaves', @never);
is((sync('--flush'))[0], 1, '--flush does not work against it');
# a second --watch waits for its turn, also when it is asked to end
my @second;
for my $n (0, 1) {
    $second[$n] = fork // die "fork: $!\n";
    if (!$second[$n]) {
        open STDOUT, '>', "$dir/second$n" or die;
        open STDERR, '>&', \*STDOUT or die;
        exec $sync, @base, '-v', '--watch', @never or die;
    }
    for (1 .. 1500) {
        last if slurp("$dir/second$n") =~ /waits for another/;
        select undef, undef, undef, 0.01;
    }
}
kill 'TERM', $second[1];
waitpid $second[1], 0;
is($?, 0, 'SIGTERM ends one that waits');
kill 'TERM', $watch;
waitpid $watch, 0;
is($?, 0, 'SIGTERM ends it');
$watch = $second[0];
is(jailed(), '192.0.2.32', 'and the jail stays');
offend('draw', 'default', '192.0.2.33', 2000, 200, 61);
comes('the next one works', '192.0.2.32 192.0.2.33');
kill 'TERM', $watch;
waitpid $watch, 0;
undef $watch;
is(scalar(() = slurp("$dir/watch") =~ /^clamquota-sync: .*does not exist/mg),
    1, 'a list that is missing was reported once');

# ---- the program itself ----

my ($version) = slurp("$top/mod_clamquota/core/version.h")
    =~ /CQ_VERSION "(\S+)"/;
is_deeply([ run($sync, '-V') ], [ 0, "clamquota-sync $version\n", '' ],
    'it has the version of the module');
($status, $out) = run($sync, '--help');
is($status, 0, '--help');

done_testing();
