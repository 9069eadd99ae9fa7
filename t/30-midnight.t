# What happens at midnight, at the end of a period, and when the clock lies.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Test::More;

plan skip_all => 'libfaketime is not here (./build.sh deps)'
    if !glob '/usr/lib/*/faketime/libfaketimeMT.so.1';

my $server;

# A server whose clock shows that time, which is returned.
sub at {
    my ($time, $tz, $conf) = @_;
    $server = Httpd->run(faketime => $time, tz => $tz, conf =>
        "ClamQuotaDaily 10000\nClamQuotaRetryMax 60d\nClamQuotaRetryJitter 0\n"
        . ($conf // ''));
    write_file("$server->{dir}/htdocs/$_->[0]", 'f' x $_->[1])
        for ['small', 3000], ['big', 12_000], ['huge', 400_000];
    return $server->{began};
}

# Downloads a file; its status, and its bytes added to the sum when served.
my $drawn;
sub draw {
    my ($path) = @_;
    my $answer = $server->get($path, '--interface', '127.0.0.2');
    return $answer if $answer->{status} != 200;
    $drawn += $answer->{bytes};
    $server->row('127.0.0.2', used => $drawn);
    return $answer;
}

sub period { return join ' ', @{$server->json->{period}}{qw(kind day)} }

# ---- from day to day of a month ----
at('2026-02-10 23:50:00', 'UTC');
$drawn = 0;
is(period(), 'month 10', 'day 10 of the month');
is(draw('/huge')->{status}, 200, 'admitted');
my $answer = draw('/small');
is($answer->{status}, 429, 'over');
# 400,000 and headers: day 28 allows 280,000, so it is the 1st of March
is($answer->{date} + $answer->{headers}{'retry-after'},
    $server->json->{period}{end},
    'no day of this month is enough: until the next');

at('2026-02-10 23:50:00', 'UTC');
$drawn = 0;
draw('/big') for 1 .. 9;
is($server->row('127.0.0.2')->{state}, 'over', '108,000 on day 10: over');
is($server->row('127.0.0.2')->{allowance}, 100_000, 'of 10 x 10,000');
$answer = draw('/small');
is($answer->{date} + $answer->{headers}{'retry-after'},
    $server->json->{period}{next_day}, 'Retry-After: to midnight');
$server->set_time('2026-02-10 23:59:59');
poll(5, sub { $server->json->{period}{day} == 11 });
is(period(), 'month 11', 'midnight: day 11');
my $row = $server->row('127.0.0.2');
is($row->{allowance}, 110_000, 'allows 11 x 10,000');
is($row->{used}, $drawn, 'used stays');
is($row->{today}, 0, 'today is new');
is($row->{state}, 'ok', 'the client is free');
is($row->{retry_after}, 0, 'and told so');
my $before = $drawn;
is(draw('/small')->{status}, 200, 'and served');
is($server->row('127.0.0.2')->{today}, $drawn - $before, 'today counts again');

# ---- into the next period ----
for (['2026-01-31 23:50:00', 'UTC', '2026-02-01 00:00:00', 'month 31', 31, 1],
    ['2026-02-28 23:50:00', 'UTC', '2026-03-01 00:00:00', 'month 28', 28, 1],
    ['2028-02-28 23:50:00', 'UTC', '2028-02-29 00:00:00', 'month 28', 28, 29],
    ['2026-12-31 23:50:00', 'Asia/Tokyo', '2027-01-01 00:00:00', 'month 31',
        31, 1],
    ['2026-11-29 23:50:00', 'UTC', '2026-11-30 00:00:00', 'week 7', 7, 1],
    ['2026-11-25 23:50:00', 'UTC', '2026-11-26 00:00:00', 'day 1', 1, 1]) {
    my ($time, $tz, $then, $period, $days, $next) = @$_;
    my ($kind) = split ' ', $period;
    at($time, $tz, "ClamQuotaPeriod \u$kind\n");
    $drawn = 0;
    is(period(), $period, "$time: $period");
    is(draw('/huge')->{status}, 200, "$time: served");
    $row = $server->row('127.0.0.2');
    is($row->{allowance}, $days * 10_000, "$time: allowance");
    is($row->{state}, 'over', "$time: over");
    is(draw('/small')->{status}, 429, "$time: refused");
    $server->set_time($then);
    is(period(), "$kind $next", "$then: day $next");
    next if $next != 1;
    $drawn = 0;
    is(draw('/small')->{status}, 200, "$then: served");
    $row = $server->row('127.0.0.2', used => $drawn);
    is($row->{used}, $drawn, "$then: counters start anew");
    is($row->{today}, $drawn, "$then: today too");
    is($row->{allowance}, 10_000, "$then: allowance of day 1");
    is($row->{hits}, 1, "$then: hits");
    is($row->{refused}, 0, "$then: refusals");
    is($row->{over_since}, 0, "$then: not over");
}

# ---- a download over the end of a period belongs to both ----
at('2026-01-31 23:50:00', 'UTC');
write_file("$server->{dir}/htdocs/giant", 'g' x 30_000_000);
my $connection = $server->connect(from => '127.0.0.2', buffer => 65536);
$connection->send("GET /giant HTTP/1.0\r\nHost: x\r\n\r\n");
my $january = $connection->take(10_000_000);
poll(5, sub { $server->row('127.0.0.2')->{used} >= $january - 262_144 });
$server->set_time('2026-02-01 00:00:00');
$connection->drain;
$row = $server->row('127.0.0.2', in_flight => 0);
cmp_ok($row->{used}, '<=', $connection->{bytes} - $january + 262_144,
    'February is charged what flowed in February');
cmp_ok($row->{used}, '>', 1_000_000, 'and that it is charged');
is($row->{in_flight}, 0, 'nothing is left in flight');

# ---- whose midnight ----
at('2026-06-10 20:30:00', 'America/New_York');
is(period(), 'month 10', 'Local: the 10th in New York');
at('2026-06-10 20:30:00', 'America/New_York', "ClamQuotaTimezone UTC\n");
is(period(), 'month 11', 'UTC: the 11th in London');
at('2026-06-30 20:30:00', 'America/New_York', "ClamQuotaTimezone UTC\n");
is(period(), 'month 1', 'UTC: the 1st of July');
is($server->json->{period}{start}, 1782864000, 'that began in UTC');

# ---- days that have 23 and 25 hours, and one without a midnight ----
for (['2026-03-29 00:10:00', 'Europe/Berlin', 23 * 3600 - 600],
    ['2026-10-25 00:10:00', 'Europe/Berlin', 25 * 3600 - 600],
    ['2026-09-05 23:50:00', 'America/Santiago', 600]) {
    my ($time, $tz, $seconds) = @$_;
    my $began = at($time, $tz, "ClamQuotaPeriod Day\n");
    $drawn = 0;
    draw('/big');
    $answer = draw('/small');
    is($answer->{status}, 429, "$time $tz: over");
    is($answer->{date} + $answer->{headers}{'retry-after'}, $began + $seconds,
        "$time $tz: Retry-After to its end");
}

# ---- a clock that jumps and comes back ----
at('2026-05-20 12:00:00', 'UTC');
$drawn = 0;
draw('/big') for 1 .. 3;
$before = $server->row('127.0.0.2');
my $totals = $server->json->{totals};
my $mark = $server->mark;
$server->set_time('2066-05-20 12:00:00');
is($server->row('127.0.0.2')->{used}, $drawn, '40 years ahead: used stays');
is(draw('/small')->{status}, 200, 'clients are served');
ok($server->wait_log(qr/clamquota:\w+\].*CQ\d+: .*clock/, $mark),
    'and it is reported');
is($server->row('127.0.0.2')->{used}, $drawn, 'after that look too');
$server->set_time('2026-05-20 12:01:00');
$row = $server->row('127.0.0.2');
is($row->{used}, $drawn, 'back again: used is what was downloaded');
is($row->{allowance}, 200_000, 'the allowance as before');
is(period(), 'month 20', 'the day as before');
is($row->{hits}, $before->{hits} + 1, 'hits as before, and one');
is($server->json->{totals}{sent}, $totals->{sent} + $drawn - $before->{used},
    'totals too');
$server->allow_log(qr/CQ\d+: .*clock/, 1);

# ---- a start believes its clock, and reports it when that is far off ----
ok($server->stop, 'stop');
$server->set_time('2026-08-02 12:00:00');
$mark = $server->mark;
is($server->start, '', 'start three months later');
is(period(), 'month 2', 'the period is that of the clock');
is_deeply([grep { $_->{used} } @{$server->json->{clients}}], [],
    'counters anew');
ok($server->wait_log(qr/CQ\d+: .*period/, $mark), 'and it is reported');

finish();
