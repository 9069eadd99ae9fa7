/* jail: how changes are cut into batches and halves, against a kind of jail
 * in memory that refuses what a test says. */
#include "jail/kind.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS 256

static struct {
    bool is_bad[KEYS];          /* a batch with it fails */
    bool is_in[KEYS];
    int capacity;
    int commits;                /* how often the kind was asked */
    int gives_up_at;            /* the first commit that others' changes defeat,
                                 * and how many after each other */
    int changes_n;
    int lost_at;                /* the commit at which the list is gone */
} fake;

static int count_in(void)
{
    int n = 0;

    for (int i = 0; i < KEYS; i++) {
        n += fake.is_in[i];
    }
    return n;
}

/* Like nft: a batch is done as a whole or not at all. */
static int commit(struct cq_jail *jail, const struct cq_jail_change *changes,
                  size_t count)
{
    int room = fake.capacity - count_in();

    ck_assert_uint_le(count, jail->kind->batch);
    ck_assert_uint_gt(count, 0);
    fake.commits++;
    if (fake.commits == fake.lost_at) {
        return ENOENT;
    }
    if (fake.gives_up_at > 0 && fake.commits >= fake.gives_up_at
        && fake.commits < fake.gives_up_at + fake.changes_n) {
        return EINTR;
    }
    for (size_t i = 0; i < count; i++) {
        uint8_t n = changes[i].key.bytes[3];

        if (!changes[i].has_failed && fake.is_bad[n]) {
            return EINVAL;
        }
        if (!changes[i].has_failed && changes[i].op == CQ_JAIL_ADD
            && --room < 0) {
            return ENFILE;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (!changes[i].has_failed) {
            fake.is_in[changes[i].key.bytes[3]] =
                changes[i].op != CQ_JAIL_REMOVE;
        }
    }
    return 0;
}

static const struct cq_jail_kind kind = {
    .prefix = "fake:", .batch = 16, .commit = commit,
    .how_to_make = { "make it" },
    .how_to_raise = "raise it"
};
static struct cq_jail jail;
static char spec[] = "fake:";
static struct cq_jail_change changes[KEYS];
static struct cq_jail_why why;

static void begin(void)
{
    memset(&fake, 0, sizeof(fake));
    fake.capacity = KEYS;
    jail = (struct cq_jail){ .kind = &kind, .spec = spec, .place = "the list ",
                             .names = { "x" }, .is_listed = true };
    for (int i = 0; i < KEYS; i++) {
        uint8_t bytes[4] = { 10, 0, 0, (uint8_t)i };

        changes[i] = (struct cq_jail_change){ .op = CQ_JAIL_ADD,
                                              .has_failed = true };
        changes[i].key = cq_jail_address(bytes, CQ_JAIL_V4);
    }
}

START_TEST(all_done)
{
    begin();
    ck_assert_int_eq(cq_jail_apply(&jail, changes, 100, &why), CQ_JAIL_OK);
    ck_assert_int_eq(fake.commits, 7);
    ck_assert_int_eq(count_in(), 100);
    for (int i = 0; i < 100; i++) {
        ck_assert(!changes[i].has_failed);
    }
    ck_assert_int_eq(cq_jail_apply(&jail, changes, 0, &why), CQ_JAIL_OK);
    ck_assert_int_eq(fake.commits, 7);
}
END_TEST

/* Random bad ones: exactly they fail, and all others are done. */
START_TEST(bad_ones)
{
    srand((unsigned)_i);
    begin();
    int bad = 0, first = -1;

    for (int i = 0; i < KEYS; i++) {
        fake.is_bad[i] = rand() % 100 < _i;
        bad += fake.is_bad[i];
        if (fake.is_bad[i] && first < 0) {
            first = i;
        }
    }
    ck_assert_int_eq(cq_jail_apply(&jail, changes, KEYS, &why),
                     bad > 0 ? CQ_JAIL_PARTLY : CQ_JAIL_OK);
    for (int i = 0; i < KEYS; i++) {
        ck_assert_int_eq(changes[i].has_failed, fake.is_bad[i]);
        ck_assert_int_eq(fake.is_in[i], !fake.is_bad[i]);
    }
    if (bad > 0) {
        char first_text[80];

        snprintf(first_text, sizeof(first_text),
                 "the list x cannot be used: Invalid argument, at 10.0.0.%d",
                 first);
        ck_assert_str_eq(why.text, first_text);
    }
    ck_assert(jail.is_listed);
}
END_TEST

/* The first ones have the places; behind them only removals are tried. */
START_TEST(full)
{
    begin();
    fake.capacity = 21;
    for (int i = 100; i < 110; i++) {
        fake.is_in[i] = true;
        changes[i].op = CQ_JAIL_REMOVE;
    }
    ck_assert_int_eq(cq_jail_apply(&jail, changes, KEYS, &why),
                     CQ_JAIL_PARTLY);
    ck_assert_str_eq(why.text, "the list x is full; raise it");
    for (int i = 0; i < KEYS; i++) {
        ck_assert_int_eq(fake.is_in[i], i < 11);
        ck_assert_int_eq(changes[i].has_failed,
                         i >= 11 && (i < 100 || i >= 110));
    }
    /* 16 batches, and the halves of one */
    ck_assert_int_le(fake.commits, 16 + 2 * 4);
}
END_TEST

/* A third time, but no fourth. */
START_TEST(gives_up)
{
    begin();
    fake.gives_up_at = 3;
    fake.changes_n = 2;
    ck_assert_int_eq(cq_jail_apply(&jail, changes, KEYS, &why), CQ_JAIL_OK);
    ck_assert_int_eq(fake.commits, KEYS / 16 + 2);

    begin();
    fake.gives_up_at = 3;
    fake.changes_n = 3;
    ck_assert_int_eq(cq_jail_apply(&jail, changes, KEYS, &why),
                     CQ_JAIL_PARTLY);
    ck_assert_int_eq(fake.commits, 5);
    for (int i = 0; i < KEYS; i++) {
        ck_assert_int_eq(changes[i].has_failed, i >= 32);
    }
    ck_assert(jail.is_listed);
    /* the next time it is tried again */
    ck_assert_int_eq(cq_jail_apply(&jail, changes, KEYS, &why), CQ_JAIL_OK);
    ck_assert_int_eq(count_in(), KEYS);
}
END_TEST

/* Also in the middle of halves. */
START_TEST(lost)
{
    begin();
    fake.is_bad[18] = true;
    fake.lost_at = 4;
    ck_assert_int_eq(cq_jail_apply(&jail, changes, KEYS, &why),
                     CQ_JAIL_MISSING);
    ck_assert_str_eq(why.text, "the list x does not exist; make it");
    ck_assert_int_eq(fake.commits, 4);
    for (int i = 0; i < KEYS; i++) {
        ck_assert_int_eq(changes[i].has_failed, !fake.is_in[i]);
        ck_assert_int_eq(fake.is_in[i], i < 16);
    }
    ck_assert(!jail.is_listed);
    ck_assert_int_eq(cq_jail_apply(&jail, changes, KEYS, &why),
                     CQ_JAIL_MISSING);
    ck_assert_int_eq(fake.commits, 4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("jail/apply");
    TCase *batches = tcase_create("batches");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, batches);
    tcase_add_test(batches, all_done);
    tcase_add_loop_test(batches, bad_ones, 0, 30);
    tcase_add_test(batches, full);
    tcase_add_test(batches, gives_up);
    tcase_add_test(batches, lost);

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
