/* sync/memory: the reports of earlier passes are read back, damage is
 * noticed, one instance at a time. */
#include "sync/memory.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[32], path[64], lock[80], aside[80];
static char *said;
static size_t said_n;
static struct cq_say say;
static struct cq_memory memory;

static void open_say(void)
{
    FILE *err = open_memstream(&said, &said_n);

    ck_assert_ptr_nonnull(err);
    ck_assert_int_eq(fflush(err), 0);
    cq_say_open(&say, "p", err, false);
}

static void close_say(void)
{
    cq_say_close(&say);
    fclose(say.err);
    free(said);
}

static void begin(void)
{
    snprintf(dir, sizeof(dir), "/tmp/cq-memory-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/state", dir);
    snprintf(lock, sizeof(lock), "%s.lock", path);
    snprintf(aside, sizeof(aside), "%s.damaged", path);
    memset(&memory, 0, sizeof(memory));
    open_say();
    ck_assert_int_eq(cq_memory_lock(&memory, path, NULL, &say),
                     CQ_LOCK_HELD);
    say.before = cq_memory_load(&memory, &say);
}

static void end(void)
{
    cq_memory_close(&memory);
    close_say();
    (void)unlink(path);
    (void)unlink(lock);
    (void)unlink(aside);
    ck_assert_int_eq(rmdir(dir), 0);
}

static void write_state(const char *text, size_t size)
{
    FILE *file;

    (void)unlink(path);         /* or a link would be followed */
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(chmod(path, 0600), 0);
}

static const char *read_state(void)
{
    static char text[4096];
    FILE *file = fopen(path, "r");

    ck_assert_ptr_nonnull(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    return text;
}

/* A pass of the next process. */
static void next_pass(void)
{
    close_say();
    open_say();
    free(memory.saved);
    say.before = cq_memory_load(&memory, &say);
}

START_TEST(said_once)
{
    struct stat before, after;

    cq_say_trouble(&say, "a %d", 1);
    cq_say_state(&say, "b", "b is %d", 2);
    ck_assert_str_eq(said, "p: a 1\np: b is 2\n");
    cq_memory_save(&memory, &say);
    ck_assert_str_eq(read_state(), "clamquota-sync state 2\nsaid a 1\n"
                     "said b\nend 4\n");
    ck_assert_int_eq(stat(path, &before), 0);
    ck_assert_uint_eq(before.st_mode & 07777, 0600);
    next_pass();
    cq_say_trouble(&say, "a %d", 1);
    cq_say_state(&say, "b", "b is %d", 3);
    ck_assert_str_eq(said, "");
    ck_assert_uint_eq(say.troubles, 1);
    /* the same lines: nothing is written */
    cq_memory_save(&memory, &say);
    ck_assert_int_eq(stat(path, &after), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);
    next_pass();
    cq_say_trouble(&say, "a %d", 4);
    ck_assert_str_eq(said, "p: a 4\n");
    cq_memory_save(&memory, &say);
    next_pass();
    /* by hand all is reported */
    say.repeats = true;
    cq_say_trouble(&say, "a %d", 4);
    ck_assert_str_eq(said, "p: a 4\n");
}
END_TEST

static const struct {
    const char *text;
    size_t size;
} damaged[] = {
#define TEXT(text) { text, sizeof(text) - 1 }
    TEXT(""), TEXT("\n"), TEXT("clamquota-sync state 2\n"),
    TEXT("clamquota-sync state 2\nend 2"),
    TEXT("clamquota-sync state 2\nend 3\n"),
    TEXT("clamquota-sync state 1\nend 2\n"),
    TEXT("clamquota-sync state 2\nsaid a\nend 2\n"),
    TEXT("clamquota-sync state 2\nsaid a\nsaid\0b\nend 4\n"),
    TEXT("clamquota-sync state 2\nown 1.2.3.4/32 5\nend 3\n"),
    TEXT("clamquota-sync state 2\nend 2\nend 2\n"),
    TEXT("end 1\n"),
};

START_TEST(damage)
{
    struct stat st;

    write_state(damaged[_i].text, damaged[_i].size);
    ck_assert_ptr_null(cq_memory_load(&memory, &say));
    ck_assert_msg(strstr(said, "state: is damaged; it was set aside as")
                  != NULL, "%s", said);
    ck_assert_uint_eq(say.troubles, 1);
    ck_assert_int_ne(stat(path, &st), 0);
    ck_assert_int_eq(stat(aside, &st), 0);
    ck_assert_int_eq(st.st_size, (off_t)damaged[_i].size);
}
END_TEST

/* What others may write is not believed, nor a link followed. */
START_TEST(others)
{
    static const char text[] = "clamquota-sync state 2\nsaid a\nend 3\n";
    static const char *const expected[] = {
        "only this user writes", "only this user writes", "symbolic link"
    };

    write_state(text, sizeof(text) - 1);
    if (_i == 0) {
        ck_assert_int_eq(chmod(path, 0620), 0);
    }
    else if (_i == 1) {
        ck_assert_int_eq(truncate(path, INT64_C(3) << 20), 0);
    }
    else {
        ck_assert_int_eq(rename(path, lock), 0);
        ck_assert_int_eq(symlink(lock, path), 0);
    }
    ck_assert_ptr_null(cq_memory_load(&memory, &say));
    ck_assert_msg(strstr(said, expected[_i]) != NULL, "%s", said);
    cq_say_trouble(&say, "a");
    ck_assert_ptr_nonnull(strstr(said, "p: a\n"));
}
END_TEST

START_TEST(one_at_a_time)
{
    volatile sig_atomic_t is_stopped = 1, *stop = &is_stopped;
    struct cq_memory other = { .path = NULL };
    char deep[96];

    ck_assert_int_eq(cq_memory_lock(&other, path, NULL, &say),
                     CQ_LOCK_BUSY);
    ck_assert_str_eq(said, "");
    /* a signal may come before it waits */
    ck_assert_int_eq(cq_memory_lock(&other, path, stop, &say),
                     CQ_LOCK_BUSY);
    cq_memory_close(&memory);
    ck_assert_int_eq(cq_memory_lock(&other, path, stop, &say),
                     CQ_LOCK_HELD);
    cq_memory_close(&other);
    /* one directory is made, not more */
    snprintf(deep, sizeof(deep), "%s/a/b/state", dir);
    ck_assert_int_eq(cq_memory_lock(&other, deep, NULL, &say),
                     CQ_LOCK_NONE);
    ck_assert_ptr_nonnull(strstr(said, "cannot be made: No such file"));
    snprintf(deep, sizeof(deep), "%s/a/state", dir);
    ck_assert_int_eq(cq_memory_lock(&other, deep, NULL, &say),
                     CQ_LOCK_HELD);
    cq_memory_close(&other);
    snprintf(deep, sizeof(deep), "%s/a/state.lock", dir);
    unlink(deep);
    snprintf(deep, sizeof(deep), "%s/a", dir);
    ck_assert_int_eq(rmdir(deep), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync/memory");
    TCase *all = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, all);
    tcase_add_checked_fixture(all, begin, end);
    tcase_add_test(all, said_once);
    tcase_add_loop_test(all, damage, 0,
                        (int)(sizeof(damaged) / sizeof(damaged[0])));
    tcase_add_loop_test(all, others, 0, 3);
    tcase_add_test(all, one_at_a_time);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
