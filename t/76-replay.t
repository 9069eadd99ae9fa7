# clamquota replay against a model: the same requests, decided in Perl. Then
# what it reads, in which order, and what it says of the rest.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Basename 'dirname';
use Httpd;
use JSON::PP;
use POSIX 'strftime';
use Test::More;

my $build = dirname($ENV{CQ_TEST_MODULE} // "$Httpd::ROOT/build/x");
my $dir = File::Temp::tempdir(CLEANUP => 1);
$ENV{TZ} = 'UTC';

sub replay { # (exit status, what it prints, what it says on standard error)
    my $words = join ' ', map { s/'/'\\''/gr =~ s/.*/'$&'/sr } @_;
    my $out = `cd '$dir' && '$build/clamquota' replay $words 2>said`;
    return ($? >> 8, $out, read_file("$dir/said"));
}

sub json {
    my ($status, $out, $said) = replay('--json', @_);
    is("$status $said", '0 ', "@_: nothing is wrong") or return {};
    return decode_json($out);
}

sub log_line {
    my ($r) = @_;
    return sprintf qq(%s - - [%s] "%s %s HTTP/1.1" %d %d "-" "%s"\n),
        $r->{client}, strftime('%d/%b/%Y:%H:%M:%S +0000', gmtime $r->{time}),
        $r->{method}, $r->{path}, $r->{status}, $r->{bytes}, $r->{agent};
}

# ---- the model ----

my %family = ('ClamAV/1.4.6 (OS: Linux)' => 'freshclam',
    'CVDUPDATE/1.1.1 (1)' => 'cvdupdate', 'Debian APT-HTTP/1.3' => 'apt',
    'cvdupdate/1.0' => 'cvdupdate', 'curl/7.88.1' => 'curl',
    'Wget/1.21.3' => 'wget',
    'Mozilla/5.0 (X11) Firefox/115.0' => 'browsers',
    'Mozilla/5.0 (compatible; Googlebot/2.1)' => 'others', '-' => 'others');

# What one Daily does to requests in order, by month
sub decide {
    my ($daily, $grace, $free, @requests) = @_;
    my (%used, %range, %refused, %m);
    for my $r (@requests) {
        my @g = gmtime $r->{time};
        my ($month, $day) = ($g[4], $g[3]);
        my $refused = $r->{status} == 429;
        next if !$refused && ($r->{method} eq 'HEAD' || $r->{status} >= 300
            || ($free && $r->{path} =~ $free));
        if ($r->{status} == 206 && $r->{bytes} <= 4096 + 512) {
            my $today = \$range{"$r->{client} $month $day"};
            if (($$today //= 0) < 10 << 20) {
                $$today += $r->{bytes};
                next;
            }
        }
        my $used = \$used{"$r->{client} $month"};
        if (($$used // 0) < $daily * $day + $grace) {
            $$used += $r->{bytes} if !$refused;
            next;
        }
        local $r->{bytes} = 0 if $refused;
        $m{first} //= $r->{time};
        $m{requests}++;
        $m{bytes} += $r->{bytes};
        $m{by}{$r->{client}}{n}++;
        $m{by}{$r->{client}}{bytes} += $r->{bytes};
        $m{agents}{ $family{ $r->{agent} } } += $r->{bytes};
        $m{agent_clients}{ $family{ $r->{agent} } }{ $r->{client} } = 1;
        $m{months}{ strftime '%Y-%m', @g } += $r->{bytes};
    }
    return \%m;
}

# From 20 September to 10 November, each at its own second; a log has them in
# the order in which they ended.
srand 76;
my @agents = sort keys %family;
my @paths = ('/main.cvd', '/daily.cvd', '/daily-1.cdiff', '/a?b.cdiff');
my %seen;
my @requests = map {
    my $time = 1_789_862_400 + int rand 51 * 86_400;
    $time++ while $seen{$time}++;
    my $status = (200, 200, 200, 206, 206, 304, 404, 429)[rand 8];
    { time => $time, client => '192.0.2.' . int(40 * rand() ** 2),
        method => rand() < 0.9 ? 'GET' : 'HEAD', path => $paths[rand 4],
        status => $status, agent => $agents[rand @agents],
        bytes => $status == 206 ? 4000 + int rand 1000
            : int(30_000_000 * rand() ** 3), ends => $time + int rand 3600 }
} 1 .. 4000;
# one client has more small ranges a day than are free
push @requests, map { { time => 1_790_000_000 + $_, client => '198.51.100.9',
    method => 'GET', path => '/r', status => 206, bytes => 4600, agent => '-',
    ends => 1_790_000_000 + $_ } } 1 .. 6000;
my @ordered = sort { $a->{time} <=> $b->{time} } @requests;
my @lines = map { log_line($_) }
    sort { $a->{ends} <=> $b->{ends} || $a->{time} <=> $b->{time} } @requests;
write_file("$dir/access.log", join '', @lines);

sub compare {
    my ($name, $answer, $grace, $free, @dailies) = @_;
    for my $i (0 .. $#dailies) {
        my $model = decide($dailies[$i], $grace, $free, @ordered);
        my $q = $answer->{quotas}[$i];
        my @most = sort { $model->{by}{$b}{n} <=> $model->{by}{$a}{n}
            || $model->{by}{$b}{bytes} <=> $model->{by}{$a}{bytes} }
            keys %{ $model->{by} };
        cmp_ok($model->{requests}, '>', 10, "$name $dailies[$i]: refusals");
        is_deeply([ @$q{qw(daily clients_refused requests_refused bytes_saved
            first_refused)} ], [ $dailies[$i], scalar @most,
            @$model{qw(requests bytes first)} ], 'the totals of the model');
        is_deeply([ map { $_->{client}, @$_{qw(requests_refused bytes_saved)} }
            @{ $q->{most_refused} } ], [ map { $_, @{ $model->{by}{$_} }{qw(n
            bytes)} } grep { defined } @most[0 .. 9] ], 'the most refused');
        is_deeply({ map { $_->{month} => $_->{bytes_saved} }
            grep { $_->{bytes_saved} } @{ $q->{months} } },
            $model->{months}, 'its months');
        is_deeply({ map { $_->{agent} => $_->{bytes_saved} }
            grep { $_->{bytes_saved} } @{ $q->{agents} } },
            $model->{agents}, 'its agents');
        is_deeply({ map { $_->{agent} => $_->{clients_refused} }
            grep { $_->{clients_refused} } @{ $q->{agents} } },
            { map { $_ => scalar keys %{ $model->{agent_clients}{$_} } }
                keys %{ $model->{agent_clients} } }, 'their clients');
    }
}

my $answer = json('--daily', '2M,500k', 'access.log');
compare('model', $answer, 0, undef, 500 << 10, 2 << 20);
my $all = 0;
$all += $_->{bytes} for @requests;
is_deeply([ @$answer{qw(logs lines bad_lines requests bytes lines_late)} ],
    [ 1, 10_000, 0, 10_000, $all, 0 ], 'all lines, in order within an hour');
compare('free and grace', json('--daily', '1M', '--grace', '20M', '--free',
    '\.(cdiff|sign)$', 'access.log'), 20 << 20, qr/^[^?]*\.cdiff$/, 1 << 20);

# ---- several logs ----

# rotated: the oldest first or last, packed or not
write_file("$dir/access.log.3", join '', @lines[0 .. 2999]);
write_file("$dir/access.log.2", join '', @lines[3000 .. 8000]);
write_file("$dir/access.log.1", join '', @lines[8001 .. $#lines]);
is(system("cd '$dir' && gzip access.log.3 && gzip -c access.log.2"
    . ' >access.log.2.gz'), 0, 'older logs are packed');
my @rotated = qw(access.log.1 access.log.2.gz access.log.3.gz);
for my $logs (\@rotated, [reverse @rotated]) {
    my $several = json('--daily', '2M,500k', @$logs);
    $several->{logs} = 1;
    is_deeply($several, $answer, "as one: @$logs");
}
# two hosts' logs of the same time, one of them through a pipe
write_file("$dir/even", join '', @lines[grep { $_ % 2 == 0 } 0 .. $#lines]);
write_file("$dir/odd", join '', @lines[grep { $_ % 2 } 0 .. $#lines]);
my $text = `cd '$dir' && cat odd |
    '$build/clamquota' replay --json --daily 2M,500k even -`;
my $piped = decode_json($text);
$piped->{logs} = 1;
is_deeply($piped, $answer, 'two logs of the same time, one of them a pipe');

# ---- by hand ----

sub at { # a line of a client at a second of the first of November
    my ($second, $client, $path, $status, $bytes) = @_;
    return log_line({ time => 1_793_491_200 + $second, client => $client,
        method => 'GET', path => $path, status => $status, bytes => $bytes,
        agent => 'curl/8' });
}

# copies: two of a file a day, whatever its query; others are not touched
write_file("$dir/copies", join '', map { at(@$_) } [0, '192.0.2.1', '/a', 200,
    1000], [1, '192.0.2.1', '/a?1', 200, 1000], [2, '192.0.2.1', '/a?2', 200,
    1000], [3, '192.0.2.1', '/b', 200, 1000], [4, '192.0.2.2', '/a', 200, 1000],
    [5, '192.0.2.1', '/a', 304, 0], [86_400, '192.0.2.1', '/a', 200, 1000]);
is(json('--copies', 2, '--daily', '1G', 'copies')->{quotas}[0]
    {requests_refused}, 1, 'the third copy of a day is refused');
is(json('--daily', '1G', 'copies')->{quotas}[0]{requests_refused}, 0,
    'without --copies none is');

# Periods: each begins anew. The 1st is a Sunday, the seventh day of its week.
write_file("$dir/days", join '', map { at($_ * 3600, '192.0.2.1', '/a', 200,
    1000) } 0 .. 8 * 24 - 1);
for (['day', 8 * 23], ['week', 24 - 7 + 7 * 23], ['month', 8 * 23]) {
    my ($period, $refused) = @$_;
    is(json('--period', $period, '--daily', 1000, 'days')->{quotas}[0]
        {requests_refused}, $refused, "$period: days add up");
}

# more than an hour behind: counted where it came, and said
write_file("$dir/late", at(7200, '192.0.2.1', '/a', 200, 1)
    . at(3599, '192.0.2.1', '/a', 200, 1)
    . at(3600, '192.0.2.1', '/a', 200, 1));
is(json('late')->{lines_late}, 1, 'a line more than an hour behind');
like((replay('late'))[1], qr/^  Order +1 lines are more than an hour older/m,
    'the page says it');

# names, "-" and what no one understands
write_file("$dir/ugly", at(0, 'host.example.org', '/a', 200, 5) . "nonsense\n"
    . at(0, '192.0.2.1', '/a', 200, 7) . at(0, '-', '/a', 200, 9));
my ($status, $out, $said) = replay('--json', 'ugly');
is($status, 1, 'a bad line: exit 1');
is($said, "clamquota replay: ugly:1: no address where the client stands, e.g."
    . " a name; lines without one count for no client (with \"HostnameLookups"
    . " Off\" httpd logs addresses)\nclamquota replay: ugly:2: expected an"
    . " address, e.g. 192.0.2.7: nonsense\n", 'and what is wrong');
is_deeply([ @{ decode_json($out) }{qw(lines bad_lines lines_without_client
    clients bytes)} ], [ 4, 1, 2, 1, 21 ], 'the rest counts');
# the future
write_file("$dir/future", log_line({ %{ $requests[0] }, time => time + 90_000 })
    . at(0, '192.0.2.1', '/a', 200, 7));
($status, $out) = replay('--json', 'future');
is("$status " . decode_json($out)->{lines_ahead}, '1 1',
    'a line of the day after tomorrow does not count');
# no log
($status, $out, $said) = replay('--json', 'nowhere', 'late');
is("$status $said", "1 clamquota replay: nowhere: No such file or directory\n",
    'a log that is not there');
is_deeply([ @{ decode_json($out) }{qw(logs logs_failed lines bad_lines)} ],
    [ 1, 1, 3, 0 ], 'the others are read');
is((replay("no\nlog"))[2], "clamquota replay: a log's name has control "
    . "characters\n", 'nor one that would break the sentence');
write_file("$dir/empty", '');
is((replay('nowhere', 'empty'))[1], <<'EOT', 'without a request there is no time');
  Logs           1 with 0 lines, 0 of them not understood
                 1 could not be read to the end
  Clients        0 with 0 requests
  Bytes          0 B, of these 0 B free

EOT
write_file("$dir/pairs", "192.0.2.1 5\n");
is((replay('pairs'))[2], 'clamquota replay: pairs: its lines have no time,'
    . " expected e.g. the format combined\n", 'pairs have no time');

# the word of the directive, and of the output
is_deeply(json('--period', $_, 'late'), json('--period', lc, 'late'),
    "--period $_") for qw(Month WEEK Day);

# ---- usage ----

for (['late', '--daily', '0', qr/--daily "0": expected 1 to 8 sizes, e.g/],
    ['late', '--daily', '1M,', qr/--daily "1M,": expected 1 to 8 sizes/],
    ['late', '--daily', '1,2,3,4,5,6,7,8,9', qr/expected 1 to 8 sizes/],
    ['late', '--period', 'year', qr/"year": expected Month, Week or Day/],
    ['late', '--free', '(', qr/--free "\(": .*; expected an extended regular/],
    ['late', '--format', '%h %t', qr/"%h %t": no bytes in it, expected %O/],
    ['late', '--format', '%h %b', qr/expected one with a time \(%t\)/],
    ['late', '--copies', '0', qr/--copies "0": expected a number of copies/],
    ['late', '--json', '--csv', qr/--json and --csv: expected one of them/],
    [qr/no log; expected e.g. clamquota replay/]) {
    my $expected = pop @$_;
    ($status, $out, $said) = replay(@$_);
    is("$status$out", '2', "@$_: usage");
    like($said, qr/^clamquota replay: .*$expected.*\n\z/, 'one sentence');
}

# ---- with a table a client is what it is there ----

write_file("$dir/near", join '', map { qq{$_ - - [01/Mar/2026:10:00:00 +0000]}
    . qq{ "GET /f HTTP/1.1" 200 1000\n} } '192.0.2.1', '192.0.2.9');
my $server = Httpd->run(conf => "ClamQuotaPrefix 24 56\nClamQuotaDaily 1M\n");
is(json('near')->{clients}, 2, 'two addresses');
is(json('--table', "$server->{dir}/state/clamquota.table", 'near')->{clients},
    1, 'one client in a table with ClamQuotaPrefix 24 56');
($status, $out, $said) = replay('--table', 'no-table', 'near');
is("$status$out", '6', 'no table: exit 6');
like($said, qr/^clamquota replay: no-table: .*\n\z/, 'one sentence');

# ---- the page, and CSV ----

($status, $out) = replay('--daily', '2M,500k', 'access.log');
my $q = $answer->{quotas};
my ($refused) = $out =~ /^  Clients refused +(.*)/m;
is_deeply([ $refused =~ /(\d+) \(/g ], [ map { $_->{clients_refused} } @$q ],
    'the page: clients refused');
like($out, qr/the bytes are an upper bound: these log an\naborted download/,
    'it says that bytes may be an upper bound');
unlike((replay('--format', '%h %l %u %t "%r" %>s %O', 'late'))[1],
    qr/upper bound/, 'with %O they are none');
is_deeply([ grep { length > 80 } split /\n/, $out ], [], '80 columns');
($status, $out) = replay('--csv', '--daily', '2M,500k', 'access.log');
my @rows = map { [ split /,/ ] } split /\r\n/, $out;
is_deeply([ grep { @$_ != 9 } @rows ], [], 'CSV: nine cells a line');
is_deeply([ map { $_->[8] } grep { $_->[1] eq 'all' } @rows ],
    [ map { $_->{bytes_saved} } @$q ], 'CSV: the same figures');
is_deeply([ map { "@$_[3, 4]" } grep { $_->[1] eq 'month' } @rows ],
    [ (' ') x grep { $_->[1] eq 'month' } @rows ],
    'CSV: of a month the clients are not counted');
is_deeply([ grep { /^[=+\-@]/ } map { @$_ } @rows ], [], 'CSV: no formula');

finish();
