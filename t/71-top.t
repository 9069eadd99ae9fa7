# clamquota top on a terminal: it updates its window in place, q and
# Ctrl-C end it and no other key does, and the terminal is as before.
# mpm: once
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Basename qw(dirname);
use Httpd;
use Test::More;

my $tool = dirname($ENV{CQ_TEST_MODULE} // "$Httpd::ROOT/build/x")
    . '/clamquota';
my $server = Httpd->run(conf => "ClamQuotaDaily 100M\nSendBufferSize 65536\n");
write_file("$server->{dir}/htdocs/big", 'b' x 8_000_000);
# more clients with open transfers than the window has lines
my @slow = map {
    my $connection = $server->connect(from => "127.0.2.$_", buffer => 65_536);
    $connection->send("GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n");
    $connection->take(100_000);
    $connection;
} 1 .. 20;

use constant { ROWS => 12, BEGIN_SCREEN => "\e[H\e[J\e[?7l",
    END_SCREEN => "\e[?7h" };
my $shown = "$server->{dir}/run/shown";
my $begun = 0;

# A terminal of 12 lines in which top runs; then what it was and is like.
sub terminal {
    my (@options) = @_;
    my $fifo = "$server->{dir}/run/keys" . ++$begun;
    system('mkfifo', $fifo) == 0 or die "mkfifo: $!";
    unlink $shown;
    # the shell outlives the Ctrl-C that ends top
    my $lines = "trap : INT; stty rows ${\ROWS} cols 60; stty -g;"
        . " $tool top @options --table $server->{dir}/state/clamquota.table;"
        . ' echo "rc $?"; stty -g';
    my $pid = $server->spawn($shown, 'sh', '-c',
        "SHELL=/bin/sh exec script -qec '$lines' /dev/null <$fifo");
    open my $keys, '>', $fifo or die "$fifo: $!";
    $keys->autoflush(1);
    return ($pid, $keys);
}
sub screen { return read_file($shown) =~ s/\r\n/\n/gr }
sub views {     # that are complete
    my (undef, @views) = split /\Q${\BEGIN_SCREEN}\E/, screen();
    return map { /^(.*?)\Q${\END_SCREEN}\E/s ? $1 : () } @views;
}
sub await { my ($n) = @_; return poll(20, sub { (() = views()) >= $n }) }
sub ended {     # exit status, and whether the terminal is as it was
    my ($pid, $name) = @_;
    waitpid $pid, 0;
    my ($before) = screen() =~ /\A([0-9a-f:]+)\n/;
    my ($status, $after) = screen() =~ /rc (\d+)\n([0-9a-f:]+)\n/;
    is($status, 0, "$name: exit status 0");
    is($after, $before, "$name: the terminal is as before");
}

my ($pid, $keys) = terminal();
ok(await(2), 'it updates the window in place') or diag(screen());
my @views = views();
my @lines = split /\n/, $views[-1], -1;
cmp_ok(scalar @lines, '<=', ROWS, 'a view fits into the window');
like($lines[0], qr/^20\d\d-\S+ .*: .*\/s, .* hits\/s, .* refused\/s$/,
    'its first line');
like($lines[1], qr/^20 clients are active, 20 transfers open$/, 'its second');
is(scalar(grep { /^127\.0\.2\.\d+ +default/ } @lines), ROWS - 5,
    'as many clients as there is room for');
print $keys 'x', ' ', "\n";
my $n = @views;
ok(await($n + 2), 'other keys change nothing');
print $keys 'q';
ended($pid, 'q');

($pid, $keys) = terminal('--every', '1h');
ok(await(1), 'the first view does not wait for --every');
print $keys "\003";
ended($pid, 'Ctrl-C');

# the terminal goes away
($pid, $keys) = terminal();
ok(await(1), 'another one');
my ($top) = map { m{/proc/(\d+)/} } grep { (read_file($_) // '')
    =~ /^\Q$tool\E\0top\0/ } glob '/proc/[0-9]*/cmdline';
kill KILL => $pid;
waitpid $pid, 0;
ok(poll(10, sub { !kill 0, $top }), 'it ends with its terminal');
$_->close for @slow;
finish($server);
