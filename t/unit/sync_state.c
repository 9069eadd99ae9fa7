/* sync/state: what is written reads back, every damage is noticed, a reboot
 * disowns, the lock is one man's. */
#include "sync/state.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char dir[32];
static char path[64];
static struct state state;
static struct say say;
static char *said;
static size_t said_n;

static void setup(void)
{
    snprintf(dir, sizeof(dir), "/tmp/cq-state-XXXXXX");
    ck_assert(mkdtemp(dir) != NULL);
    snprintf(path, sizeof(path), "%s/sync.state", dir);
    memset(&state, 0, sizeof(state));
    memset(&say, 0, sizeof(say));
    said = NULL;
    say.err = open_memstream(&said, &said_n);
    ck_assert(fflush(say.err) == 0);
}

static void teardown(void)
{
    static const char *const ends[] = { "", ".lock", ".new", ".damaged" };

    state_free(&state);
    say_free(&say);
    fclose(say.err);
    free(said);
    for (size_t i = 0; i < COUNT(ends); i++) {
        char name[96];

        snprintf(name, sizeof(name), "%s%s", path, ends[i]);
        unlink(name);
    }
    ck_assert_msg(rmdir(dir) == 0, "%s is not empty", dir);
}

static struct cq_key key_of(const char *text)
{
    struct cq_key key;

    ck_assert(cq_key_parse(&key, text, NULL) == CQ_OK);
    return key;
}

static void spew(const char *text)
{
    FILE *file = fopen(path, "w");

    ck_assert(file != NULL);
    fputs(text, file);
    fclose(file);
    ck_assert(chmod(path, 0600) == 0);
}

static char *written(void)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 65536);

    ck_assert(file != NULL && text != NULL);
    ck_assert(fread(text, 1, 65535, file) > 0);
    fclose(file);
    return text;
}

/* Two jails, a file, two sentences. */
static void fill(void)
{
    struct plan_owned owned[2] = {
        { key_of("192.0.2.7"), 1700000000 },
        { key_of("2001:db8::/64"), 1700000060 }
    };
    struct key_list keys = { .keys = NULL };
    struct cq_key key = key_of("198.51.100.0/24");

    ck_assert(state_own(&state, "recent:A", owned, 2));
    ck_assert(state_own(&state, "nft:inet/f/jail4,jail6", owned, 1));
    ck_assert(state_own(&state, "recent:nobody", owned, 0));
    ck_assert(key_list_add(&keys, &key));
    ck_assert(state_remember(&state, "/etc/a list", &keys));
    key_list_free(&keys);
    ck_assert(state_remember(&state, "/etc/empty", &keys));
    say_trouble(&say, "one thing");
    say_trouble(&say, "another\nthing");
    ck_assert(state.changed);
}

START_TEST(round_trip)
{
    char *text, *again;
    struct stat st;

    ck_assert(state_load(&state, path, &say) == STATE_OK);
    ck_assert(!state.changed);
    fill();
    ck_assert(state_save(&state, &say.now, &say) == STATE_OK);
    ck_assert(!state.changed);
    ck_assert(stat(path, &st) == 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    text = written();
    state_free(&state);
    say_free(&say);

    ck_assert(state_load(&state, path, &say) == STATE_OK);
    ck_assert(!state.changed);
    ck_assert_uint_eq(state_jail(&state, "recent:A")->owned_n, 2);
    ck_assert_int_eq(state_jail(&state, "recent:A")->owned[1].renewed_at_s,
                     1700000060);
    ck_assert_uint_eq(state_jail(&state, "nft:inet/f/jail4,jail6")->owned_n,
                      1);
    ck_assert_uint_eq(state_jail(&state, "recent:nobody")->owned_n, 0);
    ck_assert_uint_eq(state_file(&state, "/etc/a list")->count, 1);
    ck_assert_uint_eq(state_file(&state, "/etc/empty")->count, 0);
    ck_assert(state_file(&state, "/etc/other") == NULL);
    ck_assert_uint_eq(say.before.count, 2);
    ck_assert_str_eq(say.before.lines[1], "another?thing");
    ck_assert(state_save(&state, &say.before, &say) == STATE_OK);
    again = written();
    ck_assert_str_eq(text, again);
    free(text);
    free(again);
}
END_TEST

/* What was said once is not said again, until it has been gone. */
START_TEST(said_once)
{
    ck_assert(state_load(&state, path, &say) == STATE_OK);
    fill();
    ck_assert_str_eq(said, "clamquota-sync: one thing\n"
                     "clamquota-sync: another?thing\n");
    ck_assert(state_save(&state, &say.now, &say) == STATE_OK);
    state_free(&state);
    say_free(&say);
    ck_assert(state_load(&state, path, &say) == STATE_OK);
    said_n = (size_t)ftell(say.err);
    say_trouble(&say, "one thing");
    say_trouble(&say, "third");
    say_trouble(&say, "third");
    ck_assert_str_eq(said, "clamquota-sync: one thing\n"
                     "clamquota-sync: another?thing\nclamquota-sync: third\n");
    ck_assert_uint_eq(say.troubles, 3);
    say_begin(&say);
    ck_assert_uint_eq(say.troubles, 0);
    ck_assert_uint_eq(say.before.count, 2);
    say_trouble(&say, "another?thing");
    ck_assert_str_eq(strrchr(said, ':'), ": another?thing\n");
    say_state(&say, "places", "%d left out", 3);
    ck_assert_str_eq(strrchr(said, ':'), ": 3 left out\n");
    say_state(&say, "places", "%d left out", 4);
    say_begin(&say);
    say_state(&say, "places", "%d left out", 5);
    ck_assert_str_eq(strrchr(said, ':'), ": 3 left out\n");
    ck_assert_uint_eq(say.troubles, 0);
    say_begin(&say);
    say_begin(&say);
    say_state(&say, "places", "%d left out", 6);
    ck_assert_str_eq(strrchr(said, ':'), ": 6 left out\n");
}
END_TEST

#define HEAD "clamquota-sync state 1\nboot b\n"

static const struct {
    const char *text;
    const char *why;            /* NULL: it is good */
    size_t line;
} texts[] = {
    { HEAD "end 3\n", NULL, 0 },
    { HEAD "jail 1 recent:A\nown 1.2.3.4/32 5\nown 1.2.3.5/32 0\nend 6\n",
      NULL, 0 },
    { HEAD "jail 1 a\njail 2 a\njail 1 b\nend 6\n", NULL, 0 },
    { HEAD "file f\nkey 1.2.3.4/32\nsaid x y\nend 6\n", NULL, 0 },
    { "", "expected \"clamquota-sync state 1\"", 1 },
    { "clamquota-sync state 2\nboot b\nend 3\n", "expected \"clam", 1 },
    { "clamquota-sync state 1", "expected \"clam", 1 },
    { "clamquota-sync state 1\n", "expected boot", 2 },
    { "clamquota-sync state 1\nboot b", "expected boot", 2 },
    { HEAD, "the end is missing", 3 },
    { HEAD "end 3", "is cut off", 3 },
    { HEAD "end 4\n", "lines are missing", 3 },
    { HEAD "end 03\n", "lines are missing", 3 },
    { HEAD "end\n", "expected boot, jail", 3 },
    { HEAD "end 3\nx", "more follows", 3 },
    { HEAD "\nend 4\n", "expected boot, jail", 3 },
    { HEAD "own 1.2.3.4/32 5\nend 4\n", "expected after a jail", 3 },
    { HEAD "key 1.2.3.4/32\nend 4\n", "expected after a file", 3 },
    { HEAD "jail 1 a\nkey 1.2.3.4/32\nend 5\n", "expected after a file", 4 },
    { HEAD "jail 1 a\nsaid x\nown 1.2.3.4/32 5\nend 6\n",
      "expected after a jail", 5 },
    { HEAD "jail 1 a\njail 1 a\nend 5\n", "this jail stands twice", 4 },
    { HEAD "file a\nfile a\nend 5\n", "this file stands twice", 4 },
    { HEAD "jail a\nend 4\n", "expected a network namespace", 3 },
    { HEAD "jail 1 \nend 4\n", "expected a network namespace", 3 },
    { HEAD "jail -1 a\nend 4\n", "expected a network namespace", 3 },
    { HEAD "file \nend 4\n", "expected a file", 3 },
    { HEAD "said \nend 4\n", "expected what was said", 3 },
    { HEAD "said a\tb\nend 4\n", "expected what was said", 3 },
    { HEAD "jail 1 a\nown 1.2.3.4 5\nend 5\n", "with its prefix", 4 },
    { HEAD "jail 1 a\nown 1.2.3.4/24 5\nend 5\n", "with its prefix", 4 },
    { HEAD "jail 1 a\nown x/32 5\nend 5\n", "with its prefix", 4 },
    { HEAD "jail 1 a\nown 1.2.3.4/32\nend 5\n", "an address and a time", 4 },
    { HEAD "jail 1 a\nown 1.2.3.4/32 5x\nend 5\n", "and a time", 4 },
    { HEAD "jail 1 a\nown 1.2.3.4/32 05\nend 5\n", "and a time", 4 },
    { HEAD "jail 1 a\nown 1.2.3.4/32 99999999999999999999\nend 5\n",
      "and a time", 4 },
    { HEAD "jail 1 a\nown 1.2.3.4/32 -5\nend 5\n", "and a time", 4 },
    { HEAD "jail 1 a\nown 1.2.3.5/32 5\nown 1.2.3.4/32 5\nend 6\n",
      "not in order", 5 },
    { HEAD "jail 1 a\nown 1.2.3.4/32 5\nown 1.2.3.4/32 5\nend 6\n",
      "not in order", 5 },
    { HEAD "file a\nkey 1.2.3.4/32\nkey 1.2.3.4/32\nend 6\n",
      "not in order", 5 },
    { HEAD "file a\nkey 1.2.3.4\nend 5\n", "with its prefix", 4 },
    { HEAD "something\nend 4\n", "expected boot, jail", 3 }
};

START_TEST(strict)
{
    for (size_t i = 0; i < COUNT(texts); i++) {
        char *text = strdup(texts[i].text);
        size_t line = 0;
        const char *why = state_read(&state, text, strlen(text), "b", &say,
                                     &line);

        if (texts[i].why == NULL) {
            ck_assert_msg(why == NULL, "%zu: %s", i, why);
        }
        else {
            ck_assert_msg(why != NULL && strstr(why, texts[i].why) != NULL,
                          "%zu: %s", i, why);
            ck_assert_uint_eq(line, texts[i].line);
        }
        free(text);
        state_free(&state);
    }
}
END_TEST

/* A good file, cut or with any one byte changed, is either damaged or says
 * something that still is in order; it never crashes. */
START_TEST(any_damage)
{
    static const char good[] = HEAD "jail 1 a\nown 1.2.3.4/32 5\nfile f\n"
                               "key 1.2.3.0/24\nsaid x\nend 8\n";
    size_t size = strlen(good), line;

    for (size_t cut = 0; cut < size; cut++) {
        char *text = strndup(good, cut);

        ck_assert(state_read(&state, text, cut, "b", &say, &line) != NULL);
        free(text);
        state_free(&state);
    }
    for (size_t at = 0; at < size; at++) {
        for (int byte = 0; byte < 256; byte++) {
            char *text = strdup(good);

            text[at] = (char)byte;
            (void)state_read(&state, text, size, "b", &say, &line);
            for (size_t i = 0; i < state.jail_n; i++) {
                for (size_t j = 0; j < state.jails[i].owned_n; j++) {
                    ck_assert(cq_key_valid(&state.jails[i].owned[j].key));
                }
            }
            free(text);
            state_free(&state);
        }
    }
}
END_TEST

START_TEST(after_a_reboot)
{
    char *text = strdup(HEAD "jail 1 a\nown 1.2.3.4/32 5\nfile f\n"
                        "key 1.2.3.0/24\nend 7\n");
    size_t line;

    ck_assert(state_read(&state, text, strlen(text), "c", &say, &line)
              == NULL);
    ck_assert_uint_eq(state.jails[0].owned_n, 0);
    ck_assert_uint_eq(state.files[0].keys.count, 1);
    ck_assert(state.changed);
    free(text);
}
END_TEST

START_TEST(damaged_file)
{
    char aside[96];

    snprintf(aside, sizeof(aside), "%s.damaged", path);
    spew(HEAD "noise\n");
    /* without the lock it is only not believed */
    ck_assert(state_load(&state, path, &say) == STATE_OK);
    ck_assert(access(path, F_OK) == 0 && access(aside, F_OK) != 0);
    ck_assert(strstr(said, "line 3 is damaged (expected boot") != NULL);
    state_free(&state);
    ck_assert(state_lock(&state, path, false, &say) == STATE_OK);
    ck_assert(state_load(&state, path, &say) == STATE_OK);
    ck_assert(access(path, F_OK) != 0 && access(aside, F_OK) == 0);
    ck_assert(strstr(said, "it was set aside as ") != NULL);
    ck_assert_uint_eq(state.jail_n, 0);
    ck_assert_uint_eq(say.troubles, 2);

    /* one that others may write is as bad, whatever it says */
    spew(HEAD "jail 1 a\nown 1.2.3.4/32 5\nend 5\n");
    ck_assert(chmod(path, 0620) == 0);
    ck_assert(state_load(&state, path, &say) == STATE_OK);
    ck_assert(strstr(said, "is not a file that only we write") != NULL);
    ck_assert_uint_eq(state.jail_n, 0);
    ck_assert(access(path, F_OK) != 0);

    /* and nothing is done through a symbolic link */
    ck_assert(symlink(aside, path) == 0);
    ck_assert(state_load(&state, path, &say) == STATE_FAILED);
    ck_assert(strstr(said, "is a symbolic link") != NULL);
}
END_TEST

START_TEST(one_lock)
{
    struct state second = { .path = NULL };
    char lower[96];
    pid_t child;
    int status;

    ck_assert(state_lock(&state, path, false, &say) == STATE_OK);
    ck_assert(state_lock(&second, path, false, &say) == STATE_BUSY);
    child = fork();
    if (child == 0) {
        _exit(state_lock(&second, path, false, &say) == STATE_BUSY ? 0 : 1);
    }
    ck_assert(waitpid(child, &status, 0) == child && status == 0);
    ck_assert_str_eq(said, "");
    state_free(&state);
    ck_assert(state_lock(&second, path, false, &say) == STATE_OK);
    state_free(&second);

    /* a directory that is missing is made only where we may */
    snprintf(lower, sizeof(lower), "%s/lower/state", dir);
    ck_assert(state_lock(&state, lower, false, &say) == STATE_FAILED);
    ck_assert(strstr(said, "lower/state.lock: the lock cannot be made: No "
                     "such file") != NULL);
    ck_assert(state_lock(&state, lower, true, &say) == STATE_OK);
    snprintf(lower, sizeof(lower), "%s/lower/state.lock", dir);
    ck_assert(unlink(lower) == 0);
    snprintf(lower, sizeof(lower), "%s/lower", dir);
    ck_assert(rmdir(lower) == 0);
}
END_TEST

START_TEST(save_fails)
{
    char new[96];

    ck_assert(state_load(&state, path, &say) == STATE_OK);
    fill();
    snprintf(new, sizeof(new), "%s.new", path);
    ck_assert(mkdir(new, 0700) == 0);
    ck_assert(state_save(&state, &say.now, &say) == STATE_FAILED);
    ck_assert(strstr(said, ".new: cannot be made: File exists") != NULL);
    ck_assert(state.changed);
    ck_assert(rmdir(new) == 0);
    /* a left-over of somebody who was killed is no obstacle */
    fclose(fopen(new, "w"));
    ck_assert(state_save(&state, &say.now, &say) == STATE_OK);
    ck_assert(access(new, F_OK) != 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync/state");
    TCase *all = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, all);
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, round_trip);
    tcase_add_test(all, said_once);
    tcase_add_test(all, strict);
    tcase_add_test(all, any_damage);
    tcase_add_test(all, after_a_reboot);
    tcase_add_test(all, damaged_file);
    tcase_add_test(all, one_lock);
    tcase_add_test(all, save_fails);

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
