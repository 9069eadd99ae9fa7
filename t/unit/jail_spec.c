/* jail: what needs no kernel: specs, elements. The rest is t/50-jail-recent.t
 * and those behind it. */
#include "jail/kind.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct cq_key key_of(const char *text)
{
    struct cq_key key;

    ck_assert_msg(cq_key_parse(&key, text, NULL) == CQ_OK, "%s", text);
    return key;
}

START_TEST(reads_specs)
{
    static const struct {
        const char *spec;
        const struct cq_jail_kind *kind;
    } good[] = {
        { "recent:DenyAccessClamAV", &cq_jail_recent },
        { "recent:a-b.c_9,b", &cq_jail_recent },
        { "nft:inet/clamquota/jail4,jail6", &cq_jail_nft },
        { "nft:inet/clamquota/jail4,jail6,deny4,deny6", &cq_jail_nft },
        { "nft:ip/t/s", &cq_jail_nft },
        { "ipset:clamquota4,clamquota6", &cq_jail_ipset },
        { "ipset:a", &cq_jail_ipset }
    };
    struct cq_jail_why why;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct cq_jail *jail = NULL;

        ck_assert_int_eq(cq_jail_parse(good[i].spec, CQ_JAIL_WRITE, 60,
                                       &jail, &why),
                         CQ_JAIL_OK);
        ck_assert_ptr_eq(jail->kind, good[i].kind);
        ck_assert_str_eq(cq_jail_spec(jail), good[i].spec);
        ck_assert_int_eq(jail->lease_s, 60);
        cq_jail_close(jail);
    }
    cq_jail_close(NULL);
}
END_TEST

START_TEST(refuses_specs)
{
    static const char *const bad[] = {
        "", ":", "recent", "recent:", "recent:a/b", "recent:..", "recent:a,a",
        "recent:a,b/64", "RECENT:a", "recentx:a", "nft:", "nft:inet",
        "nft:inet/t", "nft:arp/t/s", "nft:inet/t/s,s", "nft:inet/t/s,r,q",
        "nft:inet/t/s,r,q,s", "nft:inet/t/s;x", "ipset:", "ipset:a b",
        "ipset:a,", "ipset:a,a"
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct cq_jail *jail = NULL;
        struct cq_jail_why why = { "" };

        ck_assert_msg(cq_jail_parse(bad[i], CQ_JAIL_WRITE, 60, &jail,
                                    &why) == CQ_JAIL_USAGE,
                      "%s", bad[i]);
        ck_assert_ptr_null(jail);
        ck_assert_ptr_nonnull(strstr(why.text, "expected "));
        ck_assert_ptr_nonnull(strstr(why.text, "e.g. "));
    }
}
END_TEST

/* A spec of any length gives a sentence that ends inside its buffer. */
START_TEST(long_specs)
{
    static const char *const begins[] = {
        "", "recent:", "recent:a,", "nft:", "nft:inet/", "nft:inet/t/",
        "nft:inet/t/s,", "nft:inet/t/s,r,", "ipset:", "ipset:a,"
    };
    char spec[4096];

    for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
        struct cq_jail *jail = NULL;
        struct cq_jail_why why;

        memset(spec, 'x', sizeof(spec) - 1);
        spec[sizeof(spec) - 1] = '\0';
        memcpy(spec, begins[i], strlen(begins[i]));
        ck_assert_int_eq(cq_jail_parse(spec, CQ_JAIL_WRITE, 60, &jail, &why),
                         CQ_JAIL_USAGE);
        ck_assert_uint_lt(strlen(why.text), sizeof(why.text));
    }
}
END_TEST

START_TEST(longest_lease)
{
    struct cq_jail *jail = NULL;
    struct cq_jail_why why;

    cq_jail_parse("ipset:a", CQ_JAIL_WRITE, INT64_MAX, &jail, &why);
    ck_assert_int_eq(jail->lease_s, 4294967);
    cq_jail_close(jail);
}
END_TEST

START_TEST(names)
{
    ck_assert(cq_jail_is_name("a-", 4));
    for (const char *const *bad = (const char *const[]){ "", ",", "-a", "a,",
                                                         "abcd", "a\xe9",
                                                         "a b", "a/b", NULL };
         *bad != NULL; bad++) {
        ck_assert_msg(!cq_jail_is_name(*bad, 4), "%s", *bad);
    }
}
END_TEST

START_TEST(element_keys)
{
    static const char *const clients[][2] = {
        { "192.0.2.1", "192.0.2.1/32" }, { "192.0.2.0/24", "192.0.2.0/32" },
        { "2001:db8:0:7::/64", "2001:db8:0:7::/128" }
    };
    char text[CQ_KEY_TEXT_SIZE];

    for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
        struct cq_key client = key_of(clients[i][0]);
        struct cq_key key = cq_jail_element_key(&client);

        ck_assert_str_eq(cq_key_format_cidr(&key, text, sizeof(text)),
                         clients[i][1]);
    }
}
END_TEST

/* An element that was not listed changes nothing. */
START_TEST(not_listed)
{
    struct cq_jail_change change = { .key = key_of("192.0.2.1") };
    struct cq_jail *jail = NULL;
    struct cq_jail_why why;

    cq_jail_parse("nft:inet/t/a,b,c,d", CQ_JAIL_WRITE, 60, &jail, &why);
    ck_assert_int_eq(cq_jail_apply(jail, &change, 1, &why), CQ_JAIL_MISSING);
    ck_assert(change.has_failed);
    ck_assert_int_eq(cq_jail_deny(jail, NULL, 0, &why), CQ_JAIL_MISSING);
    ck_assert(cq_jail_has_changed(jail));
    cq_jail_close(jail);
}
END_TEST

/* Of equal keys the last counts, also where it was removed. */
START_TEST(elements)
{
    static const struct {
        const char *key;
        int64_t expires_at_s;
    } added[] = {
        { "2001:db8::", 5 }, { "192.0.2.7", 1 }, { "10.0.0.0", 2 },
        { "192.0.2.7", 99 }, { "192.0.2.7", 4 }, { "10.0.0.1", 7 },
        { "2001:db8::", CQ_JAIL_GONE }, { "10.0.0.9", CQ_JAIL_GONE }
    }, sorted[] = {
        { "10.0.0.0", 2 }, { "10.0.0.1", 7 }, { "192.0.2.7", 99 }
    };
    struct cq_jail jail = { .set = CQ_JAIL_V4 };
    const struct cq_jail_elements *list = &jail.elements;
    char text[CQ_KEY_TEXT_SIZE];
    size_t i;

    cq_jail_elements_sort(&jail.elements);
    ck_assert_uint_eq(list->count, 0);
    for (i = 0; i < sizeof(added) / sizeof(added[0]); i++) {
        struct cq_key key = key_of(added[i].key);

        ck_assert(cq_jail_add_element(&jail, &key, false,
                                      added[i].expires_at_s));
    }
    cq_jail_elements_sort(&jail.elements);
    ck_assert_uint_eq(list->count, 3);
    for (i = 0; i < sizeof(sorted) / sizeof(sorted[0]); i++) {
        ck_assert_str_eq(cq_key_format(&list->list[i].key, text, sizeof(text)),
                         sorted[i].key);
        ck_assert_int_eq(list->list[i].expires_at_s, sorted[i].expires_at_s);
    }
    free(list->list);
}
END_TEST

/* Random keys of both families and all prefixes, against cq_key_compare(). */
START_TEST(sorts)
{
    struct cq_jail jail = { .set = CQ_JAIL_DENY4 };
    const struct cq_jail_elements *list = &jail.networks;

    srand((unsigned)_i);
    for (int i = 0; i < 2000; i++) {
        uint8_t bytes[16] = { 0 };
        struct cq_prefixes prefixes = { (uint8_t)(rand() % 33),
                                        (uint8_t)(rand() % 129) };
        struct cq_key key;

        for (int n = rand() % 3; n >= 0; n--) {
            bytes[rand() % 16] = (uint8_t)rand();
        }
        ck_assert_int_eq(cq_key_make(&key, bytes, rand() % 2 ? 4 : 16,
                                     prefixes), CQ_OK);
        ck_assert(cq_jail_add_element(&jail, &key, false, i + 1));
    }
    cq_jail_elements_sort(&jail.networks);
    ck_assert_uint_gt(list->count, 2);
    for (size_t i = 1; i < list->count; i++) {
        ck_assert_int_lt(cq_key_compare(&list->list[i - 1].key,
                                        &list->list[i].key), 0);
    }
    free(list->list);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("jail/spec");
    TCase *specs = tcase_create("specs");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, specs);
    tcase_add_test(specs, reads_specs);
    tcase_add_test(specs, refuses_specs);
    tcase_add_test(specs, long_specs);
    tcase_add_test(specs, longest_lease);
    tcase_add_test(specs, names);
    tcase_add_test(specs, element_keys);
    tcase_add_test(specs, not_listed);
    tcase_add_test(specs, elements);
    tcase_add_loop_test(specs, sorts, 0, 5);

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
