/* deny: every form of line, and what is reported of the others. */
#include "deny_result.h"

#include <string.h>

static void parse(struct result *r, const char *text, size_t size,
                  enum cq_deny_form form)
{
    ck_assert_int_eq(cq_deny_parse("f", text, size, form, &r->list, note, r),
                     CQ_OK);
}

struct reading {
    const char *text;
    const char *keys;
    const char *complaint;      /* in what is wrong; NULL: nothing is */
    const char *note;           /* in a note; NULL: there is none, unless there
                                 * is a complaint */
};

static const struct reading readings[] = {
    { "", "", NULL, NULL },
    /* plain lines */
    { "192.0.2.7", "192.0.2.7/32", NULL, NULL },
    { "192.0.2.7\n10.0.0.0/8\n2001:db8::/32\n::1\n",
      "10.0.0.0/8 192.0.2.7/32 ::1/128 2001:db8::/32", NULL, NULL },
    { "  192.0.2.7 # a comment\r\n#192.0.2.8\n # 192.0.2.9\n",
      "192.0.2.7/32", NULL, NULL },
    { "::ffff:192.0.2.7", "192.0.2.7/32", NULL, NULL },
    { "\xef\xbb\xbf" "192.0.2.7", "192.0.2.7/32", NULL, NULL },
    { "192.0.2.256\n192.0.2.1", "192.0.2.1/32",
      "f:1: \"192.0.2.256\": not an address", NULL },
    { "192.0.2.1\n\n10.0.0.1/8", "192.0.2.1/32",
      "f:3: \"10.0.0.1/8\": host bits are set", NULL },
    { "192.0.2.1 192.0.2.2\n192.0.2.3", "192.0.2.3/32",
      "f:1: \"192.0.2.1\": more follows", NULL },
    { "bad.example.org\n192.0.2.1", "192.0.2.1/32",
      "f:1: \"bad.example.org\": not an address", NULL },
    { "fe80::1%eth0", "", "f:1: \"fe80::1%eth0\": a zone is given", NULL },
    { "0.0.0.0/0\n::/0\n192.0.2.1", "192.0.2.1/32", NULL,
      "f:1: \"0.0.0.0/0\" is left out: that is every address" },
    /* nearly all addresses */
    { "64.0.0.0/3\n192.0.2.1", "192.0.2.1/32",
      "f:1: \"64.0.0.0/3\": that network is too large", NULL },
    { "Deny from 2000::/3 32.0.0.0/7 2001::/16 1.0.0.0/8",
      "1.0.0.0/8 2001::/16",
      "f:1: \"32.0.0.0/7\": that network is too large", NULL },
    { "+192.0.2.1", "", "f:1: \"+192.0.2.1\"", NULL },
    /* the old .htaccess */
    { "Deny from 1.2.3.4 5.6.7.0/24\n", "1.2.3.4/32 5.6.7.0/24", NULL, NULL },
    { "order allow,deny\nallow from all\ndeny from 1.2.3.4\n"
      "DENY FROM 1.2.3.5 # why\n\tDeny\tfrom\t1.2.3.6\n",
      "1.2.3.4/32 1.2.3.5/32 1.2.3.6/32", NULL, NULL },
    { "Deny from 10 10.1 10.2. 10.3.4 192.0.2.9/16 10.5/20\n",
      "10.0.0.0/8 10.1.0.0/16 10.2.0.0/16 10.3.4.0/24 10.5.0.0/20 "
      "192.0.0.0/16", NULL, NULL },
    { "Deny from 10.1.0.0/255.255.0.0 10.2.3.4/255.255.255.255\n",
      "10.1.0.0/16 10.2.3.4/32", NULL, NULL },
    { "Deny from 10.1.0.0/255.0.255.0 1.2.3.4", "1.2.3.4/32",
      "f:1: \"10.1.0.0/255.0.255.0\": a netmask with a hole", NULL },
    { "Deny from 1.2.3.4/33 1.2.3.4/ 1.2.3.4/x 1.2.3.4", "1.2.3.4/32",
      "f:1: \"1.2.3.4/33\": the prefix is longer than 32 bits", NULL },
    { "Deny from 1.2.3.4/ 1.2.3.5", "1.2.3.5/32",
      "f:1: \"1.2.3.4/\": after the slash", NULL },
    { "Deny from 1.2.3.256", "", "f:1: \"1.2.3.256\": not an IPv4", NULL },
    { "Deny from 01.2.3.4", "", "f:1: \"01.2.3.4\": not an IPv4", NULL },
    { "Deny from 1.2.3.4.5 1..2", "", "f:1: \"1..2\": not an IPv4", NULL },
    { "Deny from 2001:db8::1 2001:db8:1::1/48 ::ffff:1.2.3.4",
      "1.2.3.4/32 2001:db8::1/128 2001:db8:1::/48", NULL, NULL },
    { "Deny from ::ffff:1.2.3.4/112 ::ffff:1.2.3.4/95", "1.2.0.0/16",
      "f:1: \"::ffff:1.2.3.4/95\": a network that holds all", NULL },
    { "Deny from 2001:db8::/129 2001:db8:::1", "",
      "f:1: \"2001:db8:::1\": not an IPv6", NULL },
    { "Deny from all\nDeny from 1.2.3.4", "1.2.3.4/32", NULL,
      "f:1: \"all\" is left out: that is every address" },
    { "Deny from 0.0.0.0/0 1.2.3.4", "1.2.3.4/32", NULL,
      "f:1: \"0.0.0.0/0\" is left out: that is every address" },
    { "Deny from env=bad_bot 1.2.3.4", "1.2.3.4/32", NULL,
      "f:1: \"env=bad_bot\" is left out: only httpd knows" },
    { "Deny from .example.org example.com 1.2.3.4", "1.2.3.4/32", NULL,
      "f:1: \"example.com\" is left out: names are not looked up" },
    { "Deny from dead.beef abc", "", NULL,
      "f:1: \"abc\" is left out: names" },
    { "Deny from\n1.2.3.4", "1.2.3.4/32", "f:1: \"\": no address", NULL },
    { "Deny 1.2.3.4", "", "f:1: \"1.2.3.4\": expected Deny from", NULL },
    { "Deny from \"1.2.3.4\" '1.2.3.5'", "1.2.3.4/32 1.2.3.5/32", NULL, NULL },
    /* lines that go on, and their numbers */
    { "Deny from 1.2.3.4 \\\n  1.2.3.5 \\\r\n 1.2.3.6\nx\n",
      "1.2.3.4/32 1.2.3.5/32 1.2.3.6/32", "f:4: \"x\"", NULL },
    { "# Deny from 1.2.3.4 \\\n 1.2.3.5\n1.2.3.6", "1.2.3.6/32", NULL, NULL },
    { "Deny from 1.2.3.4 \\", "1.2.3.4/32", NULL, NULL },
    /* today's httpd */
    { "<RequireAll>\n Require all granted\n Require not ip 1.2.3.4 10.1\n"
      "</RequireAll>\n", "1.2.3.4/32 10.1.0.0/16", NULL, NULL },
    { "require NOT IP 2001:db8::/32", "2001:db8::/32", NULL, NULL },
    { "Require ip 1.2.3.4\nRequire all denied\nRequire valid-user\n"
      "Require not\nRequire", "", NULL, NULL },
    { "Require not host example.org", "", NULL,
      "f:1: \"host\" is left out" },
    { "Require not ip example.org", "",
      "f:1: \"example.org\": not an address", NULL },
    { "Require not ip", "", "f:1: \"\": no address", NULL },
    /* everything else of httpd */
    { "Options -Indexes\nRewriteRule ^/(.*)$ http://10.0.0.1/$1 [R]\n"
      "AuthName \"1.2.3.4\"\nDenyHosts 1.2.3.4\n<Files 1.2.3.4>\n</Files>\n"
      "AllowOverride None\nErrorDocument 403 10.0.0.1\n", "", NULL, NULL }
};

/* Lines that may not hold for every request are not guessed at: one sentence,
 * which is no trouble. */
static const struct {
    const char *text;
    const char *keys;
    const char *said;           /* NULL: nothing */
} lifted[] = {
    { "<Files *.cvd>\nDeny from 1.2.3.4\n</Files>\nDeny from 1.2.3.5",
      "1.2.3.5/32", "f:2: is left out: it is inside <Files>" },
    { "<limit POST>\n<RequireAll>\nRequire not ip 1.2.3.4\n</RequireAll>\n"
      "1.2.3.6\n</limit>\n1.2.3.5", "1.2.3.5/32",
      "f:3: is left out: it is inside <limit>" },
    { "<If \"%{REQUEST_URI} == '/a'\">\nDeny from 1.2.3.4\n</If>\n"
      "<IfModule !mod_authz_core.c>\nDeny from 1.2.3.5\n</IfModule>",
      "1.2.3.5/32", "f:2: is left out: it is inside <If>" },
    { "<RequireAny>\nRequire not ip 1.2.3.4\n</RequireAny>", "",
      "f:2: is left out: it is inside <RequireAny>" },
    { "</Files>\n<Files a>\n<Files b>\n</Files>\nDeny from 1.2.3.4", "",
      "f:5: is left out" },
    { "Deny from 1.2.3.4 1.2.3.5 10.1\nAllow from 1.2.3.4 10.1.2.3",
      "1.2.3.5/32", "f:1: is left out: \"Allow\" in line 2" },
    { "Order deny,allow\nDeny from 1.2.3.4\nAllow from all\n1.2.3.6",
      "1.2.3.6/32", "f:2: is left out: \"Allow\" in line 3" },
    { "Order allow,deny\nDeny from 1.2.3.4\nAllow from all 1.2.3.4 env=x",
      "1.2.3.4/32", NULL },
    { "Deny from 1.2.3.4\nAllow from example.org", "",
      "f:1: is left out: \"Allow\" in line 2 may lift it" },
    { "Order allow,deny\nDeny from 1.2.3.4\nSatisfy any\nSatisfy All",
      "1.2.3.4/32", NULL },
    /* so does "Satisfy Any" of httpd, with "Order deny,allow" for all */
    { "Satisfy any\nRequire not ip 1.2.3.4\n1.2.3.5", "1.2.3.5/32",
      "f:2: is left out: \"Satisfy Any\" in line 1 may lift it" },
    { "Require not ip 1.2.3.4\nAllow from 1.2.3.4\nSatisfy all",
      "1.2.3.4/32", NULL },
    /* what a section takes back holds only there */
    { "Deny from 1.2.3.4\nAllow from 1.2.3.4\n<Files a>\nOrder allow,deny\n"
      "</Files>", "", "f:1: is left out: \"Allow\" in line 2" },
    { "Order allow,deny\nDeny from 1.2.3.4\nSatisfy any\n<Files a>\n"
      "Satisfy all\n</Files>", "",
      "f:2: is left out: \"Satisfy Any\" in line 3" },
    { "Order allow,deny\nDeny from 1.2.3.4\nAllow from 1.2.3.4\n<Files a>\n"
      "Order allow,deny\nSatisfy all\n</Files>", "1.2.3.4/32", NULL },
    { "Order allow,deny\nDeny from 1.2.3.4\nSatisfy any", "",
      "f:2: is left out: \"Satisfy Any\" in line 3 may lift it" }
};

START_TEST(what_is_lifted)
{
    struct result *r = new_result();

    parse(r, lifted[_i].text, strlen(lifted[_i].text), CQ_DENY_FILE);
    ck_assert_str_eq(keys_text(r), lifted[_i].keys);
    ck_assert_uint_eq(r->n[CQ_DENY_WRONG], 0);
    ck_assert_msg(lifted[_i].said == NULL ? r->said[0] == '\0'
                  : strstr(r->said, lifted[_i].said) != NULL, "%s", r->said);
    free_result(r);
}
END_TEST

START_TEST(each_line)
{
    const struct reading *c = &readings[_i];
    struct result *r = new_result();

    parse(r, c->text, strlen(c->text), CQ_DENY_FILE);
    ck_assert_str_eq(keys_text(r), c->keys);
    ck_assert_uint_eq(r->n[CQ_DENY_WRONG] > 0, c->complaint != NULL);
    ck_assert_msg(c->complaint == NULL
                  || strstr(r->said, c->complaint) != NULL, "%s", r->said);
    ck_assert_msg(c->note != NULL ? strstr(r->said, c->note) != NULL
                  : c->complaint != NULL || r->said[0] == '\0', "%s",
                  r->said);
    ck_assert_uint_eq(r->n[CQ_DENY_LEFT_OUT], 0);
    free_result(r);
}
END_TEST

/* A NUL ends no text, and the lines behind it are read. */
START_TEST(nul)
{
    static const char text[] = "192.0.2.1\0\n192.0.2.2";
    struct result *r = new_result();

    parse(r, text, sizeof(text) - 1, CQ_DENY_FILE);
    ck_assert_str_eq(keys_text(r), "192.0.2.2/32");
    ck_assert_ptr_nonnull(strstr(r->said, "f:1: \"192.0.2.1?\": not an"));
    free_result(r);
}
END_TEST

START_TEST(never_file)
{
    static const char text[] = "192.0.2.7\n0.0.0.0/0\nDeny from 1.2.3.4\n"
                               "Options None\n# no\n2001:db8::/32";
    struct result *r = new_result();

    parse(r, text, strlen(text), CQ_NEVER_FILE);
    ck_assert_str_eq(keys_text(r), "0.0.0.0/0 192.0.2.7/32 2001:db8::/32");
    ck_assert_uint_eq(r->n[CQ_DENY_WRONG], 2);
    ck_assert_ptr_nonnull(strstr(r->said, "f:3: \"Deny\""));
    ck_assert_ptr_nonnull(strstr(r->said, "f:4: \"Options\""));
    free_result(r);
}
END_TEST

/* The narrowest entry that holds the whole of a client, in its first line. */
START_TEST(find)
{
    static const struct {
        const char *client;
        const char *net;        /* NULL: the file does not name it */
        uint32_t line;
    } asked[] = {
        { "10.1.2.3", "10.1.0.0/16", 2 }, { "10.2.0.1", "10.0.0.0/8", 1 },
        { "10.1.2.4", "10.1.2.4/32", 4 }, { "11.0.0.1", NULL, 0 },
        { "2001:db8:0:1::/64", "2001:db8:0:1::/64", 5 },
        { "2001:db8::/64", NULL, 0 }
    };
    static const char text[] = "Deny from 10\n10.1.0.0/16\n10.1.0.0/16\n"
        "10.1.2.4\n2001:db8:0:1::/64\n2001:db8::1\n";
    struct result *r = new_result();

    parse(r, text, strlen(text), CQ_DENY_FILE);
    for (size_t i = 0; i < COUNT(asked); i++) {
        const struct cq_deny_entry *found;
        char net[CQ_KEY_TEXT_SIZE];
        struct cq_key key;

        ck_assert_int_eq(cq_key_parse(&key, asked[i].client, NULL), CQ_OK);
        found = cq_deny_find(&r->list, &key);
        ck_assert_msg((found == NULL) == (asked[i].net == NULL), "%s",
                      asked[i].client);
        if (found != NULL) {
            ck_assert_str_eq(cq_key_format_cidr(&found->net, net,
                                                sizeof(net)), asked[i].net);
            ck_assert_uint_eq(found->line, asked[i].line);
        }
    }
    free_result(r);
}
END_TEST

/* Noise of every byte: nothing crashes, nothing is taken for an address. */
START_TEST(noise)
{
    struct result *r = new_result();
    char text[4096];
    uint32_t x = 1;

    for (int turn = 0; turn < 200; turn++) {
        for (size_t i = 0; i < sizeof(text); i++) {
            x = x * UINT32_C(1664525) + UINT32_C(1013904223);
            text[i] = (char)(x >> 24);
        }
        parse(r, text, sizeof(text), CQ_DENY_FILE);
        ck_assert_uint_eq(r->list.count, 0);
    }
    free_result(r);
}
END_TEST

START_TEST(many_bad_lines)
{
    char text[100 * 2];
    struct result *r = new_result();

    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = "x\n"[i % 2];
    }
    parse(r, text, sizeof(text), CQ_DENY_FILE);
    ck_assert_uint_eq(r->n[CQ_DENY_WRONG], CQ_DENY_COMPLAINTS_MAX + 1);
    ck_assert_ptr_nonnull(strstr(r->said, "f: 80 more lines"));
    free_result(r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("deny/parse");
    TCase *text = tcase_create("text");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, text);
    tcase_add_loop_test(text, each_line, 0, (int)COUNT(readings));
    tcase_add_loop_test(text, what_is_lifted, 0, (int)COUNT(lifted));
    tcase_add_test(text, nul);
    tcase_add_test(text, never_file);
    tcase_add_test(text, find);
    tcase_add_test(text, noise);
    tcase_add_test(text, many_bad_lines);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
