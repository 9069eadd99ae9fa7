# gcc and clang build everything without a warning, and the module exports the
# one symbol that httpd looks up.
use strict;
use warnings;
use File::Temp qw(tempdir);
use FindBin;
use lib $FindBin::Bin;
use Sources qw(top);
use Test::More;

chdir top() or die "cannot change directory: $!\n";

for my $compiler (qw(gcc clang)) {
    my $directory = tempdir(CLEANUP => 1);
    local $ENV{CC}     = $compiler;
    local $ENV{WERROR} = 1;
    local $ENV{BUILD}  = $directory;
    my $output = `./build.sh build 2>&1`;
    is($? . ":$output", '0:', "$compiler: not a word");

    my $module = "$directory/mod_clamquota.so";
    ok(-s $module, "$compiler: there is a module") or next;
    my @exported = map { (split)[2] }
        grep { !/ [Ww] / } `nm -D --defined-only '$module'`;
    is_deeply(\@exported, ['clamquota_module'],
        "$compiler: it exports the module record only");
    is_deeply([ `nm -D --undefined-only '$module'` =~ /\b(cq_\w+)/g ],
        [], "$compiler: nothing of our own is missing in it");
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
