/* table: a process may die at any instruction. A child is killed at each
 * CQ_POINT of the sources in turn, while this process holds a reservation in
 * the same row; afterwards everything is exact. The points are read from the
 * sources: one that no scenario reaches fails the test. */
#include "table_points.h"

/* what the victim reports before it dies */
struct told {
    int64_t charged;        /* by calls that returned */
    int64_t charging;       /* by the call that it is in */
};

static const char *target;              /* in the victim: where to die */
static struct cq_table *victims_table;
static uint32_t claimed_row;            /* that it was killed as a claimant */
static struct cq_account rival;         /* of a client that is faster */
static const struct cq_clock *rivals_clock;     /* NULL: there is none */

/* The victim's own claim, as a rival finds it. */
static uint32_t own_claim(struct cq_table *t)
{
    uint32_t i;

    for (i = 0; i < t->ledger_n; i++) {
        if (t->ledger[i].owner == t->owner
            && t->ledger[i].purpose != CQ_ENTRY_HELD
            && t->ledger[i].purpose != CQ_ENTRY_IDLE) {
            return t->ledger[i].row;
        }
    }
    return CQ_NO_ROW;
}

void cq_test_point(const char *name)
{
    struct cq_table *t = victims_table;

    if (rivals_clock != NULL && strcmp(name, "roll-read") == 0) {
        const struct cq_clock *clock = rivals_clock;

        rivals_clock = NULL;
        rival = open_client(t, 0, clock);
        cq_account_admit(&rival, clock, INT64_MAX, 500, NULL);
    }
    if (target == NULL) {
        return;
    }
    if (strcmp(name, "claim-named") == 0
        && (strcmp(target, "claim-lost") == 0
            || strcmp(target, "claim-zeroed") == 0)) {
        /* a rival wins */
        uint32_t row = own_claim(t);

        t->hot[row].identity = (t->hot[row].identity & ~CQ_STATE_MASK)
            | CQ_KILLED;
    }
    if (strcmp(name, "reclaim-taken") == 0
        && strcmp(target, "reclaim-refused") == 0) {
        /* a request holds the row for a moment */
        claimed_row = own_claim(t);
        t->hot[claimed_row].holders += CQ_TURN + 1;
    }
    if (strcmp(name, "reclaim-refused") == 0
        && strcmp(target, "reclaim-refused") == 0) {
        t->hot[claimed_row].holders -= 1;
    }
    if (strcmp(name, target) == 0) {
        kill(getpid(), SIGKILL);
    }
}

static void told_charge(struct cq_account *a, const struct cq_clock *clock,
                        int64_t bytes, struct told *told)
{
    told->charging = bytes;
    cq_account_charge(a, clock, bytes);
    told->charged += bytes;
    told->charging = 0;
}

/* ---- what the victims do ---- */

static void count(struct cq_table *t, const struct cq_clock *clock,
                  struct told *told)
{
    struct cq_account a = open_client(t, 0, clock);

    cq_account_admit(&a, clock, 1500, 300, NULL);
    told_charge(&a, clock, 100, told);      /* out of the reservation */
    cq_account_reserve_at_most(&a, 50);
    told_charge(&a, clock, 80, told);       /* partly */
    cq_account_reserve_at_least(&a, 30);
    told_charge(&a, clock, 3000, told);     /* beyond, and over */
    t->header->bell.until_s = INT64_MAX;    /* a reader watches, asleep */
    t->header->bell.after = 1;
    t->header->bell.sleeping = 1;
    cq_account_count_refusal(&a, clock, CQ_STATE_OVER);
    cq_account_admit(&a, clock, INT64_MAX, 40, NULL);
    cq_account_close(&a);
    a = open_client(t, 0, clock);
    cq_account_count_refusal(&a, clock, CQ_STATE_OVER);
    cq_account_close(&a);
}

/* Client 100 finds an empty row, or takes one away when there is none. */
static void make_row(struct cq_table *t, const struct cq_clock *clock)
{
    struct cq_key key = client(100);
    struct cq_account a;

    if (cq_account_open(t, 0, &key, clock, &a) == CQ_OK) {
        cq_account_close(&a);
    }
}

/* Leaves something to settle: a child that dies with the row in its hands. */
static void settle_child(struct cq_table *t, const struct cq_clock *clock)
{
    const char *mine = target;
    pid_t pid;

    pid = fork();
    if (pid == 0) {
        struct cq_account a;

        cq_table_enter(t);
        target = NULL;
        a = open_client(t, 0, clock);
        cq_account_admit(&a, clock, INT64_MAX, 70, NULL);
        target = strcmp(mine, "settle-zeroed") == 0 ? "reclaim-zeroing"
                                                    : "none";
        make_row(t, clock);
        kill(getpid(), SIGKILL);
    }
    wait_for(pid);
    cq_table_settle(t);
}

static void victim(struct cq_table *t, const char *point, struct told *told)
{
    struct cq_clock clock = clock_at(t, NOON_S + 60);
    struct cq_key key = client(0);

    cq_table_enter(t);
    victims_table = t;
    target = point;
    if (begins(point, "roll-")) {
        clock = clock_at(t, NEXT_MONTH_S);
        count(t, &clock, told);
    }
    else if (begins(point, "claim-") || begins(point, "reclaim-")
             || begins(point, "zero-")) {
        make_row(t, &clock);
    }
    else if (begins(point, "settle-")) {
        settle_child(t, &clock);
    }
    else if (begins(point, "reset-")) {
        cq_table_reset(t, &key, &clock);
    }
    else {
        count(t, &clock, told);
    }
}

/* ---- the tests ---- */

static void settle_all(struct cq_table *t)
{
    int rounds;

    for (rounds = 0; rounds < 10 && cq_table_settle(t) > 0; rounds++) {
    }
    ck_assert_int_lt(rounds, 10);
}

static void assert_nobody_but_us(struct cq_table *t)
{
    uint32_t i, owned = 0;

    for (i = 0; i < t->ledger_n; i++) {
        if (t->ledger[i].owner != 0) {
            ck_assert_uint_eq(t->ledger[i].owner, t->owner);
            owned++;
        }
    }
    ck_assert_uint_eq(owned, 1);
}

/* The others' bytes, but for one of a full table that made room. */
static void assert_others(struct cq_table *t, uint32_t clients_n,
                          uint32_t missing_most)
{
    struct cq_clock clock = clock_at(t, NOON_S + 90);
    struct cq_row row;
    uint32_t k, missing = 0;

    for (k = 1; k < clients_n; k++) {
        struct cq_key key = client(k);

        if (cq_table_row(t, 0, &key, &clock, &row) == CQ_ENOENT) {
            missing++;
        }
        else {
            ck_assert_int_eq(row.used_bytes, 10 * k);
            ck_assert_int_eq(row.in_flight_bytes, 0);
        }
    }
    ck_assert_uint_le(missing, missing_most);
}

static void die_at(const char *point, bool full_table)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 1);      /* 32 rows, one window */
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_account ours = open_client(t, 0, &clock);
    struct told *told = shared(sizeof(*told));
    struct cq_row row;
    int64_t base = 100;
    uint32_t k, clients_n = full_table ? 32 : 8;
    pid_t pid;
    int status;

    ck_assert_int_eq(cq_account_admit(&ours, &clock, INT64_MAX, 1000, NULL),
                     CQ_OK);
    cq_account_charge(&ours, &clock, 100);
    for (k = 1; k < clients_n; k++) {
        charge_client(t, k, &clock, 10 * k);
    }
    pid = fork();
    if (pid == 0) {
        victim(t, point, told);
        _exit(0);
    }
    status = wait_for(pid);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
                  "%s was not reached", point);
    settle_all(t);
    assert_nobody_but_us(t);
    assert_sound(t);
    if (!begins(point, "roll-")) {
        assert_others(t, clients_n, full_table ? 1 : 0);
    }

    clock = clock_at(t, begins(point, "roll-") ? NEXT_MONTH_S : NOON_S + 90);
    cq_account_usage(&ours, &clock, &(struct cq_usage){ 0, 0 });
    row = row_of(t, 0, &clock);
    if (begins(point, "roll-")
        || strcmp(point, "reset-used") == 0
        || strcmp(point, "reset-committed") == 0) {
        base = 0;
    }
    ck_assert_int_ge(row.used_bytes, base + told->charged);
    ck_assert_int_le(row.used_bytes, base + told->charged + told->charging);
    ck_assert(row.used_bytes == base + told->charged
              || row.used_bytes == base + told->charged + told->charging);
    ck_assert_int_eq(row.in_flight_bytes, 900);
    ck_assert_uint_eq(t->hot[ours.row].holders & CQ_HOLDERS, 1);

    /* and it goes on */
    base = row.used_bytes;
    cq_account_charge(&ours, &clock, 7);
    charge_client(t, 0, &clock, 13);
    charge_client(t, 100, &clock, 5);
    row = row_of(t, 0, &clock);
    ck_assert_int_eq(row.used_bytes, base + 20);
    ck_assert_int_eq(row.in_flight_bytes, 893);
    ck_assert_int_eq(row_of(t, 100, &clock).used_bytes, 5);
    cq_account_close(&ours);
    ck_assert_int_eq(row_of(t, 0, &clock).in_flight_bytes, 0);
    assert_sound(t);
    munmap(told, sizeof(*told));
    fixture_end(&f, t);
}

#include "table_points_others.h"

START_TEST(dies)
{
    const char *point = points[_i];
    bool full = begins(point, "reclaim-") || begins(point, "zero-")
        || strcmp(point, "settle-zeroed") == 0;

    if (begins(point, "exchange-") || begins(point, "erase-")) {
        dies_in_turnover(point);
    }
    else if (begins(point, "exempt-")) {
        dies_exempting(point);
    }
    else {
        die_at(point, full);
    }
    if (begins(point, "claim-")) {
        die_at(point, true);        /* the row was another client's before */
    }
}
END_TEST

/* A process that read used before another one stepped and reserved takes
 * nothing back: in a new row, and at the beginning of a month. */
START_TEST(a_step_is_late)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 1);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_clock next;
    struct cq_account ours, others;

    victims_table = t;
    rivals_clock = &clock;
    ours = open_client(t, 0, &clock);
    ck_assert_ptr_null(rivals_clock);
    others = rival;
    assert_row(t, 0, &clock, 0, 500);
    assert_sound(t);
    cq_account_charge(&others, &clock, 70);
    cq_account_admit(&ours, &clock, INT64_MAX, 1000, NULL);
    assert_row(t, 0, &clock, 70, 1430);

    next = clock_at(t, NEXT_MONTH_S);
    rivals_clock = &next;
    cq_account_charge(&ours, &next, 10);
    ck_assert_ptr_null(rivals_clock);
    assert_row(t, 0, &next, 10, 990 + 430 + 500);
    assert_sound(t);
    cq_account_close(&ours);
    cq_account_close(&others);
    cq_account_close(&rival);
    assert_row(t, 0, &next, 10, 0);
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

/* Two die at once in one row, one of them while zeroing it: the other one,
 * settled first, must not bring the old client back. */
START_TEST(zeroer_and_claimant_die)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 1);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_row row;
    uint64_t position = 0;
    uint32_t k;
    pid_t pid, second;

    for (k = 0; k < 32; k++) {
        charge_client(t, k, &clock, 10 + k);
    }
    for (second = 0; second < 2; second++) {
        pid = fork();
        if (pid == 0) {
            cq_table_enter(t);
            /* both choose the smallest drawer's row; the entries' order is
             * such that the one that only noted it is settled first */
            t->cursor = second == 0 ? 200 : 7;
            victims_table = t;
            target = second == 0 ? "zero-hot" : "claim-noted";
            if (second == 1) {
                t->hot[t->ledger[200].row].identity |= CQ_LIVE;
            }
            make_row(t, &clock);
            _exit(0);
        }
        ck_assert(WIFSIGNALED(wait_for(pid)));
        if (second == 1) {
            ck_assert_uint_eq(t->ledger[7].row, t->ledger[200].row);
            t->hot[t->ledger[200].row].identity &= ~CQ_STATE_MASK;
        }
    }
    settle_all(t);
    assert_sound(t);
    for (k = 0; cq_table_next_row(t, &clock, &position, &row); k++) {
        ck_assert_int_eq(row.used_bytes, 10 + number_of(&row.key));
    }
    ck_assert_uint_eq(k, 31);
    fixture_end(&f, t);
}
END_TEST

/* Many entries of one dead process in one row, one of them in the middle of
 * a charge: nothing is refunded twice. */
START_TEST(plain_and_moving_entries)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 1);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_account ours[3];
    struct cq_row row;
    pid_t pid;
    int i;

    for (i = 0; i < 3; i++) {
        ours[i] = open_client(t, 0, &clock);
        cq_account_admit(&ours[i], &clock, INT64_MAX, 1000, NULL);
    }
    pid = fork();
    if (pid == 0) {
        struct cq_account a[8];

        cq_table_enter(t);
        for (i = 0; i < 8; i++) {
            a[i] = open_client(t, 0, &clock);
            cq_account_admit(&a[i], &clock, INT64_MAX, 10000, NULL);
        }
        target = "charge-noted";
        cq_account_charge(&a[3], &clock, 5000);
        _exit(0);
    }
    ck_assert(WIFSIGNALED(wait_for(pid)));
    ck_assert_int_eq(cq_table_settle(t), 8);
    row = row_of(t, 0, &clock);
    ck_assert_int_eq(row.used_bytes, 0);
    ck_assert_int_eq(row.in_flight_bytes, 3000);
    ck_assert_uint_eq(t->hot[ours[0].row].holders & CQ_HOLDERS, 3);
    assert_sound(t);
    fixture_end(&f, t);
}
END_TEST

START_TEST(points_were_found)
{
    /* run from the top of the sources; a new point changes the number */
    ck_assert_int_eq(points_n, 56);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table/points");
    TCase *tcase = tcase_create("die");

    find_points(false);
    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, points_were_found);
    tcase_add_loop_test(tcase, dies, 0, points_n);
    tcase_add_test(tcase, a_step_is_late);
    tcase_add_test(tcase, zeroer_and_claimant_die);
    tcase_add_test(tcase, plain_and_moving_entries);
    return run_suite(suite);
}
