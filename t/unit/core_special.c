/* core/special: the first and last address of each range, their neighbours,
 * and networks that touch one. */
#include "core/special.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

struct sample {
    const char *text;
    const char *word;           /* NULL: an address like others */
};

static const struct sample samples[] = {
    { "0.0.0.0", "unspecified" },
    { "0.255.255.255", "unspecified" },
    { "1.0.0.0", NULL },
    { "126.255.255.255", NULL },
    { "127.0.0.0", "loopback" },
    { "127.0.0.1", "loopback" },
    { "127.255.255.255", "loopback" },
    { "128.0.0.0", NULL },
    { "169.253.255.255", NULL },
    { "169.254.0.0", "link-local" },
    { "169.254.255.255", "link-local" },
    { "169.255.0.0", NULL },
    { "223.255.255.255", NULL },
    { "224.0.0.0", "multicast" },
    { "239.255.255.255", "multicast" },
    { "240.0.0.0", NULL },
    { "255.255.255.254", NULL },
    { "255.255.255.255", "broadcast" },
    /* a mirror inside of a company has clients there */
    { "10.0.0.1", NULL },
    { "172.16.0.1", NULL },
    { "192.168.0.1", NULL },
    { "100.64.0.1", NULL },
    { "fd00::1", NULL },
    { "::", "unspecified" },
    { "::1", "loopback" },
    { "::2", NULL },
    { "fe7f:ffff::", NULL },
    { "fe80::", "link-local" },
    { "febf:ffff::1", "link-local" },
    { "fec0::", NULL },
    { "feff::1", NULL },
    { "ff00::", "multicast" },
    { "ff02::1", "multicast" },
    { "2001:db8::1", NULL },
    /* folds to IPv4 */
    { "::ffff:127.0.0.1", "loopback" },
    { "::ffff:192.0.2.1", NULL },
    /* inside of one, or around one */
    { "127.1.0.0/16", "loopback" },
    { "126.0.0.0/7", "loopback" },
    { "0.0.0.0/0", "unspecified" },
    { "224.0.0.0/3", "multicast" },
    { "240.0.0.0/4", "broadcast" },
    { "169.254.0.0/15", "link-local" },
    { "168.0.0.0/8", NULL },
    { "::/64", "unspecified" },
    { "::2/127", NULL },
    { "fe80::/64", "link-local" },
    { "fe00::/8", "link-local" },
    { "2000::/3", NULL },
};

START_TEST(each_range)
{
    size_t i;

    for (i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const char *word = NULL;
        struct cq_key key;

        ck_assert_msg(cq_key_parse(&key, samples[i].text, NULL) == CQ_OK,
                      "%s", samples[i].text);
        word = cq_special_word(&key);
        ck_assert_msg(samples[i].word == NULL
                          ? word == NULL
                          : word != NULL && strcmp(word, samples[i].word) == 0,
                      "%s: %s", samples[i].text, word != NULL ? word : "-");
    }
}
END_TEST

START_TEST(private_networks)
{
    static const char *const yes[] = {
        "10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255",
        "192.168.0.0", "192.168.255.255", "100.64.0.0", "100.127.255.255",
        "fc00::", "fdff:ffff::1", "10.1.0.0/16", "64:ff9b::10.0.0.1"
    };
    static const char *const no[] = {
        "9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0",
        "192.167.255.255", "192.169.0.0", "100.63.255.255", "100.128.0.0",
        "fbff::1", "fe00::", "127.0.0.1", "10.0.0.0/7", "0.0.0.0/0", "::/0"
    };
    struct cq_key key;
    size_t i;

    for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        ck_assert_int_eq(cq_key_parse(&key, yes[i], NULL), CQ_OK);
        ck_assert_msg(cq_special_is_private(&key), "%s", yes[i]);
    }
    for (i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        ck_assert_int_eq(cq_key_parse(&key, no[i], NULL), CQ_OK);
        ck_assert_msg(!cq_special_is_private(&key), "%s", no[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core/special");
    TCase *all = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, all);
    tcase_add_test(all, each_range);
    tcase_add_test(all, private_networks);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
