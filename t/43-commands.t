# Every command that README and man pages show works: each is run as it stands
# in the text, in the order of the text, on a scratch copy of this machine.
# A command that is not in the table below fails, and so does an entry of the
# table that no text shows.
# mpm: once

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Basename 'dirname';
use Httpd 'read_file';
use Machine;
use Peer;
use Test::More;

# ---- what the texts show: [section, command] ----

# The commands of a paragraph. Lines that end in \ | or && continue; in a table
# of commands, and before a comment, blanks end the command.
sub commands {
    my ($section, $paragraph) = @_;
    return map {
        /^(?![ #])((?s:.+?))(?: +# .*|(?<=\S) {2,}\w.*)?\z/
            ? [$section, $1] : ()
    } split /(?<!\\)(?<!\|)(?<!&&)\n/, $paragraph;
}

# README: paragraphs of lines that begin with four blanks, and quoted text that
# begins with a program. These sections have tables of other things.
sub readme {
    my %tables = map { $_ => 1 } 'Where things are', 'Measured numbers';
    my ($section, @found) = '';
    for my $paragraph (split /\n\n+/, read_file("$Httpd::ROOT/README")) {
        $section = $1 if $paragraph =~ /^([A-Z].*)\n-+$/m;
        push @found, commands($section, $paragraph =~ s/^ {4}//mgr)
            if !$tables{$section} && $paragraph !~ /^(?! {4})/m;
        for my $quoted ($paragraph =~ /"([a-z]\w* [^"]+)"/g) {
            push @found, [$section, $quoted =~ s/\n/ /r]
                if Peer::program((split ' ', $quoted)[0]);
        }
    }
    return @found;
}

# A man page: displays, but for tables and httpd's configuration, which
# 42-samples.t loads.
sub man_page {
    my ($path) = @_;
    my ($page) = $path =~ m{([^/]+)$};
    my ($section, @found) = '';
    for my $part (split /^(?=\.Sh )/m, read_file("$Httpd::ROOT/$path")) {
        $section = "$page: $1" if $part =~ /^\.Sh (.*)/;
        for my $display (grep { defined }
            $part =~ /^\.(?:Dl (.*)|Bd -literal.*\n((?s:.*?))^\.Ed)$/mg) {
            next if $display =~ /^(?:\s|ClamQuota|RemoteIP|<|Deny|Require)/;
            $display =~ s/\\e/\\/g;
            $display =~ s/\\&//g;
            $display =~ s/\n\z//;
            push @found, $display =~ /^\[/ ? [$section, $display]
                : commands($section, $display);
        }
    }
    return @found;
}

# All texts are followed before anything is removed.
my @commands = (readme(), man_page('mod_clamquota/clamquota.7'),
    man_page('tools/sync/clamquota-sync.8'),
    man_page('tools/clamquota/clamquota.8'));
my $last = qr/: (?:UPGRADING|REMOVING)$/;
@commands = ((grep { $_->[0] !~ $last } @commands),
    grep { $_->[0] =~ $last } @commands);

# ---- the machine: Debian's httpd as its package leaves it, and the source ----

Peer::need(a2enmod => 'apache2', 'netfilter-persistent' =>
    'iptables-persistent', nft => 'nftables', iptables => 'iptables',
    ipset => 'ipset', jq => 'jq');
plan skip_all => 'not root' if $>;
my $module = $ENV{CQ_TEST_MODULE} // "$Httpd::ROOT/build/mod_clamquota.so";
my $machine = Machine->new(source => $Httpd::ROOT, peers => Peer::root(),
    build => dirname($module)) or plan skip_all => $Machine::why_not;

$machine->must($_) for <<'EOT', split /\n/, <<'EOT2';
mkdir -p /run/lock /mnt/src/build /var/log/apache2 /srv/clamav /srv/www &&
tar -C /mnt/source --exclude=./build --exclude=./.git -c . |
    tar -C /mnt/src -x &&
cd /mnt/build && cp mod_clamquota.so clamquota clamquota-sync state_dir \
    /mnt/src/build/
EOT
ip address add 192.0.2.7/32 dev lo && ip address add 192.0.2.8/32 dev lo
a2enmod -q mpm_event authz_core authz_host dir mime alias env
rm -f /etc/apache2/sites-enabled/* /etc/apache2/conf-enabled/*
echo 'ServerName localhost' >>/etc/apache2/apache2.conf
echo '127.0.0.1 localhost clamav.example.org' >/etc/hosts
cd /mnt/src
truncate -s 100 /srv/clamav/daily.cvd
truncate -s 200k /srv/clamav/bytecode.cvd
truncate -s 1300M /srv/clamav/main.cvd
EOT2

# Everything is done by root, and there is no network to fetch packages by:
# whether they exist is asked once, at the end.
$machine->program(sudo => 'exec "$@"');
$machine->program(apt => 'echo "$@" >>/mnt/apt');
# No systemd runs here. What a unit would start is started, without staying.
$machine->program(systemctl => <<'EOT');
set -e
action=$1
shift
[ "$1" != --now ] || shift
if [ "$action $1" = 'restart apache2' ]; then
    pid=$(cat /run/apache2/apache2.pid 2>/dev/null) || pid=
    [ -z "$pid" ] || { apachectl stop; tail --pid="$pid" -f /dev/null; }
    exec apachectl start >/dev/null 2>&1
fi
for unit in "/etc/systemd/system/$1.service" "/usr/lib/systemd/system/$1.service"
do
    [ ! -e "$unit" ] || break
done
if command -v systemd-analyze >/dev/null; then
    systemd-analyze verify "$unit"
fi
set -a
for file in $(sed -n 's/^EnvironmentFile=-*//p' "$unit"); do . "$file"; done
eval "$(sed -n 's/^ExecStart=//p' "$unit" | sed 's/ --watch//')"
echo "$action $1"
EOT

# ---- each command ----

# The mirror's virtual host, as README and the sample say, with more lines.
sub site {
    return <<"EOT" . join("\n", @_) . "\n</VirtualHost>\nEND\n";
cat >/etc/apache2/sites-available/clamav.conf <<'END' && a2ensite -q clamav
<VirtualHost *:80>
    ServerName clamav.example.org
    ServerAlias localhost
    DocumentRoot /srv/clamav
    <Directory /srv/clamav>
        Require all granted
    </Directory>
    Include /etc/apache2/clamav-mirror.conf
EOT
}

# A client downloads a file.
sub download {
    my ($client, $file) = @_;
    return "curl -sf -o /dev/null --interface $client http://127.0.0.1/$file\n";
}

my $sets = 'nft list set inet clamquota jail6 && nft list set inet clamquota'
    . ' jail4';
my $status = '. /etc/default/clamquota-sync; clamquota-sync --status $OPTIONS';

# What a command prints (it must succeed), or why it is not run. Around the
# pattern there may be a command that makes it possible, and one that shows
# the effect with a pattern for that.
my %expected = (
    './build.sh run'  => 'serves until it is interrupted; t/run.t',
    'CLUSTER=3 ./build.sh run' => 'serves until it is interrupted; t/run.t',
    'memcached -m 160 -l 10.0.0.1' => 'serves until it is interrupted;'
        . ' t/lib/Memcached.pm',
    './build.sh test' => 'runs this file',
    './build.sh build' => 'takes long; t/lint/compilers.t',
    './build.sh deb' => 'takes long; t/deb.t',

    # README: Quick start
    'sudo apt install ./build/deb/*.deb' => 'needs packages; t/deb.t',
    'sudo apt update' => qr/^$/,
    'sudo apt install apache2 apache2-dev gcc libc6-dev pkg-config'
        . ' libmnl-dev libmemcached-dev zlib1g-dev' => qr/^$/,
    'sudo ./build.sh install' => qr/a2enmod clamquota/,
    'sudo a2enmod clamquota' => qr/^Enabling module clamquota/,
    'sudo cp /usr/share/doc/mod_clamquota/clamav-mirror.conf /etc/apache2/'
        => qr/^$/,
    'sudo apachectl configtest && sudo systemctl restart apache2' =>
        [site('ClamQuotaEngine LogOnly', 'LogLevel clamquota:info'),
            qr/^Syntax OK$/m],
    q(curl -H 'Host: clamav.example.org' 'http://localhost/clamquota?auto')
        => qr/^ClamQuotaUp: 1$/m,
    # it opens a shell on another machine: its options, and what it leads to
    'ssh -L 8080:localhost:80 clamav.example.org' => [undef, undef,
        'ssh -G -L 8080:localhost:80 clamav.example.org | grep ^localf;'
            . q( curl -s -H 'Host: localhost:8080' -o /dev/null)
            . q( -w '%{http_code}' http://localhost/clamquota),
        qr/^localforward 8080 \[localhost\]:80\n200$/m],
    'man ./mod_clamquota/clamquota.7' => qr/^WHICH ANSWER DO MY CLIENTS/m,

    # clamquota(7): THE KERNEL JAIL
    'cd /usr/share/doc/mod_clamquota/examples' => qr/^$/,
    'apt install nftables' => qr/^$/,
    'nft -f clamquota.nft' => [undef, qr/^$/, $sets, qr/flags timeout/],
    q(echo 'OPTIONS="--jail nft:inet/clamquota/jail4,jail6,deny4,deny6"')
        . ' >/etc/default/clamquota-sync' => qr/^$/,
    'cp clamquota.nft /etc/clamquota.nft' => qr/^$/,
    q(echo 'include "/etc/clamquota.nft"' >>/etc/nftables.conf) => qr/^$/,
    'systemctl enable nftables' => ['nft flush ruleset',
        qr/^enable nftables$/, "$sets; systemctl enable clamquota-sync; "
            . $status, qr/flags timeout.*^nft:.*in it +0$/ms],
    'apt install iptables-persistent' => qr/^$/,
    'iptables-restore -n <clamquota.iptables' => qr/^$/,
    'ip6tables-restore -n <clamquota.ip6tables' => qr/^$/,
    'netfilter-persistent save' => [undef, qr/ip6tables save/,
        'nft flush ruleset; ipset destroy; netfilter-persistent start &&'
            . ' iptables-save', qr/(?:--name|--match-set).* -j DROP/],
    q(echo 'OPTIONS="--jail recent:DenyAccessClamAV,DenyAccessClamAV6"')
        . ' >/etc/default/clamquota-sync' => [undef, qr/^$/,
        "iptables-restore -n <clamquota.iptables; ip6tables-restore -n"
            . " <clamquota.ip6tables; systemctl enable clamquota-sync; $status",
        qr/^recent:.*in it +0$/ms],
    'apt install ipset iptables-persistent ipset-persistent' => qr/^$/,
    'ipset restore -exist <clamquota.ipset' => qr/^$/,
    'iptables-restore -n <clamquota-ipset.iptables' => qr/^$/,
    'ip6tables-restore -n <clamquota-ipset.ip6tables' => qr/^$/,
    q(echo 'OPTIONS="--jail ipset:clamquota4,clamquota6"')
        . ' >/etc/default/clamquota-sync' => qr/^$/,
    'systemctl enable --now clamquota-sync' => qr/^enable clamquota-sync$/,
    '. /etc/default/clamquota-sync' => qr/^$/,
    'clamquota-sync --status $OPTIONS' => qr/^ipset:.*in it +0$/ms,
    'journalctl -u clamquota-sync' => 'there is no journal here',
    'systemctl disable --now clamquota-sync' => 'nothing stays here',
    'clamquota-sync --flush $OPTIONS' => qr/^$/,
    q(sed -i '/clamquota.nft/d' /etc/nftables.conf) => [undef, qr/^$/,
        'grep -c clamquota /etc/nftables.conf', qr/^0$/],
    'rm /etc/clamquota.nft' => qr/^$/,
    'nft delete table inet clamquota' => ['nft -f clamquota.nft', qr/^$/],

    # clamquota(7)
    'a2enconf mirror-quota' => [
        'echo ClamQuotaTimezone UTC >/etc/apache2/conf-available/'
            . 'mirror-quota.conf', qr/^Enabling conf mirror-quota/,
        'a2disconf -q mirror-quota >/dev/null; rm /etc/apache2/conf-available/'
            . 'mirror-quota.conf; ls /etc/apache2/conf-enabled', qr/^$/],
    'apt install memcached' => qr/^$/,
    'systemctl restart memcached' => 'no memcached is installed here',
    'clamquota cluster' => qr/^No cluster: /,
    'clamquota-sync --after 5000'
        . ' --jail nft:inet/clamquota/jail4,jail6,deny4,deny6' => ['nft -f /usr/share/doc/mod_clamquota/examples/clamquota.nft',
        qr/^$/],
    'nft list chain inet clamquota jail' => [
        'nft -f /usr/share/doc/mod_clamquota/examples/clamquota.nft',
        qr/ counter packets 0 .* drop$/m],
    'iptables -t raw -nvL PREROUTING' => [
        'iptables-restore -n <clamquota.iptables',
        qr/ DROP .* DenyAccessClamAV /],
    'ip6tables -t raw -nvL PREROUTING' => [
        'ip6tables-restore -n <clamquota.ip6tables',
        qr/ DROP .* DenyAccessClamAV6 /],
    'cd /var/log/apache2' => qr/^$/,
    q(zcat -f access.log* | awk '{print $1}' | sort -u | wc -l) => [<<'EOT',
for id in 1 1 2; do
    echo "198.51.100.7 - - [] \"\" 200 1 \"-\" \"ClamAV/1.4.6 (UUID: a-$id)\""
done >access.log
echo "198.51.100.8 - - [] \"\" 200 1 \"-\" \"-\"" | gzip >access.log.2.gz
EOT
        qr/^2$/],
    'clamquota replay --daily 20M,50M,100M --grace 450M'
        . q( --free '\.(cdiff|sign)$' access.log*) => [
        q(printf '198.51.100.7 - - [28/Oct/2026:21:28:38 +0000])
            . q( "GET /main.cvd HTTP/1.1" 200 2147483648 "-" "curl/8"\n%.0s')
            . ' 1 2 >access.log && rm access.log.2.gz',
        qr/^  Clients refused(?: +1 \(100\.0 %\)){2} +0 \(0\.0 %\)$/m],
    q(grep '^198.51.100.7 ' access.log | awk -F\" '{print $6}' |)
        . ' sort | uniq -c | sort -rn' => qr/^ +2 curl\/8$/,
    q(grep '^198.51.100.7 ' /var/log/apache2/access.log |)
        . q( grep -o 'UUID: [0-9a-f-]*' | sort -u | wc -l) => qr/^2$/,
    'd /run/clamquota 0750 root root' => [undef, undef,
        'echo d /run/clamquota 0750 root root >/mnt/tmpfiles &&'
            . ' systemd-tmpfiles --create /mnt/tmpfiles &&'
            . ' stat -c "%a %U" /run/clamquota', qr/^750 root$/],
    '[Service] ReadWritePaths=/run/clamquota' => [undef, undef, <<'EOT',
mkdir /etc/systemd/system/clamquota-sync.service.d &&
printf '[Service]\nReadWritePaths=/run/clamquota\n' \
    >/etc/systemd/system/clamquota-sync.service.d/table.conf &&
systemd-analyze verify clamquota-sync.service
EOT
        qr/^$/],
    'apachectl configtest && systemctl restart apache2' => [
        site('ClamQuotaEngine LogOnly', 'LogLevel clamquota:info',
            'ClamQuotaDaily 1k', 'ClamQuotaGrace 0'), qr/^Syntax OK$/m],
    q(curl -s 'http://clamav.example.org/clamquota?openmetrics' |)
        . ' grep -e over -e would' => [
        download('192.0.2.7', 'bytecode.cvd')
            . download('192.0.2.7', 'daily.cvd')
            . download('192.0.2.8', 'daily.cvd'),
        qr/^clamquota_clients\{pool="clamav",state="over"\} 1$/m],
    q(curl -s 'http://clamav.example.org/clamquota?json&state=over') =>
        qr/"client": ?"192\.0\.2\.7"/,
    'grep -c CQ0202 /var/log/apache2/error.log' => qr/^1$/,
    'apachectl configtest && apachectl graceful' => qr/^Syntax OK$/m,
    q(curl -H 'Origin: http://clamav.example.org')
        . q( -d 'action=reset&client=192.0.2.7')
        . ' http://clamav.example.org/clamquota' => [undef, qr/^/,
        "curl -s 'http://localhost/clamquota?json&client=192.0.2.7' |"
            . " jq '.clients[].used'", qr/^0$/],
    q(curl -H 'Origin: http://clamav.example.org')
        . q( -d 'action=exempt&client=192.0.2.0/24&for=1d')
        . ' http://clamav.example.org/clamquota' => [undef, qr/^/,
        'clamquota exempt --list && clamquota exempt 192.0.2.0/24 --end',
        qr{^192\.0\.2\.0/24 .* is no longer exempt$}ms],
    q(curl -s 'http://clamav.example.org/clamquota?json&limit=10000' |)
        . q( jq -r '.clients[] | select(.used >= 1250 * 1048576) | .client')
        => [download('192.0.2.7', 'main.cvd'), qr/^192\.0\.2\.7$/],
    q(curl -s 'http://clamav.example.org/clamquota?json&limit=10000' |)
        . q( jq -r '.clients[] | select(.used >= 50 * 1048576) |)
        . q( [.client, (.last_hit | todate), .used / 1048576] | @tsv') =>
        qr/^192\.0\.2\.7\t20\d\d-\S+Z\t13\d\d\.\d+$/,
    'clamquota-sync -n' => ['iptables-restore -n'
        . ' </usr/share/doc/mod_clamquota/examples/clamquota.iptables', qr/^$/],
    'clamquota-sync --deny-file /srv/www/.htaccess' => [
        'echo Deny from 192.0.2.70 >/srv/www/.htaccess', qr/^$/,
        "grep -c '^src=192.0.2.70 ' /proc/net/xt_recent/DenyAccessClamAV",
        qr/^1$/],
    '*/1 * * * * root /usr/sbin/clamquota-sync' =>
        [undef, undef, '/usr/sbin/clamquota-sync', qr/^$/],

    'tail -n 0 -F /var/log/nginx/quota.log | clamquota feed --daily 50M' =>
        'stays; t/82-feed-pipes.t',
    'clamquota-sync --after 1'
        . ' --jail nft:inet/clamquota/jail4,jail6,deny4,deny6' => ['nft -f'
        . ' /usr/share/doc/mod_clamquota/examples/clamquota.nft', qr/^$/],
    '*/5 * * * * root /usr/sbin/clamquota export mysql | mysql statistics' =>
        [undef, undef, '/usr/sbin/clamquota export mysql', qr/^COMMIT;$/m],
    'clamquota export sqlite | sqlite3 /var/lib/clamquota/statistics.db' =>
        qr/^$/,
    q(sqlite3 /var/lib/clamquota/statistics.db 'SELECT * FROM clamavtraffic)
        . q( ORDER BY bytes DESC LIMIT 10') => qr/^192\.0\.2\.7\|20.*\|13\d{8}\|/,

    # clamquota-sync(8)
    'clamquota-sync -n --never 192.0.2.0/24' => qr/^$/,
    '* * * * * root /usr/sbin/clamquota-sync' =>
        [undef, undef, '/usr/sbin/clamquota-sync', qr/^$/],
    'nft -f /usr/share/doc/mod_clamquota/examples/clamquota.nft' => qr/^$/,
    'clamquota-sync --watch --deny-file /srv/mirror/.htaccess --jail'
        . ' nft:inet/clamquota/jail4,jail6,deny4,deny6' =>
        'stays; t/51-sync.t',
    'clamquota-sync --status' => qr/DenyAccessClamAV/,
    q(clamquota-sync --status --json | grep '"192.0.2.7') =>
        ['clamquota-sync --deny-file /srv/www/.htaccess', qr/"192\.0\.2\.70/],

    # clamquota(8)
    'clamquota export sqlite | sqlite3 /tmp/clamquota.db' => qr/^$/,
    'clamquota show 192.0.2.7' => qr/^  allowance +day \d+ x \d+[kM]/m,
    'clamquota reset 192.0.2.7' => qr/^192\.0\.2\.7: reset, 1 row$/,
    'clamquota exempt 192.0.2.7 --for 6h' =>
        qr/^192\.0\.2\.7: is exempt until 20/,
    'clamquota exempt --list' => qr/^192\.0\.2\.7 /m,
    'clamquota exempt 192.0.2.7 --end' =>
        qr/^192\.0\.2\.7: is no longer exempt$/,
    'clamquota report --over' => qr/^0 of 0 clients/m,
    'clamquota report --by-net 24,48 --sort refused' =>
        qr{^192\.0\.2\.0/24 }m,
    'clamquota report --limit 10000 --csv >/tmp/clients.csv' =>
        [undef, qr/^$/, 'grep -c ^192.0.2.7, /tmp/clients.csv', qr/^1$/],
    q(clamquota report --csv | awk -F, '$8 > 50 * 1048576') => qr/^client,/,
    'clamquota exempt 0.0.0.0/0 --for 1d --yes' =>
        qr{^0\.0\.0\.0/0: is exempt until 20},
    'clamquota exempt ::/0 --for 1d --yes' => qr{^::/0: is exempt until 20},
    'clamquota check' => qr/: in order/,

    # clamquota(7): UPGRADING, REMOVING
    './build.sh deb && sudo apt install ./build/deb/*.deb' =>
        'needs packages; t/deb.t',
    'sudo apt purge libapache2-mod-clamquota clamquota-tools' =>
        'needs packages; t/deb.t',
    './build.sh build && sudo ./build.sh install' =>
        'takes long: install alone is run above',
    'sudo systemctl restart clamquota-sync' => qr/^restart clamquota-sync$/,
    'sudo a2dismod clamquota && sudo apachectl configtest &&'
        . ' sudo systemctl restart apache2' => ['a2dissite -q clamav',
        qr/^Syntax OK$/m],
    'sudo ./build.sh uninstall' => [undef,
        qr{^The counters stay in /var/lib/clamquota;},
        'find /usr -name "*clamquota*"', qr/^$/],
);

# ---- what may be missing here: which commands need it, name, how to see ----

my @needs = (
    [qr/recent:|<clamquota\.ip|deny-file|sync -n|root \/usr\/sbin/, 'xt_recent',
        q(printf '*filter\n-I INPUT -m recent --rcheck --name x\nCOMMIT\n' |)
            . ' iptables-restore -n && iptables -D INPUT 1'],
    [qr/ipset|netfilter/, 'ipset',
        'ipset create probe hash:net && ipset destroy probe'],
    [qr/nft|systemctl .*clamquota-sync/, 'nftables',
        'nft add table inet probe && nft delete table inet probe'],
    [qr/^d |^\[Service/, 'systemd', 'command -v systemd-analyze'],
    map { [qr/^$_ /, $_, "command -v $_"] } qw(man ssh),
);
for my $need (@needs) {
    my ($status, $said) = $machine->run(pop @$need);
    $need->[1] = $status && "there is no $need->[1] here ($said)";
}

my %shown;
my $at = '';
for (@commands) {
    my ($section, $command) = @$_;
    $machine->must('cd /mnt/src') if $section ne $at;
    $at = $section;
    my $name = join ' ', split ' ', $command =~ s/\\\n//gr;
    $shown{$name} = 1;
    my $expected = $expected{$name};
    if (!defined $expected) {
        fail("$section: has a test: $name");
        next;
    }
    SKIP: {
        skip "not run here: $name: $expected", 1 if !ref $expected;
        my ($lacks) = grep { $_ } map { $name =~ $_->[0] ? $_->[1] : () }
            @needs;
        skip "$name: $lacks", 1 if $lacks;
        my ($before, $prints, $effect, $shows) =
            ref $expected eq 'ARRAY' ? @$expected : (undef, $expected);
        $machine->must($before) if defined $before;
        if (defined $prints) {
            my ($status, $said) = $machine->run($command);
            is($status, 0, "$section: $name");
            like($said, $prints, 'what it prints');
        }
        like(($machine->run($effect))[1], $shows, "$section: $name: effect")
            if defined $effect;
    }
}
SKIP: {
    skip 'there are no lists of packages here (apt-get update)', 1
        if ($machine->run('apt-cache show iptables-persistent'))[0] != 0;
    my ($status, $said) = $machine->run(
        q(apt-get -q -s install $(sed -n 's/^install //p' /mnt/apt)));
    is($status, 0, 'each package that a text names exists') or diag $said;
}

is_deeply([grep { !$shown{$_} } sort keys %expected], [],
    'each command below is shown by a text');

done_testing();
