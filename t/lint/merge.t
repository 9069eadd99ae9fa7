# A member of the scopes' configuration that its merge forgets silently loses
# its setting in every <Location> and virtual host.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Sources qw(files code);
use Test::More;

my $header = code('mod_clamquota/httpd/private.h');

sub members {
    my ($struct) = @_;
    my ($body) = $header =~ /^struct \Q$struct\E \{(.*?)^\};/ms
        or die "struct $struct is not in httpd/private.h\n";
    return map { /(\w+)\s*(?:\[[^\]]*\])?\s*$/ ? $1 : () } split /;/, $body;
}

sub body_of {
    my ($function) = @_;
    for my $name (files('mod_clamquota/httpd/*.c')) {
        return $1
            if code($name) =~ /^[^\n]*\b\Q$function\E\([^;{]*\)\n\{(.*?)^\}/ms;
    }
    die "$function() is not in httpd/*.c\n";
}

my @members = members('cq_dir_conf');
cmp_ok(scalar @members, '>=', 8, 'members of struct cq_dir_conf found');

my $merge = body_of('cq_dir_conf_merge');
is_deeply([ grep { $merge !~ /\b\Q$_\E\b/ } @members ],
    [], 'cq_dir_conf_merge() handles every member');

# Zeroes are values here (jitter 0, grace 0): what isn't set must say so.
my $create = body_of('cq_dir_conf_create');
my @not_zero = grep { !/^(?:engine|pool|status)$/ } @members;
is_deeply([ grep { $create !~ /\b\Q$_\E\b/ } @not_zero ],
    [], 'cq_dir_conf_create() marks every member as unset');

done_testing();
