# mpm: once
# `build.sh install` puts things where Debian's httpd finds them, and what it
# installs is accepted by httpd and safe.
use strict;
use warnings;
use File::Temp qw(tempdir);
use FindBin;
use Test::More;

my $top = "$FindBin::Bin/..";
chdir $top or die "$top: $!\n";
my $scratch = tempdir(CLEANUP => 1);
my %apxs = map { chomp(my $value = `apxs -q $_`); ($_ => $value) }
    qw(LIBEXECDIR SYSCONFDIR SBINDIR PROGNAME);

sub slurp {
    my ($name) = @_;
    open my $file, '<:raw', $name or return "no $name: $!";
    local $/ = undef;
    return scalar <$file>;
}

sub spew {
    my ($name, $text) = @_;
    open my $file, '>', $name or die "$name: $!\n";
    print {$file} $text or die "$name: $!\n";
    close $file or die "$name: $!\n";
    return;
}

sub install {
    my (%variables) = @_;
    local @ENV{ keys %variables } = values %variables;
    my $said = `./build.sh install 2>&1`;
    is($? >> 8, 0, join ' ', 'install',
        map { "$_=$variables{$_}" } sort keys %variables) or diag($said);
    return $said;
}

# ---- as a package does it: PREFIX=/usr under DESTDIR ----

my $root = "$scratch/root";
my $said = install(DESTDIR => $root);
like($said, qr/a2enmod clamquota/, 'it says what to do next');
my $mods = "$root$apxs{SYSCONFDIR}/mods-available";
my %mode = (
    "$root$apxs{LIBEXECDIR}/mod_clamquota.so"               => 0644,
    "$mods/clamquota.load"                                  => 0644,
    "$mods/clamquota.conf"                                  => 0644,
    "$root/usr/share/man/man5/mod_clamquota.5"              => 0644,
    "$root/usr/share/man/man7/clamquota.7"                  => 0644,
    "$root/usr/share/doc/mod_clamquota/clamav-mirror.conf"  => 0644,
    "$root/usr/share/doc/mod_clamquota/distribution-mirror.conf" => 0644,
    "$root/usr/share/doc/mod_clamquota/README"              => 0644,
    "$root/usr/share/doc/mod_clamquota/CHANGES"             => 0644,
    "$root/usr/share/doc/mod_clamquota/LICENSE"             => 0644,
    "$root/var/lib/clamquota"                               => 0750,
    "$root/usr/sbin/clamquota-sync"                         => 0755,
    "$root/usr/share/man/man8/clamquota-sync.8"             => 0644,
    map { ("$root/usr/share/doc/mod_clamquota/examples/$_"  => 0644) } qw(
        clamquota-ipset.ip6tables clamquota-ipset.iptables
        clamquota-modprobe.conf clamquota-sync-pass.service
        clamquota-sync.cron clamquota-sync.service clamquota-sync.timer
        clamquota.ip6tables clamquota.ipset clamquota.iptables clamquota.nft)
);
for my $name (sort keys %mode) {
    my @stat = stat $name;
    is(@stat ? sprintf('%04o', $stat[2] & 07777) : 'missing',
        sprintf('%04o', $mode{$name}), substr $name, length $root);
}
is(slurp("$mods/clamquota.load"),
    "LoadModule clamquota_module $apxs{LIBEXECDIR}/mod_clamquota.so\n",
    'clamquota.load: the path on the target, without DESTDIR');
is(slurp("$mods/clamquota.conf"), slurp('conf/clamquota.conf'),
    'clamquota.conf: as it is');
is(scalar(grep { -f } split /\0/, `find '$root' -type f -print0`),
    scalar(grep { -f } keys %mode), 'no other file');

# The README's command for getting rid of it leaves nothing behind.
my ($rm) = slurp('README') =~ /^ +sudo rm -r ((?:.*\\\n)*.*)/m;
my @gone = map { s/\*$//r } grep { m{^/} } split ' ', $rm // '';
is_deeply([ grep { my $name = substr $_, length $root;
    !grep { index($name, $_) == 0 } @gone } sort keys %mode ], [],
    'the README knows how to remove all of it');

is(slurp("$root/usr/share/doc/mod_clamquota/examples/$_"), slurp("conf/$_"),
    "$_: as it is") for qw(clamquota-sync.service clamquota-sync.cron);

# ---- a second time, after the operator has changed something ----

spew("$mods/clamquota.conf", "# mine\n");
like(install(DESTDIR => $root), qr/was changed here and stays/,
    'a changed clamquota.conf is noticed');
is(slurp("$mods/clamquota.conf"), "# mine\n", 'and kept');
is(slurp("$mods/clamquota.conf.new"), slurp('conf/clamquota.conf'),
    'with the new one beside it');

# ---- below another PREFIX, and httpd reads it ----

my $prefix = "$scratch/opt";
install(PREFIX => $prefix);
(my $own_mods = "$prefix$apxs{SYSCONFDIR}/mods-available") =~ s{/usr}{};
my $load = slurp("$own_mods/clamquota.load");
my ($module) = $load =~ /^LoadModule clamquota_module (\S+)\n\z/;
like($module, qr/^\Q$prefix\E/, 'clamquota.load points below PREFIX');
ok(-s $module, 'to a file');
like(slurp("$prefix/share/doc/mod_clamquota/examples/clamquota-sync.service"),
    qr{^ExecStart=\Q$prefix\E/sbin/clamquota-sync --watch}m,
    'the service starts the one below PREFIX');
ok(-x "$prefix/sbin/clamquota-sync", 'which is there');
ok(-d "$prefix/var/lib/clamquota", 'the directory of the table is there');

my $httpd = "$apxs{SBINDIR}/$apxs{PROGNAME}";
my $count = 0;

# Exit status and words of httpd -t with this configuration.
sub httpd_accepts {
    my ($name, $text) = @_;
    my $conf = "$scratch/" . ++$count . '.conf';
    my $modules = join '', map {
        "LoadModule ${_}_module $apxs{LIBEXECDIR}/mod_$_.so\n"
    } qw(mpm_event authz_core authz_host);
    spew($conf, <<"EOT" . $modules . $text);
ServerRoot $scratch
ServerName localhost
DefaultRuntimeDir $scratch
PidFile $scratch/httpd.pid
ErrorLog $scratch/error.log
Listen 127.0.0.1:1
EOT
    my $words = `$httpd -t -f '$conf' 2>&1`;
    is($? . ":$words", "0:Syntax OK\n", $name);
    return;
}

my $enabled = "Include $own_mods/clamquota.load\n"
    . "Include $own_mods/clamquota.conf\n";
httpd_accepts('httpd accepts what a2enmod enables', $enabled);
httpd_accepts('and the example in a virtual host', $enabled . <<"EOT");
<VirtualHost 127.0.0.1:1>
    DocumentRoot $scratch
    Include $prefix/share/doc/mod_clamquota/clamav-mirror.conf
</VirtualHost>
EOT

# What is shown as a default or as an example is one.
(my $uncommented = slurp("$own_mods/clamquota.conf"))
    =~ s/^(\s*)#(?=\s*(?:ClamQuota|<))/$1/mg;
$uncommented =~ s/ClamQuotaEngine Off/ClamQuotaEngine On/;
spew("$scratch/all.conf", $uncommented);
cmp_ok(scalar(() = $uncommented =~ /^\s*ClamQuota/mg), '>=', 17,
    'clamquota.conf: the commented lines are found');
httpd_accepts('clamquota.conf: every commented line is valid',
    "Include $own_mods/clamquota.load\nInclude $scratch/all.conf\n");

SKIP: {
    my $a2enmod = (grep { -x } map { "$_/a2enmod" }
        split(/:/, $ENV{PATH}), '/usr/sbin')[0];
    skip 'no a2enmod here (package apache2)', 2 if !$a2enmod;
    my $etc = "$root$apxs{SYSCONFDIR}";
    mkdir "$etc/mods-enabled" or die "mods-enabled: $!\n";
    spew("$etc/apache2.conf", '');
    spew("$etc/envvars", "export APACHE_CONFDIR=$etc\n");
    local $ENV{APACHE_CONFDIR} = $etc;
    local $ENV{APACHE_MODS_DIR} = 'unused';
    my $words = `$a2enmod clamquota 2>&1`;
    is($? >> 8, 0, 'a2enmod enables it') or diag($words);
    is_deeply([ map { readlink } "$etc/mods-enabled/clamquota.load",
            "$etc/mods-enabled/clamquota.conf" ],
        [ map { "../mods-available/clamquota.$_" } qw(load conf) ],
        'both files');
}

done_testing();
