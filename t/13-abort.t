# A client that goes away is charged what was handed to the kernel for it, not
# the file; a slow one is charged while it reads.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Test::More;

use constant SIZE => 64 * 1024 * 1024;
use constant PIECE => 256 * 1024;

my $server = serve('');

# A server with more configuration, and a file that is not sparse and larger
# than the kernel's buffers of both sides.
sub serve {
    my ($conf) = @_;
    my $server = Httpd->run(conf => "ClamQuotaDaily 1G\n$conf");
    write_file("$server->{dir}/htdocs/big", pack('N*', 1 .. 1 << 16)
        x (SIZE >> 18));
    return $server;
}

# Reads some of the file, then goes away.
sub abort_after {
    my ($server, $from, $bytes) = @_;
    my $connection = $server->connect(from => $from, buffer => 65536);
    $connection->send("GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n");
    my $got = $connection->take($bytes);
    $connection->close;
    # mod_logio is the yardstick: %O is what the kernel accepted
    my ($line) = $server->access(qr/^\Q$from\E /);
    my ($out) = ($line // '') =~ /^\S+ \d+ (\d+) /;
    return ($got, $out // -1);
}

sub booked_as_accepted {
    my ($server, $from, $bytes, $what) = @_;
    my ($got, $out) = abort_after($server, $from, $bytes);
    cmp_ok($out, '>=', $got, "$what: yardstick ($out)");
    cmp_ok($out, '<', SIZE, "$what: the file was not sent whole");
    my $row = $server->row($from, in_flight => 0, hits => 1);
    cmp_ok($row->{used}, '<=', $out, "$what: not more than was accepted");
    cmp_ok($row->{used}, '>=', $out - PIECE, "$what: less by one piece");
    is($row->{in_flight}, 0, "$what: the reservation was released");
    is($row->{hits}, 1, "$what: a hit");
}
booked_as_accepted($server, "127.0.0.1$_", 2_000_000, "abort $_") for 1 .. 3;

# here httpd's core maps that much of a file before it writes any of it
booked_as_accepted(serve("FlushMaxThreshold 16777216\nEnableSendfile Off\n"),
    '127.0.0.9', 7_000_000, 'mapped ahead');

# a filter behind ours fails, and the client is still there: not the file (A6)
{
    my $so = "$server->{dir}/mod_failing.so";
    chomp(my @flags = (`apxs -q INCLUDEDIR`, `apr-1-config --includedir`,
        `apr-1-config --cppflags`));
    is(system(join ' ', $ENV{CC} // 'cc', '-shared -fPIC -o', $so, $flags[2],
        "-I$flags[0] -I$flags[1]", "$FindBin::Bin/modules/mod_failing.c"), 0,
        'a module that fails');
    my $other = serve("LoadModule failing_module $so\n"
        . "<Location /big>\nSetOutputFilter FAILING\n</Location>\n");
    my $connection = $other->connect(from => '127.0.0.8')->send(
        "GET /big HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    $connection->drain;
    my $row = $other->row('127.0.0.8', hits => 1, in_flight => 0);
    is($row->{in_flight}, 0, 'a filter that fails: nothing is in flight');
    cmp_ok($row->{used}, '<=', $connection->{bytes} + PIECE,
        'a filter that fails: at most a piece more than left is booked');
}

# a slow reader
my $connection = $server->connect(from => '127.0.0.20', buffer => 65536);
$connection->send("GET /big HTTP/1.1\r\nHost: localhost\r\n"
    . "Connection: close\r\n\r\n");
my @seen;
for my $megabytes (10, 20, 30, 40) {
    my $got = $connection->take($megabytes * 1_000_000);
    my $row;
    poll(5, sub {
        $row = $server->row('127.0.0.20');
        # the page reads both while a piece is sent, until the socket is full
        return $row && $row->{used} >= $got - PIECE
            && $row->{used} + $row->{in_flight} < SIZE + 1000;
    });
    cmp_ok($row->{used}, '>=', $got - PIECE, "$megabytes MB read: counted");
    cmp_ok($row->{used} + $row->{in_flight}, '>=', SIZE,
        "$megabytes MB read: the rest is in flight");
    cmp_ok($row->{used} + $row->{in_flight}, '<', SIZE + 1000,
        "$megabytes MB read: and no more than that");
    push @seen, $row->{used};
}
cmp_ok($seen[3], '>', $seen[0], 'the count moves while the client downloads');
cmp_ok($seen[0], '<', SIZE, 'and is not the file before it was sent');
my $page = $server->json;
my ($open) = grep { $_->{client} eq '127.0.0.20' } @{$page->{clients}};
is($page->{totals}{in_flight}, $open->{in_flight},
    'the total in flight is this one');
$connection->drain;
my $row = $server->row('127.0.0.20', used => $connection->{bytes});
is($row->{used}, $connection->{bytes}, 'in the end: to the byte');
is($row->{in_flight}, 0, 'nothing left in flight');

# a child is killed in the middle: what had left stays, the rest goes back
$connection = $server->connect(from => '127.0.0.21', buffer => 65536);
$connection->send("GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n");
$connection->take(5_000_000);
# until the kernel takes no more: the child waits, it is not in a writev
my ($used, $same) = (0, 0);
poll(10, sub {
    my $now = $server->row('127.0.0.21')->{used};
    $same = $now == $used ? $same + 1 : 0;
    $used = $now;
    return $same == 20;
});
kill 'KILL', $server->children;
$connection->take(SIZE + 1000);
$row = $server->row('127.0.0.21', in_flight => 0);
is($row->{in_flight}, 0, 'killed: in flight is right again');
cmp_ok($row->{used}, '<=', SIZE, 'killed: not more than the file');
cmp_ok($row->{used}, '>=', $connection->{bytes} - PIECE,
    'killed: less by one piece');

finish();
