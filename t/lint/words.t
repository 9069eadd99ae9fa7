# Names and functions that the house does not have.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Sources qw(files code slurp top);
use Test::More;

my @sources = files('mod_clamquota/*/*.[ch]', 'tools/*/*.[ch]',
    't/unit/*.c');

# They overflow, lose errors, keep hidden state or start a shell.
my @functions = qw(atoi atol atoll atof sprintf vsprintf strcpy strcat strtok
    gets alloca system popen tmpnam mktemp localtime gmtime asctime ctime
    inet_ntoa apr_atoi64);

# The words must be found where they are.
my $forbidden = join '|', @functions;
my $call = qr/\b($forbidden)\s*\(/;
like('n = atoi(text);', $call, 'the pattern finds a call');
unlike('n = my_atoi(text);', $call, 'and only a whole word');

my @calls;
for my $name (@sources) {
    my $line = 0;
    for my $text (split /\n/, code($name)) {
        $line++;
        push @calls, "$name:$line: $1()" while $text =~ /$call/g;
    }
}
is_deeply(\@calls, [], 'no forbidden function');

my @vague = grep { m{(?:^|[/_])(?:utils?|misc|common|helpers?)[^/]*$} }
    @sources, files('t/*.t', 't/*/*.p[lm]');
is_deeply(\@vague, [], 'no file is called util, misc, common or helper');

my @owed;
for my $name (@sources) {
    my $line = 0;
    for my $text (split /\n/, slurp($name)) {
        $line++;
        push @owed, "$name:$line" if $text =~ /\b(?:TODO|FIXME|XXX)\b/;
    }
}
is_deeply(\@owed, [], 'nothing is left as owed');

my @headless = grep { slurp($_) !~ m{\A/\* \S+ - .+} }
    files('mod_clamquota/*/*.[ch]');
is_deeply(\@headless, [], 'every file says first what it owns');

done_testing();
