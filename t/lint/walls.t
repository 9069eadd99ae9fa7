# core knows nothing; table, jail, deny and log know core; render and cluster know both;
# only httpd/ knows httpd. The compiler guards the wall to httpd and APR by having no
# such path; this says which include broke it, and guards the walls between our
# rooms.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Sources qw(files code);
use Test::More;

# C11's headers and what POSIX lets a library room use
my $libc = qr/^(?:assert|ctype|errno|inttypes|limits|locale|math|stdarg
    |stdatomic|stdbool|stddef|stdint|stdio|stdlib|string|strings|time
    |arpa\/inet|netinet\/in|sys\/socket)\.h$/x;
my $httpd = qr/^(?:httpd|http_|apr|apu|ap_|mod_|util_|scoreboard|mpm_common)/;

my %may = (    # room => [own headers it may include, system headers]
    core   => [ qr/^core\//,                   $libc ],
    table  => [ qr/^(?:core|table)\//,         undef ],
    render => [ qr/^(?:core|table|render)\//,  $libc ],
    host   => [ qr/^(?:core|host)\//,          undef ],
    cluster => [ qr/^(?:core|table|cluster)\//, undef ],
    httpd  => [ qr/^(?:core|table|cluster|host|render|httpd)\//, undef ],
    jail   => [ qr/^(?:core|jail)\//,         undef ],
    deny   => [ qr/^(?:core|deny)\//,         undef ],
    log    => [ qr/^(?:core|log)\//,          undef ],
    cli    => [ qr/^(?:core|table|render|cli)\//, undef ],
    sync   => [
        qr/^(?:core|table|render|host|jail|deny|cli|sync)\//, undef ],
    clamquota => [
        qr/^(?:core|table|render|host|jail|deny|cli|log|clamquota)\//, undef ],
);

for my $room (sort keys %may) {
    my ($own, $system) = @{ $may{$room} };
    my @wrong;
    my $includes = 0;
    my $top = $room =~ /^(?:jail|deny|log|cli|sync|clamquota)$/ ? 'tools' : 'mod_clamquota';
    for my $name (files("$top/$room/*.[ch]")) {
        my $text = code($name, keep_strings => 1);
        while ($text =~ /^\s*#\s*include\s*([<"])([^>"]+)[>"]/mg) {
            my ($kind, $header) = ($1, $2);
            $includes++;
            if ($room ne 'httpd' && $header =~ $httpd) {
                push @wrong, "$name: $header belongs to httpd/";
            }
            elsif ($kind eq '"' && $header !~ $own) {
                push @wrong, "$name: \"$header\" is no room below $room";
            }
            elsif ($kind eq '<' && $system && $header !~ $system) {
                push @wrong, "$name: <$header> is more than libc";
            }
        }
    }
    cmp_ok($includes, '>', 0, "$room: includes found");
    is_deeply(\@wrong, [], "$room includes only what it may");
}

# The other way round: a header of ours says which room it is by its path.
my @homeless;
for my $name (files('mod_clamquota/*/*.h', 'tools/*/*.h')) {
    my ($file) = $name =~ /(\w+)\.h$/;
    my $guard = uc $file;
    push @homeless, $name if code($name) !~ /^#ifndef CQ_\w*$guard\w*_H$/m;
}
is_deeply(\@homeless, [], 'every header has a guard CQ_..NAME.._H');

done_testing();
