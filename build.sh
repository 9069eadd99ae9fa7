#!/bin/sh
# The only entry: builds, runs, tests and installs mod_clamquota. See usage().
# It always builds everything: that takes seconds, and no dependency tracking
# can go wrong. Each room of the source has its own compiler flags, so that
# core, render and table cannot see httpd or APR at all.
set -eu
umask 022       # users such as www-data read the built and served files
started_in=$PWD
cd -- "$(dirname -- "$0")"

: "${CC=gcc}"
: "${CFLAGS=-O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong}"
: "${LDFLAGS=}"
: "${BUILD=build}"
: "${PREFIX=/usr}"
: "${DESTDIR=}"
: "${PORT=8080}"
: "${CLUSTER=}"

# apache2-bin and not apache2: the latter starts a server on port 80.
build_packages='gcc libc6-dev apache2-dev pkg-config libmnl-dev
libmemcached-dev zlib1g-dev'
run_packages='apache2-bin curl perl util-linux'
test_packages='apache2-utils btrfs-progs check clamav-cvdupdate clang cppcheck
e2fsprogs faketime gnupg ipset iproute2 iptables jq mandoc media-types nftables
libclang-rt-dev nghttp2-client openssl procps python3-prometheus-client
shellcheck spin strace tidy tzdata valgrind wget xfsprogs'
deb_packages='build-essential debhelper'
deb_test_packages='lintian mmdebstrap'
# Only for test all: a browser, and the program that checks the alert rules
browser_packages='chromium'
alert_peers='prometheus'
# Programs of tests whose packages start services, or that only the soak has a
# use for; see t/peer/fetch.
peers='apache2 aria2 clamav-freshclam haproxy ipset-persistent
iptables-persistent libapache2-mod-rpaf mariadb-server memcached postgresql
sqlite3 syslog-ng-core'

tool_libraries='libmnl zlib'

warnings='-Wall -Wextra -Wconversion -Wshadow -Wformat=2 -Wvla -Wcast-qual
-Wundef -Wswitch-enum -Wmissing-prototypes -Wstrict-prototypes'

usage() {
    cat <<'EOT'
Usage: ./build.sh [COMMAND]
  deps       install the packages for building, running and testing (Debian,
             Ubuntu); elsewhere print them
  build      build the module and the tools into build/ (default)
  run        build, and run a private httpd with a sample mirror under a quota
             on http://127.0.0.1:8080/; Ctrl-C stops it. Installs missing
             packages first. CLUSTER=3 runs three that share their counters
             through memcached
  test       deps, build, and run the test suite; test all: with the slow
             tests; test t/FILE.t ...: only those, under the MPM event
  bench      deps, build, and run the benchmarks
  fuzz [S]   deps, build, and run each fuzzer for S seconds (60)
  coverage   deps, build, and print the lines that the unit tests reach, by
             room; coverage all: that the whole suite reaches
  mutate [N [SEED [FIRST]]]   make N changes (200) of core and table, and
             print those that no unit test notices
  soak [S]   run clients of all kinds, faults and restarts for S seconds (3600),
             a third under each MPM; then the books must balance
  install    install module, tools, configuration, units, man pages, examples
  uninstall  remove them; keeps the counters and files that you changed
  deb        build Debian packages into build/deb/
  clean      remove build/
  help       print this
Environment: CC CFLAGS LDFLAGS, BUILD (build/), WERROR=1 or CI=true (warnings
are errors), PORT and CLUSTER (run), PREFIX (/usr) and DESTDIR (install,
uninstall), CQ_TEST_MPM=event|worker|prefork (test: only that MPM).
EOT
}

say() { printf '%s\n' "$*"; }
die() { printf 'build.sh: %s\n' "$*" >&2; exit 1; }
misused() { printf 'build.sh: %s\n' "$*" >&2; exit 2; }

# A relative TMPDIR is relative to the directory in which the command was typed.
case ${TMPDIR-} in
''|/*) ;;
*) TMPDIR=$started_in/$TMPDIR ;;
esac
if [ -n "${TMPDIR-}" ] && ! { [ -d "$TMPDIR" ] && [ -w "$TMPDIR" ]; }; then
    say "build.sh: TMPDIR=$TMPDIR is no directory to write to; using /tmp" >&2
    TMPDIR=/tmp
fi

# locked COMMAND...: runs one command at a time in a checkout. The lock is the
# directory of the checkout, so that no file remains and "clean" has no race.
# The processes of the command do not inherit it; they have CQ_LOCKED.
locked() {
    if [ -n "${CQ_LOCKED:-}" ] || ! command -v flock >/dev/null; then
        "$@"
        return
    fi
    flock -n . true ||
        say 'build.sh: waits for another build.sh in this checkout'
    exec 9<.
    flock 9
    CQ_LOCKED=1
    export CQ_LOCKED
    ("$@") 9<&-
    exec 9<&-
    unset CQ_LOCKED
}

# --- deps -------------------------------------------------------------------

missing_packages() {
    for package; do
        state=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) || state=
        [ "$state" = 'install ok installed' ] || printf '%s ' "$package"
    done
}

# do_deps PACKAGE...
do_deps() {
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null
    then
        say 'This is not Debian or Ubuntu. Install the programs and libraries' \
            'of these packages:' \
            "$@" | fmt -w 78
        exit 1
    fi
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    apt='env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get
        -o DPkg::Lock::Timeout=600'
    install="install -y --no-install-recommends $missing"
    if [ "$(id -u)" -eq 0 ]; then
        root=
    elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true; } 2>/dev/null
    then
        root=sudo
    else
        die "these packages are missing: $missing
Install them as root:
apt-get $install"
    fi
    say "Installs these packages, which stay: $missing"
    # Only lists that are missing or too old need an update.
    # shellcheck disable=SC2086 # $root, $apt and $install are lists of words
    {
        $root $apt -s $install >/dev/null 2>&1 || $root $apt update ||
            die 'could not update the package lists'
        $root $apt $install || { $root $apt update && $root $apt $install; } ||
            die "could not install: $missing"
    }
    missing=$(missing_packages "$@")
    [ -z "$missing" ] || die "still missing after the installation: $missing"
}

do_test_deps() {
    # shellcheck disable=SC2086 # lists of words
    do_deps $build_packages $run_packages $test_packages \
        ${CQ_TEST_ALL:+$deb_packages $deb_test_packages $browser_packages}
    # shellcheck disable=SC2086
    locked t/peer/fetch "$BUILD/peers" $peers ${CQ_TEST_ALL:+$alert_peers}
    CQ_TEST_PEERS=$(cd "$BUILD/peers" && pwd)
    export CQ_TEST_PEERS
}

# Sets memcached: the installed program, or one unpacked from its package, which
# would start a service if it were installed.
find_memcached() {
    memcached=$(command -v memcached) || {
        locked t/peer/fetch "$BUILD/peers" memcached
        memcached=$BUILD/peers/root/usr/bin/memcached
        [ -x "$memcached" ] ||
            die 'memcached could not be fetched. Run: apt-get install memcached'
    }
}

# --- build ------------------------------------------------------------------

need() {
    for tool; do
        command -v "$tool" >/dev/null ||
            die "$tool is missing. Run: ./build.sh deps"
    done
}

# compile OUTDIR FLAGS... -- FILE...: each FILE to OUTDIR/NAME.o
compile() {
    room=$1
    shift
    flags=
    while [ "$1" != -- ]; do flags="$flags $1"; shift; done
    shift
    mkdir -p "$room"
    pids=
    failed=0
    jobs=$(nproc 2>/dev/null) || jobs=2
    for source; do
        [ -e "$source" ] || continue    # a pattern without a match
        object=$room/$(basename "$source" .c).o
        # shellcheck disable=SC2086 # lists of words
        $CC $CFLAGS $warnings $werror $flags -I mod_clamquota \
            "-DCQ_STATE_DIR=\"$state_dir\"" -c "$source" -o "$object" &
        pids="$pids$! "
        jobs=$((jobs - 1))
        [ $jobs -le 0 ] || continue
        wait "${pids%% *}" || failed=1
        pids=${pids#* }
        jobs=1
    done
    for pid in $pids; do wait "$pid" || failed=1; done
    [ $failed -eq 0 ] || die "$room: does not compile"
}

# link_programs KIND [WITH]: each t/KIND/*.c becomes build/KIND/NAME, linked
# WITH an object or a flag that has its main(). -flto would make linking forty
# programs nine times as slow and tests no faster; only benchmarks have it, to
# measure the code that the module runs.
link_programs() {
    kind=$1
    with=${2:-}
    link=-fno-lto
    [ "$kind" != bench ] || link=$lto
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
        $CC $CFLAGS $link $LDFLAGS \
            -o "$BUILD/$kind/$(basename "$object" .o)" \
            "$object" $with "$BUILD/obj/httpd/marker.o" "$BUILD/libsync.a" \
            "$BUILD/libclamquota.a" "$BUILD/liblog.a" "$BUILD/libjail.a" \
            "$BUILD/libdeny.a" "$BUILD/libcli.a" \
            "$BUILD/libcluster.a" "$BUILD/libcq.a" \
            $(pkg-config --libs check $tool_libraries) $cluster_libraries \
            $(apr-1-config --link-ld) $(apu-1-config --link-ld)
    done
}

# The tools: everything but their main() goes into archives, for unit tests
build_tools() {
    # the kernel's lists: core and libmnl, nothing else
    # shellcheck disable=SC2046 # a list of words
    compile "$BUILD/obj/jail" -std=c11 -pedantic -D_GNU_SOURCE -I tools \
        $(pkg-config --cflags libmnl) -- tools/jail/*.c
    # access logs: core and zlib, nothing else
    # shellcheck disable=SC2046
    compile "$BUILD/obj/log" -std=c11 -pedantic -D_GNU_SOURCE -I tools \
        $(pkg-config --cflags zlib) -- tools/log/*.c
    # deny and never files: core, nothing else
    compile "$BUILD/obj/deny" -std=c11 -pedantic -D_GNU_SOURCE -I tools \
        -- tools/deny/*.c
    for room in cli sync clamquota; do
        compile "$BUILD/obj/$room" -std=c11 -pedantic -D_GNU_SOURCE \
            -I tools -- "tools/$room"/*.c
    done
    mv "$BUILD/obj/sync/main.o" "$BUILD/obj/clamquota-sync.o"
    mv "$BUILD/obj/clamquota/main.o" "$BUILD/obj/clamquota.o"
    for room in cli jail deny log sync clamquota; do
        ar rcs "$BUILD/lib$room.a" "$BUILD/obj/$room"/*.o
    done
    for tool in clamquota-sync:sync clamquota:clamquota; do
        # shellcheck disable=SC2046,SC2086
        $CC $CFLAGS -Wl,--as-needed $LDFLAGS -o "$BUILD/${tool%:*}" \
            "$BUILD/obj/${tool%:*}.o" "$BUILD/lib${tool#*:}.a" \
            "$BUILD/libjail.a" "$BUILD/libdeny.a" "$BUILD/liblog.a" \
            "$BUILD/libcli.a" "$BUILD/libcq.a" $(pkg-config --libs $tool_libraries)
    done
}

# The exchange with memcached, which only the module and its tests use. Without
# libmemcached its transport is not built, and the module refuses
# ClamQuotaMemcached.
build_cluster() {
    cluster_libraries=
    have=
    if pkg-config --exists libmemcached; then
        have="-DCQ_HAVE_MEMCACHED $(pkg-config --cflags libmemcached)"
        cluster_libraries="$(pkg-config --libs-only-L libmemcached) -lmemcached"
    else
        say 'libmemcached is missing: the module will refuse' \
            'ClamQuotaMemcached (libmemcached-dev)'
    fi
    # shellcheck disable=SC2086 # lists of words
    compile "$BUILD/obj/cluster" $1 -D_GNU_SOURCE $have \
        -- mod_clamquota/cluster/*.c
    ar rcs "$BUILD/libcluster.a" "$BUILD"/obj/cluster/*.o
}

# Reports an unsuitable target before it compiles the first file.
check_target() {
    need "${CC%% *}" ar apxs apr-1-config pkg-config
    # shellcheck disable=SC2086 # lists of words
    $CC $CFLAGS -dM -E -x c /dev/null >"$BUILD/obj/target" 2>&1 ||
        die "CC=$CC CFLAGS=$CFLAGS: $(head -n 1 "$BUILD/obj/target")"
    grep -q '__SIZEOF_POINTER__ 8$' "$BUILD/obj/target" ||
        die "CC=$CC builds for a 32-bit target; the table of counters needs" \
            'a 64-bit one, e.g. amd64 or arm64'
    include=$(apxs -q INCLUDEDIR)
    # shellcheck disable=SC2086
    version=$(printf '#include "%s/ap_release.h"\n%s\n' "$include" \
        'AP_SERVER_MAJORVERSION_NUMBER AP_SERVER_MINORVERSION_NUMBER
        AP_SERVER_PATCHLEVEL_NUMBER' | $CC -E -P -x c - | xargs | tr ' ' .) ||
        version=
    case $version in
    2.4.[0-9]|2.4.[123][0-9]|2.4.4[0-6]|[01].*|2.[0-3].*|'')
        die "httpd ${version:-without ap_release.h} in $include is too old:" \
            '2.4.47 or later is needed (Debian 12, Ubuntu 22.04)' ;;
    esac
}

do_build() {
    werror=
    if [ "${CI:-}" = true ] || [ "${WERROR:-0}" = 1 ]; then werror=-Werror; fi
    rm -rf "$BUILD/obj" "$BUILD"/lib*.a "$BUILD/clamquota-sync" \
        "$BUILD/clamquota" "$BUILD/mod_clamquota.so"
    mkdir -p "$BUILD/obj"
    check_target
    state_dir=$(under_prefix /var/lib)/clamquota

    # Only the compiler may look across the walls of the rooms: a request passes
    # through functions of four rooms, and inlining them saves a tenth.
    lto='-flto=auto -ffat-lto-objects'
    # shellcheck disable=SC2086
    case " $CFLAGS " in
    *' -fno-lto '*|*' -O0 '*) lto= ;;
    *) echo 'int main(void){return 0;}' | $CC -Werror $lto -x c - \
            -o "$BUILD/obj/lto" 2>/dev/null || lto= ;;
    esac

    # These rooms have no include path of httpd or APR.
    lib="-std=c11 -pedantic -fPIC -fvisibility=hidden $lto"
    posix=-D_POSIX_C_SOURCE=200809L
    # shellcheck disable=SC2086 # lists of words
    {
        compile "$BUILD/obj/core" $lib $posix -- mod_clamquota/core/*.c
        compile "$BUILD/obj/render" $lib $posix -- mod_clamquota/render/*.c
        compile "$BUILD/obj/table" $lib -D_GNU_SOURCE -- mod_clamquota/table/*.c
        compile "$BUILD/obj/host" $lib -D_GNU_SOURCE -- mod_clamquota/host/*.c
    }
    ar rcs "$BUILD/libcq.a" "$BUILD"/obj/core/*.o "$BUILD"/obj/render/*.o \
        "$BUILD"/obj/table/*.o "$BUILD"/obj/host/*.o
    build_cluster "$lib"

    # clang warns of the casts in APR's ring macros, gcc does not
    ring=
    case $($CC --version) in *clang*) ring=-Wno-cast-qual ;; esac
    # shellcheck disable=SC2046,SC2086 # lists of words
    compile "$BUILD/obj/httpd" -std=c11 -pedantic -fPIC $ring $lto \
        $(apr-1-config --cppflags) -isystem "$(apxs -q INCLUDEDIR)" \
        -isystem "$(apr-1-config --includedir)" -- mod_clamquota/httpd/*.c
    # shellcheck disable=SC2086
    $CC $CFLAGS $lto -shared -pthread -Wl,-z,relro,-z,now $LDFLAGS \
        -Wl,--version-script=mod_clamquota/httpd/exports.map \
        -o "$BUILD/mod_clamquota.so" "$BUILD"/obj/httpd/*.o \
        "$BUILD/libcluster.a" "$BUILD/libcq.a" $cluster_libraries
    build_tools
    say "$state_dir" >"$BUILD/state_dir"    # the PREFIX of this build
}

build_tests() {
    link_programs unit
    link_programs peer
    link_programs bench
    compile "$BUILD/obj/replay" -std=c11 -pedantic -D_GNU_SOURCE -- \
        t/fuzz/replay/*.c
    link_programs fuzz "$BUILD/obj/replay/replay.o"
}

# Check's 4 s are too short on a busy machine; this only ends hangs
: "${CK_DEFAULT_TIMEOUT=600}"
export CK_DEFAULT_TIMEOUT

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
    # shellcheck source=/dev/null # is checked by itself
    . t/sanitizers.sh
    do_build
    build_tests
    tests_failed=0
    summary=
    rm -rf "$BUILD/tap"
    : "${CQ_TEST_MODULE=$(cd "$BUILD" && pwd)/mod_clamquota.so}"
    export CQ_TEST_MODULE
    if [ $# -gt 0 ]; then
        CQ_TEST_MPM=${CQ_TEST_MPM:-event}
        export CQ_TEST_MPM
        suite "$CQ_TEST_MPM" "$@"
    else
        suite lint+unit -j2 --timer t/lint/*.t "$BUILD"/unit/* "$BUILD"/fuzz/*
        do_sanitizers
        for mpm in ${CQ_TEST_MPM:-event worker prefork}; do
            # "# mpm: once" near its top: the MPM makes no difference
            files=$(ls t/*.t)
            if [ "$mpm" != "${CQ_TEST_MPM:-event}" ]; then
                files=$(for file in $files; do
                    head -n 10 "$file" | grep -q '^# mpm: once' || echo "$file"
                done)
            fi
            # shellcheck disable=SC2086 # names without blanks
            CQ_TEST_MPM=$mpm suite "$mpm" -j2 --timer $files
        done
    fi
    printf '\nSummary:%s\n' "$summary"
    # failures come last, where a log that was cut still has them
    # FILE:TAP LINE # skip REASON
    find "$BUILD/tap" -type f -exec grep -Hi '# skip' {} + |
        sed "s|^$BUILD/tap/\([^:]*\):.*# *[Ss][Kk][Ii][Pp][a-z]* *|  skipped: \1: |" |
        sort -u
    [ $tests_failed -eq 0 ] || { failures; die 'tests failed'; }
    say 'All tests passed.'
}

# Every failed assertion with its diagnostics, at most 60 lines
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
    do_build
    build_tests
    failed=
    for program in "$BUILD"/bench/* t/bench/*.pl; do
        say "-- $(basename "$program")"
        case $program in
        *.pl) perl "$program" ;;
        *) "$program" ;;
        esac || failed="$failed $(basename "$program")"
    done
    [ -z "$failed" ] || die "benchmarks failed:$failed"
}

# do_fuzz SECONDS: inputs that reach new code stay in build/fuzzers/found and
# are tried first the next time. A crash is written to
# build/fuzzers/crash-NAME-*. Small tables: an input can fill them, and they
# cost little to make for each. To trace comparisons of numbers takes as long as
# all the rest; those of strings are traced without it.
do_fuzz() {
    CC=clang
    CFLAGS='-O2 -g -fno-lto -fno-omit-frame-pointer
        -fsanitize=fuzzer-no-link,address,undefined
        -fno-sanitize-coverage=trace-cmp -fno-sanitize-recover=undefined
        -DCQ_STRIPES=1u -DCQ_POLICIES_MAX=40 -DCQ_CHANGES=64u
        -DCQ_EXEMPT_SLOTS=32u -DCQ_EXEMPTIONS_MAX=32 -DCQ_ACTS_MAX=32
        -DCQ_NAMES=16u -DCQ_COPIES_NAMES_MAX=16 -DCQ_HINTS_MAX=64u
        -DCQ_BATCH=16u -DCQ_NETLINK_ROOM=65536
        -DCQ_LOG_LINE_MAX=512 -DCQ_LOG_PACKED_SIZE=64'
    BUILD=$BUILD/fuzzers
    do_build
    link_programs fuzz -fsanitize=fuzzer
    failed=
    for program in "$BUILD"/fuzz/*; do
        name=$(basename "$program")
        mkdir -p "$BUILD/found/$name"
        say "-- $name"
        "$program" -max_total_time="$1" -timeout=60 -verbosity=0 \
            -print_final_stats=1 -artifact_prefix="$BUILD/crash-$name-" \
            "$BUILD/found/$name" "t/fuzz/corpus/$name" ||
            failed="$failed $name"
    done
    [ -z "$failed" ] || die "these fuzzers found a fault:$failed"
}

# Builds objects that count which lines run. A process of httpd writes its counts
# as its own user: t/coverage makes the files first, with write access for all.
# A process that ends by _exit() writes its counts too.
do_coverage() {
    BUILD=$BUILD/coverage
    CFLAGS='-O0 -g -fno-lto --coverage -fprofile-update=atomic'
    LDFLAGS="$LDFLAGS -Wl,--wrap=_exit $BUILD/exit.o"
    mkdir -p "$BUILD"
    # shellcheck disable=SC2086
    echo 'void __gcov_dump(void), __real__exit(int), __wrap__exit(int);
        void __wrap__exit(int n) { __gcov_dump(); __real__exit(n); }' |
        $CC -fPIC -c -x c - -o "$BUILD/exit.o"
    do_build
    build_tests
    t/coverage prepare "$BUILD"
    if [ $# -eq 0 ]; then
        prove "$BUILD"/unit/*
    else
        CQ_TEST_MODULE=$(cd "$BUILD" && pwd)/mod_clamquota.so
        export CQ_TEST_MODULE
        CQ_TEST_MPM=${CQ_TEST_MPM:-event} prove "$BUILD"/unit/* "$BUILD"/fuzz/* t/*.t ||
            say 'Tests failed; the coverage is that of the tests that ran.'
    fi
    t/coverage report "$BUILD"
}

# do_mutate N SEED FIRST
do_mutate() {
    CC="t/mutate --cc $CC"
    CFLAGS='-O0 -fno-lto -MD'
    BUILD=$BUILD/mutation
    do_build
    link_programs unit
    t/mutate "$BUILD" "$@"
}

# do_soak SECONDS: says with which seed each MPM's can be repeated
do_soak() {
    do_build
    link_programs peer
    CQ_TEST_MODULE=$(cd "$BUILD" && pwd)/mod_clamquota.so
    CQ_TEST_SOAK=$(($1 / 3))
    export CQ_TEST_MODULE CQ_TEST_SOAK
    failed=
    for mpm in event worker prefork; do
        say "-- $mpm"
        CQ_TEST_MPM=$mpm prove -v t/90-soak.t || failed="$failed $mpm"
    done
    [ -z "$failed" ] || die "the soak failed:$failed"
}

. conf/install.sh

# --- deb --------------------------------------------------------------------

# Runs Debian's own tools in a copy with conf/debian/ as its debian/. The date
# is that of CHANGES and the environment is empty: the same source makes the
# same bytes.
do_deb() {
    version=$(sed -n '1s/^Changes with mod_clamquota //p' CHANGES)
    maintainer=$(sed -n 's/^Maintainer: //p' conf/debian/control)
    # also in a checkout that another user owns
    epoch=${SOURCE_DATE_EPOCH:-$(git -c safe.directory='*' log -1 --format=%ct \
        CHANGES 2>/dev/null || :)}
    date=$(LC_ALL=C date -u -R -d "@${epoch:-$(stat -c %Y CHANGES)}")
    copy=$BUILD/deb/clamquota-$version
    rm -rf "$BUILD/deb"
    mkdir -p "$copy"
    case $(cd "$copy" && pwd) in *[!A-Za-z0-9/._+-]*)
        die "$BUILD/deb: dpkg-buildpackage needs a path of letters, digits and" \
            '/._+-, e.g. BUILD=/tmp/clamquota ./build.sh deb' ;;
    esac
    cp -R build.sh README CHANGES LICENSE conf mod_clamquota tools "$copy/"
    cp -R conf/debian "$copy/debian"
    printf '%s\n' "clamquota ($version-0local1) unstable; urgency=medium" '' \
        "  * Release $version." '' " -- $maintainer  $date" \
        >"$copy/debian/changelog"
    (cd "$copy" && env -i PATH="$PATH" TMPDIR="${TMPDIR:-/tmp}" \
        DEB_BUILD_OPTIONS=noautodbgsym \
        dpkg-buildpackage -b -us -uc) >"$BUILD/deb/log" 2>&1 ||
        die "$(tail -n 30 "$BUILD/deb/log")
dpkg-buildpackage failed; the full log is $BUILD/deb/log"
    rm -r "$copy"
    say "Made in $BUILD/deb:" "$(cd "$BUILD/deb" && echo *.deb)"
}

# --- the command ------------------------------------------------------------

command=${1:-build}
[ $# -eq 0 ] || shift
case $command in
test) ;;
coverage)
    [ "$*" = all ] || [ $# -eq 0 ] ||
        misused "coverage '$*': expected nothing or all" ;;
mutate)
    for number; do
        case $number in
        *[!0-9]*|0*|'') misused "mutate '$number': expected a number, e.g. mutate 50" ;;
        esac
    done
    [ $# -le 3 ] || misused "mutate takes three arguments, but got '$4'" ;;
fuzz|soak)
    [ $# -gt 0 ] || case $command in fuzz) set -- 60 ;; *) set -- 3600 ;; esac
    case $1 in
    *[!0-9]*|0*|'')
        misused "$command '$1': expected seconds, e.g. $command 60" ;;
    esac
    [ $# -le 1 ] || misused "$command takes one argument, but got '$2'" ;;
install|uninstall)
    for setting; do
        case $setting in
        DESTDIR=*) DESTDIR=${setting#DESTDIR=} ;;
        PREFIX=*) PREFIX=${setting#PREFIX=} ;;
        *) misused "$command $setting: expected PREFIX=... or DESTDIR=..." ;;
        esac
    done ;;
*) [ $# -eq 0 ] || misused "$command takes no argument, but got '$1'" ;;
esac
# A directory without write access is reported before a package is installed.
check_writable() {
    { mkdir -p "$BUILD" && [ -w "$BUILD" ]; } 2>/dev/null ||
        die "$BUILD cannot be written to. Choose another directory, e.g." \
            "BUILD=/tmp/clamquota ./build.sh $command"
}

case $command in
deps|clean|help|-h|--help) ;;
run) t/sample/serve check "$PORT" "$CLUSTER"; check_writable ;;
build|test|bench|fuzz|soak|coverage|mutate|install|uninstall|deb)
    check_writable ;;
*) ;;
esac
case $command in
deps)
    do_test_deps
    say 'All needed packages are installed.' ;;
build) locked do_build ;;
run)
    say "Builds into $BUILD/ and serves a directory below ${TMPDIR:-/tmp}," \
        'which Ctrl-C removes.'
    # shellcheck disable=SC2086 # lists of words
    do_deps $build_packages $run_packages
    locked do_build
    [ -z "$CLUSTER" ] || find_memcached
    exec t/sample/serve "$BUILD/mod_clamquota.so" "$PORT" \
        ${CLUSTER:+"$CLUSTER" "$memcached"} ;;
test)
    if [ "$*" = all ]; then
        shift
        CQ_TEST_ALL=1
        export CQ_TEST_ALL
    fi
    for file; do
        [ -e "$file" ] || [ "${file#"$BUILD/"}" != "$file" ] ||
            misused "test $file: no such file; expected e.g. t/10-count.t"
    done
    do_test_deps
    locked do_test "$@" ;;
bench)
    do_test_deps
    locked do_bench ;;
fuzz)
    do_test_deps
    locked do_fuzz "$1" ;;
coverage)
    do_test_deps
    locked do_coverage "$@" ;;
mutate)
    do_test_deps
    locked do_mutate "${1:-200}" "${2:-1}" "${3:-1}" ;;
soak)
    do_test_deps
    locked do_soak "$1" ;;
install) locked do_install ;;
uninstall) locked do_uninstall ;;
deb)
    # shellcheck disable=SC2086 # lists of words
    do_deps $build_packages $deb_packages
    locked do_deb ;;
clean) locked rm -rf "$BUILD" ;;
help|-h|--help) usage ;;
*)
    usage >&2
    misused "there is no command '$command'" ;;
esac
