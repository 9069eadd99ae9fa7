#!/bin/sh
# The only entry: builds, runs, tests and installs mod_clamquota. See usage().
# Always builds everything: that takes seconds, and there is no dependency
# tracking to go wrong. Each room of the source has its own compiler flags, so
# that core, render and table cannot see httpd or APR at all.
set -eu
started_in=$PWD
cd -- "$(dirname -- "$0")"

: "${CC=gcc}"
: "${CFLAGS=-O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong}"
: "${LDFLAGS=}"
: "${BUILD=build}"
: "${PREFIX=/usr}"
: "${DESTDIR=}"
: "${PORT=8080}"

# gcc .. pkg-config: to build; apache2-bin: to run; the rest: to test.
# apache2-bin and not apache2: the latter starts a server on port 80.
packages='gcc libc6-dev apache2-bin apache2-dev check pkg-config perl curl
apache2-utils openssl faketime nghttp2-client clamav-freshclam procps
util-linux media-types tzdata shellcheck mandoc clang valgrind strace
libmnl-dev libnftnl-dev libjansson-dev iptables nftables ipset iproute2
clamav-cvdupdate wget gnupg'

tool_libraries='jansson libmnl libnftnl'

warnings='-Wall -Wextra -Wconversion -Wshadow -Wformat=2 -Wvla -Wcast-qual
-Wundef -Wswitch-enum -Wmissing-prototypes -Wstrict-prototypes'

usage() {
    cat <<'EOT'
Usage: ./build.sh [COMMAND]
  deps     install what building, running and testing need (Debian, Ubuntu)
  build    everything into build/ (default)
  run      deps, build and a private httpd with a sample mirror under a quota
           on http://127.0.0.1:8080/; Ctrl-C stops it and leaves nothing behind
  test     deps, build and the whole test suite; test t/FILE.t ... only those
  bench    deps, build and the benchmarks
  install  module, clamquota-sync, configuration, examples, man pages
  clean    remove build/
Environment: CC CFLAGS LDFLAGS BUILD (build), WERROR=1 or CI=true (warnings are
errors), PORT (run), PREFIX DESTDIR (install), CQ_TEST_MPM=event|worker|prefork
(test: only that one).
EOT
}

say() { printf '%s\n' "$*"; }
die() { printf 'build.sh: %s\n' "$*" >&2; exit 1; }

# --- deps -------------------------------------------------------------------

missing_packages() {
    for package in $packages; do
        state=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) || state=
        [ "$state" = 'install ok installed' ] || printf '%s ' "$package"
    done
}

do_deps() {
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null
    then
        say 'This is not Debian or Ubuntu. Install what these packages hold:' \
            "$packages" | fmt -w 78
        exit 1
    fi
    missing=$(missing_packages)
    [ -n "$missing" ] || return 0
    apt='env DEBIAN_FRONTEND=noninteractive apt-get'
    command="$apt install -y --no-install-recommends $missing"
    if [ "$(id -u)" -eq 0 ]; then
        root=
    elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true; } 2>/dev/null
    then
        root=sudo
    else
        die "these packages are missing: $missing
Installing them needs root: run './build.sh deps' as root, or
$command"
    fi
    say "Installing: $missing"
    case " $missing" in *' clamav-freshclam '*)
        say 'clamav-freshclam brings a service that systemd starts; to stop' \
            'it: systemctl disable --now clamav-freshclam' ;;
    esac
    # Only lists that are absent, or older than what they list, need an update.
    # shellcheck disable=SC2086 # $root, $apt and $command are lists of words
    {
        $root $apt -s install $missing >/dev/null 2>&1 || $root $apt update ||
            die 'could not update the package lists'
        $root $command || { $root $apt update && $root $command; } ||
            die "could not install: $missing"
    }
    missing=$(missing_packages)
    [ -z "$missing" ] || die "still missing after installing: $missing"
}

# --- build ------------------------------------------------------------------

need() {
    for tool; do
        command -v "$tool" >/dev/null || die "$tool is missing: ./build.sh deps"
    done
}

# compile OUTDIR SUFFIX FLAGS... -- FILE...: each FILE to OUTDIR/NAME.o
compile() {
    room=$1
    shift
    flags=
    while [ "$1" != -- ]; do flags="$flags $1"; shift; done
    shift
    mkdir -p "$room"
    pids=
    for source; do
        [ -e "$source" ] || continue    # a pattern that matched nothing
        object=$room/$(basename "$source" .c).o
        # shellcheck disable=SC2086 # lists of words
        $CC $CFLAGS $warnings $werror $flags -I mod_clamquota -c "$source" \
            -o "$object" &
        pids="$pids $!"
    done
    failed=0
    for pid in $pids; do wait "$pid" || failed=1; done
    [ $failed -eq 0 ] || die "$room: does not compile"
}

# link_programs KIND: each t/KIND/*.c becomes build/KIND/NAME. Without -flto:
# it makes linking forty programs nine times as slow and tests no faster.
link_programs() {
    kind=$1
    rm -rf "${BUILD:?}/$kind"
    mkdir -p "$BUILD/$kind"
    # APR is for the buckets of httpd/marker.c, which knows no more of httpd
    # shellcheck disable=SC2046 # they print lists of words
    compile "$BUILD/obj/$kind" -std=c11 -pedantic -D_GNU_SOURCE -pthread \
        -I tools $(pkg-config --cflags check) \
        -isystem "$(apr-1-config --includedir)" -- "t/$kind"/*.c
    for object in "$BUILD/obj/$kind"/*.o; do
        [ -e "$object" ] || continue
        # shellcheck disable=SC2046,SC2086
        $CC $CFLAGS -fno-lto $LDFLAGS \
            -o "$BUILD/$kind/$(basename "$object" .o)" \
            "$object" "$BUILD/obj/httpd/marker.o" "$BUILD/libsync.a" \
            "$BUILD/libcq.a" $(pkg-config --libs check $tool_libraries) \
            $(apr-1-config --link-ld) $(apu-1-config --link-ld)
    done
}

# clamquota-sync: everything but main() goes into an archive, for unit tests
build_tools() {
    # shellcheck disable=SC2046,SC2086 # lists of words
    compile "$BUILD/obj/sync" -std=c11 -pedantic -D_GNU_SOURCE -I tools \
        $(pkg-config --cflags $tool_libraries) -- tools/sync/*.c
    # shellcheck disable=SC2046 # names without blanks
    ar rcs "$BUILD/libsync.a" \
        $(find "$BUILD/obj/sync" -name '*.o' ! -name main.o | sort)
    if [ -e "$BUILD/obj/sync/main.o" ]; then
        # shellcheck disable=SC2046,SC2086
        $CC $CFLAGS $LDFLAGS -o "$BUILD/clamquota-sync" \
            "$BUILD/obj/sync/main.o" "$BUILD/libsync.a" "$BUILD/libcq.a" \
            $(pkg-config --libs $tool_libraries)
    fi
}

do_build() {
    need "$CC" ar apxs apr-1-config pkg-config
    werror=
    if [ "${CI:-}" = true ] || [ "${WERROR:-0}" = 1 ]; then werror=-Werror; fi
    rm -rf "$BUILD/obj" "$BUILD/libcq.a" "$BUILD/libsync.a" \
        "$BUILD/clamquota-sync" "$BUILD/mod_clamquota.so"
    mkdir -p "$BUILD"

    # Across the rooms' walls only the compiler may look: a request passes
    # through functions of four rooms, and inlining them saves a tenth.
    lto=
    if echo 'int main(void){return 0;}' |
        $CC -Werror -flto=auto -ffat-lto-objects -x c -o "$BUILD/lto" - 2>/dev/null
    then
        lto='-flto=auto -ffat-lto-objects'
    fi
    rm -f "$BUILD/lto"

    # These know nothing of httpd and APR: no such include path is here.
    lib="-std=c11 -pedantic -fPIC -fvisibility=hidden $lto"
    posix=-D_POSIX_C_SOURCE=200809L
    # shellcheck disable=SC2086 # lists of words
    {
        compile "$BUILD/obj/core" $lib $posix -- mod_clamquota/core/*.c
        compile "$BUILD/obj/render" $lib $posix -- mod_clamquota/render/*.c
        compile "$BUILD/obj/table" $lib -D_GNU_SOURCE -- mod_clamquota/table/*.c
        compile "$BUILD/obj/host" $lib -D_GNU_SOURCE -- mod_clamquota/host/*.c
    }
    # shellcheck disable=SC2046 # names without blanks
    ar rcs "$BUILD/libcq.a" $(find "$BUILD/obj" -name '*.o' | sort)

    # clang looks into the casts of APR's ring macros, gcc doesn't
    ring=
    case $($CC --version) in *clang*) ring=-Wno-cast-qual ;; esac
    # shellcheck disable=SC2046,SC2086 # lists of words
    compile "$BUILD/obj/httpd" -std=c11 -pedantic -fPIC $ring $lto \
        $(apr-1-config --cppflags) -isystem "$(apxs -q INCLUDEDIR)" \
        -isystem "$(apr-1-config --includedir)" -- mod_clamquota/httpd/*.c
    if [ -e "$BUILD/obj/httpd/mod_clamquota.o" ]; then
        # httpd looks up one symbol; everything else stays inside
        say '{ global: clamquota_module; local: *; };' >"$BUILD/obj/exports"
        # shellcheck disable=SC2086
        $CC $CFLAGS $lto -shared -pthread -Wl,-z,relro,-z,now $LDFLAGS \
            -Wl,--version-script="$BUILD/obj/exports" \
            -o "$BUILD/mod_clamquota.so" "$BUILD"/obj/httpd/*.o "$BUILD/libcq.a"
    fi
    build_tools
}

do_build_tests() {
    link_programs unit
    link_programs peer
    link_programs bench
}

# --- test and bench ---------------------------------------------------------

# suite NAME FILE...: runs them, remembers the result for the summary
suite() {
    name=$1
    shift
    say "-- $name"
    result=passed
    PERL_TEST_HARNESS_DUMP_TAP=$BUILD/tap/$name prove "$@" || result=FAILED
    [ $result = passed ] || tests_failed=1
    summary="$summary
  $result: $name"
}

do_test() {
    tests_failed=0
    summary=
    rm -rf "$BUILD/tap"
    : "${CQ_TEST_MODULE=$(cd "$BUILD" && pwd)/mod_clamquota.so}"
    export CQ_TEST_MODULE
    # Check's 4 s are for machines with nothing else to do
    : "${CK_DEFAULT_TIMEOUT=120}"
    export CK_DEFAULT_TIMEOUT
    if [ $# -gt 0 ]; then
        CQ_TEST_MPM=${CQ_TEST_MPM:-event}
        export CQ_TEST_MPM
        suite "$CQ_TEST_MPM" "$@"
    else
        suite lint+unit -j2 --timer t/lint/*.t "$BUILD"/unit/*
        for mpm in ${CQ_TEST_MPM:-event worker prefork}; do
            # "# mpm: once" near its top: the MPM makes no difference there
            files=$(ls t/*.t)
            if [ "$mpm" != "${CQ_TEST_MPM:-event}" ]; then
                files=$(for file in $files; do
                    head -n 10 "$file" | grep -q '^# mpm: once' || echo "$file"
                done)
            fi
            # shellcheck disable=SC2086 # names without blanks
            CQ_TEST_MPM=$mpm suite "$mpm" --timer $files
        done
    fi
    printf '\nSummary:%s\n' "$summary"
    # what failed stands at the very end, where a log that was cut still has it
    # FILE:TAP LINE # skip REASON
    find "$BUILD/tap" -type f -exec grep -Hi '# skip' {} + |
        sed "s|^$BUILD/tap/\([^:]*\):.*# *[Ss][Kk][Ii][Pp][a-z]* *|  skipped: \1: |" |
        sort -u
    [ $tests_failed -eq 0 ] || { failures; die 'tests failed'; }
    say 'All tests passed.'
}

# Every failed assertion with what it said, at most 60 lines
failures() {
    find "$BUILD/tap" -type f -exec awk -v top="$BUILD/tap/" '
        FNR == 1 { file = FILENAME; sub(top, "", file); told = 0 }
        /^ *not ok/ && !/# *(TODO|SKIP)/ { print "  failed: " file ": " $0
            told = 12; next }
        /^ *#/ && told > 0 { print "    " $0; told--; next }
        { told = 0 }
    ' {} + | head -n 60
}

do_bench() {
    found=0
    for program in "$BUILD"/bench/* t/bench/*.pl; do
        [ -e "$program" ] || continue
        found=1
        say "-- $(basename "$program")"
        case $program in
        *.pl) perl "$program" ;;
        *) "$program" ;;
        esac
    done
    [ $found -eq 1 ] || die 'no benchmark found'
}

# --- install ----------------------------------------------------------------

# Where httpd's own tree, as apxs tells it, lies under PREFIX. Under /usr the
# configuration is in /etc and the counters are in /var/lib.
under_prefix() {
    if [ "$PREFIX" = /usr ]; then echo "$1"; else echo "$PREFIX${1#/usr}"; fi
}

do_install() {
    need apxs install
    case $DESTDIR in ''|/*) ;; *) DESTDIR=$started_in/$DESTDIR ;; esac
    so=$BUILD/mod_clamquota.so
    if [ ! -e "$so" ] || [ ! -e "$BUILD/clamquota-sync" ] ||
        [ -n "$(find mod_clamquota tools -newer "$so")" ]
    then
        do_build
    fi
    module_dir=$(under_prefix "$(apxs -q LIBEXECDIR)")
    mods_dir=$(under_prefix "$(apxs -q SYSCONFDIR)")/mods-available
    state_dir=$(under_prefix /var/lib)/clamquota
    doc_dir=$PREFIX/share/doc/mod_clamquota
    man_dir=$PREFIX/share/man

    install -d "$DESTDIR$module_dir" "$DESTDIR$mods_dir" \
        "$DESTDIR$doc_dir/examples" "$DESTDIR$PREFIX/sbin" \
        "$DESTDIR$man_dir/man5" "$DESTDIR$man_dir/man7" "$DESTDIR$man_dir/man8"
    install -d -m 0750 "$DESTDIR$state_dir"
    install -m 644 "$so" "$DESTDIR$module_dir/"
    install -m 644 mod_clamquota/mod_clamquota.5 "$DESTDIR$man_dir/man5/"
    install -m 644 mod_clamquota/clamquota.7 "$DESTDIR$man_dir/man7/"
    install -m 644 README CHANGES LICENSE conf/clamav-mirror.conf \
        conf/distribution-mirror.conf "$DESTDIR$doc_dir/"
    install -m 755 "$BUILD/clamquota-sync" "$DESTDIR$PREFIX/sbin/"
    install -m 644 tools/sync/clamquota-sync.8 "$DESTDIR$man_dir/man8/"
    # firewall rules and sets; a job, services and a timer for the tool
    for example in conf/clamquota-* conf/clamquota.*; do
        case $example in
        *.load|*.conf) [ "$example" = conf/clamquota-modprobe.conf ] || continue
        esac
        sed "s|/usr/sbin/|$PREFIX/sbin/|g; s|/var/lib/clamquota|$state_dir|" \
            "$example" >"$BUILD/example"
        install -m 644 "$BUILD/example" \
            "$DESTDIR$doc_dir/examples/$(basename "$example")"
    done
    sed "s|/usr/lib/apache2/modules|$module_dir|" conf/clamquota.load \
        >"$BUILD/clamquota.load"
    sed "s|/var/lib/clamquota|$state_dir|
        s|/usr/share/doc/mod_clamquota|$doc_dir|" conf/clamquota.conf \
        >"$BUILD/clamquota.conf"
    install -m 644 "$BUILD/clamquota.load" "$DESTDIR$mods_dir/"
    conf=$DESTDIR$mods_dir/clamquota.conf
    if [ -e "$conf" ] && ! cmp -s "$BUILD/clamquota.conf" "$conf"; then
        conf=$conf.new
        say "clamquota.conf was changed here and stays; the new one is $conf"
    fi
    install -m 644 "$BUILD/clamquota.conf" "$conf"
    say "Installed below ${DESTDIR:-/}. Next:"
    if [ "$PREFIX" = /usr ]; then
        say '  a2enmod clamquota && systemctl restart apache2'
    else
        say "  Include $mods_dir/clamquota.load" \
            "  Include $mods_dir/clamquota.conf"
    fi
    say "  and quotas for a virtual host: see $doc_dir/clamav-mirror.conf"
}

# --- the command ------------------------------------------------------------

command=${1:-build}
[ $# -eq 0 ] || shift
case $command in
test) ;;
install)
    for setting; do
        case $setting in
        DESTDIR=*) DESTDIR=${setting#DESTDIR=} ;;
        PREFIX=*) PREFIX=${setting#PREFIX=} ;;
        *) usage >&2; exit 2 ;;
        esac
    done ;;
*) [ $# -eq 0 ] || { usage >&2; exit 2; } ;;
esac
case $command in
deps) do_deps; say 'Everything needed is installed.' ;;
build) do_build ;;
run) do_deps; do_build; exec t/sample/serve "$BUILD/mod_clamquota.so" "$PORT" ;;
test) do_deps; do_build; do_build_tests; do_test "$@" ;;
bench) do_deps; do_build; do_build_tests; do_bench ;;
install) do_install ;;
clean) rm -rf "$BUILD" ;;
help|-h|--help) usage ;;
*) usage >&2; exit 2 ;;
esac
