/* table_points_others - deaths of others than a request: of the housekeeping, of
 * a tool. Part of table_points.c, which has the points. */

/* A tool dies while it exempts a network: the network is exempt or it is not,
 * and the next tool has its way. */
static void dies_exempting(const char *point)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 1);
    struct cq_key net = client(9);
    int64_t until_s;
    pid_t pid = fork();

    if (pid == 0) {
        victims_table = t;
        target = point;
        cq_exempt_set(t, &net, NOON_S + 500, NOON_S);
        _exit(0);
    }
    ck_assert_msg(WIFSIGNALED(wait_for(pid)), "%s was not reached", point);
    assert_sound(t);
    until_s = cq_exempt_until(t, &net);
    ck_assert(until_s == 0 || until_s == NOON_S + 500);
    ck_assert_int_eq(cq_exempt_set(t, &net, NOON_S + 700, NOON_S), CQ_OK);
    ck_assert_int_eq(cq_exempt_until(t, &net), NOON_S + 700);
    ck_assert_int_eq(cq_exempt_end(t, &net, NOON_S), CQ_OK);
    ck_assert_int_eq(cq_exempt_until(t, &net), 0);
    assert_sound(t);
    fixture_end(&f, t);
}

/* The housekeeping dies while a clock that went wrong comes back, or while
 * it erases old rows: no client has more than it used, and the next one
 * continues. */
static void dies_in_turnover(const char *point)
{
    struct fixture f;
    struct cq_table *t = fixture_table(&f, 1);
    struct cq_clock clock = clock_at(t, NOON_S);
    int64_t far_s = NOON_S + 1000 * DAY_S;
    struct cq_row row;
    pid_t pid;

    charge_client(t, 0, &clock, 100);
    charge_client(t, 1, &clock, 50);
    clock = adopt(t, far_s);
    charge_client(t, 0, &clock, 7);
    pid = fork();
    if (pid == 0) {
        cq_table_enter(t);
        target = point;
        victims_table = t;
        adopt(t, begins(point, "erase-") ? far_s + 2 * DAY_S : NOON_S);
        _exit(0);
    }
    ck_assert_msg(WIFSIGNALED(wait_for(pid)), "%s was not reached", point);
    settle_all(t);
    assert_sound(t);
    if (begins(point, "erase-")) {
        clock = adopt(t, far_s + 2 * DAY_S);
        assert_row(t, 0, &clock, 7, 0);
        ck_assert_int_eq(cq_table_row(t, 0, &(struct cq_key){ 0 }, &clock,
                                      &row), CQ_ENOENT);
    }
    else {
        clock = adopt(t, NOON_S);
        ck_assert_int_le(row_of(t, 0, &clock).used_bytes, 107);
        assert_row(t, 1, &clock, 50, 0);
    }
    assert_sound(t);
    fixture_end(&f, t);
}
