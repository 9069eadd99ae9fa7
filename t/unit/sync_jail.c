/* sync/jail: what needs no kernel: words after --jail, what can be held,
 * listings, texts that grow. The rest is t/50-jail-recent.t and those behind
 * it. */
#include "sync/jail_parts.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct cq_key key_of(const char *text)
{
    struct cq_key key;

    ck_assert_msg(cq_key_parse(&key, text, NULL) == CQ_OK, "%s", text);
    return key;
}

START_TEST(reads_words)
{
    static const struct {
        const char *spec;
        const struct jail_kind *kind;
    } good[] = {
        { "recent:DenyAccessClamAV", &jail_recent },
        { "recent:a,b", &jail_recent },
        { "recent:a-b.c_9,b/56", &jail_recent },
        { "nft:inet/clamquota/jail4,jail6", &jail_nft },
        { "nft:ip/t/s", &jail_nft },
        { "ipset:clamquota4,clamquota6", &jail_ipset },
        { "ipset:a", &jail_ipset }
    };
    struct jail_why why;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct jail *jail = NULL;

        ck_assert_int_eq(jail_parse(good[i].spec, &jail, &why), JAIL_OK);
        ck_assert_ptr_eq(jail->kind, good[i].kind);
        ck_assert_str_eq(jail->spec, good[i].spec);
        jail->kind->close(jail);
    }
    jail_recent.close(NULL);
    jail_nft.close(NULL);
    jail_ipset.close(NULL);
}
END_TEST

START_TEST(refuses_words)
{
    static const char *const bad[] = {
        "", ":", "recent", "recent:", "recent:a/b", "recent:..", "recent:a,a",
        "recent:a,b/0", "recent:a,b/128", "RECENT:a", "recentx:a", "nft:",
        "nft:inet", "nft:inet/t", "nft:arp/t/s", "nft:inet/t/s,s",
        "nft:inet/t/s;x", "ipset:", "ipset:a b", "ipset:a,", "ipset:a,a"
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct jail *jail = NULL;
        struct jail_why why = { "" };

        ck_assert_msg(jail_parse(bad[i], &jail, &why) == JAIL_USAGE, "%s",
                      bad[i]);
        ck_assert_ptr_null(jail);
        ck_assert_ptr_nonnull(strstr(why.text, "expected "));
        ck_assert_ptr_nonnull(strstr(why.text, "e.g. "));
    }
}
END_TEST

/* A word of any length gives a sentence that ends inside its buffer. */
START_TEST(long_words)
{
    static const char *const begins[] = {
        "", "recent:", "recent:a,", "nft:", "nft:inet/", "nft:inet/t/",
        "nft:inet/t/s,", "ipset:", "ipset:a,"
    };
    char spec[4096];

    for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
        struct jail *jail = NULL;
        struct jail_why why;

        memset(spec, 'x', sizeof(spec) - 1);
        spec[sizeof(spec) - 1] = '\0';
        memcpy(spec, begins[i], strlen(begins[i]));
        ck_assert_int_eq(jail_parse(spec, &jail, &why), JAIL_USAGE);
        ck_assert_uint_lt(strlen(why.text), sizeof(why.text));
    }
}
END_TEST

START_TEST(names)
{
    ck_assert(jail_is_name("a", 1, "", 1));
    ck_assert(jail_is_name("a-", 2, "-", 2));
    ck_assert(!jail_is_name("a-", 2, ".", 2));
    ck_assert(!jail_is_name("-a", 2, "-", 2));
    ck_assert(!jail_is_name("", 0, "-", 2));
    ck_assert(!jail_is_name("aaa", 3, "-", 2));
    ck_assert(!jail_is_name("a\0b", 3, "-", 3));
    ck_assert(!jail_is_name("a\xe9", 2, "-", 3));
}
END_TEST

START_TEST(recent_holds)
{
    static const struct {
        const char *spec;
        const char *key;
        bool holds;
    } cases[] = {
        { "recent:a", "192.0.2.1", true },
        { "recent:a", "2001:db8::1", true },
        { "recent:a", "192.0.2.0/24", false },
        { "recent:a", "0.0.0.0/0", false },
        { "recent:a", "2001:db8::/64", false },
        { "recent:a,b", "2001:db8::/64", true },
        { "recent:a,b", "2001:db8::/63", false },
        { "recent:a,b/56", "2001:db8::/64", false },
        { "recent:a,b/56", "2001:db8::/56", true },
        { "recent:a,b/32", "10.0.0.0/8", false },
        { "nft:inet/t/s", "2001:db8::1", false },
        { "ipset:s", "2001:db8::1", false }
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cq_key key = key_of(cases[i].key);
        struct jail *jail;
        struct jail_why why;

        ck_assert_int_eq(jail_parse(cases[i].spec, &jail, &why), JAIL_OK);
        ck_assert_msg((jail->kind->cannot_hold(jail, &key) == NULL)
                      == cases[i].holds, "%s %s", cases[i].spec,
                      cases[i].key);
        jail->kind->close(jail);
    }
}
END_TEST

START_TEST(listings)
{
    static const char *const keys[] = {
        "2001:db8::/64", "192.0.2.7", "10.0.0.0/8", "192.0.2.7", "10.0.0.0"
    };
    static const char *const sorted[] = {
        "10.0.0.0/8", "10.0.0.0/32", "192.0.2.7/32", "2001:db8::/64"
    };
    struct jail_listing listing = { .entries = NULL };
    struct cq_key key = key_of("10.0.0.0/9");
    char text[CQ_KEY_TEXT_SIZE];
    size_t room = 0;

    ck_assert_ptr_null(jail_listing_find(&listing, &key));
    jail_listing_sort(&listing);
    ck_assert_uint_eq(listing.count, 0);
    for (size_t i = 0; i < 5; i++) {
        key = key_of(keys[i]);
        ck_assert(jail_listing_put(&listing, &room, &key, (int64_t)i));
    }
    jail_listing_sort(&listing);
    ck_assert_uint_eq(listing.count, 4);
    for (size_t i = 0; i < 4; i++) {
        cq_key_format_cidr(&listing.entries[i].key, text, sizeof(text));
        ck_assert_str_eq(text, sorted[i]);
        ck_assert_ptr_eq(jail_listing_find(&listing, &listing.entries[i].key),
                         &listing.entries[i]);
    }
    key = key_of("10.0.0.0/9");
    ck_assert_ptr_null(jail_listing_find(&listing, &key));
    jail_listing_free(&listing);
    ck_assert_uint_eq(listing.count, 0);
}
END_TEST

START_TEST(texts)
{
    struct jail_text text = { .bytes = NULL };
    struct cq_key key = key_of("10.0.0.0/8");
    struct cq_key whole = key_of("2001:db8::1");

    jail_text_add_key(&text, &key);
    jail_text_add_format(&text, " %d ", 7);
    jail_text_add_key(&text, &whole);
    ck_assert_str_eq(text.bytes, "10.0.0.0/8 7 2001:db8::1");
    for (int i = 0; i < 100000; i++) {
        jail_text_add(&text, "0123456789");
    }
    ck_assert(!text.failed);
    ck_assert_uint_eq(text.length, 24 + 1000000);
    ck_assert_uint_eq(strlen(text.bytes), text.length);
    jail_text_add_format(&text, "%2000d", 1);
    ck_assert(text.failed);
    jail_text_free(&text);
    ck_assert_uint_eq(text.length, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync/jail");
    TCase *words = tcase_create("words");
    TCase *parts = tcase_create("parts");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, words);
    tcase_add_test(words, reads_words);
    tcase_add_test(words, refuses_words);
    tcase_add_test(words, long_words);
    tcase_add_test(words, names);
    tcase_add_test(words, recent_holds);
    suite_add_tcase(suite, parts);
    tcase_add_test(parts, listings);
    tcase_add_test(parts, texts);

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
