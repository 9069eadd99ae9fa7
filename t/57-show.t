# clamquota show of clients that a jail holds: where, until when, by which line
# of a deny file; and the commands that it prints free them. Each jail of conf/.
# mpm: once
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp qw(tempdir);
use Httpd qw(write_file);
use Test::More;
use Wire;

lay();
my $dir = tempdir(CLEANUP => 1);
my ($table, $deny) = ("$dir/table", "$dir/deny");
my $tool = $Wire::Sync::PROGRAM =~ s/-sync$//r;
my $offend = $Wire::Sync::PROGRAM =~ s{[^/]+$}{peer/offend}r;
must($offend, $table, 'daily', 'default', 1000, 'draw', 'default',
    '192.0.2.1', 2000, 200, 61);
my $jail;

sub deny {
    write_file($deny, @_);
    utime time - 60, time - 60, $deny;
}
# (exit status, what it prints) of show
sub show {
    my ($exit, $said) = $jail->run($tool, 'show', @_, '--table', $table);
    is($exit, 0, "show @_: exit status");
    return $said;
}
sub run_sync {
    my ($exit, $said) = $jail->run($Wire::Sync::PROGRAM, '--table', $table,
        '--state', "$dir/state", '--jail', $jail->{spec}, '--deny-file', $deny,
        @_);
    is($exit, 0, 'clamquota-sync') or diag($said);
}
my $until = qr/until \d+-\d\d-\d\d \d\d:\d\d \S+, in (?:1 h|59 min)/;

for ((Wire::Jail->loaded)) {
    $jail = $_;
    subtest $jail->{name} => \&one_jail;
    $jail->unload;
}
done_testing();

sub one_jail {
    my $spec = quotemeta $jail->{spec};
    deny("# by hand\nDeny from 192.0.2.7 198.51.100.0/24\n"
        . "Require not ip 2001:db8:1::/64\n");
    run_sync();
    # a client that went over quota
    my $said = show('192.0.2.1');
    like($said, qr/^  jailed +$spec, $until, unless/m, 'jailed until when');
    unlike($said, qr/denied/, 'by no deny file');
    like($said, qr/^  changes +\S+ \S+ \S+ jailed$/m, 'its last change');
    like($said, qr/^To admit it again:\n  clamquota reset 192\.0\.2\.1 --table/m,
        'what frees it');
    # nor is a long lease an operator's
    run_sync('--lease', '10h');
    $jail->empty;
    run_sync('--lease', '10h');
    unlike(show('192.0.2.1'), qr/by an operator/, 'a lease of 10 h');
    $jail->empty;
    run_sync();
    # one that a deny file names, of which nothing was counted
    $said = show('192.0.2.7');
    like($said, qr/^  jailed +$spec, $until, unless/m, 'denied: jailed');
    like($said, qr/^  denied by +\Q$deny\E line 2: 192\.0\.2\.7$/m,
        'by which line');
    like($said, qr/^To admit it again:
  remove it from the deny file
  clamquota exempt 192\.0\.2\.7 --for 1d --table \S+
clamquota-sync then/m, 'what frees it');
    like(show('2001:db8:1::9'),
        qr{^  denied by +\Q$deny\E line 3: 2001:db8:1::/64$}m, 'IPv6');
    # by hand
    my ($release) = $said =~ /^  to release it +(.*)$/m;
    is(($jail->run('sh', '-c', $release))[0], 0, "$release");
    is(index($jail->inside, '192.0.2.7'), -1, 'is released by hand');
    # a network, where the jail has a set for it
    $said = show('198.51.100.9');
    like($said, qr{^  denied by +\Q$deny\E line 2: 198\.51\.100\.0/24$}m,
        'a network of a deny file');
    if ($jail->{name} eq 'nft') {
        like($said, qr{^  denied +$spec, in 198\.51\.100\.0/24 of a deny}m,
            'in its set');
        $jail->must(qw(nft add element inet clamquota deny4),
            '{ 203.0.113.1-203.0.113.3 }');
        unlike(show('192.0.2.9'), qr/denied|To admit/,
            'a range of others that does not hold it');
    }
    $said = show('192.0.2.9', '--jail', 'nft:inet/no_such/set');
    like($said, qr{^  jailed +not known of nft:inet/no_such/set: .*does not exist}m,
        'a jail that does not exist is not known');
    unlike($said, qr/as clamquota-sync reported|To admit/, 'and no more');
    # other files than those that clamquota-sync reported
    write_file("$dir/other", "192.0.2.1\n");
    utime time - 60, time - 60, "$dir/other";
    like(show('192.0.2.1', '--deny-file', "$dir/other"),
        qr/^  denied by +\Q$dir\E\/other line 1: 192\.0\.2\.1$/m,
        '--deny-file');
    unlike(show('192.0.2.7', '--deny-file', "$dir/other"), qr/denied/,
        'and no other');
    # released by the command that is shown
    run_sync();
    like(show('192.0.2.7'), qr/^  jailed/m, 'jailed again');
    my @exempt = ($tool, 'exempt', '192.0.2.7', '--table', $table);
    is(($jail->run(@exempt, '--for', '1h'))[0], 0, 'exempt');
    run_sync();
    unlike(show('192.0.2.7'), qr/^  jailed/m, 'releases it');
    is(($jail->run(@exempt, '--end'))[0], 0, 'the exemption ends');
    # released by the file
    deny("# nobody\n");
    run_sync();
    unlike(show('192.0.2.7'), qr/jailed|denied|To let/, 'the line is gone');
    unlink $deny;
    like(show('192.0.2.7'), qr/^  denied by +not known of \Q$deny\E: No such/m,
        'a file that is not there');
}
