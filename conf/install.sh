# install.sh - the files that build.sh installs and removes. Sourced by it: uses
# its variables and functions, and $command, which is install or uninstall.
# shellcheck shell=sh disable=SC2154

# under_prefix PATH: that path of Debian below PREFIX. With PREFIX=/usr the
# configuration is in /etc and the counters are in /var/lib.
under_prefix() {
    if [ "$PREFIX" = /usr ]; then echo "$1"; else echo "$PREFIX${1#/usr}"; fi
}

# place SOURCE TARGET [MODE]: installs a file, or removes it
place() {
    if [ "$command" = install ]; then
        install -m "${3:-644}" "$1" "$DESTDIR$2"
    else
        rm -f "$DESTDIR$2"
    fi
}

# place_text SOURCE TARGET: the same, with the paths below PREFIX
place_text() {
    sed "s|/usr/lib/apache2/modules|$module_dir|g
        s|/etc/apache2/mods-available|$mods_dir|g
        s|/var/lib/clamquota|$state_dir|g
        s|/usr/share/doc/mod_clamquota|$doc_dir|g
        s|/usr/share/man/|$man_dir/|g
        s|/usr/sbin/clamquota|$PREFIX/sbin/clamquota|g" "$1" >"$BUILD/text"
    place "$BUILD/text" "$2"
}

# place_conf SOURCE TARGET: the same, but keeps a file that was changed
place_conf() {
    before=$DESTDIR$2
    place_text "$1" "$2.new"
    if [ -e "$before" ] && ! cmp -s "$BUILD/text" "$before"; then
        new=
        [ "$command" != install ] || new="; the new one is $before.new"
        say "$before was changed here and stays$new"
    elif [ "$command" = install ]; then
        mv "$before.new" "$before"
    else
        rm -f "$before"
    fi
}

# The list of installed files, for both commands.
place_all() {
    place "$BUILD/mod_clamquota.so" "$module_dir/mod_clamquota.so"
    place "$BUILD/clamquota-sync" "$PREFIX/sbin/clamquota-sync" 755
    place "$BUILD/clamquota" "$PREFIX/sbin/clamquota" 755
    place_text mod_clamquota/mod_clamquota.5 "$man_dir/man5/mod_clamquota.5"
    place_text mod_clamquota/clamquota.7 "$man_dir/man7/clamquota.7"
    place_text tools/sync/clamquota-sync.8 "$man_dir/man8/clamquota-sync.8"
    place_text tools/clamquota/clamquota.8 "$man_dir/man8/clamquota.8"
    for text in README CHANGES LICENSE conf/*-mirror.conf; do
        place_text "$text" "$doc_dir/$(basename "$text")"
    done
    # firewall rules and sets, a cron job
    for text in conf/clamquota-* conf/clamquota.*; do
        case $text in
        *.load|conf/clamquota.conf|*.service|*.timer) ;;
        *) place_text "$text" "$doc_dir/examples/$(basename "$text")" ;;
        esac
    done
    for text in conf/*.service conf/*.timer; do
        place_text "$text" "$PREFIX/lib/systemd/system/$(basename "$text")"
    done
    place_text conf/clamquota.load "$mods_dir/clamquota.load"
    place_conf conf/clamquota.conf "$mods_dir/clamquota.conf"
}

# Checks PREFIX and DESTDIR, and sets the directories of the installed files.
choose_places() {
    need apxs install
    case $DESTDIR in ''|/*) ;; *) DESTDIR=$started_in/$DESTDIR ;; esac
    case $PREFIX in
    *[!A-Za-z0-9/._+-]*|[!/]*|'')
        die "PREFIX=$PREFIX: expected an absolute path of letters, digits and" \
            '/._+-, e.g. /opt/clamquota' ;;
    esac
    PREFIX=${PREFIX%/}
    module_dir=$(under_prefix "$(apxs -q LIBEXECDIR)")
    mods_dir=$(under_prefix "$(apxs -q SYSCONFDIR)")/mods-available
    state_dir=$(under_prefix /var/lib)/clamquota
    doc_dir=$PREFIX/share/doc/mod_clamquota
    man_dir=$PREFIX/share/man
    mkdir -p "$BUILD"
}

do_install() {
    choose_places
    so=$BUILD/mod_clamquota.so
    if [ ! -e "$so" ] || [ ! -e "$BUILD/clamquota-sync" ] ||
        [ ! -e "$BUILD/clamquota" ] ||
        [ "$(cat "$BUILD/state_dir" 2>/dev/null)" != "$state_dir" ] ||
        [ -n "$(find mod_clamquota tools -newer "$so")" ]
    then
        do_build
    fi
    install -d "$DESTDIR$module_dir" "$DESTDIR$mods_dir" \
        "$DESTDIR$doc_dir/examples" "$DESTDIR$PREFIX/sbin" \
        "$DESTDIR$PREFIX/lib/systemd/system" "$DESTDIR$man_dir/man5" \
        "$DESTDIR$man_dir/man7" "$DESTDIR$man_dir/man8"
    install -d -m 0750 "$DESTDIR$state_dir"
    place_all
    say "Installed below ${DESTDIR:-/}. Next:"
    if [ "$PREFIX" = /usr ]; then
        say '  a2enmod clamquota && systemctl restart apache2'
    else
        say "  Include $mods_dir/clamquota.load"
        say "  Include $mods_dir/clamquota.conf"
    fi
    say "  quotas for a virtual host: see $doc_dir/clamav-mirror.conf"
}

do_uninstall() {
    choose_places
    enabled=$DESTDIR${mods_dir%available}enabled/clamquota.load
    [ ! -e "$enabled" ] || die "$enabled exists: httpd would not start" \
        'without the module. First: a2dismod clamquota && systemctl restart' \
        'apache2'
    place_all
    for directory in "$doc_dir/examples" "$doc_dir" "$state_dir"; do
        rmdir "$DESTDIR$directory" 2>/dev/null || :
    done
    left=$DESTDIR$state_dir
    [ ! -e "$left" ] ||
        say "The counters stay in $left; to remove them: rm -r $left"
}
