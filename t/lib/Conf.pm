package Conf;

# Conf - the configuration of a test's httpd, and its certificate. Mixed into
# Httpd.pm, whose members it reads.

use strict;
use warnings;

chomp(my $MODULES = `apxs -q LIBEXECDIR`);

sub certificate {
    my ($self) = @_;
    waitpid $self->spawn("$self->{dir}/logs/openssl", 'openssl', split ' ',
        'req -x509 -batch -nodes -newkey ec'
        . ' -pkeyopt ec_paramgen_curve:P-256 -days 3650 -subj /CN=localhost'
        . ' -addext basicConstraints=critical,CA:FALSE'
        . ' -addext subjectAltName=DNS:localhost'
        . " -keyout $self->{dir}/run/key -out $self->{dir}/run/crt"), 0;
}

sub conf_text {
    my ($self, $conf) = @_;
    my $mpm = $ENV{CQ_TEST_MPM} || 'event';
    my @modules = ("mpm_$mpm", qw(unixd log_config logio authz_core authz_host
        dir mime alias), @{$self->{modules}});
    push @modules, qw(ssl socache_shmcb) if $self->{tls};
    my $text = join '', map { "LoadModule ${_}_module $MODULES/mod_$_.so\n" }
        grep { -e "$MODULES/mod_$_.so" } @modules;
    $text .= $mpm eq 'prefork' ? "StartServers 3\nMaxRequestWorkers 40\n"
        : "StartServers 2\nServerLimit 4\nThreadsPerChild 20\n"
        . "MinSpareThreads 1\nMaxSpareThreads 40\nMaxRequestWorkers 40\n";
    my ($user) = grep { getpwnam $_ } qw(www-data apache nobody);
    $text .= "User $user\nGroup #" . (getpwnam $user)[3] . "\n" if !$<;
    $text .= <<'EOT';
ServerRoot %DIR%
DefaultRuntimeDir %DIR%/run
PidFile run/httpd.pid
ServerName localhost
DocumentRoot %DIR%/htdocs
ErrorLog logs/error.log
LogLevel notice
TypesConfig /etc/mime.types
Timeout 300
Listen 127.0.0.1:%PORT%
<Directory %DIR%>
    Require all granted
</Directory>
LogFormat "%a %>s %O \"%r\"" test
CustomLog logs/access.log test
EOT
    $text .= "Listen [::1]:%PORT%\n" if $self->{ipv6};
    if ($self->{quota}) {
        $text .= "LoadModule clamquota_module %DIR%/mod_clamquota.so\n"
            . "LogLevel clamquota:info\n"
            . "ClamQuotaTable %DIR%/state/clamquota.table\n"
            . "<Location /clamquota>\n    SetHandler clamquota-status\n"
            . "    ClamQuotaChanges On\n"
            . "</Location>\n";
        $text .= "ClamQuotaClients $self->{clients}\n" if $self->{clients};
    }
    $text .= $conf // $self->{conf} // '';
    $text .= <<'EOT' if $self->{tls};
SSLSessionCache shmcb:run/ssl(512000)
Listen 127.0.0.1:%TLSPORT%
<VirtualHost 127.0.0.1:%TLSPORT%>
    SSLEngine on
    SSLCertificateFile run/crt
    SSLCertificateKeyFile run/key
</VirtualHost>
EOT
    my %mine = (DIR => $self->{dir}, PORT => $self->{port}, PORT2 =>
        $self->{port2}, TLSPORT => $self->{tls_port});
    $text =~ s/%(DIR|PORT2?|TLSPORT)%/$mine{$1}/g;
    return $text;
}

1;
