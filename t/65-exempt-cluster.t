# An exemption, and its end, reach the other node of a cluster; so does the
# reset of a network.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Cluster;
use File::Basename;
use Httpd;
use Mirror;
use Test::More;

my $tool = dirname($ENV{CQ_TEST_MODULE} // "$Httpd::ROOT/build/x")
    . '/clamquota';
need_memcached();
my $cluster = Cluster->run(nodes => 2, memcached => 1,
    conf => "ClamQuotaPeriod Day\nClamQuotaDaily 1000\n");
my ($one, $two) = $cluster->nodes;
write_file("$_->{dir}/htdocs/file", 'f' x 2000) for $one, $two;
my $client = '127.0.7.1';

sub status { return $_[0]->get('/file', '--interface', $client)->{status} }
sub change {
    my ($node, $form) = @_;
    my $answer = $node->get('/clamquota', '--data', $form, '-H',
        "Origin: http://127.0.0.1:$node->{port}");
    is($answer->{status}, 303, $form);
}
sub exempt_on {
    my ($node, $count) = @_;
    return Httpd::poll(10, sub { @{$node->json->{exemptions}} == $count });
}
is(status($one), 200, 'served');
is(status($one), 429, 'over quota here');
ok(Httpd::poll(10, sub { ($two->row($client) // { state => '' })->{state} eq 'over' }),
    'and there');
change($one, 'action=exempt&client=127.0.7.0/24&for=1d');
ok(exempt_on($two, 1), 'the other node has the exemption');
is(status($two), 200, 'and serves the client');
change($two, 'action=unexempt&client=127.0.7.0/24');
ok(exempt_on($one, 0), 'ended by the other node');
is(status($one), 429, 'refused again');
change($two, 'action=reset&client=127.0.7.0/24');
ok(Httpd::poll(10, sub { $one->row($client)->{used} == 0 }),
    'a network is reset on both');
is(status($one), 200, 'served');

# ---- a node that is gone for good is forgotten by the command ----
sub command {
    my ($node, @arguments) = @_;
    my ($exit, $said) = Mirror::run($node, $tool, @arguments, '--table',
        "$node->{dir}/state/clamquota.table");
    return "$exit $said";
}
sub clamquota { return command($one, 'cluster', @_) }
my ($gone) = map { $_->{node} } grep { !$_->{self} }
    @{$one->json->{cluster}{nodes}};
$client = '127.0.8.1';
is(status($two), 200, 'the other node serves a client');
ok(Httpd::poll(10, sub { ($one->row($client) // { used => 0 })->{used} > 2000 }),
    'whose share counts here');
# which node has it, by its name: on that one, on the other, and of a client
# that has never been seen here
sub shares {
    my ($node, $who) = @_;
    return join ' ', command($node, 'show', $who)
        =~ /^  (?:nodes)? +(\w+(?: \(this node\))?: [\d.]+ \w+ used)$/mg;
}
my $text = sub { return sprintf '%.1f KiB', $_[0] / 1024 };
my $sent = $text->($two->row($client)->{here}{used});
is(shares($two, $client), "b (this node): $sent used", 'show: all on one node');
is(shares($one, $client), "a (this node): 0 B used b: $sent used",
    'show: on the other one');
is($two->get('/file', '--interface', '127.0.9.9')->{status}, 200, 'served');
ok(Cluster::await_rounds($two, 2), 'and shared');
like(shares($one, '127.0.9.9'), qr/^a \(this node\): 0 B used b: $sent used$/,
    'show: never seen here');
is(command($two, 'reset', $client), "0 $client: reset, 1 row; the other nodes "
    . "reset it, too\n", 'reset: on all nodes');
is($two->get('/file', '--interface', $client)->{status}, 200, 'served again');
ok(Httpd::poll(10, sub { ($one->row($client) // { used => 0 })->{used} > 2000 }),
    'and counted on both');
like(clamquota('--forget', $gone), qr/^1 .*: lives, expected a node that is/,
    'a node that lives is not forgotten');
like(clamquota('--forget', 'nobody'), qr/^1 .*: no node has this label or id/,
    'nor one that is not there');
ok($two->stop, 'it stops');
ok(Httpd::poll(30, sub { clamquota() =~ /ago, silent/ }), 'it is silent');
is(clamquota('--forget', $gone), "0 $gone: is forgotten, its shares count no "
    . "more\n", 'it is forgotten');
ok(Httpd::poll(10, sub { ($one->row($client) // { used => 0 })->{used} == 0 }),
    'and its share no longer counts');
# the list is written at the end of the round that sets the row
ok(Httpd::poll(10, sub { @{$one->json->{cluster}{nodes}} == 1 }),
    'nor is it listed');
finish();
