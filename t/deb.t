# mpm: once
# `build.sh deb`: the packages are the same bytes wherever they are built,
# lintian accepts them, and in a bare Debian they are installed, serve, count,
# are upgraded, removed and purged as an operator expects.
#
# The Debian lives in a directory and in namespaces of its own: its port 80 is
# no other client's, and it ends with this test, whatever runs in it.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(basename);
use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::Bin/lib";
use Debian;
use IPC::Open2 qw(open2);
use JSON::PP qw(decode_json);
use Test::More;

plan skip_all => 'slow: ./build.sh test all' if !$ENV{CQ_TEST_ALL};
plan skip_all => 'not root: no right to make a root directory of Debian'
    if $> != 0;

my $top = abs_path("$FindBin::Bin/..");
my ($build) = ($ENV{CQ_TEST_MODULE} // "$top/build/mod_clamquota.so")
    =~ m{^(.*)/};
my $scratch = tempdir(CLEANUP => 1);
chmod 0755, $scratch;
$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);
delete @ENV{qw(BUILD CC CFLAGS CQ_LOCKED DESTDIR LDFLAGS PREFIX)};

sub slurp {
    my ($name) = @_;
    open my $file, '<:raw', $name or return "no $name: $!";
    local $/ = undef;
    return scalar(<$file>) // '';
}

sub spew {
    my ($name, $text, $mode) = @_;
    open my $file, '>', $name or die "$name: $!\n";
    print {$file} $text or die "$name: $!\n";
    close $file or die "$name: $!\n";
    chmod $mode // 0644, $name or die "$name: $!\n";
    return;
}

# (exit status, what it said)
sub run {
    my (@words) = @_;
    my $pid = open my $from, '-|';
    die "fork: $!\n" if !defined $pid;
    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT or die "stderr: $!\n";
        exec @words or die "$words[0]: $!\n";
    }
    my $said = do { local $/ = undef; <$from> };
    close $from;
    return ($? >> 8 || $?, $said // '');
}

sub must {
    my ($status, $said) = run(@_);
    die "@_: exit $status: $said\n" if $status != 0;
    return $said;
}

# ---- three builds: this release twice, and an older one ----

# A copy of the source, its packages by basename.
sub packages {
    my ($name, %option) = @_;
    my $copy = "$scratch/$name";
    mkdir $copy or die "$copy: $!\n";
    must('sh', '-c', 'tar -cf - --exclude=./build . | tar -xf - -C "$0"',
        $copy);
    if (my $version = $option{version}) {
        for my $file ('CHANGES', 'mod_clamquota/core/version.h') {
            my $text = slurp("$copy/$file");
            my $head = qr/^(Changes with mod_clamquota |#define \w*VERSION ")/m;
            $text =~ s/$head[0-9.]+/$1$version/ or die "$file: no version\n";
            spew("$copy/$file", $text);
        }
    }
    if ($option{as}) {
        must('chown', '-R', '65534:65534', $copy);
        must('sh', '-c', 'chown -R 0:0 "$0" && chmod -R a+rX "$0"',
            "$copy/.git") if -e "$copy/.git";
    }
    my ($status, $said) = run(@{ $option{as} // [] }, "$copy/build.sh", 'deb');
    is($status, 0, "$name: build.sh deb") or diag($said);
    return map { basename($_) => $_ } glob "$copy/build/deb/*.deb";
}

chdir $top or die "$top: $!\n";
my %new = packages('one');
my %again = packages('another_place', as => [
    'setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'env', '-i',
    "PATH=$ENV{PATH}", 'TZ=Asia/Tokyo', 'LANG=tr_TR.UTF-8',
    'sh', '-c', 'umask 077 && exec "$@"', 'sh' ]);
my %old = packages('older', version => '0.0.9');
my ($version) = slurp('mod_clamquota/core/version.h')
    =~ /^#define CQ_VERSION "(\S+)"$/m;
is_deeply([ map { s/_.*//r } sort keys %new ],
    [ 'clamquota-tools', 'libapache2-mod-clamquota' ], 'two packages');
is_deeply([ map { /_(.*)-0local1_/ } keys %new, keys %old ],
    [ $version, $version, '0.0.9', '0.0.9' ], 'with the version of the source');
is_deeply([ sort keys %again ], [ sort keys %new ], 'built again by a user');
for my $name (sort keys %new) {
    my ($status, $said) = run('cmp', $new{$name}, $again{$name} // 'missing');
    is("$status$said", '0', "$name: the same bytes");
}
my ($changes) = glob "$scratch/one/build/deb/*.changes";
is((run('lintian', '--allow-root', $changes))[1], '', 'lintian is silent');

# ---- a bare Debian, with the packages that ours depend on in apt's cache ----

my $depends = join '', map { must('dpkg-deb', '-f', $_, 'Depends') }
    sort values %new;
my $root = "$scratch/root";
mkdir $root or die "$root: $!\n";
Debian::unpack($root, $build, $depends,
    "--customize-hook=copy-in @new{sort keys %new} /root",
    '--customize-hook=chroot "$1" sh -c '
        . '"apt-get -qq -o APT::Install-Recommends=true --download-only '
        . 'install /root/*.deb && rm /root/*.deb"');
for my $set ([ old => \%old ], [ new => \%new ]) {
    must('mkdir', "$root/$set->[0]");
    must('cp', values %{ $set->[1] }, "$root/$set->[0]/");
}

# Process 1 of namespaces of its own: all others end with it. It leaves no
# zombies, as a service that stops waits for its processes to vanish.
my $holder = open2(my $from, my $to, 'unshare', '--mount', '--net', '--pid',
    '--fork', '--kill-child', "--mount-proc=$root/proc", $^X, '-e', <<'EOP',
$SIG{CHLD} = 'IGNORE';
chdir $ARGV[0];
system 'mount', '-t', 'devpts', 'devpts', 'dev/pts';
chroot '.' and syswrite STDOUT, "ready\n" and <STDIN>;
EOP
    $root);
(<$from> // '') eq "ready\n" or die "no namespaces\n";
my ($init) = split ' ', slurp("/proc/$holder/task/$holder/children");
END {
    my $status = $?;
    if ($to) {
        close $to;
        waitpid $holder, 0;
    }
    $? = $status;
}
sub on_its_net { return run('nsenter', '-t', $init, '-n', @_) }
sub inside {
    return run('nsenter', '-t', $init, '-m', '-n', '-p', '-r', '-w', 'env',
        '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root',
        'DEBIAN_FRONTEND=noninteractive', @_);
}
(on_its_net('ip', 'link', 'set', 'lo', 'up'))[0] == 0 or die "no lo\n";

# apt's words, if it succeeds
sub apt {
    my ($name, @words) = @_;
    my ($status, $said) = inside('sh', '-c', "apt-get -y -qq @words");
    is($status, 0, $name) or die "apt-get @words: $said\n";
    return $said;
}
# Status and bytes on the wire of a GET
sub get {
    my ($path) = @_;
    my $said = (on_its_net('curl', '-s', '-o', '/dev/null', '-w',
        '%{http_code} %{size_header} %{size_download}',
        "http://127.0.0.1$path"))[1];
    my ($status, $header, $body) = split ' ', $said;
    return ($status, $header + $body);
}
sub page {
    my $text = (on_its_net('curl', '-s', 'http://127.0.0.1/clamquota?json'))[1];
    return eval { decode_json($text) } // { error => $text };
}
# What a restart leaves to its child: until it listens, no client does.
sub answers {
    my ($name) = @_;
    my ($status, $said) = on_its_net('curl', '-sS', '-o', '/dev/null',
        '--retry', 60, '--retry-delay', 1, '--retry-connrefused',
        'http://127.0.0.1/');
    is($status, 0, $name) or diag($said);
    return;
}
sub parent { return slurp("$root/run/apache2/apache2.pid") =~ s/\n//r }
my $log = "$root/var/log/apache2/error.log";

# ---- installed ----

apt('installed', 'install', '/old/*.deb');
is((inside('a2query', '-m', 'clamquota'))[1] =~ s/ \(.*//sr, 'clamquota',
    'the module is enabled');
my @stat = stat "$root/var/lib/clamquota";
is_deeply([ $stat[2] & 07777, @stat[4, 5] ], [ 0750, 0, 0 ],
    '/var/lib/clamquota is for root only');
my @units = map { basename($_) } glob "$root/lib/systemd/system/clamquota*";
is_deeply([ sort @units ], [ map { "clamquota-sync$_" }
    '-pass.service', '.service', '.timer' ], 'the units are there');
is(must('find', "$root/etc/systemd", '-lname', '*clamquota*'), '',
    'none is enabled');

# No init and no word of the operator means that nothing is started. From here
# on services are started, and by their init scripts.
ok(!-e "$root/run/apache2/apache2.pid", 'httpd was not started in a chroot');
spew("$root/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0\n", 0755);
spew("$root/etc/apache2/conf-available/mirror.conf", <<'EOC');
ServerName mirror.example
<IfModule clamquota_module>
    <Location "/clamquota">
        SetHandler clamquota-status
        Require local
    </Location>
    <IfDefine QUOTA>
        <Location "/files">
            ClamQuotaEngine On
            ClamQuotaDaily 1k
        </Location>
    </IfDefine>
</IfModule>
EOC
must('mkdir', "$root/var/www/html/files");
spew("$root/var/www/html/files/main.cvd", 'c' x 1_200_000);
must('nsenter', '-t', $init, '-m', '-r', 'a2enconf', '-q', 'mirror');
my ($status, $said) = inside('invoke-rc.d', 'apache2', 'start');
is($status, 0, 'httpd starts') or diag($said);
answers('and answers');
is((get('/files/main.cvd'))[0], 200, 'it serves');
is(page()->{engine} . page()->{totals}{sent}, 'Off0',
    'and counts nothing: the engine is off');

# ---- counts ----

spew("$root/etc/apache2/conf-available/quota.conf", "Define QUOTA\n");
must('mv', "$root/etc/apache2/conf-available/quota.conf",
    "$root/etc/apache2/conf-enabled/a-quota.conf");
is((inside('apache2ctl', 'graceful'))[0], 0, 'a quota is set');
my ($code, $bytes) = get('/files/main.cvd');
is($code, 200, 'the first download');
is((get('/files/main.cvd'))[0], 429, 'the second is refused');
my $before = page();
is($before->{clients}[0]{used}, $bytes, 'counted to the byte');
is($before->{version}, '0.0.9', 'by the older release');

# ---- upgraded ----

my $pid = parent();
$said = apt('upgraded', 'install', '/new/*.deb');
answers('httpd answers');
like(parent(), qr/^(?!$pid$)\d+$/, 'it was restarted') or diag($said);
is(page()->{version}, $version, 'the new release is at work');
is(page()->{clients}[0]{used}, $bytes, 'the counters stayed');
is((get('/files/main.cvd'))[0], 429, 'and the verdict with them');
unlike(slurp($log), qr/CQ0121/, 'nothing was served uncounted');

# Where the operator forbids restarts, httpd runs on as it is.
$pid = parent();
spew("$root/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0755);
$said = apt('upgraded where policy-rc.d forbids', 'install', '--reinstall',
    '/new/*.deb');
like($said, qr/policy-rc.d denied execution of restart/, 'apt reports it');
is(parent(), $pid, 'httpd runs on');
spew("$root/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0\n", 0755);

# ---- removed ----

my $spec = 'nft:inet/clamquota/jail4,jail6';
spew("$root/root/deny", "192.0.2.7\n");
sub jail {
    my ($nft, $words) = on_its_net('nft', '-f', "$top/conf/clamquota.nft");
    return ($words) if $nft != 0;
    my @sync = inside('clamquota-sync', '--jail', $spec, '--deny-file',
        '/root/deny');
    is($sync[0], 0, 'clamquota-sync jails') or diag($sync[1]);
    return;
}
sub jailed {
    return (on_its_net('nft', 'list', 'set', 'inet', 'clamquota', 'jail4'))[1];
}
my $why = jail();
SKIP: {
    skip "no sets of nft here: $why", 1 if $why;
    like(jailed(), qr/192\.0\.2\.7/, 'an address is in the jail');
}
$said = apt('removed', 'remove', 'libapache2-mod-clamquota clamquota-tools');
SKIP: {
    skip "no sets of nft here: $why", 1 if $why;
    like(jailed(), qr/^\s*flags timeout\n\s*\}/m, 'the jail is empty')
        or diag($said);
}
answers('httpd answers');
is((get('/files/main.cvd'))[0], 200, 'without the module');
ok(-s "$root/var/lib/clamquota/clamquota.table", 'the counters stay');
apt('installed again', 'install', '/new/*.deb');
answers('httpd answers');
is((get('/files/main.cvd'))[0], 429, 'and are in force again');

# ---- purged ----

# What is there, but for what Debian's own tools and the kernel keep
sub everything {
    return must('sh', '-c', 'cd "$0" && find . -xdev \( -path ./proc -o '
        . '-path ./run -o -path ./tmp -o -path ./var/cache -o -path ./var/log '
        . '-o -path ./var/lib/apt -o -path ./var/lib/dpkg \) -prune -o '
        . '-printf "%p %m %u:%g %l\n" | sort', $root);
}
sub purge {
    my ($name) = @_;
    my $words = apt($name, 'purge', '--autoremove', 'libapache2-mod-clamquota',
        'clamquota-tools');
    unlike($words, qr/warning|error|not empty/i, "$name: no complaint");
    return;
}
must('chroot', $root, 'apt-mark', 'manual', 'apache2');
if (!jail()) {
    on_its_net('nft', 'delete', 'table', 'inet', 'clamquota');
}
purge('purged, the jail gone before');
is(must('sh', '-c', 'find "$0" -xdev -name "*clamquota*" '
    . '! -name "*.deb"', $root), '', 'no file is left');
is((run('grep', '-rl', 'clamquota', "$root/var/lib", '--exclude-dir=apt',
    '--exclude-dir=dpkg'))[1], '', 'nor a word of it in /var/lib');
answers('httpd answers');

# ---- once more, with systemd as it would be asked ----

my $clean = everything();
must('mkdir', '-p', "$root/run/systemd/system");
spew("$root/usr/bin/systemctl", <<'EOS', 0755);
#!/bin/sh
echo "$*" >>/root/asked
EOS
my $asked = '';
sub asked {
    my $text = slurp("$root/root/asked");
    unlink "$root/root/asked";
    my $acts = qr/^(?:\w+-)?(?:start|restart|stop|enable|reload)\b/;
    return join ' ', sort grep { /$acts/ }
        map { s/^(?:--\S+ )+//r } split /\n/, $text;
}
apt('installed under systemd', 'install', '/old/*.deb');
is(asked(), 'daemon-reload restart apache2.service',
    'apache2 is restarted, no unit of ours is started or enabled');
apt('upgraded under systemd', 'install', '/new/*.deb');
is(asked(), 'daemon-reload restart apache2.service try-restart '
    . join(' ', map { "clamquota-sync$_" } '-pass.service', '.service',
        '.timer'), 'a unit of ours is restarted only where it runs');
apt('removed under systemd', 'remove', 'clamquota-tools');
like(asked(), qr/\bstop(?:\ clamquota-sync\S+){3}$/, 'and stopped at removal');
purge('purged under systemd');
unlink "$root/usr/bin/systemctl";
must('rm', '-r', "$root/run/systemd");
unlink "$root/root/asked";
is(everything(), $clean, 'purge leaves what was there before, no more');

my $expected = qr/made a new table|127\.0\.0\.1 is over quota: /;
unlike(slurp($log), qr/CQ\d+: (?!$expected)|exit signal/,
    'the error log has no complaint');

done_testing();
