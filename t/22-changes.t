# What the operator's page changes: only where the server's configuration lets
# it, under a name of this server, from the page itself. Answers of our pages
# leave room for the operator's ErrorDocument.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Test::More;

my $server = Httpd->run(conf => <<'EOT');
ClamQuotaPeriod Day
ClamQuotaDaily 10000
<Directory %DIR%/htdocs>
    AllowOverride FileInfo
</Directory>
<Location /read-only>
    SetHandler clamquota-status
</Location>
<Location /documents>
    SetHandler clamquota-status
    ErrorDocument 403 "by the operator"
    ErrorDocument 405 "by the operator"
    ErrorDocument 400 "by the operator"
</Location>
<Location /me>
    SetHandler clamquota-me
    ErrorDocument 405 "by the operator"
</Location>
Listen 127.0.0.1:%PORT2%
<VirtualHost 127.0.0.1:%PORT2%>
    ServerName https://mirror.example:8443
    ServerAlias other.example *.mirrors.example *
</VirtualHost>
EOT
my $htdocs = "$server->{dir}/htdocs";
mkdir "$htdocs/user";
write_file("$htdocs/file", 'f' x 6000);
write_file("$htdocs/user/.htaccess", "SetHandler clamquota-status\n");

my $client = '127.0.0.2';
my $reset = "action=reset&client=$client";
my $answer;

sub draw { $server->get('/file', '--interface', $client) }

# One POST to a path, under a name; its page is the origin.
sub ask {
    my ($path, $name, $scheme) = @_;
    my $port = $name && $scheme ? $server->{port2} : $server->{port};
    $name //= "127.0.0.1:$server->{port}";
    return $answer = $server->get("http://127.0.0.1:$port$path", '--data',
        $reset, '-H', "Host: $name", '-H', 'Origin: '
        . ($scheme // 'http') . "://$name", '-H', 'Sec-Fetch-Site: same-origin');
}

sub is_refused {
    my ($name, $want) = @_;
    is($answer->{status}, 403, "$name: refused");
    like($answer->{body}, $want, "$name: and why");
    cmp_ok($server->row($client)->{used}, '>', 0, "$name: nothing is changed");
}

sub is_done {
    my ($name) = @_;
    is($answer->{status}, 303, "$name: 303");
    is($server->row($client)->{used}, 0, "$name: done");
    draw();
}
draw();

# ---- where it may ----
ask('/clamquota');
is_done('with ClamQuotaChanges On');
like($server->get('/clamquota')->{body}, qr/action=reset/, 'with a link');
ask('/read-only');
is_refused('without it', qr/ClamQuotaChanges On/);
$answer = $server->get('/read-only');
like($answer->{body}, qr/\b127\.0\.0\.2\b/, 'which can be read');
unlike($answer->{body}, qr/action=reset/, 'but has no link');
like($server->get('/user/page')->{body}, qr/\b127\.0\.0\.2\b/,
    'as in .htaccess it can');
ask('/user/page');
is_refused('SetHandler in .htaccess', qr/ClamQuotaChanges On/);
my $mark = $server->mark;
write_file("$htdocs/user/.htaccess", "SetHandler clamquota-status\n"
    . "ClamQuotaChanges On\n");
is($server->get('/user/page')->{status}, 500,
    'ClamQuotaChanges does not go there');
ok($server->wait_log(qr/ClamQuotaChanges not allowed here/, $mark), 'and why');

# ---- under which names: any client that owns one may let it point here ----
for my $name ('evil.example', "evil.example:$server->{port}",
    '127.0.0.1.evil.example', 'localhost.evil.example', 'mirror.example') {
    ask('/clamquota', $name);
    is_refused($name, qr/ServerName/);
}
for my $name ('localhost', "LocalHost:$server->{port}", '[::1]', '192.0.2.80') {
    ask('/clamquota', $name);
    is_done($name);
}
for my $name ('mirror.example', 'other.example:8443', 'a.mirrors.example') {
    ask('/clamquota', $name, 'https');
    is_done("virtual host, $name");
}
ask('/clamquota', 'evil.example', 'https');
is_refused('"ServerAlias *" is no name', qr/ServerName/);

# ---- ErrorDocument ----
ask('/documents');
is("$answer->{status} $answer->{body}", '403 by the operator',
    'ErrorDocument: 403');
for (['405', '/documents', '-X', 'DELETE'], ['400', '/documents?limit=x'],
    ['405', '/me', '-X', 'DELETE']) {
    my ($status, $path, @arguments) = @$_;
    $answer = $server->get($path, @arguments);
    is("$answer->{status} $answer->{body}", "$status by the operator",
        "ErrorDocument: $status of $path");
}
$server->allow_log(qr/ClamQuotaChanges not allowed here/, 1);
finish();
