# Which column a response is booked in, and that it is booked exactly once
# whatever made it.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Test::More;

my $server = Httpd->run(
    modules => [qw(headers rewrite include negotiation deflate filter env),
        mpm() eq 'prefork' ? 'cgi' : 'cgid'],
    conf => <<'EOT');
ClamQuotaDaily 1G
<IfModule mod_cgid.c>
    ScriptSock %DIR%/run/cgid
</IfModule>
AddOutputFilter INCLUDES .shtml
AddHandler cgi-script .cgi
AddType text/plain .txt
AddType text/html .html .shtml
RewriteEngine On
RewriteRule ^/server-rule$ /page.html [PT]
Redirect /moved /page.html
ErrorDocument 404 /errors/404.html
ErrorDocument 403 "no"
Alias /plain404 %DIR%/htdocs/none
<Directory %DIR%/htdocs>
    Options +ExecCGI +Includes +MultiViews
    AllowOverride All
</Directory>
<Location /deflated>
    SetOutputFilter DEFLATE
</Location>
<Location /forbidden>
    Require all denied
</Location>
<LocationMatch "^/bare">
    ErrorDocument 404 default
</LocationMatch>
<FilesMatch "\.cdiff$">
    ClamQuotaFree On
</FilesMatch>
<Location /refused>
    ClamQuotaDaily 1
    ClamQuotaPool tiny
</Location>
EOT
my $htdocs = "$server->{dir}/htdocs";
mkdir "$htdocs/$_" for qw(errors dir perdir deflated forbidden refused);
write_file("$htdocs/file", join '', map { chr(32 + $_ % 90) } 1 .. 20_000);
write_file("$htdocs/page.html", '<p>' . 'a' x 5000);
write_file("$htdocs/errors/404.html", '<p>nothing here' . '.' x 700);
write_file("$htdocs/dir/index.html", 'index ' x 100);
write_file("$htdocs/perdir/.htaccess", "RewriteEngine On\n"
    . "RewriteRule ^rule\$ /page.html\n");
write_file("$htdocs/ssi.shtml", "1<!--#include virtual=\"/page.html\" -->"
    . "2<!--#include virtual=\"/dir/\" -->3");
write_file("$htdocs/deflated/page.txt", 'compressible ' x 2000);
write_file("$htdocs/many.txt", 'variant ' x 300);
write_file("$htdocs/1.cdiff", 'd' x 9000);
write_file("$htdocs/refused/file", 'r' x 3000);
write_file("$htdocs/chunked.cgi", "#!/bin/sh\n"
    . "printf 'Content-Type: text/plain\\n\\n'\n"
    . "head -c 100000 /dev/zero | tr '\\0' c\n");
chmod 0755, "$htdocs/chunked.cgi";

my $last = 1;

# Each request comes from a client of its own: its row is about this one.
sub counted {
    my ($name, $status, $column, $path, @lines) = @_;
    my $method = $path =~ s/^HEAD // ? 'HEAD' : 'GET';
    my $from = '127.0.1.' . ++$last;
    my $connection = $server->connect(from => $from);
    my $data = $connection->send(join "\r\n", "$method $path HTTP/1.1",
        'Host: localhost', 'Connection: close', @lines, '', '')->drain;
    like($data, qr/^HTTP\/1.1 $status /, "$name: status $status");
    my $other = $column eq 'used' ? 'free' : 'used';
    my $row = $server->row($from, $column => $connection->{bytes}, hits => 1)
        // { used => -1, free => -1, hits => -1 };
    is($row->{$column}, $connection->{bytes}, "$name: $column");
    is($row->{$other}, 0, "$name: nothing $other");
    is($row->{hits}, 1, "$name: one hit");
    return $data;
}

# free
counted('HEAD', 200, 'free', 'HEAD /file');
my $head = $server->get('/file', '-I', '--interface', '127.0.2.1');
counted('304', 304, 'free', '/file',
    "If-None-Match: $head->{headers}{etag}");
counted('404', 404, 'free', '/bare-nothing');
counted('redirect', 302, 'free', '/moved');
counted('416', 416, 'free', '/file', 'Range: bytes=30000-');
counted('403', 403, 'free', '/forbidden/');
counted('free scope', 200, 'free', '/1.cdiff');
counted('small range', 206, 'free', '/file', 'Range: bytes=0-511');
counted('largest small range', 206, 'free', '/file', 'Range: bytes=0-4095');
counted('small range further on', 206, 'free', '/file',
    'Range: bytes=10000-10095');

# used
counted('whole file', 200, 'used', '/file');
counted('range of 4097 bytes', 206, 'used', '/file', 'Range: bytes=0-4096');
counted('open range', 206, 'used', '/file', 'Range: bytes=100-');
counted('suffix range', 206, 'used', '/file', 'Range: bytes=-100');
counted('two ranges', 206, 'used', '/file', 'Range: bytes=0-9,100-109');
counted('small range that fails If-Range', 200, 'used', '/file',
    'Range: bytes=0-511', 'If-Range: "other"');
counted('small range with If-Range', 206, 'used', '/file',
    'Range: bytes=0-511', "If-Range: $head->{headers}{etag}");
counted('malformed range', 200, 'used', '/file', 'Range: bytes=a-b');
like(counted('404 with a file', 404, 'used', '/nothing'), qr/nothing here/,
    '404 with a file: its body');
counted('DirectoryIndex', 200, 'used', '/dir/');
like(counted('SSI', 200, 'used', '/ssi.shtml'), qr/aaa.*index index/s,
    'SSI: both subrequests');
like(counted('CGI', 200, 'used', '/chunked.cgi'),
    qr/Transfer-Encoding: chunked/, 'CGI: chunked');
like(counted('deflate', 200, 'used', '/deflated/page.txt',
    'Accept-Encoding: gzip'), qr/Content-Encoding: gzip/, 'deflate: done');
counted('RewriteRule in the server', 200, 'used', '/server-rule');
counted('RewriteRule in .htaccess', 200, 'used', '/perdir/rule');
counted('MultiViews', 200, 'used', '/many');

# a malformed request that never gets to a scope
my $connection = $server->connect(from => '127.0.2.2');
like($connection->send("GET / HTTP/1.1\r\n\r\n")->drain, qr/^HTTP\/1.1 400/,
    'no Host: 400');

# our own answers
my $before = $server->json->{totals};
my $first = $server->get('/refused/file', '--interface', '127.0.2.3');
is($first->{status}, 200, 'below the allowance');
my $row = $server->row('127.0.2.3', pool => 'tiny', used => $first->{bytes});
is($row->{used}, $first->{bytes}, 'counted in its pool');
my $refused = $server->get('/refused/file', '--interface', '127.0.2.3');
is($refused->{status}, 429, 'refused');
$row = $server->row('127.0.2.3', pool => 'tiny', refused => 1);
is($row->{used}, $first->{bytes}, 'a refusal does not count as used');
is($row->{free}, 0, 'nor as free');
is($row->{hits}, 1, 'nor as a hit');
is($row->{refused}, 1, 'but as a refusal');
my $totals;
poll(5, sub {
    $totals = $server->json->{totals};
    return $totals->{refused_bytes} - $before->{refused_bytes}
        == $refused->{bytes};
});
is($totals->{refused_bytes} - $before->{refused_bytes}, $refused->{bytes},
    'its bytes are in the totals');
is($totals->{refused} - $before->{refused}, 1, 'and it too');
is($totals->{hits} - $before->{hits}, 1, 'one hit in the totals');

my $page = $server->get('/clamquota', '--interface', '127.0.2.4');
is($page->{status}, 200, 'the page');
is_deeply([grep { $_->{client} eq '127.0.2.4' } @{$server->json->{clients}}],
    [], 'is in no client\'s row');

$server->allow_log(qr/AH01630/, 1);
finish();
