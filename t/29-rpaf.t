# Behind Debian's mod_rpaf, which puts the client's address into the connection
# itself: whose bytes they are is found out for each request anew.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Peer;
use Test::More;

my $rpaf = Peer::module('rpaf')
    or plan skip_all => 'mod_rpaf: ' . Peer::reason('libapache2-mod-rpaf');

my $server = Httpd->run(conf => <<"EOT");
LoadModule rpaf_module $rpaf
RPAFenable On
RPAFproxy_ips 127.0.0.2
RPAFheader X-Forwarded-For
ClamQuotaPeriod Day
ClamQuotaDaily 4000
EOT
write_file("$server->{dir}/htdocs/file", 'f' x 5000);

# one connection of the proxy, as proxies keep them
my $proxy = $server->connect(from => '127.0.0.2');
sub ask {
    my ($client) = @_;
    return $proxy->send("GET /file HTTP/1.1\r\nHost: localhost\r\n"
        . "X-Forwarded-For: $client\r\n\r\n")->response->{status};
}
my @clients = map { "198.51.100.$_" } 1 .. 3;
for my $client (@clients) {
    is(ask($client), 200, "$client: served");
    my $row = $server->row($client, hits => 1, in_flight => 0);
    is($row && $row->{hits}, 1, "$client: counts");
}
is(ask($_), 429, "$_: refused") for reverse @clients;
is(scalar @{$server->json->{clients}}, 3, 'there is no other client');
finish();
