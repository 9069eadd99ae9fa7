# What the guide shows does what it says: slow down instead of refuse, another
# language, a CDN in front. The recipes are read from clamquota(7).
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Test::More;
use Time::HiRes qw(time);

my %recipe = read_file("$Httpd::ROOT/mod_clamquota/clamquota.7")
    =~ /^\.Sh (.*)\n(?:(?!^\.Sh ).*\n)*?\.Bd -literal -offset indent\n((?s:.*?))^\.Ed$/mg;
sub recipe {
    my ($name) = @_;
    my $text = $recipe{$name} or BAIL_OUT("$name is not in the guide");
    return $text =~ s/\\e/\\/gr;
}

# ---- slow down ----
my $slow = Httpd->run(modules => [qw(ratelimit env)],
    conf => "ClamQuotaPeriod Day\nClamQuotaDaily 1000\n" . recipe('SLOW DOWN INSTEAD OF REFUSE'));
write_file("$slow->{dir}/htdocs/file", 'f' x 100_000);
is($slow->get('/file', '--interface', '127.0.2.1')->{status}, 200, 'within');
my $began = time;
my $slowed = $slow->get('/file', '--interface', '127.0.2.1');
is($slowed->{status}, 200, 'over quota: served');
is(length $slowed->{body}, 100_000, 'the whole of it');
cmp_ok(time - $began, '>', 1, '100 KB at 64 KiB a second');
is($slow->row('127.0.2.1')->{state}, 'over', 'it is over quota');
cmp_ok($slow->json->{totals}{would_refuse}, '>', 0, 'and would be refused');
is($slow->json->{totals}{refused}, 0, 'but is not');

# ---- another language ----
my $french = Httpd->run(conf => "ClamQuotaPeriod Day\nClamQuotaDaily 1000\n"
    . recipe('A REFUSAL IN ANOTHER LANGUAGE'));
write_file("$french->{dir}/htdocs/file", 'f' x 2000);
$french->get('/file');
my $answer = $french->get('/file', '-H', 'Accept-Language: fr,en;q=0.5');
is($answer->{status}, 429, 'fr: refused');
like($answer->{body}, qr/^Quota de telechargement/, 'in French');
like($answer->{headers}{'retry-after'}, qr/^[1-9]\d*$/, 'with Retry-After');
like($french->get('/file', '-H', 'Accept-Language: en')->{body}, qr/\bused\b/,
    'en: our own text');

# ---- a CDN ----
my ($cdn) = read_file("$Httpd::ROOT/mod_clamquota/clamquota.7")
    =~ /^(RemoteIPHeader +CF-Connecting-IP\nRemoteIPTrustedProxy .*\n)/m;
ok($cdn, 'the CDN is in the guide');
$cdn =~ s{203\.0\.113\.0/24}{127.0.20.0/24};
my $server = Httpd->run(modules => ['remoteip'],
    conf => "ClamQuotaPeriod Day\nClamQuotaDaily 1000\n$cdn");
write_file("$server->{dir}/htdocs/file", 'f' x 2000);
sub through {
    my ($proxy, $client) = @_;
    return $server->get('/file', '--interface', $proxy, '-H',
        "CF-Connecting-IP: $client")->{status};
}
is(through('127.0.20.1', '198.51.100.7'), 200, 'through the CDN');
is(through('127.0.20.2', '198.51.100.7'), 429, 'one client, whichever way');
is(through('127.0.20.1', '198.51.100.8'), 200, 'another one has its own quota');
is(through('127.0.30.1', '198.51.100.9'), 200, 'past the CDN');
is(through('127.0.30.1', '198.51.100.10'), 429, 'its header counts for nothing');
my ($row) = grep { $_->{client} eq '198.51.100.7' } @{$server->json->{clients}};
is($row->{spared}, 'proxied', 'no client of a CDN is jailed');
finish();
