package Sources;

# What the lint tests know about the source tree: which files are in which
# room, and their text without comments or strings. A room that has no files
# is an error: a check that cannot find what it checks must not pass.

use strict;
use warnings;
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Glob qw(:bsd_glob);
use File::Spec;

our @EXPORT_OK = qw(top files slurp code functions read_directives log_tags);

my $TOP = File::Spec->rel2abs(dirname(__FILE__) . '/../..');

sub top { return $TOP }

# files('mod_clamquota/core/*.[ch]', ...): names relative to the top
sub files {
    my @patterns = @_;
    my @found;
    for my $pattern (@patterns) {
        my @here = sort grep { -f } glob "$TOP/$pattern";
        @here or die "nothing matches $pattern\n";
        push @found, map { substr $_, length("$TOP/") } @here;
    }
    return @found;
}

sub slurp {
    my ($name) = @_;
    open my $file, '<:raw', "$TOP/$name" or die "$name: $!\n";
    local $/ = undef;
    my $text = <$file>;
    close $file or die "$name: $!\n";
    return $text;
}

# The text of a C file with comments blanked out, and with keep_strings false
# the contents of strings and characters too. Lines stay where they are.
sub code {
    my ($name, %option) = @_;
    my $text = slurp($name);
    my $blank = sub { (my $s = $_[0]) =~ s/[^\n]/ /g; return $s };
    $text =~ s{
        ( /\*.*?\*/ | //[^\n]* )            # 1: a comment
      | ( "(?:\\.|[^"\\\n])*"               # 2: a string or a character
        | '(?:\\.|[^'\\\n])*' )
    }{
        defined $1             ? $blank->($1)
        : $option{keep_strings} ? $2
        :                         substr($2, 0, 1)
            . $blank->(substr $2, 1, -1) . substr($2, -1)
    }gsex;
    return $text;
}

# functions(NAME): [name, first line, last line] of each. House style: the
# brace of a function stands alone in column 0, as does its closing one.
sub functions {
    my ($name) = @_;
    my @lines = split /\n/, code($name), -1;
    my @found;
    for my $open (0 .. $#lines) {
        next if $lines[$open] ne '{';
        my $close = $open;
        $close++ while $close < $#lines && $lines[$close] !~ /^\}/;
        # The head may take several lines: upwards to a blank line, the end
        # of something else, or a preprocessor line.
        my $first = $open;
        $first--
            while $first > 0 && $lines[ $first - 1 ] !~ /^\s*$|^[#}]|;\s*$/;
        my $head = join ' ', @lines[ $first .. $open - 1 ];
        next if $head !~ /(\w+)\s*\(/;
        push @found, [ $1, $first + 1, $close + 1 ];
    }
    return @found;
}

# Every directive that the module registers.
sub read_directives {
    my %seen;
    for my $name (files('mod_clamquota/httpd/*.c')) {
        my $text = code($name, keep_strings => 1);
        # those of mod_remoteip are listened in to, and documented there
        $seen{$1} = $name
            while $text =~ /AP_INIT_\w+\s*\(\s*"(?!RemoteIP)(\w+)"/g;
        # also where a macro of ours stands before AP_INIT
        $seen{$1} = $name while $text =~ /"(ClamQuota[A-Z]\w*)"/g;
    }
    return sort keys %seen;
}

# Every log tag: [tag, file:line], in the order they stand.
sub log_tags {
    my @tags;
    for my $name (files('mod_clamquota/httpd/*.c')) {
        my $line = 0;
        for my $text (split /\n/, code($name, keep_strings => 1)) {
            $line++;
            push @tags, [ "CQ$1", "$name:$line" ]
                while $text =~ /\bCQNO\s*\(\s*"?(\d+)"?\s*\)/g;
        }
    }
    return @tags;
}

1;
