# The sanitizers' part of the suite; sourced by build.sh.
#
# The same sources are built again below $BUILD, watched at run time:
#   asan   gcc's AddressSanitizer and UBSan: unit tests, tools, and the module
#          in a real httpd that has libasan preloaded
#   clang  the same of clang for the unit tests           (test all)
#   tsan   what has threads in one process                 (test all)

# build_sanitized NAME COMPILER SANITIZERS KIND...: into $BUILD/NAME, with the
# test programs of t/KIND/. -w: gcc warns of instrumented code what is not so;
# the plain build has the warnings.
# shellcheck disable=SC2030,SC2034 # for this subshell
build_sanitized() (
    name=$1
    CC=$2
    CFLAGS="-O1 -g -w -fno-lto -fno-omit-frame-pointer -fsanitize=$3
        -fno-sanitize-recover=undefined"
    BUILD=$BUILD/$name
    shift 3
    do_build
    for kind; do link_programs "$kind"; done
)

# Unit tests that take long: only in test all
slow_units='core_zones|cluster_random|httpd_marker|render_refusal|sync_plan
|table_(changes|clock|exempt|fill|power|rules|stress|trust)'

# The tests of a real httpd. Not under asan: what needs libfaketime, which calls
# the allocator before ASan is ready; README's commands and the browser, which
# start httpd in ways of their own; faults, whose allocator is not ASan's;
# packets and processes without /proc, where ASan finds no options; packages.
asan_files() {
    if [ -z "$all" ]; then
        echo t/10-count.t t/11-columns.t t/12-http2.t t/13-abort.t \
            t/22-page.t t/24-evasion.t t/27-copies.t t/70-clamquota.t
        return
    fi
    grep -L 'faketime\|set_time' t/[124678]*.t t/5[058]*.t |
        grep -v 't/43-commands\|t/4[56]-\|t/68-'
}

do_sanitizers() {
    # each file in its usual length, not with twenty times as many seeds
    all=${CQ_TEST_ALL:-}
    unset CQ_TEST_ALL
    sanitize
    [ -z "$all" ] || { CQ_TEST_ALL=$all; export CQ_TEST_ALL; }
}

# shellcheck disable=SC2031
sanitize() {
    build_sanitized asan gcc address,undefined unit peer
    # A lost page (SIGBUS) is for table/guard.c. httpd and Perl leak at their
    # end as they like; unit tests may not.
    options="exitcode=86:handle_sigbus=0:suppressions='$PWD/t/asan.supp'"
    units=$(ls "$BUILD/asan/unit/"*)
    slow=$(echo "$slow_units" | tr -d '\n')
    [ -n "$all" ] ||
        units=$(echo "$units" | grep -vE "/($slow)\$")
    # shellcheck disable=SC2046,SC2086 # names without blanks
    {
        ASAN_OPTIONS=$options suite asan-unit -j2 --timer $units
        CQ_TEST_MODULE=$(cd "$BUILD/asan" && pwd)/mod_clamquota.so \
            CQ_TEST_PRELOAD=$(gcc -print-file-name=libasan.so) \
            CQ_TEST_MPM=event ASAN_OPTIONS=$options:detect_leaks=0 \
            suite asan -j2 --timer $(asan_files)
    }
    [ -n "$all" ] || return 0
    build_sanitized clang clang address,undefined unit
    # not the marker's: APR's rings take addresses in a struct at NULL
    # shellcheck disable=SC2046
    ASAN_OPTIONS=$options suite clang-unit -j2 --timer \
        $(printf '%s\n' "$BUILD"/clang/unit/* | grep -v /httpd_marker)
    build_sanitized tsan gcc thread unit
    # shellcheck disable=SC2046
    TSAN_OPTIONS=halt_on_error=1 suite tsan-unit --timer \
        $(grep -l pthread_create t/unit/*.c |
            sed "s|t/unit/\(.*\)\.c|$BUILD/tsan/unit/\1|")
    # a child of httpd may end in a signal handler, with all of its clean-ups
    # shellcheck disable=SC2046
    TSAN_OPTIONS=halt_on_error=1:report_signal_unsafe=0 \
        CQ_TEST_MODULE=$(cd "$BUILD/tsan" && pwd)/mod_clamquota.so \
        CQ_TEST_PRELOAD=$(gcc -print-file-name=libtsan.so) CQ_TEST_MPM=event \
        suite tsan --timer t/10-count.t t/11-columns.t t/12-http2.t \
            t/13-abort.t t/15-reserve.t t/22-page.t t/27-copies.t
}
