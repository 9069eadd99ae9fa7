# gcc and clang build everything without a warning, whatever the optimisation,
# and the module exports the one symbol that httpd looks up. What can't be built
# says so. With CQ_TEST_ALL all combinations.
use strict;
use warnings;
use File::Temp qw(tempdir);
use FindBin;
use lib $FindBin::Bin;
use Sources qw(top files);
use Test::More;

chdir top() or die "cannot change directory: $!\n";

# What it says on both outputs, after its exit status.
sub build {
    my (%environment) = @_;
    # in a directory of its own: no other command is in its way
    local @ENV{ 'CQ_LOCKED', keys %environment } = (1, values %environment);
    my $output = `./build.sh build 2>&1`;
    return ($? >> 8) . ":$output";
}

# As a Debian package is built
chomp(my $hardened = `DEB_BUILD_MAINT_OPTIONS=hardening=+all \\
    dpkg-buildflags --get CFLAGS 2>/dev/null` || '-O2');
my @builds = (['gcc', $hardened], ['gcc', '-O3 -fno-lto'], ['clang', '-O2']);
@builds = map {
    my $compiler = $_;
    map { [$compiler, $_], [$compiler, "$_ -fno-lto"] }
        qw(-O0 -O1 -O2 -O3 -Os), $hardened
} 'gcc', 'gcc -m64', 'clang' if $ENV{CQ_TEST_ALL};

for my $build (@builds) {
    my ($compiler, $flags) = @{$build};
    my $directory = tempdir('cq b XXXX', TMPDIR => 1, CLEANUP => 1);
    is(build(CC => $compiler, CFLAGS => $flags, WERROR => 1,
        BUILD => $directory), '0:', "$compiler $flags: not a word");

    my $module = "$directory/mod_clamquota.so";
    ok(-s $module, "$compiler $flags: there is a module") or next;
    my @exported = map { (split)[2] }
        grep { !/ [Ww] / } `nm -D --defined-only '$module'`;
    is_deeply(\@exported, ['clamquota_module'],
        "$compiler $flags: it exports the module record only");
    is_deeply([ `nm -D --undefined-only '$module'` =~ /\b(cq_\w+)/g ],
        [], "$compiler $flags: nothing of our own is missing in it");
}

chomp(my $check = `pkg-config --cflags check`);
for my $name ($ENV{CQ_TEST_ALL}
    ? files('t/unit/*.c', 't/peer/*.c', 't/bench/*.c') : ()) {
    my $said = `clang -fsyntax-only -std=c11 -Wall -Wextra -Werror \\
        -D_GNU_SOURCE -I mod_clamquota -I tools $check '$name' 2>&1`;
    is($said, '', "clang: $name");
}

# ---- what can't be built ----
my $scratch = tempdir(CLEANUP => 1);
my %refused = (
    'gcc -m32'       => qr/^1:build.sh: CC=gcc -m32 builds for a 32-bit target/,
    'no-such-cc -m1' => qr/^1:build.sh: no-such-cc is missing/,
    'gcc -no-such'   => qr/^1:build.sh: CC=gcc -no-such CFLAGS=\S*: gcc: error/,
);
for my $compiler (sort keys %refused) {
    like(build(CC => $compiler, CFLAGS => '', BUILD => $scratch),
        $refused{$compiler}, "CC='$compiler' is refused");
}

# an httpd of another version, as far as the build can see
sub spew {
    my ($name, $text, $mode) = @_;
    open my $file, '>', $name or die "$name: $!\n";
    print {$file} $text;
    close $file or die "$name: $!\n";
    chmod $mode, $name;
    return;
}
for my $old ('2.4.46', '2.2.34', '2.4.9') {
    my ($major, $minor, $patch) = split /\./, $old;
    spew("$scratch/ap_release.h", <<"EOT", 0644);
#define AP_SERVER_MAJORVERSION_NUMBER $major
#define AP_SERVER_MINORVERSION_NUMBER $minor
#define AP_SERVER_PATCHLEVEL_NUMBER $patch
EOT
    spew("$scratch/apxs", "#!/bin/sh\necho $scratch\n", 0755);
    like(build(PATH => "$scratch:$ENV{PATH}", BUILD => "$scratch/build"),
        qr/^1:build.sh: httpd \Q$old\E in \S+ is too old: 2\.4\.47/,
        "httpd $old is refused");
}

# A library that one directive needs
if ($ENV{CQ_TEST_ALL}) {
    my $bin = tempdir(CLEANUP => 1);
    spew("$bin/pkg-config", <<'EOT', 0755);
#!/bin/sh
case $* in *libmemcached*) exit 1 ;; esac
exec /usr/bin/pkg-config "$@"
EOT
    like(build(PATH => "$bin:$ENV{PATH}", WERROR => 1, BUILD => "$bin/build"),
        qr/^0:libmemcached is missing: ClamQuotaMemcached will be refused/,
        'without libmemcached everything else builds');
    unlike(scalar `ldd '$bin/build/mod_clamquota.so'`, qr/memcached/,
        'and the module does not ask for it');
}

# The wall: what core, render and table are compiled with has no httpd in it.
my $probe = tempdir(CLEANUP => 1);
for my $header (qw(httpd.h apr.h)) {
    open my $file, '>', "$probe/probe.c" or die "probe: $!\n";
    print {$file} "#include <$header>\n" or die "probe: $!\n";
    close $file or die "probe: $!\n";
    my $found = `gcc -I mod_clamquota -fsyntax-only '$probe/probe.c' 2>&1`;
    like($found, qr/\Q$header\E: No such file/,
        "<$header> cannot be found without its path");
}

done_testing();
