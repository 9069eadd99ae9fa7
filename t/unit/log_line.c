/* log: what a line of each format says, and what it must not be taken for. */
#include "log/log.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct cq_prefixes whole = { 32, 128 };

/* Sat, 28 Nov 2026 21:28:38 UTC */
#define NOON "[28/Nov/2026:21:28:38 +0000]"
#define NOON_S 1795901318

#define DOWNLOAD "192.0.2.7 +0 200 1000 GET /main.cvd "
#define REST NOON " \"GET /main.cvd HTTP/1.1\" 200 1000"

static struct cq_log_format *compiled(const char *text)
{
    static struct cq_log_format format;
    char why[256] = "";

    ck_assert_msg(cq_log_format_compile(&format, text, why, sizeof(why))
                  == CQ_OK, "%s: %s", text, why);
    return &format;
}

static const char *text_of(struct cq_log_text text)
{
    static char copies[4][256];
    static int n;
    char *copy = copies[n++ % 4];

    snprintf(copy, 256, "%.*s", (int)text.length, text.at);
    return copy;
}

/* "ADDRESS TIME STATUS BYTES METHOD PATH AGENT" of a line, or what is wrong
 * with it. */
static const char *read_as(const char *format, const char *line, bool is_cut)
{
    static char said[1024];
    struct cq_log_record r;
    char client[CQ_KEY_TEXT_SIZE] = "-";
    const char *why = cq_log_read_line(compiled(format), whole, line,
                                       strlen(line), is_cut ? CQ_LOG_CUT
                                       : CQ_LOG_WHOLE, &r);

    if (why != NULL) {
        snprintf(said, sizeof(said), "expected %s", why);
        return said;
    }
    if (r.has_client) {
        cq_key_format(&r.client, client, sizeof(client));
    }
    snprintf(said, sizeof(said), "%s %+lld %d %lld %s %s %s", client,
             r.has_time ? (long long)r.time_s - NOON_S : -1, r.status,
             (long long)r.bytes, text_of(r.method), text_of(r.path),
             text_of(r.agent));
    return said;
}

#define READS(format, line, result) \
    ck_assert_str_eq(read_as(format, line, false), result)

START_TEST(named_formats)
{
    READS("common", "192.0.2.7 - - " REST, DOWNLOAD);
    READS("combined", "192.0.2.7 - - " REST " \"-\" \"curl/8\"",
          "192.0.2.7 +0 200 1000 GET /main.cvd curl/8");
    READS("vhost", "example.org:443 192.0.2.7 - - " REST " \"-\" \"curl/8\"",
          "192.0.2.7 +0 200 1000 GET /main.cvd curl/8");
    READS("clamav", "example.org 192.0.2.7 - - " REST " \"-\" \"curl/8\"",
          "192.0.2.7 +0 200 1000 GET /main.cvd curl/8");
    READS("pairs", "192.0.2.7 1000", "192.0.2.7 -1 0 1000   ");
    /* a common line among combined ones, and one with more fields */
    READS("combined", "192.0.2.7 - - " REST, DOWNLOAD);
    READS("combined", "192.0.2.7 - - " REST " \"-\" \"curl/8\" \"-\" 0.002",
          "192.0.2.7 +0 200 1000 GET /main.cvd curl/8");
    READS("common", "192.0.2.7 - - " REST " \"-\" \"curl/8\"",
          DOWNLOAD);
}
END_TEST

START_TEST(strings)
{
    /* the best of several: %O before %B before %b, %a before %h, %>s */
    READS("%h %a %b %B %O %s %>s", "192.0.2.1 192.0.2.7 1 2 3 302 200",
          "192.0.2.7 -1 200 3   ");
    READS("%a %h %B %b", "192.0.2.7 host 2 -", "192.0.2.7 -1 0 2   ");
    READS("%{c}a %h %b", "192.0.2.1 192.0.2.7 1", "192.0.2.7 -1 0 1   ");
    READS("%{X-Forwarded-For}i %{c}a %b", "192.0.2.7 10.0.0.1 1",
          "192.0.2.7 -1 0 1   ");
    /* as in httpd.conf, with modifiers, and what is read over */
    READS("%h \\\"%m %U%q %H\\\" %I %D %X %!200,304{Referer}i %<s %b%%",
          "192.0.2.7 \"GET /a?b HTTP/1.1\" 5 6 + - 200 9%",
          "192.0.2.7 -1 200 9 GET /a ");
    READS("%h\\t%>s\\t%O\\t%{user-agent}i", "192.0.2.7\t200\t9\ta b",
          "192.0.2.7 -1 200 9   a b");
    /* times */
    READS("%{%Y-%m-%dT%H:%M:%S%z}t %h %b",
          "2026-11-28T22:28:38+0100 192.0.2.7 1",
          "192.0.2.7 +0 0 1   ");
    READS("[%{%d/%b/%Y %T}t.%{msec_frac}t %{%z}t] %h %b",
          "[28/Nov/2026 21:28:38.123 +0000] 192.0.2.7 1",
          "192.0.2.7 +0 0 1   ");
    READS("%{sec}t %h %b", "1795901318 192.0.2.7 1", "192.0.2.7 +0 0 1   ");
    READS("%{end:msec}t %h %b", "1795901318999 192.0.2.7 1",
          "192.0.2.7 +0 0 1   ");
    READS("%{begin:usec}t %h %b", "1795901318999999 192.0.2.7 1",
          "192.0.2.7 +0 0 1   ");
}
END_TEST

START_TEST(refused_strings)
{
    static const struct { const char *text, *why; } bad[] = {
        { "combine", "expected common, combined, vhost, clamav, pairs or a "
          "LogFormat string, e.g. \"%h %l %u %t \\\"%r\\\" %>s %O\"" },
        { "%h %l", "no bytes in it, expected %O, %B or %b" },
        { "%l %b", "no client in it, expected %h or %a" },
        { "%h%b", "nothing stands before %b, expected a blank or other text "
          "between two directives" },
        { "%h %b %", "\"%\" is no directive, expected one such as %h or "
          "%{User-Agent}i" },
        { "%h %{Referer", "\"%{Referer\" is no directive, expected one such as "
          "%h or %{User-Agent}i" },
        { "%h %{Referer}", "\"%{Referer}\" is no directive, expected one such "
          "as %h or %{User-Agent}i" }
    };
    char why[256], text[2 * CQ_LOG_FORMAT_SIZE];
    struct cq_log_format format;
    size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_int_eq(cq_log_format_compile(&format, bad[i].text, why,
                                               sizeof(why)), CQ_EINVAL);
        ck_assert_str_eq(why, bad[i].why);
    }
    /* the limits: 48 directives; 976 bytes */
    snprintf(text, sizeof(text), "%%h %%b");
    for (i = 2; i < CQ_LOG_FIELDS_MAX; i++) {
        memcpy(text + 5 + 3 * (i - 2), " %l", sizeof(" %l"));
    }
    ck_assert_int_eq(cq_log_format_compile(&format, text, why, sizeof(why)),
                     CQ_OK);
    memcpy(text + 5 + 3 * (i - 2), " %l", sizeof(" %l"));
    ck_assert_int_eq(cq_log_format_compile(&format, text, why, sizeof(why)),
                     CQ_EINVAL);
    memset(text, '%', CQ_LOG_FORMAT_SIZE);
    memcpy(text, "%h %b", 5);
    text[CQ_LOG_FORMAT_SIZE] = '\0';
    ck_assert_int_eq(cq_log_format_compile(&format, text, why, sizeof(why)),
                     CQ_EINVAL);
}
END_TEST

START_TEST(quotes_and_names)
{
    /* httpd writes " as \" and \ as \\, nginx as \x22 and \x5C */
    READS("combined", "192.0.2.7 - - " REST
          " \"http://a/\\\"b\\\\\" \"say \\\"hi\\\" \\\\\"",
          "192.0.2.7 +0 200 1000 GET /main.cvd say \\\"hi\\\" \\\\");
    READS("combined", "192.0.2.7 - - " NOON
          " \"GET /a\\\" 200 5 \\\"b HTTP/1.1\" 200 9 \"-\" \"-\"",
          "192.0.2.7 +0 200 9 GET /a\\\" 200 5 \\\"b -");
    /* a quote that is not escaped */
    READS("combined", "192.0.2.7 - - " REST " \"-\" \"a \"b\"c\"",
          "192.0.2.7 +0 200 1000 GET /main.cvd a \"b\"c");
    /* names: blank, none, with blanks, brackets, a forged date and request */
    READS("combined", "192.0.2.7 -  " REST, DOWNLOAD);
    READS("combined", "192.0.2.7 - \"\" " REST,
          DOWNLOAD);
    READS("combined", "192.0.2.7 - John Q. [Doe] " REST,
          DOWNLOAD);
    READS("combined", "192.0.2.7 - x [01/Jan/2020:00:00:00 +0000] "
          "\\\"GET / HTTP/1.1\\\" 200 5 " REST,
          DOWNLOAD);
}
END_TEST

START_TEST(requests)
{
    static const struct { const char *request, *method_and_path; } good[] = {
        { "GET /a?b=c HTTP/1.1", "GET /a" }, { "GET /a", "GET /a" },
        { "GET http://example.org/a?b HTTP/1.1", "GET /a" },
        { "GET http://example.org HTTP/1.1", "GET " },
        { "CONNECT a:443 HTTP/1.1", "CONNECT a:443" },
        { "OPTIONS * HTTP/1.0", "OPTIONS *" },
        { "GET /a b HTTP/2.0", "GET /a b" }, { "GET /a b", "GET /a b" },
        { "VERSION-CONTROL /a HTTP/1.1", "VERSION-CONTROL /a" },
        { "-", " " }, { "", " " }, { "GET", " " },
        { "\\x16\\x03\\x01\\x02", " " }, { "\x16\x03 \xff\xfe", " " },
        { "get /a HTTP/1.1", " " }, { "PRI * HTTP/2.0", "PRI *" }
    };
    char line[512], said[512];
    size_t i;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(line, sizeof(line), "192.0.2.7 - - " NOON " \"%s\" 400 -",
                 good[i].request);
        snprintf(said, sizeof(said), "192.0.2.7 +0 400 0 %s ",
                 good[i].method_and_path);
        READS("combined", line, said);
    }
    READS("combined", "- - - " NOON " \"-\" - - \"-\" \"-\"", "- +0 0 0   -");
}
END_TEST

START_TEST(addresses)
{
    static const struct { const char *written, *client; } clients[] = {
        { "2001:db8::7", "2001:db8::7" }, { "fe80::2%eth0", "fe80::2" },
        { "::ffff:192.0.2.7", "192.0.2.7" },
        { "64:ff9b::c000:207", "192.0.2.7" },
        { "192.0.2.7:41234", "192.0.2.7" },
        { "[2001:db8::7]:443", "2001:db8::7" },
        { "192.0.2.9, 192.0.2.7", "192.0.2.7" },
        { "192.0.2.9,192.0.2.7", "192.0.2.7" },
        { "evil, 192.0.2.7, 10.0.0.1, 192.168.0.1", "192.0.2.7" },
        { "10.0.0.2, 10.0.0.1", "10.0.0.1" }, { "evil, 10.0.0.1", "10.0.0.1" },
        { "host.example.org", "-" }, { "-", "-" }, { "unix:", "-" },
        { "192.0.2.256", "-" }, { "1", "-" }, { "::1::", "-" },
        { "192.0.2.007", "-" }
    };
    char line[512], said[512];
    size_t i;

    for (i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
        snprintf(line, sizeof(line), "%s - - " REST, clients[i].written);
        snprintf(said, sizeof(said), "%s +0 200 1000 GET /main.cvd ",
                 clients[i].client);
        READS("combined", line, said);
    }
    READS("\"%{X-Forwarded-For}i\" %b", "\"192.0.2.9, 192.0.2.7\" 1",
          "192.0.2.7 -1 0 1   ");
    READS("\"%{X-Forwarded-For}i\" %b", "\"192.0.2.7,\" 1", "- -1 0 1   ");
}
END_TEST

START_TEST(times)
{
    static const struct { const char *time; long long s; } good[] = {
        { "28/Nov/2026:22:28:38 +0100", 0 },
        { "28/Nov/2026:16:28:38 -0500", 0 },
        { "29/Nov/2026:11:28:38 +1400", 0 },
        { "29/Nov/2026:02:58:38 +0530", 0 },
        { "28/Nov/2026:09:28:38 -1200", 0 },
        { "28/Nov/2026:21:28:60 +0000", 22 },
        { "29/Feb/2024:00:00:00 +0000", 1709164800 - NOON_S },
        { "31/Dec/1999:23:59:59 +0000", 946684799 - NOON_S },
        /* clocks go back: the zone tells the two hours apart */
        { "25/Oct/2026:02:30:00 +0200", 1792888200 - NOON_S },
        { "25/Oct/2026:02:30:00 +0100", 1792891800 - NOON_S }
    };
    static const char *const bad[] = {
        "29/Feb/2026:00:00:00 +0000", "31/Apr/2026:00:00:00 +0000",
        "00/Apr/2026:00:00:00 +0000", "32/Dec/2026:00:00:00 +0000",
        "28/nov/2026:21:28:38 +0000", "28/Nov/26:21:28:38 +0000  ",
        "28/Nov/2026:24:28:38 +0000", "28/Nov/2026:21:60:38 +0000",
        "28/Nov/2026:21:28:61 +0000", "28/Nov/2026:21:28:38 0000 ",
        "28/Nov/20a6:21:28:38 +0000", "28/Nov/2026:21:28:38 +9900"
    };
    char line[256], said[256];
    size_t i;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(line, sizeof(line), "192.0.2.7 - - [%s] \"-\" 408 -",
                 good[i].time);
        snprintf(said, sizeof(said), "192.0.2.7 %+lld 408 0   ", good[i].s);
        READS("combined", line, said);
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(line, sizeof(line), "192.0.2.7 [%s] 1", bad[i]);
        READS("%h %t %b", line,
              "expected a time, e.g. [28/Nov/2026:21:28:38 +0000]");
    }
    READS("%h %t %b", "192.0.2.7 [01/Jan/1970:00:00:00 +0000] 1",
          "expected a time from 1970-01-02 to 2147");
    READS("%h %t %b", "192.0.2.7 [01/Jan/2150:00:00:00 +0000] 1",
          "expected a time from 1970-01-02 to 2147");
}
END_TEST

/* Without a zone a time is that of TZ; Berlin's clocks went back at 3:00. */
START_TEST(local_times)
{
    setenv("TZ", "Europe/Berlin", 1);
    tzset();
    READS("%{%F %T}t %h %b", "2026-11-28 22:28:38 192.0.2.7 1",
          "192.0.2.7 +0 0 1   ");
    READS("%{%F %T}t %h %b", "2026-07-01 02:00:00 192.0.2.7 1",
          "192.0.2.7 -13037318 0 1   ");
    setenv("TZ", "UTC", 1);
    tzset();
}
END_TEST

START_TEST(syslog)
{
    static const char *const before[] = {
        "Nov 28 21:28:38 www apache2[812]: ", "Nov  8 21:28:38 www apache2: ",
        "<134>Nov 28 21:28:38 www apache2: ",
        "2026-11-28T21:28:38.123456+00:00 www apache2[812]: ",
        "<134>1 2026-11-28T21:28:38Z www apache2 812 - - "
    };
    char line[512];
    size_t i;

    for (i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
        snprintf(line, sizeof(line), "%s192.0.2.7 - - " REST, before[i]);
        READS("combined", line, DOWNLOAD);
        snprintf(line, sizeof(line), "%s192.0.2.7 1000", before[i]);
        READS("pairs", line, "192.0.2.7 -1 0 1000   ");
    }
}
END_TEST

START_TEST(bad_lines)
{
    static const struct { const char *line, *why; } bad[] = {
        { "", "expected an address, e.g. 192.0.2.7" },
        { "x", "expected an address, e.g. 192.0.2.7" },
        { "192.0.2.7 - - [28/Nov/20",
          "expected a date behind the user's name" },
        { "192.0.2.7 - - " NOON " \"GET /",
          "expected a request in quotes, e.g. \"GET / HTTP/1.1\"" },
        { "192.0.2.7 - - " NOON " \"GET /\" ",
          "expected a status, e.g. 200" },
        { "192.0.2.7 - - " NOON " \"GET /\" 20 5",
          "expected a status, e.g. 200" },
        { "192.0.2.7 - - " NOON " \"GET /\" 200 ",
          "expected a number of bytes" },
        { "192.0.2.7 - - " NOON " \"GET /\" 200 1k",
          "expected a number of bytes" },
        { "192.0.2.7 - - " NOON " \"GET /\" 200 +1",
          "expected a number of bytes" }
    };
    size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        READS("combined", bad[i].line, bad[i].why);
    }
    /* cut in the figure that counts, and behind it */
    ck_assert_str_eq(read_as("combined", "192.0.2.7 - - " REST, true),
        "expected the rest of the line");
    ck_assert_str_eq(read_as("combined", "192.0.2.7 - - " REST " \"-\" \"cu",
        true), "192.0.2.7 +0 200 1000 GET /main.cvd cu");
    /* figures saturate */
    READS("pairs", "192.0.2.7 99999999999999999999999999",
          "192.0.2.7 -1 0 9223372036854775807   ");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log_line");
    TCase *tcase = tcase_create("log_line");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tcase, named_formats);
    tcase_add_test(tcase, strings);
    tcase_add_test(tcase, refused_strings);
    tcase_add_test(tcase, quotes_and_names);
    tcase_add_test(tcase, requests);
    tcase_add_test(tcase, addresses);
    tcase_add_test(tcase, times);
    tcase_add_test(tcase, local_times);
    tcase_add_test(tcase, syslog);
    tcase_add_test(tcase, bad_lines);
    suite_add_tcase(suite, tcase);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
