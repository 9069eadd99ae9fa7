# The operator's page in a browser, while the mirror is in use: narrow and wide,
# light and dark. Pictures go to build/shots/.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Httpd;
use Browser;
use Test::More;

my $browser = Browser->new
    or plan skip_all => Browser->why;
my $shots = "$Httpd::ROOT/build/shots";
mkdir $_ for "$Httpd::ROOT/build", $shots;
my $server = Httpd->run(conf => <<'EOT');
ClamQuotaPeriod Week
ClamQuotaDaily 25000
ClamQuotaCopies 3
ClamQuotaFiles 1000
ClamQuotaClient 127.0.3.0/24 Unlimited
<Location /a.cvd>
    ClamQuotaCopies Off
</Location>
<Location /clamquota>
    ClamQuotaChanges On
</Location>
EOT
write_file("$server->{dir}/htdocs/$_", 'f' x 5000) for 'main.cvd', 'a.cvd';
my $day = $server->json->{period}{day};
# 127.0.2.N and their networks: .1 is far over, the last ones are not
for my $n (1 .. 30) {
    my $times = int(8 * $day / $n) + 1;
    $server->get("/a.cvd?[1-$times]", '--interface', "127.0.2.$n")
        if $times > 3;
    $server->get('/main.cvd', '--interface', "127.0.2.$n");
}
$server->get('/main.cvd?[1-5]', '--interface', '127.0.5.1');
$server->get('/main.cvd', '--interface', '127.0.3.1');
# a client in use while the page is looked at
my $load = fork // die "fork: $!";
if (!$load) {
    open STDOUT, '>', '/dev/null';
    exec 'curl', '-s', '--interface', '127.0.4.1', '--rate', '20/s',
        $server->url('/main.cvd?[1-100000]') or POSIX::_exit(127);
}

my $page = $server->url('/clamquota');
my $contrast = <<'EOT';
(() => {
    const rgb = c => c.match(/[\d.]+/g).map(Number);
    const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= .03928
        ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
    let worst = [99, ''];
    for (const e of document.querySelectorAll('body *')) {
        if (![...e.childNodes].some(n => n.nodeType == 3 && n.data.trim())
            || !e.getClientRects().length || e.closest('option')) continue;
        let b = e;
        while (b && rgb(getComputedStyle(b).backgroundColor)[3] === 0)
            b = b.parentElement;
        const style = getComputedStyle(e);
        const one = light(rgb(e.closest('svg') ? style.fill : style.color));
        const other = light(rgb(getComputedStyle(b).backgroundColor));
        const ratio = (Math.max(one, other) + .05)
            / (Math.min(one, other) + .05);
        if (ratio < worst[0]) worst = [ratio, e.outerHTML.slice(0, 120)];
    }
    return worst;
})()
EOT

for my $width (400, 1600) {
    for my $scheme ('light', 'dark') {
        my $what = "$width-$scheme";
        $browser->view($width, 900, $scheme);
        $browser->open("$page?limit=20");
        $browser->shot("$shots/page-$what.png");
        is($browser->value('document.querySelectorAll("svg").length'), 5,
            "$what: plots");
        cmp_ok($browser->value('document.querySelectorAll("svg rect").length'),
            '>', 4, "$what: bars");
        is($browser->value('document.documentElement.scrollWidth'), $width,
            "$what: nothing is wider than the window");
        my $worst = $browser->value($contrast);
        cmp_ok($worst->[0], '>=', 4.5, "$what: contrast of $worst->[1]");
        is($browser->value('document.querySelectorAll('
            . '"table th:not([scope])").length'), 0,
            "$what: heads have a scope");
        is($browser->value('document.querySelectorAll('
            . '"table:not(:has(caption))").length'), 0,
            "$what: tables have a caption");
        next if $width != 400;
        cmp_ok($browser->value('Math.max(...[...document.querySelectorAll('
            . '"#clients tbody tr")].map(r => r.offsetHeight))'), '<=', 64,
            "$what: two lines a client");
    }
}

# ---- an operator at work ----
my $text = sub { $browser->value("document.querySelector('$_[0]').innerText") };
my $link = sub { $browser->follow("[...document.querySelectorAll('a')].find("
    . "a => a.innerText.trim() == '$_[0]').click()") };
$link->('Next');
like($text->('#clients nav[aria-label=Pages]'), qr/21 to 3\d of 3\d/,
    'the next page');
$link->('Previous');
$link->('Refused');
like($browser->value('location.search'), qr/sort=refused/, 'sorted');
cmp_ok($browser->value('(() => { const n = [...document.querySelectorAll('
    . '"#clients .refused")].map(c => +c.innerText.replace(",", ""));'
    . 'return n[0] > 0 && n.every((v, i) => !i || v <= n[i - 1]); })()'), '==',
    1, 'the most refused first');
$link->('Over');
like($browser->value('location.search'), qr/sort=refused.*state=over/,
    'a filter keeps the rest of the query');
is($browser->value('[...document.querySelectorAll("#clients td.state")]'
    . '.filter(c => c.innerText.includes("over")).length'),
    $server->json('state=over')->{clients_matched}, 'all of them are over quota');
$link->('All');
$link->('By network');
like($text->('#clients tbody'), qr{127\.0\.2\.0/24\s+30}, 'a network');
$browser->shot("$shots/networks.png");
$browser->open($page);
$browser->follow('document.querySelector("[name=client]").value = "127.0.5.1";'
    . 'document.querySelector(".filter button").click()');
like($text->('.facts'), qr{/main\.cvd}, 'a search finds a client and its file');
like($text->('.facts'), qr/day $day .* = /, 'the sum of its allowance');
$browser->shot("$shots/client-1600-dark.png");
$browser->view(400, 900, 'light');
$browser->shot("$shots/client-400-light.png");

# ---- what changes something asks first, and then says what it did ----
my $used = sub { $server->row('127.0.5.1')->{used} };
my $act = sub { # a link of the client's own part, with the answer to it
    $link->($_[0]);
    like($text->('h1'), qr{^\w+ .*127\.0\.5\.1\?$}, "$_[0]: asks first");
    $browser->shot("$shots/ask-" . lc($_[0]) =~ s/ .*//r . '.png');
    $browser->follow('document.querySelector("button[type=submit]").click()');
    like($browser->value('location.search'), qr/client=127\.0\.5\.1/,
        'the query is kept');
    return $text->('.done');
};
cmp_ok($used->(), '>', 0, 'the client has used something');
like($act->('Reset'), qr/used bytes of 127\.0\.5\.1 are set to zero/, 'it is done');
is($used->(), 0, 'so it is');
like($act->('Exempt'), qr/127\.0\.5\.1/, 'exempt');
is($server->row('127.0.5.1')->{state}, 'exempt', 'so it is');
$browser->shot("$shots/exempt-400-light.png");
like($act->('End exemption'), qr/127\.0\.5\.1/, 'ended');
is($server->row('127.0.5.1')->{state}, 'ok', 'so it is');

kill TERM => $load;
waitpid $load, 0;
is_deeply($browser->{complaints}, [], 'the console is empty');
is_deeply([grep { index($_, $server->url('/')) != 0 && $_ !~ /^data:,$/ }
    @{$browser->{requests}}], [], 'and nothing is asked for elsewhere');
undef $browser;
finish();
