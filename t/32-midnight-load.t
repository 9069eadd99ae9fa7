# A hundred slow downloads over midnight, over the 1st, and over a graceful
# restart in the first second of the 1st: the bytes are split there, and a
# request after it is decided with what is in flight.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use List::Util qw(sum);
use Load;
use Test::More;

plan skip_all => 'libfaketime is not here (./build.sh deps)'
    if !glob '/usr/lib/*/faketime/libfaketimeMT.so.1';

use constant SIZE => 3_000_000;
use constant CLIENTS => 100;

my ($server, %connection);

# A server whose clock shows that time, and a hundred clients that have received
# a part of a file each and read no further.
sub begin_downloads {
    my ($time, $daily) = @_;
    $server->stop if $server;
    $server = Httpd->run(faketime => $time, conf => <<"EOC");
ClamQuotaDaily $daily
SendBufferSize 65536
Timeout 300
<IfModule mpm_prefork_module>
    StartServers 110
    MaxRequestWorkers 250
    MaxSpareServers 120
</IfModule>
<IfModule !mpm_prefork_module>
    ServerLimit 20
    StartServers 7
    MaxRequestWorkers 400
    MaxSpareThreads 200
</IfModule>
EOC
    write_file("$server->{dir}/htdocs/big", 'm' x SIZE);
    write_file("$server->{dir}/htdocs/small", 's' x 5000);
    $_->close for values %connection;
    %connection = ();
    for my $n (1 .. CLIENTS) {
        my $c = $server->connect(from => "127.0.7.$n", buffer => 65_536);
        $c->send("GET /big HTTP/1.1\r\nHost: localhost\r\n"
            . "Connection: close\r\n\r\n");
        $connection{"127.0.7.$n"} = $c;
    }
    $_->take(1_000_000) for values %connection;
    return at_rest();
}

# The rows as soon as the kernel takes no more and all of that is booked.
sub at_rest {
    my ($before, $same, $rows) = ('', 0);
    poll(20, sub {
        $rows = rows();
        my $now = join ' ', map { $rows->{$_}{used} // 0 }
            sort keys %connection;
        $same = $now eq $before ? $same + 1 : 0;
        $before = $now;
        return $same == 30;
    });
    return $rows;
}

sub rows {
    return { map { ($_->{client} => $_) }
        @{$server->json('limit=10000')->{clients}} };
}

sub all_have {
    my ($name, $rows, $right) = @_;
    my @wrong = grep { !$rows->{$_} || !$right->($rows->{$_}, $_) }
        sort keys %connection;
    is_deeply([map { [$_, $rows->{$_}] } @wrong], [], $name);
}

# Receives the rest; the rows as soon as all of it is booked. before: what each
# had downloaded in another month.
sub drain {
    my (%before) = @_;
    $_->drain for values %connection;
    my $rows;
    poll(10, sub {
        $rows = rows();
        return $server->json->{totals}{in_flight} == 0
            && !grep { $rows->{$_}{used} != $connection{$_}{bytes}
                - ($before{$_} // 0) } keys %connection;
    });
    return $rows;
}

# ---- from the 10th to the 11th: 11 x 250,000 are fewer than the file ----
my $rows = begin_downloads('2026-06-10 23:59:00', 250_000);
my %before = map { $_ => $rows->{$_}{used} } keys %connection;
all_have('the 10th: a part is booked, the rest in flight', $rows, sub {
    my ($row, $from) = @_;
    return $row->{used} >= 1_000_000 - Load::PIECE
        && $row->{used} + $row->{in_flight} == SIZE
        && $row->{today} == $row->{used};
});
$server->set_time('2026-06-11 00:00:00');
my $answer = $server->get('/small', '--interface', '127.0.7.1');
is($answer->{status}, 429,
    'midnight: the first request sees what is in flight');
like($answer->{headers}{'retry-after'}, qr/^(?:3\d|40)$/,
    'midnight: and is busy');
is($server->row('127.0.7.1')->{refused}, 0, 'midnight: that is no offence');
$rows = rows();
all_have('the 11th: used stays, in flight too, today is new', $rows, sub {
    my ($row, $from) = @_;
    return $row->{used} == $before{$from} && $row->{today} == 0
        && $row->{in_flight} == SIZE - $row->{used};
});
$rows = drain();
all_have('the 11th: in the end to the byte', $rows, sub {
    my ($row, $from) = @_;
    return $row->{used} == $connection{$from}{bytes} && $row->{hits} == 1
        && $row->{in_flight} == 0;
});
all_have('the 11th: today is what flowed after midnight', $rows, sub {
    my ($row, $from) = @_;
    return $row->{today} == $row->{used} - $before{$from};
});
is($server->json->{totals}{sent}, sum(map { $_->{bytes} } values %connection),
    'the totals: every byte once');
is(Load::check_quiet_table($server), '', 'the table is sound');

# ---- over the 1st; with and without a graceful in its first second, that
# allows more ----
for my $graceful (0, 1) {
    my $name = $graceful ? 'the 1st with a graceful' : 'the 1st';
    my $daily = $graceful ? 4_000_000 : 1_000_000;
    $rows = begin_downloads('2026-06-30 23:59:00', 1_000_000);
    %before = map { $_ => $rows->{$_}{used} } keys %connection;
    my $mark = $server->mark;
    $server->set_time('2026-07-01 00:00:00', $graceful);
    if ($graceful) {
        $server->{conf} =~ s/ClamQuotaDaily .*/ClamQuotaDaily $daily/;
        ok($server->graceful, "$name: graceful");
        $server->set_time('2026-07-01 00:00:00');
        ok(scalar $server->log_lines(qr/Jul 01 00:00:00.*resuming/, $mark),
            "$name: in that second");
    }
    $rows = rows();
    all_have("$name: nothing is used, the rest is in flight", $rows, sub {
        my ($row, $from) = @_;
        return $row->{used} == 0 && $row->{today} == 0
            && $row->{in_flight} == SIZE - $before{$from}
            && $row->{allowance} == $daily;
    });
    $answer = $server->get('/small', '--interface', '127.0.7.1');
    if ($graceful) {
        is($answer->{status}, 200, "$name: in flight and 0 are below 4 MB");
        $before{'127.0.7.1'} -= $answer->{bytes};
    }
    else {
        is($answer->{status}, 429, "$name: in flight and 0 are above 1 MB");
        is($server->row('127.0.7.1')->{refused}, 0, "$name: that is busy");
    }
    $rows = drain(%before);
    all_have("$name: each month has its bytes", $rows, sub {
        my ($row, $from) = @_;
        return $row->{used} == $connection{$from}{bytes} - $before{$from}
            && $row->{today} == $row->{used} && $row->{in_flight} == 0;
    });
    is(Load::check_quiet_table($server), '', "$name: the table is sound");
}

# ---- a child killed on the 1st releases what it reserved in June ----
$rows = begin_downloads('2026-06-30 23:59:00', 1_000_000);
%before = map { $_ => $rows->{$_}{used} } keys %connection;
$server->set_time('2026-07-01 00:00:00');
is($server->get('/small', '--interface', '127.0.7.1')->{status}, 429,
    'killed on the 1st: busy before that');
is($server->json('limit=10000')->{totals}{in_flight},
    sum(map { SIZE - $_ } values %before), 'killed on the 1st: all in flight');
my $killed = qr/AH1039[23]: /;
kill 'KILL', $server->children;
$_->drain for values %connection;
ok(poll(5, sub { $server->json->{totals}{in_flight} == 0 }),
    'killed on the 1st: nothing in flight');
# rows of June that no client has touched since are not shown
is_deeply([grep { $_->{used} || $_->{in_flight} || $_->{today} }
    values %{rows()}], [], 'killed on the 1st: nothing booked');
is(Load::check_quiet_table($server), '', 'killed on the 1st: sound');
$server->allow_log($killed, scalar $server->log_lines($killed));

finish();
