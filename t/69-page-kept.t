# The page of a large table: one pass for all that ask within two seconds, and
# another one after that.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use HTTP::Tiny;
use JSON::PP ();
use Test::More;
use Time::HiRes 'sleep';

# rows from which on a view is kept; of a smaller table it is of the moment
my %kept = (700_000 => 1, 1000 => 0);
for my $clients (sort { $a <=> $b } keys %kept) {
    # one child: each keeps its own
    my $server = Httpd->run(clients => $clients, faketime => 0, conf => <<'EOT');
ClamQuotaDaily 1M
<IfModule mpm_prefork_module>
    StartServers 1
    MaxRequestWorkers 1
</IfModule>
<IfModule !mpm_prefork_module>
    StartServers 1
    ServerLimit 1
    ThreadsPerChild 4
    MaxRequestWorkers 4
</IfModule>
EOT
    my $http = HTTP::Tiny->new;
    my $page = sub {
        my ($query) = @_;
        my $answer = $http->get($server->url("/clamquota?json$query"));
        return JSON::PP::decode_json($answer->{content})->{now};
    };
    # up to the beginning of a second, so that the next one is near
    my $second = time;
    sleep 0.01 while time == $second;
    my $first = $page->('');
    sleep 0.01 while time == $first;
    my ($again, $other) = ($page->(''), $page->('&sort=hits'));
    is($again == $first ? 1 : 0, $kept{$clients},
        "$clients clients: the same view a second later");
    isnt($other, $first, "$clients clients: another question, another view");
    ok(Httpd::poll(10, sub { $page->('') > $first + 1 }),
        "$clients clients: and a new one in the end");
    cmp_ok($page->('') - time, '>=', -2, "$clients clients: not older than 2 s");
    ok($server->stop, 'httpd stops');
}
done_testing();
