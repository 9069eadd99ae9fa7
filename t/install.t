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
    return build('install', %variables);
}

# What build.sh says to a command that succeeds.
sub build {
    my ($command, %variables) = @_;
    local @ENV{ keys %variables } = values %variables;
    my $said = `./build.sh $command 2>&1`;
    is($? >> 8, 0, join ' ', $command,
        map { "$_=$variables{$_}" } sort keys %variables) or diag($said);
    return $said;
}

sub build_fails {
    my (%variables) = @_;
    local @ENV{ keys %variables } = values %variables;
    my $said = `./build.sh install 2>&1`;
    return ($? >> 8) . ":$said";
}

sub files_below {
    my ($directory) = @_;
    return sort grep { -f } split /\0/, `find '$directory' -type f -print0`;
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
    "$root/usr/sbin/clamquota"                              => 0755,
    "$root/usr/share/man/man8/clamquota-sync.8"             => 0644,
    "$root/usr/share/man/man8/clamquota.8"                  => 0644,
    (map { ("$root/usr/share/doc/mod_clamquota/examples/$_" => 0644) } qw(
        clamquota-alerts.yml
        clamquota-ipset.ip6tables clamquota-ipset.iptables
        clamquota-modprobe.conf clamquota-sync.cron clamquota.ip6tables
        clamquota.ipset clamquota.iptables clamquota.nft
        clamquota.syslog-ng)),
    map { ("$root/usr/lib/systemd/system/$_" => 0644) } qw(
        clamquota-sync-pass.service clamquota-sync.service clamquota-sync.timer)
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
is_deeply([ files_below($root) ], [ sort grep { -f } keys %mode ],
    'no other file');
is(slurp("$root/usr/lib/systemd/system/$_"), slurp("conf/$_"),
    "$_: as it is") for qw(clamquota-sync.service clamquota-sync.timer);

# ---- and taken away again ----
mkdir "$mods/../mods-enabled" or die "mods-enabled: $!\n";
symlink '../mods-available/clamquota.load',
    "$mods/../mods-enabled/clamquota.load" or die "symlink: $!\n";
my $enabled_said = do { local $ENV{DESTDIR} = $root;
    `./build.sh uninstall 2>&1` };
like(($? >> 8) . $enabled_said,
    qr/^1build.sh: \S+ exists: .*a2dismod clamquota/,
    'not while it is enabled: httpd would not start');
is_deeply([ files_below($root) ], [ sort grep { -f } keys %mode ],
    'and nothing was removed');
unlink "$mods/../mods-enabled/clamquota.load";
rmdir "$mods/../mods-enabled";
is(build('uninstall', DESTDIR => $root), '', 'uninstall, without a word');
is_deeply([ files_below($root) ], [], 'no file is left');
ok(!-e "$root/$_", "$_ is gone") for 'var/lib/clamquota',
    'usr/share/doc/mod_clamquota';

# with counters, and a configuration that was changed
install(DESTDIR => $root);
spew("$root/var/lib/clamquota/clamquota.table", 'counters');
spew("$mods/clamquota.conf", "# mine\n");
my $kept = build('uninstall', DESTDIR => $root);
like($kept, qr/was changed here and stays\n.*rm -r \S+lib\/clamquota\n/,
    'a file of the user\'s own is named');
is_deeply([ files_below($root) ], [ "$mods/clamquota.conf",
    "$root/var/lib/clamquota/clamquota.table" ], 'and stays');
install(DESTDIR => $root);

# ---- a second time, after the operator has changed something ----

spew("$mods/clamquota.conf", "# mine\n");
like(install(DESTDIR => $root), qr/was changed here and stays; the new one/,
    'a changed clamquota.conf is noticed');
is(slurp("$mods/clamquota.conf"), "# mine\n", 'and kept');
is(slurp("$mods/clamquota.conf.new"), slurp('conf/clamquota.conf'),
    'with the new one beside it');

# ---- below another PREFIX, and httpd reads it ----

my $prefix = "$scratch/opt";
like(install(PREFIX => $prefix,
    BUILD => "$scratch/build"), qr{^  Include \S+\.load\n  Include \S+\.conf$}m,
    'it says what to include, a line each');
(my $own_mods = "$prefix$apxs{SYSCONFDIR}/mods-available") =~ s{/usr}{};
my $load = slurp("$own_mods/clamquota.load");
my ($module) = $load =~ /^LoadModule clamquota_module (\S+)\n\z/;
like($module, qr/^\Q$prefix\E/, 'clamquota.load points below PREFIX');
ok(-s $module, 'to a file');
my @strays = map { my $name = $_; map { "$name: $_" } slurp($name) =~
    m{^(?!.*\./build\.sh).*?(?<![\w.])(/var/lib/clamquota\S*|/usr/sbin/clamq\S*
        |/etc/apache2/mods\S*|/usr/share/(?:doc|man)\S*)}mgx }
    grep { !/\.so$|sbin/ } files_below($prefix);
is_deeply(\@strays, [], 'no text names a path that is not below PREFIX');
like(slurp("$prefix/lib/systemd/system/clamquota-sync.service"),
    qr{^ExecStart=\Q$prefix\E/sbin/clamquota-sync --watch}m,
    'the service starts the one below PREFIX');
ok(-x "$prefix/sbin/clamquota-sync", 'which is there');
is(`'$prefix/sbin/clamquota' report 2>&1`,
    "clamquota report: $prefix/var/lib/clamquota/clamquota.table: no such "
    . "table: expected the file that ClamQuotaTable names, which httpd makes "
    . "when it starts\n", 'clamquota looks for the table below PREFIX');
is(`'$prefix/sbin/clamquota-sync' -n 2>&1` =~ s/:.*//sr, 'clamquota-sync',
    'it runs');
like(`'$prefix/sbin/clamquota-sync' -n 2>&1`,
    qr{\Q$prefix\E/var/lib/clamquota/clamquota\.table},
    'and looks for the table below PREFIX');
is(build_fails(PREFIX => $_),
    "1:build.sh: PREFIX=$_: expected an absolute path of letters, digits and "
    . "/._+-, e.g. /opt/clamquota\n", "PREFIX='$_' is refused")
    for 'opt', '/a b', '/a|b';
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

# A value shown as a default or as an example is one.
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
