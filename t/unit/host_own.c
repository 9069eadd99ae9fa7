/* host/own: this machine's addresses, and the networks that hold one of
 * them. */
#include "host/own.h"

#include <check.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>

static struct cq_key key_of(const char *text)
{
    struct cq_key key;

    ck_assert_msg(cq_key_parse(&key, text, NULL) == CQ_OK, "%s", text);
    return key;
}

static bool holds(const struct cq_net_list *list, const char *text)
{
    struct cq_key key = key_of(text);

    return cq_net_touches(list, &key);
}

/* Whatever addresses this machine has; loopback is down in a bare network
 * namespace. */
START_TEST(as_the_kernel_says)
{
    struct cq_net_list list = { .rules = NULL };
    struct cq_prefixes whole = { 32, 128 };
    struct ifaddrs *interfaces, *at;
    size_t n, i;

    ck_assert_int_eq(cq_own_collect(&list), CQ_OK);
    n = list.count;
    /* none twice, also not when asked twice: else it could not be sealed */
    ck_assert_int_eq(cq_own_collect(&list), CQ_OK);
    ck_assert_uint_eq(list.count, n);
    ck_assert_int_eq(cq_net_seal(&list, NULL), CQ_OK);
    for (i = 0; i < n; i++) {
        ck_assert_uint_eq(list.rules[i].net.prefix,
                          list.rules[i].net.family == 4 ? 32 : 128);
    }
    ck_assert_int_eq(getifaddrs(&interfaces), 0);
    for (at = interfaces; at != NULL; at = at->ifa_next) {
        const struct sockaddr *a = at->ifa_addr;
        struct cq_key key;

        if (a != NULL && a->sa_family == AF_INET) {
            const struct sockaddr_in *in = (const void *)a;

            ck_assert_int_eq(cq_key_make(&key, &in->sin_addr, 4, whole),
                             CQ_OK);
            ck_assert(cq_net_touches(&list, &key));
        }
        else if (a != NULL && a->sa_family == AF_INET6) {
            const struct sockaddr_in6 *in6 = (const void *)a;

            ck_assert_int_eq(cq_key_make(&key, &in6->sin6_addr, 16, whole),
                             CQ_OK);
            ck_assert(cq_net_touches(&list, &key));
        }
    }
    freeifaddrs(interfaces);
    /* TEST-NET-3 and the documentation prefix: of no machine */
    ck_assert(!holds(&list, "203.0.113.77"));
    ck_assert(!holds(&list, "2001:db8:77::1"));
    cq_net_free(&list);
}
END_TEST

/* A client may be a whole network: it is never shut out if one of ours is
 * among it. Lists of an operator hold networks: their members neither. */
START_TEST(around_and_inside)
{
    struct cq_net_list list = { .rules = NULL };
    static const char *const nets[] = { "192.0.2.7", "198.51.100.0/24",
                                        "2001:db8::7" };
    size_t i;

    for (i = 0; i < sizeof(nets) / sizeof(nets[0]); i++) {
        struct cq_key key = key_of(nets[i]);

        ck_assert_int_eq(cq_net_add(&list, &key, 0), CQ_OK);
    }
    ck_assert_int_eq(cq_net_seal(&list, NULL), CQ_OK);
    ck_assert(holds(&list, "192.0.2.7"));
    ck_assert(!holds(&list, "192.0.2.6"));
    ck_assert(holds(&list, "192.0.2.0/24"));
    ck_assert(holds(&list, "192.0.2.6/31"));
    ck_assert(!holds(&list, "192.0.2.8/31"));
    ck_assert(holds(&list, "198.51.100.99"));
    ck_assert(holds(&list, "198.51.100.128/25"));
    ck_assert(holds(&list, "198.51.0.0/16"));
    ck_assert(!holds(&list, "198.51.101.1"));
    ck_assert(holds(&list, "2001:db8::/64"));
    ck_assert(!holds(&list, "2001:db8:0:1::/64"));
    ck_assert(holds(&list, "::ffff:192.0.2.7"));
    cq_net_free(&list);
    ck_assert_int_eq(cq_net_seal(&list, NULL), CQ_OK);
    ck_assert(!holds(&list, "192.0.2.7"));
}
END_TEST

/* A network that can't be added stays out, and is reported. */
START_TEST(a_sealed_list)
{
    struct cq_net_list list = { .rules = NULL };
    struct cq_net_list own = { .rules = NULL };

    ck_assert_int_eq(cq_own_collect(&own), CQ_OK);
    ck_assert_int_eq(cq_net_seal(&list, NULL), CQ_OK);
    ck_assert_int_eq(cq_own_collect(&list),
                     own.count > 0 ? CQ_EINVAL : CQ_OK);
    ck_assert_uint_eq(list.count, 0);
    cq_net_free(&own);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("host/own");
    TCase *all = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, all);
    tcase_add_test(all, as_the_kernel_says);
    tcase_add_test(all, around_and_inside);
    tcase_add_test(all, a_sealed_list);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
