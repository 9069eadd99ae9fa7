/* table: everything that can be wrong with a table is reported in its own
 * words, by row; and a cold open puts each of it right. */
#include "table/exchange.h"
#include "table_fixture.h"

#include <stdio.h>

#define USED INT64_C(700)

static struct fixture f;
static struct cq_table *t;
static uint32_t own;            /* row of client 1, the only one */

/* A table with a cluster and with files, one client and one pair. */
static void begin(void)
{
    struct cq_clock clock;
    uint16_t pool;

    fixture_begin(&f, 64);
    f.want.cluster = true;
    f.want.files = 64;
    t = fixture_open(&f, NULL);
    ck_assert_int_eq(cq_table_pool(t, "default", &pool), CQ_OK);
    clock = clock_at(t, NOON_S);
    charge_client(t, 1, &clock, USED);
    for (own = 0; (t->hot[own].identity & CQ_STATE_MASK) != CQ_LIVE; own++) {
    }
    ck_assert_uint_lt(own, t->rows_n);
    assert_sound(t);
}

/* What check says of it, without its last newline. */
static char *said_of(bool quiet_table)
{
    static char *text;
    size_t size;
    FILE *out;
    int violations, lines = 0;
    char *at;

    free(text);
    out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    violations = cq_table_check(t, quiet_table, out);
    fclose(out);
    for (at = text; *at != '\0'; at++) {
        lines += *at == '\n';
    }
    ck_assert_int_eq(violations, lines);
    ck_assert_int_eq(cq_table_check(t, quiet_table, NULL), lines);
    if (at > text) {
        at[-1] = '\0';
    }
    return text;
}

static void assert_row_says(uint32_t row, const char *fault,
                            bool also_in_use)
{
    char expected[128];

    snprintf(expected, sizeof(expected), "row %u %s", row, fault);
    ck_assert_str_eq(said_of(true), expected);
    ck_assert_str_eq(said_of(false), also_in_use ? expected : "");
}

/* The repair of one row, and what the client then has. */
static void assert_repaired(int64_t used_bytes)
{
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_key key = client(1);
    struct cq_row row;
    int64_t repaired = 0;
    enum cq_status found;

    ck_assert_int_eq(cq_table_repair(t, &repaired), CQ_OK);
    ck_assert_int_eq(repaired, 1);
    assert_sound(t);
    found = cq_table_row(t, 0, &key, &clock, &row);
    ck_assert_int_eq(found, used_bytes < 0 ? CQ_ENOENT : CQ_OK);
    if (found == CQ_OK) {
        ck_assert_int_eq(row.used_bytes, used_bytes);
        ck_assert_int_eq(row.in_flight_bytes, 0);
    }
    /* as a server keeps it */
    ck_assert_int_eq(cq_bytes(t->header->clients_now), used_bytes >= 0);
}

static void end(void)
{
    fixture_end(&f, t);
}

static bool is_in_window(uint32_t row)
{
    struct cq_window w;
    uint32_t i;

    cq_window_fill(&t->clients, t->hot[own].identity & ~CQ_STATE_MASK, &w);
    for (i = 0; i < CQ_WINDOW_ROWS && w.row[i] != row; i++) {
    }
    return i < CQ_WINDOW_ROWS;
}

/* An empty row where client 1 is looked for, or not. */
static uint32_t find_empty(bool in_window)
{
    uint32_t row;

    for (row = 0; t->hot[row].identity != CQ_EMPTY
                  || is_in_window(row) != in_window; row++) {
        ck_assert_uint_lt(row, t->rows_n);
    }
    return row;
}

static void copy_row(uint32_t to, uint32_t from)
{
    memcpy(&t->hot[to], &t->hot[from], sizeof(t->hot[to]));
    memcpy(&t->cold[to], &t->cold[from], sizeof(t->cold[to]));
}

/* ---- rows that no client has ---- */

START_TEST(every_word_of_an_empty_row)
{
    uint32_t row;
    size_t i;

    begin();
    row = find_empty(true);
    for (i = 1; i < sizeof(struct cq_hot) / 8; i++) {
        uint64_t word = i == offsetof(struct cq_hot, holders) / 8
            ? UINT64_C(1) << 32 : 1;    /* mark; holders are below */

        memcpy((char *)&t->hot[row] + i * 8, &word, 8);
        assert_row_says(row, "is empty and has figures", false);
        assert_repaired(USED);
    }
    for (i = 0; i < sizeof(struct cq_cold) / 8; i++) {
        uint64_t word = 1;

        memcpy((char *)&t->cold[row] + i * 8, &word, 8);
        assert_row_says(row, "is empty and has figures", false);
        assert_repaired(USED);
    }
    t->flights[row] = 1;
    assert_row_says(row, "is empty and has figures", false);
    assert_repaired(USED);
    t->hot[row].holders = 1;
    assert_row_says(row, "is empty and has figures", false);
    assert_repaired(USED);
    /* its turns are no figures, and stay */
    t->hot[row].holders = 3 * CQ_TURN;
    assert_sound(t);
    ck_assert_uint_eq(t->hot[row].holders, 3 * CQ_TURN);
    /* the same of a pair's row, which has no address */
    row = (uint32_t)t->cold_rows_n;
    t->hot[row].before = 1;
    assert_row_says(row, "is empty and has figures", false);
    assert_repaired(USED);
    end();
}
END_TEST

START_TEST(half_made)
{
    static const uint64_t states[] = { CQ_CLAIM, CQ_KILLED, CQ_RECLAIM };
    uint32_t row;
    size_t i;

    begin();
    row = find_empty(true);
    for (i = 0; i < 3; i++) {
        t->hot[row].identity = 64 | states[i];
        assert_row_says(row, "is half made", false);
        assert_repaired(USED);
        ck_assert_uint_eq(t->hot[row].identity, CQ_EMPTY);
    }
    end();
}
END_TEST

/* ---- rows of a client ---- */

START_TEST(misplaced)
{
    uint32_t row;

    begin();
    row = find_empty(false);
    copy_row(row, own);
    cq_row_zero(t, own);
    t->hot[own].identity = CQ_EMPTY;
    assert_row_says(row, "is in a place where no search finds it", true);
    assert_repaired(-1);
    end();
}
END_TEST

/* Of two rows the one that has less goes, else the later one. */
START_TEST(twins)
{
    uint32_t row, later;
    int64_t more;

    for (more = -1; more <= 1; more++) {
        begin();
        row = find_empty(true);
        copy_row(row, own);
        t->hot[row].used += (uint64_t)more;
        t->hot[row].committed = t->hot[row].used;
        later = row > own ? row : own;
        assert_row_says(more < 0 ? row : more > 0 ? own : later,
                        "has the client or pair of another row", true);
        assert_repaired(more > 0 ? USED + 1 : USED);
        end();
    }
}
END_TEST

START_TEST(names)
{
    begin();
    t->cold[own].address[0] ^= 1;
    assert_row_says(own, "has an address that is not its client's", false);
    assert_repaired(-1);
    end();
}
END_TEST

START_TEST(pool_that_does_not_exist)
{
    struct cq_key key = client(1);
    struct cq_window w;

    begin();
    t->hot[own].identity = cq_identity(t, 1, &key) | CQ_LIVE;
    t->cold[own].pool_prefix += UINT64_C(1) << 16;
    cq_window_fill(&t->clients, t->hot[own].identity & ~CQ_STATE_MASK, &w);
    if (w.row[0] != own) {
        copy_row(w.row[0], own);
        cq_row_zero(t, own);
        t->hot[own].identity = CQ_EMPTY;
    }
    assert_row_says(w.row[0], "belongs to a pool that does not exist", true);
    assert_repaired(-1);
    end();
}
END_TEST

START_TEST(marks)
{
    uint32_t row;

    begin();
    t->hot[own].mark |= CQ_MARK_OVER;
    assert_row_says(own, "is marked as over quota and is not", false);
    assert_repaired(USED);
    ck_assert_uint_eq(t->hot[own].mark & CQ_MARK_OVER, 0);
    /* and it is */
    t->hot[own].mark |= CQ_MARK_OVER;
    t->cold[own].over = cq_over(NOON_S, NOON_DAY, 0);
    assert_sound(t);
    end();

    /* a pair never is */
    begin();
    row = (uint32_t)t->cold_rows_n;
    t->hot[row].identity = 4 | CQ_LIVE;
    while (cq_row_fault(t, row, NULL) == CQ_ROW_MISPLACED) {
        t->hot[row].identity += 4096 + (UINT64_C(1) << 40);
    }
    assert_sound(t);
    t->hot[row].mark = CQ_MARK_OVER;
    assert_row_says(row, "is marked as over quota and is not", false);
    assert_repaired(USED);
    end();
}
END_TEST

START_TEST(sums)
{
    struct cq_hot *hot;

    begin();
    hot = &t->hot[own];
    hot->holders += 1;
    assert_row_says(own, "has other holders than the ledger", false);
    assert_repaired(USED);
    hot->committed += 1;
    assert_row_says(own, "has other bytes in flight than the ledger", false);
    assert_repaired(USED);
    hot->committed -= 1;
    assert_row_says(own, "has other bytes in flight than the ledger", false);
    assert_repaired(USED);
    hot->committed += UINT64_C(1) << CQ_STAMP_SHIFT;
    assert_row_says(own, "has reserved in one period and used in another",
                    false);
    assert_repaired(USED);
    /* 2 KiB of the others' 2048 bytes, and of 2047 */
    hot->others = cq_stamped(cq_stamp(hot->used), 2048);
    t->flights[own] = (UINT64_C(2) << CQ_FLIGHT_SHIFT) + NOON_S;
    assert_sound(t);
    hot->others--;
    assert_row_says(own, "has more bytes in flight on other nodes than "
                    "their shares", false);
    assert_repaired(USED);
    ck_assert_uint_eq(t->flights[own], 0);
    end();
}
END_TEST

/* The client's next request would leave them in flight for good. */
START_TEST(bytes_of_no_period)
{
    struct cq_clock clock;
    int64_t repaired = 0;

    begin();
    clock = clock_at(t, NOON_S);
    t->hot[own].used = t->hot[own].committed = USED;
    assert_row_says(own, "has used bytes of no period", false);
    ck_assert_int_eq(cq_table_repair(t, &repaired), CQ_OK);
    ck_assert_int_eq(repaired, 1);
    assert_sound(t);
    charge_client(t, 1, &clock, 5);
    assert_row(t, 1, &clock, 5, 0);
    assert_sound(t);
    end();
}
END_TEST

/* ---- the rest ---- */

START_TEST(ledger)
{
    char expected[160];
    struct cq_clock clock;
    struct cq_account a;
    uint32_t high;
    struct cq_entry *e;

    begin();
    clock = clock_at(t, NOON_S);
    a = open_client(t, 1, &clock);
    e = &t->ledger[a.entry];
    high = t->header->ledger_high;
    assert_sound(t);
    t->header->ledger_high = a.entry;
    snprintf(expected, sizeof(expected), "ledger entry %u is in use past the "
             "mark", a.entry);
    ck_assert_str_eq(said_of(true), expected);
    ck_assert_str_eq(said_of(false), expected);
    t->header->ledger_high = high;
    e->row = (uint32_t)t->all_rows_n;
    snprintf(expected, sizeof(expected), "ledger entry %u names row %u of %u",
             a.entry, (unsigned)t->all_rows_n, (unsigned)t->all_rows_n);
    ck_assert_str_eq(said_of(false), expected);
    /* only an entry that holds something is looked at */
    e->purpose = CQ_ENTRY_IDLE;
    ck_assert_str_eq(said_of(false), "");
    e->purpose = CQ_ENTRY_HELD;
    e->row = (uint32_t)t->all_rows_n - 1;
    ck_assert_str_eq(said_of(false), "");
    e->row = own;
    assert_sound(t);
    cq_account_close(&a);
    end();
}
END_TEST

START_TEST(header)
{
    char expected[160];
    struct cq_calendar_slot *slot;
    uint64_t node, last;
    int64_t start_s;
    uint32_t id;
    uint8_t days;
    int i;

    begin();
    node = t->header->node;
    t->header->node = 0;
    ck_assert_str_eq(said_of(false), "the node has no id");
    t->header->node = node;
    last = cq_groups_n(t) - 1;
    t->moved[last] = CQ_IN_EXCHANGE;
    ck_assert_str_eq(said_of(false), "");
    t->moved[last] = CQ_IN_EXCHANGE + 1;
    snprintf(expected, sizeof(expected), "group %u of rows has an unknown "
             "mark", (unsigned)last);
    ck_assert_str_eq(said_of(false), expected);
    t->moved[last] = CQ_READ_BACK;
    id = t->header->period_id;
    t->header->period_id = id - 1;
    snprintf(expected, sizeof(expected), "period %u is in force, but its "
             "calendar is missing or damaged", id - 1);
    ck_assert_str_eq(said_of(false), expected);
    t->header->period_id = id;
    assert_sound(t);

    /* no reader looks for that many days, even if they stand there */
    slot = &t->header->calendar[id % CQ_CALENDAR];
    start_s = slot->period.midnight_s[0];
    ck_assert_int_eq(cq_calendar_start(t, (uint16_t)id), start_s);
    for (i = 0; i < 2; i++) {
        days = slot->period.days;
        slot->period.days = i == 0 ? 0 : CQ_PERIOD_MAX_DAYS + 1;
        ck_assert_int_eq(cq_calendar_start(t, (uint16_t)id), 0);
        snprintf(expected, sizeof(expected), "period %u is in force, but its "
                 "calendar is missing or damaged", id);
        ck_assert_str_eq(said_of(false), expected);
        slot->period.days = days;
    }
    ck_assert_int_eq(cq_calendar_start(t, (uint16_t)id), start_s);
    end();
}
END_TEST

START_TEST(counts)
{
    static const char larger[] =
        "a count in the header is larger than its section";
    uint32_t n;

    begin();
    n = t->header->ledger_high;
    t->header->ledger_high = t->ledger_n;
    ck_assert_str_eq(said_of(false), "");
    t->header->ledger_high++;
    ck_assert_str_eq(said_of(false), larger);
    t->header->ledger_high = n;
    n = t->header->pool_n;
    t->header->pool_n = CQ_POOLS_MAX;
    ck_assert_str_eq(said_of(false), "");
    t->header->pool_n++;
    ck_assert_str_eq(said_of(false), larger);
    t->header->pool_n = n;
    n = t->header->policy_n;
    t->header->policy_n = CQ_POLICIES_MAX;
    ck_assert_str_eq(said_of(false), "");
    t->header->policy_n++;
    ck_assert_str_eq(said_of(false), larger);
    t->header->policy_n = n;
    end();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("table: check");
    TCase *tc = tcase_create("check");

    tcase_add_test(tc, every_word_of_an_empty_row);
    tcase_add_test(tc, half_made);
    tcase_add_test(tc, misplaced);
    tcase_add_test(tc, twins);
    tcase_add_test(tc, names);
    tcase_add_test(tc, pool_that_does_not_exist);
    tcase_add_test(tc, marks);
    tcase_add_test(tc, sums);
    tcase_add_test(tc, bytes_of_no_period);
    tcase_add_test(tc, ledger);
    tcase_add_test(tc, header);
    tcase_add_test(tc, counts);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
