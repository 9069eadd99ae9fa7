/* render: the text of a refusal, to the letter, and below 400 bytes whatever
 * it is made of. */
#include "render/refusal.h"

#include "core/key.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define INSTEAD \
    "Instead: use freshclam with ScriptedUpdates yes, share a private " \
    "mirror, or\nask the operator for an exception.\n"

static char text[CQ_REFUSAL_SIZE + 1];

static const char *written(const struct cq_refusal *refusal)
{
    size_t length;

    text[CQ_REFUSAL_SIZE] = '#';
    length = cq_refusal_text(refusal, text);
    ck_assert_int_eq(text[CQ_REFUSAL_SIZE], '#');
    ck_assert_uint_lt(length, 400);
    ck_assert_uint_eq(strlen(text), length);
    return text;
}

static struct cq_refusal make(enum cq_state state)
{
    struct cq_refusal refusal = { .client = "192.0.2.7",
                                  .state = state,
                                  .used_bytes = 3000211,
                                  .allowance_bytes = 1187840,
                                  .retry_after_s = 21600,
                                  .admitted_at_s = INT64_C(1796083200),
                                  .scheme = "https",
                                  .host = "mirror.example.org",
                                  .path = "/clamquota-me" };

    return refusal;
}

START_TEST(over)
{
    struct cq_refusal refusal = make(CQ_STATE_OVER);

    ck_assert_str_eq(
        written(&refusal),
        "192.0.2.7 has used 2.9 MiB (3000211 bytes) of 1.1 MiB (1187840 "
        "bytes) allowed by now.\n"
        "Refused until 2026-12-01 00:00 UTC; programs retry in 21600 "
        "s.\n" INSTEAD
        "Your figures: https://mirror.example.org/clamquota-me\n");
}
END_TEST

START_TEST(busy)
{
    struct cq_refusal refusal = make(CQ_STATE_BUSY);

    refusal.retry_after_s = 34;
    refusal.path = NULL;
    ck_assert_str_eq(
        written(&refusal),
        "192.0.2.7 has used 2.9 MiB (3000211 bytes) of 1.1 MiB (1187840 "
        "bytes) allowed by now.\n"
        "Downloads in progress may use up the rest; try again in 34 s.\n");
}
END_TEST

START_TEST(busy_with_a_file)
{
    struct cq_refusal refusal = make(CQ_STATE_BUSY);

    refusal.file = "/pub/main.cvd";
    refusal.retry_after_s = 34;
    refusal.path = NULL;
    ck_assert_str_eq(
        written(&refusal),
        "192.0.2.7 has used 2.9 MiB (3000211 bytes) of 1.1 MiB (1187840 "
        "bytes) a day for\nmain.cvd.\n"
        "Downloads in progress may use up the rest; try again in 34 s.\n");
}
END_TEST

START_TEST(copies)
{
    struct cq_refusal refusal = make(CQ_STATE_COPIES);

    refusal.path = NULL;
    refusal.file = "a name\n\xc3\xa4-of-more-than-forty-characters-in-all.iso";
    refusal.admin = "root@example.org";
    ck_assert_str_eq(
        written(&refusal),
        "192.0.2.7 has used 2.9 MiB (3000211 bytes) of 1.1 MiB (1187840 "
        "bytes) a day for\n"
        "a?name?" "?" "?-of-more-than-forty-chara.\n"
        "Refused until 2026-12-01 00:00 UTC; programs retry in 21600 "
        "s.\nInstead: use freshclam with ScriptedUpdates yes, share a private "
        "mirror, or\nask root@example.org for an exception.\n");
}
END_TEST

static void expect_link(const struct cq_refusal *refusal, const char *link)
{
    const char *at = strstr(written(refusal), "exception.\n");

    ck_assert_ptr_nonnull(at);
    ck_assert_str_eq(at + strlen("exception.\n"), link);
}

START_TEST(links)
{
    static const char *const bad[] = { NULL, "", "a b", "a/b", "a\r\nb", "<b>",
                                       "a@b", "a%41", "\xc3\xa4", "a?b" };
    struct cq_refusal refusal = make(CQ_STATE_OVER);
    size_t i;

    refusal.host = "[::1]";
    refusal.port = 8443;
    expect_link(&refusal, "Your figures: https://[::1]:8443/clamquota-me\n");
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        refusal.host = bad[i];
        expect_link(&refusal, "Your figures: /clamquota-me\n");
    }
    refusal.host = "a";
    refusal.scheme = NULL;
    expect_link(&refusal, "Your figures: /clamquota-me\n");
    refusal.path = NULL;
    expect_link(&refusal, "");
}
END_TEST

/* The host is left out first, then all of it; not a byte is wasted. */
START_TEST(link_has_room)
{
    static char host[500];
    static char path[500];
    struct cq_refusal refusal = make(CQ_STATE_OVER);
    size_t without, room, i;

    refusal.path = NULL;
    without = strlen(written(&refusal));
    room = 399 - without - strlen("Your figures: \n");
    memset(path, 'p', sizeof(path) - 1);
    memset(host, 'h', sizeof(host) - 1);
    path[0] = '/';
    refusal.path = path;
    refusal.host = host;
    for (i = sizeof(path) - 1; i > 0; i--) {
        path[i] = '\0';
        ck_assert_uint_eq(strlen(written(&refusal)),
                          i > room ? without : without + i + 15);
    }
    memcpy(path, "/me", 4);
    for (i = sizeof(host) - 1; i > 0; i--) {
        bool fits = strlen("https://:65535/me") + i <= room;

        host[i] = '\0';
        ck_assert_uint_eq(strstr(written(&refusal), "://") != NULL, fits);
        ck_assert_ptr_nonnull(strstr(text, "/me\n"));
    }
}
END_TEST

START_TEST(extremes)
{
    static const int64_t numbers[] = { INT64_MIN, -1, 0, 1, CQ_BYTES_MAX,
                                       INT64_MAX };
    static const enum cq_state states[] = { CQ_STATE_OVER, CQ_STATE_BUSY,
                                            CQ_STATE_COPIES };
    struct cq_refusal refusal = make(CQ_STATE_OVER);
    char client[200];
    size_t i, j;

    memset(client, 'f', sizeof(client));
    client[199] = '\0';
    refusal.client = client;
    refusal.file = client;
    refusal.admin = client;
    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        refusal.used_bytes = numbers[i];
        refusal.allowance_bytes = numbers[i];
        refusal.retry_after_s = numbers[i];
        refusal.admitted_at_s = numbers[i];
        for (j = 0; j < sizeof(states) / sizeof(states[0]); j++) {
            refusal.state = states[j];
            written(&refusal);
            ck_assert_uint_eq(strspn(text, "f"), CQ_KEY_TEXT_SIZE - 1);
        }
    }
    /* the longest there is in earnest, with a link */
    refusal.file = NULL;
    refusal.admin = NULL;
    refusal.client = "2001:1db8:aaaa:bbbb:cccc:dddd:eeee:fffe/127";
    refusal.state = CQ_STATE_OVER;
    refusal.used_bytes = CQ_BYTES_MAX;
    refusal.allowance_bytes = CQ_BYTES_MAX - 1;
    refusal.retry_after_s = 31622400;
    refusal.admitted_at_s = INT64_C(1796083200);
    ck_assert_str_eq(
        written(&refusal),
        "2001:1db8:aaaa:bbbb:cccc:dddd:eeee:fffe/127 has used 256.0 TiB "
        "(281474976710655 bytes) of 256.0 TiB (281474976710654 bytes) allowed "
        "by now.\n"
        "Refused until 2026-12-01 00:00 UTC; programs retry in "
        "31622400 s.\n" INSTEAD
        "Your figures: https://mirror.example.org/clamquota-me\n");
}
END_TEST

/* Each day of 1970 to 2400, at a time of its own. */
START_TEST(moments)
{
    struct cq_refusal refusal = make(CQ_STATE_COPIES);
    int64_t day;

    for (day = 0; day < 157000; day++) {
        time_t when = (time_t)(day * 86400 + day * 7919 % 86400);
        struct tm parts;
        char want[64];

        ck_assert_ptr_nonnull(gmtime_r(&when, &parts));
        ck_assert_uint_gt(strftime(want, sizeof(want),
                                   "Refused until %Y-%m-%d %H:%M UTC;",
                                   &parts), 0);
        refusal.admitted_at_s = when;
        ck_assert_ptr_nonnull(strstr(written(&refusal), want));
    }
}
END_TEST

START_TEST(fields_of_a_client)
{
    struct cq_refusal refusal = make(CQ_STATE_OVER);
    struct cq_refusal_fields fields;

    refusal.pool = "default";
    refusal.window_s = 2592000;
    cq_refusal_fields(&refusal, &fields);
    ck_assert_str_eq(fields.policy, "\"default\";q=1187840;"
                     "qu=\"content-bytes\";w=2592000");
    ck_assert_str_eq(fields.limit, "\"default\";r=0;t=21600");
    ck_assert_str_eq(fields.retry_after, "21600");
}
END_TEST

START_TEST(longest_fields)
{
    struct cq_refusal refusal = make(CQ_STATE_COPIES);
    struct cq_refusal_fields fields;

    refusal.pool = "a-name-of-thirty-one-characters";
    refusal.file = "/big.iso";
    refusal.allowance_bytes = refusal.window_s = refusal.retry_after_s
        = INT64_MAX;
    cq_refusal_fields(&refusal, &fields);
    ck_assert_str_eq(fields.policy,
                     "\"a-name-of-thirty-one-characters:file\";"
                     "q=9223372036854775807;qu=\"content-bytes\";"
                     "w=9223372036854775807");
    ck_assert_str_eq(fields.limit,
                     "\"a-name-of-thirty-one-characters:file\";r=0;"
                     "t=9223372036854775807");
    ck_assert_str_eq(fields.retry_after, "9223372036854775807");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("render/refusal");
    TCase *tests = tcase_create("refusal");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_test(tests, over);
    tcase_add_test(tests, busy);
    tcase_add_test(tests, busy_with_a_file);
    tcase_add_test(tests, copies);
    tcase_add_test(tests, links);
    tcase_add_test(tests, link_has_room);
    tcase_add_test(tests, extremes);
    tcase_add_test(tests, moments);
    tcase_add_test(tests, fields_of_a_client);
    tcase_add_test(tests, longest_fields);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
