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
    char name[4];
    const char *at = "a-,b";

    ck_assert(cq_jail_read_name(&at, ",", "-", name, sizeof(name)));
    ck_assert_str_eq(name, "a-");
    ck_assert_str_eq(at, ",b");
    for (const char *const *bad = (const char *const[]){ "", ",", "-a", "a.",
                                                         "abcd", "a\xe9",
                                                         "a b", NULL };
         *bad != NULL; bad++) {
        at = *bad;
        ck_assert_msg(!cq_jail_read_name(&at, ",", "-", name, sizeof(name)),
                      "%s", *bad);
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

/* What was not listed changes nothing. */
START_TEST(not_listed)
{
    struct cq_jail_change change = { .key = key_of("192.0.2.1") };
    struct cq_jail_figures figures;
    struct cq_jail *jail = NULL;
    struct cq_jail_why why;

    cq_jail_parse("nft:inet/t/a,b,c,d", CQ_JAIL_WRITE, 60, &jail, &why);
    ck_assert_int_eq(cq_jail_apply(jail, &change, 1, &why), CQ_JAIL_MISSING);
    ck_assert(change.has_failed);
    ck_assert_int_eq(cq_jail_deny(jail, NULL, 0, &why), CQ_JAIL_MISSING);
    ck_assert_int_eq(cq_jail_figures(jail, &figures, &why), CQ_JAIL_MISSING);
    ck_assert(cq_jail_has_changed(jail));
    cq_jail_close(jail);
}
END_TEST

START_TEST(elements)
{
    static const char *const keys[] = {
        "2001:db8::", "192.0.2.7", "10.0.0.0", "192.0.2.7", "192.0.2.7"
    };
    static const char *const sorted[] = {
        "10.0.0.0", "192.0.2.7", "2001:db8::"
    };
    struct cq_jail_elements list = { .list = NULL };
    struct cq_key key = key_of("10.0.0.1");
    char text[CQ_KEY_TEXT_SIZE];

    ck_assert_ptr_null(cq_jail_elements_find(&list, &key));
    cq_jail_elements_sort(&list);
    ck_assert_uint_eq(list.count, 0);
    for (size_t i = 0; i < 5; i++) {
        key = key_of(keys[i]);
        /* the second 192.0.2.7 expires last */
        ck_assert(cq_jail_elements_add(&list, &key, false,
                                       i == 3 ? 99 : (int64_t)i));
    }
    cq_jail_elements_sort(&list);
    ck_assert_uint_eq(list.count, 3);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_str_eq(cq_key_format(&list.list[i].key, text, sizeof(text)),
                         sorted[i]);
        ck_assert_ptr_eq(cq_jail_elements_find(&list, &list.list[i].key),
                         &list.list[i]);
    }
    ck_assert_int_eq(list.list[1].expires_at_s, 99);
    key = key_of("10.0.0.1");
    ck_assert_ptr_null(cq_jail_elements_find(&list, &key));
    free(list.list);
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

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
