# The kernel jail with real packets: two network namespaces, clients of both
# families, the rules of conf/ for each of the four jails. The connections of
# a client that keeps sending requests are dropped, its running download and
# other clients are not; and each way to be released.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Test::More;
use Wire;

plan skip_all => 'libfaketime is not here (./build.sh deps)'
    if !glob '/usr/lib/*/faketime/libfaketimeMT.so.1';

# A client of each family for each way to be released: nothing but midnight, the
# operator's reset, Unlimited, a raised Daily, LogOnly.
my %way = (midnight => 2, reset => 3, unlimited => 4, raised => 5, log => 6);
my %of = map { $_ => ["10.77.1.$way{$_}", "fd77:0:1:$way{$_}::2"] } keys %way;
my ($near, $far4, $far6) = ('fd77:0:1:2::3', '10.77.2.2', 'fd77:0:1:9::2');
lay((map { @$_ } values %of), $near, $far4, $far6);

my $conf = <<'EOC';
Listen 10.77.0.1:80
Listen 10.77.0.1:443 http
Listen [fd77::1]:80
Listen [fd77::1]:443 http
MaxKeepAliveRequests 0
KeepAliveTimeout 3600
SendBufferSize 65536
ClamQuotaPeriod Day
ClamQuotaDaily 1000
EOC

# Two more pools: the Daily of one and the Engine of the other
sub scopes {
    my ($daily, $engine) = @_;
    return <<"EOC";
<Location /raised>
    ClamQuotaPool raised
    ClamQuotaDaily $daily
</Location>
<Location /log>
    ClamQuotaPool log
    ClamQuotaEngine $engine
    ClamQuotaDaily 1000
</Location>
EOC
}
my $scopes = scopes('1000', 'On');
my $freeing = scopes('1M', 'LogOnly') . join '', map { "ClamQuotaClient $_"
    . " Unlimited\n" } $of{unlimited}[0], "fd77:0:1:$way{unlimited}::/64";

my $server = Httpd->run(faketime => '2026-03-01 12:00:00',
    conf => $conf . $scopes);
my $htdocs = "$server->{dir}/htdocs";
mkdir "$htdocs/$_" for qw(raised log);
write_file("$htdocs/$_", 'd' x 1500) for qw(f raised/f log/f);
my $big = join '', map { sprintf "%07d\n", $_ } 1 .. 500_000;
write_file("$htdocs/big", $big);

# A graceful restart after which no child of before answers.
sub configure {
    my ($text) = @_;
    my %old = map { $_ => 1 } $server->children;
    $server->{conf} = $conf . $text;
    ok($server->graceful, 'graceful');
    ok(poll(20, sub { !grep { $old{$_} } $server->children }),
        'the old children went');
}

# A download that is admitted, takes it over quota and waits for its client.
sub download {
    my ($from) = @_;
    my $connection = there(sub { $server->connect(from => $from, to =>
        Wire::to($from), port => 80, buffer => 16_384) });
    $connection->send("GET /big HTTP/1.0\r\nHost: localhost\r\n\r\n");
    1 while $connection->{data} !~ /\r\n\r\n./s && $connection->more(4096);
    my $client = $from =~ /:/ ? $from =~ s/::2$/::/r : $from;
    ok(poll(10, sub { $server->row($client)->{used} >= 1000 }), 'drawing');
    return $connection;
}

my $foreign = '203.0.113.77';
my $day = -1;
for my $jail (Wire::Jail->all) {
    $day += 2;          # each begins on a day without drawings
    subtest $jail->{name} => sub { one_jail($jail) };
}

sub one_jail {
    my ($jail) = @_;
    my $lines = sub { my ($sign, @from) = @_;
        return [sort map { $sign . $jail->printed($_) } @from] };
    # until all are refused the clock stands: however long that takes here
    $server->set_time("2026-03-0$day 12:00:00", 1);
    my $why = $jail->lacks;
    plan skip_all => $why if $why;
    $jail->put($foreign);
    # an xt_recent list belongs to clamquota-sync: what it does not want goes
    my $kept = $jail->spares ? $foreign : '';
    my @gone = $jail->spares ? () : "-$foreign";
    my $sync = Wire::Sync->begin($server, $jail, '--after', 5);

    # ---- over, refused, and a minute later dropped ----
    my @downloads = map { download($_) } @{$of{midnight}};
    is(ask($server, $_, '/f', 4), '429 429 429 429 429',
        "$_: downloads and is refused") for @{$of{midnight}};
    offend($server, $_, 5) for map { @{$of{$_}} } qw(reset unlimited);
    offend($server, $_, 5, '/raised/f') for @{$of{raised}};
    offend($server, $_, 5, '/log/f') for @{$of{log}};
    is(ask($server, $_, '/f'), 200, "$_: another client") for $far4, $far6;
    is_deeply($sync->changes(scalar @gone), \@gone, 'by others: not wanted');
    is($jail->inside, $kept, 'no client is jailed within the first minute');
    $server->set_time("2026-03-0$day 12:01:02");
    my @all = map { @$_ } values %of;
    is_deeply($sync->changes(10), $lines->('+', @all), 'then all are');
    for (@all) {
        is(dropped($jail, $_), 'dropped', "$_: dropped");
    }
    is(dropped($jail, $_, 443), 'dropped', "$_: port 443 too")
        for @{$of{midnight}};
    is(dropped($jail, $near), 'dropped', 'and in its /64');
    is(dropped($jail, $_), 'connected', "$_: connects") for $far4, $far6;
    is(ask($server, $_, '/f'), 429, "$_: is answered") for $far4, $far6;

    # ---- what runs goes on, to the byte ----
    for my $connection (@downloads) {
        $connection->drain;
        my ($head, $body) = split /\r\n\r\n/, $connection->{data}, 2;
        ok($body eq $big, 'the running download came whole');
    }

    # ---- taken out behind our back ----
    $jail->empty;
    $jail->put($foreign);
    $server->set_time("2026-03-0$day 12:03:00");
    is_deeply($sync->changes(10 + @gone), [sort @gone, @{$lines->('+', @all)}],
        'emptied by hand: in again at the next full pass');
    is(dropped($jail, $of{midnight}[0]), 'dropped', 'and dropped');

    # ---- the tool is killed: another one releases the right clients ----
    is($sync->end('KILL'), 137, 'kill -9');
    # iptables-nft has the same list as iptables-legacy, the first
    like(join("\n", $sync->notes), $jail->{name} ne 'iptables-legacy' ? qr/^$/
        : qr/^\S+ \S+ the first pass removes 1 address.*: \Q$foreign\E;.*$/,
        'it names what it removes on the first pass, nothing else');
    $sync = Wire::Sync->begin($server, $jail, '--after', 5);

    # ---- released: by the operator ----
    for my $from (@{$of{reset}}) {
        is($server->post("action=reset&client=$from", '-H', 'Origin: '
            . "http://127.0.0.1:$server->{port}")->{status}, 303, 'reset');
    }

    # ---- by the configuration, though they can't make a request ----
    configure($freeing);
    my @freed = map { @{$of{$_}} } qw(reset unlimited raised log);
    is_deeply($sync->changes(8), $lines->('-', @freed), 'both released');
    for my $path (['raised', '/raised/f'], ['log', '/log/f'],
        ['unlimited', '/f'], ['reset', '/f']) {
        is(ask($server, $_, $path->[1]), 200, "$path->[0]: $_: served")
            for @{$of{$path->[0]}};
    }
    is(dropped($jail, $_), 'dropped', "$_: still dropped")
        for @{$of{midnight}};

    # ---- by a new day ----
    $server->set_time("2026-03-0$day 23:59:59");
    is_deeply($sync->changes(2), $lines->('-', @{$of{midnight}}),
        'midnight releases it');
    is(ask($server, $_, '/f'), 200, "$_: served") for @{$of{midnight}};
    is($jail->inside, $kept, "only the operator's element is in");
    is($sync->end, 0, 'SIGTERM ends it');
    is(join("\n", $sync->notes), '', 'and it had nothing to say');
    $jail->unload;
    configure($scopes);
}

finish();
