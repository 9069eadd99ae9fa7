# clamquota replay and GoAccess count the same bytes for each client. Where they
# differ, GoAccess leaves out a line that has its figures: shown below.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Basename 'dirname';
use Httpd qw(read_file write_file);
use JSON::PP;
use Test::More;

plan skip_all => 'GoAccess is not here (apt-get install goaccess)'
    if !grep { -x "$_/goaccess" } split /:/, $ENV{PATH};
my $build = dirname($ENV{CQ_TEST_MODULE} // "$Httpd::ROOT/build/x");
my $dir = File::Temp::tempdir(CLEANUP => 1);
my $log = "$dir/access.log";
my $time = '[28/Nov/2026:21:28:38 +0000]';

# {client => bytes}: by GoAccess, by replay (a Daily of one byte refuses all)
sub goaccess {
    system("goaccess --no-global-config --log-format=COMBINED --no-progress"
        . " -o '$dir/out.json' '$log' >'$dir/said' 2>&1") == 0
        or die read_file("$dir/said");
    my $answer = decode_json(read_file("$dir/out.json"));
    return { map { $_->{data} => $_->{bytes}{count} }
        @{ $answer->{hosts}{data} } };
}

sub replay {
    my $text = `'$build/clamquota' replay --json --period day --daily 1 '$log'`;
    my $answer = decode_json($text);
    is($answer->{bad_lines}, 0, 'replay understands each line');
    return { map { $_->{client} => $_->{bytes} }
        @{ $answer->{quotas}[0]{most_refused} } };
}

# what stands between address and bytes, and behind them
my @alike = (qq(- - $time "GET /a HTTP/1.1" 200 %d "-" "curl/8"),
    qq(- - $time "GET /a HTTP/1.1" 200 %d "-" "say \\"hi\\" x"),
    qq(- - $time "GET /a HTTP/1.1" 200 %d "http://a/\\\\" "x\\\\"),
    qq(- John Q Doe $time "GET /a HTTP/1.1" 200 %d "-" "curl/8"),
    qq(- "" $time "GET /a HTTP/1.1" 200 %d "-" "-"),
    qq(-  $time "GET /a HTTP/1.1" 200 %d "-" "-"),
    qq(- - $time "\\x16\\x03\\x01" 400 %d "-" "-"),
    qq(- - $time "-" 408 %d "-" "-"), qq(- - $time "GET /a" 200 %d "-" "-"),
    qq(- - $time "GET /a\\" 200 5 \\"b HTTP/1.1" 200 %d "-" "-"),
    qq(- - $time "GET /a HTTP/1.1" 200 %d "-" "-" "-" 0.1),
    qq(- - $time "GET /a HTTP/1.1" 200 %d "-" "-"\r));
srand 78;
my $lines = '';
for my $client (map { ("192.0.2.$_", "2001:db8:$_\::") } 1 .. 5) {
    $lines .= sprintf "$client $alike[rand @alike]\n", 1 + rand 1e6
        for 1 .. 200;
}
write_file($log, $lines);
is_deeply(replay(), goaccess(), '2,000 lines, 10 clients: the same bytes');

# [line, client by replay, and by GoAccess]
for (['a line of common', "192.0.2.7 - - $time \"GET / HTTP/1.1\" 200 1000",
        '192.0.2.7', undef],
    ['a forged line as user', '192.0.2.7 - x [01/Jan/2020:00:00:00 +0000] '
        . qq(\\"GET / HTTP/1.1\\" 200 5 $time "GET / HTTP/1.1" 200 1000 "-")
        . ' "-"', '192.0.2.7', undef],
    ['a list of addresses', "192.0.2.7, 10.0.0.1 $alike[0]", '192.0.2.7',
        undef],
    ['a zone', "fe80::2%eth0 $alike[0]", 'fe80::', undef],
    ['no status', qq(192.0.2.7 - - $time "-" - 1000 "-" "-"), '192.0.2.7',
        undef],
    ['IPv4 in IPv6', "::ffff:192.0.2.7 $alike[0]", '192.0.2.7',
        '::ffff:192.0.2.7']) {
    my ($name, $line, @clients) = @$_;
    my $both = join "\n", '192.0.2.1 ' . $alike[0] =~ s/%d/1/r,
        $line =~ s/ %d / 1000 /r, '';
    write_file($log, $both x 2);
    my ($ours, $theirs) = map { my $client = $_;
        { '192.0.2.1' => 2, $client ? ($client => 2000) : () } } @clients;
    is_deeply(replay(), $ours, "$name: counted by replay");
    is_deeply(goaccess(), $theirs, 'but not so by GoAccess');
}

done_testing();
