/* log: files, gzip and pipes to records; what a crash and a rotation leave. */
#include "log/log.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define LINE "192.0.2.7 - - [28/Nov/2026:21:28:38 +0000] \"GET /a HTTP/1.1\" " \
    "200 1000"

static char path[] = "/tmp/log_reader.XXXXXX";
static char said[8192];

/* What reading a log gives. */
struct sum {
    uint64_t records, bytes, bad, names, failed;
    int waits;
};

static void write_file(const char *data, size_t size, const char *mode)
{
    gzFile file = gzopen(path, mode);

    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(gzwrite(file, data, (unsigned)size), (int)size);
    ck_assert_int_eq(gzclose(file), Z_OK);
}

static struct sum read_open(struct cq_log *log, struct cq_log_report *report)
{
    struct sum sum = { 0 };
    struct cq_log_record record;
    enum cq_log_next next;

    while ((next = cq_log_next(log, &record)) != CQ_LOG_END) {
        if (next == CQ_LOG_WAIT) {
            sum.waits++;
            cq_log_stop(log);
            continue;
        }
        sum.records++;
        sum.bytes += (uint64_t)record.bytes;
    }
    sum.bad = report->bad_n;
    sum.failed = report->failed_n;
    sum.names = report->no_client_n;
    return sum;
}

/* Reads the file as NULL's or a named format; said has what was reported. */
static struct sum read_file(const char *name)
{
    static struct cq_log_format format;
    FILE *err = fmemopen(said, sizeof(said), "w");
    struct cq_log_report report = { .err = err, .program = "test" };
    struct cq_log *log;
    struct sum sum;

    memset(said, 0, sizeof(said));
    if (name != NULL) {
        ck_assert_int_eq(cq_log_format_compile(&format, name, NULL, 0), CQ_OK);
    }
    ck_assert_int_eq(cq_log_open(path, name != NULL ? &format : NULL,
        (struct cq_prefixes){ 32, 64 }, &report, &log), CQ_OK);
    sum = read_open(log, &report);
    cq_log_close(log);
    fclose(err);
    return sum;
}

static void expect(const char *data, size_t size, struct sum expected,
                   const char *before, const char *after)
{
    char line[256] = "";
    struct sum sum;

    write_file(data, size, "wT");
    sum = read_file(NULL);
    ck_assert_msg(sum.records == expected.records
                  && sum.bytes == expected.bytes && sum.bad == expected.bad
                  && sum.names == expected.names,
                  "%.60s: %llu records, %llu bytes, %llu bad, %llu names: %s",
                  data, (unsigned long long)sum.records,
                  (unsigned long long)sum.bytes, (unsigned long long)sum.bad,
                  (unsigned long long)sum.names, said);
    if (*before != '\0') {
        snprintf(line, sizeof(line), "%s%s%s", before, path, after);
    }
    ck_assert_str_eq(said, line);
}

#define EXPECT(data, before, after, ...) \
    expect(data, sizeof(data) - 1, (struct sum){ __VA_ARGS__, 0, 0, 0 }, \
           before, after)

START_TEST(plain)
{
    EXPECT("", "", "", 0, 0, 0);
    EXPECT("\n\r\n\n", "", "", 0, 0, 0);
    EXPECT(LINE "\n", "", "", 1, 1000, 0);
    EXPECT(LINE, "", "", 1, 1000, 0);
    EXPECT(LINE "\r\n" LINE " \"-\" \"curl/8\"\r\n", "", "", 2, 2000, 0);
    /* what a crash leaves: a part of a line, NULs, the next line */
    EXPECT("\0\0\0" LINE "\n\0\0\n\0" LINE "\n", "", "", 2, 2000, 0);
    EXPECT(LINE "\n192.0.2.7 - - [28/Nov\0\0\0\0" LINE "\n",
           "test: ", ":2: expected a date behind the user's name: 192.0.2.7 "
           "- - [28/Nov\n", 2, 2000, 1);
    EXPECT(LINE "\n" LINE "\0\0", "test: ", ":2: expected the rest of the "
           "line: 192.0.2.7 - - [28/Nov/2026:21:28:38 +0000] \"GET /a HTTP/1"
           ".1\"...\n", 1, 1000, 1);
    /* rotated in the middle of a line */
    EXPECT("1.1\" 200 7 \"-\" \"-\"\n" LINE "\n", "test: ", ":1: expected a "
           "date behind the user's name: 1.1\" 200 7 \"-\" \"-\"\n", 1, 1000,
           1);
}
END_TEST

START_TEST(names_and_control_characters)
{
    char report[512];
    static const char data[] = LINE "\nhost.example.org - - [28/Nov/2026:21:28"
        ":38 +0000] \"-\" 408 5\n\x1b[2J\xff\nhost - - [28/Nov/2026:21:28:38 "
        "+0000] \"-\" 408 7";
    struct sum sum;

    write_file(data, sizeof(data) - 1, "wT");
    sum = read_file(NULL);
    ck_assert_int_eq((int)sum.records, 3);
    ck_assert_int_eq((int)sum.bytes, 1012);
    ck_assert_int_eq((int)sum.bad, 1);
    ck_assert_int_eq((int)sum.names, 2);
    snprintf(report, sizeof(report), "test: %s:2: no address where the client "
             "stands, e.g. a name; lines without one count for no client (with "
             "\"HostnameLookups Off\" httpd logs addresses)\n"
             "test: %s:3: expected an address, e.g. 192.0.2.7: ?[2J?\n", path,
             path);
    ck_assert_str_eq(said, report);
}
END_TEST

/* Ten are reported, all are counted. */
START_TEST(bad_lines)
{
    char data[25 * 4 + 200] = LINE "\n", report[200];
    struct sum sum;
    int i;

    for (i = 0; i < 24; i++) {
        memcpy(data + sizeof(LINE) + 2 * (size_t)i, "x\n", sizeof("x\n"));
    }
    write_file(data, strlen(data), "wT");
    sum = read_file(NULL);
    ck_assert_int_eq((int)sum.bad, 24);
    ck_assert_int_eq((int)sum.records, 1);
    snprintf(report, sizeof(report), "test: %s:11: expected an address, e.g. "
             "192.0.2.7: x\ntest: further lines are only counted\n", path);
    ck_assert_str_eq(said + strlen(said) - strlen(report), report);
}
END_TEST

START_TEST(detected_formats)
{
    static const struct { const char *line; uint64_t bytes; } lines[] = {
        { "www.example.org:443 192.0.2.7 - - [28/Nov/2026:21:28:38 +0000] "
          "\"GET / HTTP/1.1\" 200 7 \"-\" \"-\"\n", 7 },
        { "192.0.2.1:443 192.0.2.7 - - [28/Nov/2026:21:28:38 +0000] "
          "\"GET / HTTP/1.1\" 200 7 \"-\" \"-\"\n", 7 },
        { "192.0.2.1 192.0.2.7 - - [28/Nov/2026:21:28:38 +0000] "
          "\"GET / HTTP/1.1\" 200 7 \"-\" \"-\"\n", 7 },
        { "2001:db8::7 - - [28/Nov/2026:21:28:38 +0000] "
          "\"GET / HTTP/1.1\" 200 7 \"-\" \"-\"\n", 7 },
        { "192.0.2.7 - a [28/Nov/2026:21:28:38 +0000] "
          "\"GET / HTTP/1.1\" 200 7\n", 7 },
        { "192.0.2.7 7\n", 7 }, { "nonsense\n192.0.2.7 7\n", 7 }
    };
    static const char *const formats[] = { "vhost", "vhost", "clamav",
        "combined", "combined", "pairs", "pairs" };
    size_t i;

    for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct sum sum, named;

        write_file(lines[i].line, strlen(lines[i].line), "wT");
        sum = read_file(NULL);
        named = read_file(formats[i]);
        ck_assert_msg(sum.bytes == 7 && sum.records == 1 && sum.names == 0
                      && named.bytes == 7 && named.records == 1
                      && named.names == 0 && named.bad == sum.bad,
                      "%s: %s", lines[i].line, said);
    }
}
END_TEST

/* A line longer than the buffer, of any kind, costs no memory and no other
 * line. What stands in its beginning counts. */
START_TEST(long_lines)
{
    size_t n = 3 * CQ_LOG_LINE_MAX, length;
    char *data = malloc(2 * n);
    struct sum sum;

    memset(data, 'x', 2 * n);
    memcpy(data, LINE " \"-\" \"", sizeof(LINE) + 5);
    length = n;
    memcpy(data + length, "\n" LINE "\n", sizeof(LINE) + 1);
    length += sizeof(LINE) + 1;
    write_file(data, length, "wT");
    sum = read_file(NULL);
    ck_assert_int_eq((int)sum.bytes, 2000);
    ck_assert_int_eq((int)sum.bad, 0);
    /* nonsense, and NULs */
    memset(data, 'x', sizeof(LINE) + 5);
    write_file(data, length, "wT");
    sum = read_file("combined");
    ck_assert_int_eq((int)sum.bytes, 1000);
    ck_assert_int_eq((int)sum.bad, 1);
    memset(data, '\0', n);
    write_file(data, length, "wT");
    sum = read_file(NULL);
    ck_assert_int_eq((int)sum.bytes, 1000);
    ck_assert_int_eq((int)sum.bad, 0);
    free(data);
}
END_TEST

START_TEST(gzip)
{
    char lines[100 * sizeof(LINE) + 1], tail[4] = { 0 }, packed[4096];
    struct sum sum;
    int i, fd;
    ssize_t size;

    for (i = 0; i < 100; i++) {
        memcpy(lines + (size_t)i * sizeof(LINE), LINE "\n",
               sizeof(LINE "\n"));
    }
    /* two members, cut within a line; zeros behind them */
    write_file(lines, 150, "w9");
    write_file(lines + 150, strlen(lines) - 150, "a1");
    write_file(tail, sizeof(tail), "aT");
    sum = read_file(NULL);
    ck_assert_int_eq((int)sum.bytes, 100000);
    ck_assert_int_eq((int)sum.bad, 0);
    /* cut short, damaged */
    write_file(lines, strlen(lines), "w1");
    fd = open(path, O_RDWR);
    size = read(fd, packed, sizeof(packed));
    ck_assert_int_gt((int)size, 100);
    ck_assert_int_eq(ftruncate(fd, size - 8), 0);
    sum = read_file(NULL);
    ck_assert_int_eq((int)sum.bytes, 100000);
    ck_assert_int_eq((int)sum.bad, 0);
    ck_assert_int_eq((int)sum.failed, 1);
    ck_assert_ptr_nonnull(strstr(said, ": the gzip data ends early\n"));
    ck_assert_int_eq((int)pwrite(fd, "\xff\xff\xff\xff", 4, 20), 4);
    close(fd);
    sum = read_file(NULL);
    ck_assert_int_eq((int)sum.failed, 1);
    ck_assert_ptr_nonnull(strstr(said, ": the gzip data is damaged\n"));
}
END_TEST

/* A pipe that is read as it comes: whole lines at once, the rest at the end. */
START_TEST(pipes)
{
    struct cq_log_report report = { .err = stderr, .program = "test" };
    struct cq_log_record record;
    struct cq_log *log;
    int ends[2];

    ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0);
    ck_assert_int_eq(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    ck_assert_int_eq(cq_log_open("-", NULL, (struct cq_prefixes){ 32, 64 },
                                 &report, &log), CQ_OK);
    ck_assert_int_eq(cq_log_next(log, &record), CQ_LOG_WAIT);
    ck_assert_int_eq((int)write(ends[1], "1", 1), 1);
    ck_assert_int_eq(cq_log_next(log, &record), CQ_LOG_WAIT);
    ck_assert_int_eq((int)write(ends[1], "92.0.2.7 5\n192.0.2.8 6\n192", 26),
                     26);
    ck_assert_int_eq(cq_log_next(log, &record), CQ_LOG_RECORD);
    ck_assert_int_eq((int)record.bytes, 5);
    ck_assert_int_eq(cq_log_next(log, &record), CQ_LOG_RECORD);
    ck_assert_int_eq((int)record.bytes, 6);
    ck_assert_int_eq(cq_log_next(log, &record), CQ_LOG_WAIT);
    ck_assert_int_eq((int)write(ends[1], ".0.2.9 7", 8), 8);
    ck_assert_int_eq(cq_log_next(log, &record), CQ_LOG_WAIT);
    /* SIGTERM, or the end of the pipe: what is there counts */
    cq_log_stop(log);
    ck_assert_int_eq(cq_log_next(log, &record), CQ_LOG_RECORD);
    ck_assert_int_eq((int)record.bytes, 7);
    ck_assert_int_eq(cq_log_next(log, &record), CQ_LOG_END);
    cq_log_close(log);
    close(ends[1]);
    close(ends[0]);
}
END_TEST

static void make_file(void)
{
    memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
    close(mkstemp(path));
}

static void remove_file(void)
{
    unlink(path);
}

int main(void)
{
    Suite *suite = suite_create("log_reader");
    TCase *tcase = tcase_create("log_reader");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, make_file, remove_file);
    tcase_add_test(tcase, plain);
    tcase_add_test(tcase, names_and_control_characters);
    tcase_add_test(tcase, bad_lines);
    tcase_add_test(tcase, detected_formats);
    tcase_add_test(tcase, long_lines);
    tcase_add_test(tcase, gzip);
    tcase_add_test(tcase, pipes);
    suite_add_tcase(suite, tcase);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
