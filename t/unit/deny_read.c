/* deny: files that are read, that cannot be, and that are being written. */
#include "deny_result.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char dir[32], path[64];

static void begin(void)
{
    snprintf(dir, sizeof(dir), "/tmp/cq-deny-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/list", dir);
}

static void end(void)
{
    unlink(path);
    ck_assert_int_eq(rmdir(dir), 0);
}

/* Writes it N milliseconds ago. */
static void write_list(const char *text, long age_ms)
{
    struct timespec times[2];
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    clock_gettime(CLOCK_REALTIME, &times[1]);
    times[1].tv_sec -= age_ms / 1000 + 1;
    times[1].tv_nsec = 0;
    times[0] = times[1];
    if (age_ms > 0) {
        ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
    }
}

static bool read_list(struct result *r, enum cq_deny_form form,
                      const char **why)
{
    return cq_deny_read(path, form, &r->list, note, r, why);
}

/* One that can't be read leaves the list as it was. */
START_TEST(unreadable)
{
    struct result *r = new_result();
    const char *why = NULL;

    ck_assert(!read_list(r, CQ_DENY_FILE, &why));
    ck_assert_str_eq(why, "No such file or directory");
    write_list("Deny from 1.2.3.4\n2001:db8::1", 5000);
    ck_assert(read_list(r, CQ_DENY_FILE, &why));
    ck_assert_str_eq(keys_text(r), "1.2.3.4/32 2001:db8::1/128");
    ck_assert_uint_eq(r->list.entries[0].line, 2);
    unlink(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert(!read_list(r, CQ_DENY_FILE, &why));
    ck_assert_str_eq(why, "it is no regular file");
    unlink(path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert(!read_list(r, CQ_DENY_FILE, &why));
    ck_assert_str_eq(why, "Is a directory");
    ck_assert_int_eq(rmdir(path), 0);
    write_list("", 0);
    ck_assert_int_eq(truncate(path, CQ_DENY_SIZE_MAX + 1), 0);
    ck_assert(!read_list(r, CQ_DENY_FILE, &why));
    ck_assert_ptr_nonnull(strstr(why, "it is larger than 64 MiB"));
    ck_assert_str_eq(keys_text(r), "1.2.3.4/32 2001:db8::1/128");
    /* a deny file may be empty */
    write_list("", 5000);
    ck_assert(read_list(r, CQ_DENY_FILE, &why));
    ck_assert_str_eq(keys_text(r), "");
    ck_assert_str_eq(r->said, "");
    free_result(r);
}
END_TEST

/* An editor truncates a file and writes it anew. */
START_TEST(restless)
{
    struct result *r = new_result();
    const char *why = NULL;

    /* what changes just now is read when it is at rest */
    write_list("192.0.2.8\n", 0);
    ck_assert(read_list(r, CQ_NEVER_FILE, &why));
    ck_assert_str_eq(keys_text(r), "192.0.2.8/32");
    /* left empty, it is no list */
    write_list("", 0);
    ck_assert(!read_list(r, CQ_NEVER_FILE, &why));
    ck_assert_ptr_nonnull(strstr(why, "it is empty, as after a write"));
    ck_assert_str_eq(keys_text(r), "192.0.2.8/32");
    free_result(r);
}
END_TEST

/* Not even opened: to open a device can do something. */
START_TEST(no_device)
{
    struct result *r = new_result();
    const char *why = NULL;
    char pipe[sizeof(path) + 8];
    struct inotify_event event;
    int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    snprintf(pipe, sizeof(pipe), "%s.pipe", path);
    ck_assert_int_eq(mkfifo(pipe, 0600), 0);
    ck_assert_int_eq(symlink(pipe, path), 0);
    ck_assert_int_ge(inotify_add_watch(watch, pipe, IN_OPEN), 0);
    ck_assert(!read_list(r, CQ_DENY_FILE, &why));
    ck_assert_str_eq(why, "it is no regular file");
    ck_assert_int_eq(read(watch, &event, sizeof(event)), -1);
    ck_assert_int_eq(errno, EAGAIN);
    close(watch);
    unlink(pipe);
    free_result(r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("deny/read");
    TCase *disk = tcase_create("files");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, disk);
    tcase_add_checked_fixture(disk, begin, end);
    tcase_add_test(disk, unreadable);
    tcase_add_test(disk, restless);
    tcase_add_test(disk, no_device);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
