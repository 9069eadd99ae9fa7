/* table - fuzzes the table's file: words of a good one are changed, also by
 * a program that knows what they mean and puts the checksum right. Every reader,
 * tool and server uses it; then a start repairs what is left, and nothing is
 * wrong any more. */
#include "input.h"

#define CQ_PLAIN_ASSERT
#include "../unit/table_fileops.h"
#include "../unit/table_use.h"

#define CLIENTS 10

static struct fixture fixture;
static unsigned char *good, *bad;
static size_t size_bytes;

static void remove_fixture(void)
{
    fixture_end(&fixture, NULL);
}

static void make_good(void)
{
    struct cq_table *t = fixture_table(&fixture, CLIENTS);
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_account account = open_client(t, 3, &clock);
    struct cq_usage usage;

    put_clients(t, CLIENTS);
    /* something reserved, as after kill -9 */
    (void)cq_account_admit(&account, &clock, 1000000, 4096, &usage);
    cq_tablefile_close(t);
    good = read_whole(fixture.path, &size_bytes);
    bad = malloc(size_bytes);
    HOLDS(bad != NULL);
    atexit(remove_fixture);
}

/* Changes words. Those of the sections are chosen as often as the others, and
 * most of them lie in the first 64 KiB. */
static void damage(struct input *in)
{
    uint64_t flags = take(in, 1);

    memcpy(bad, good, size_bytes);
    while (in->size > 0) {
        uint64_t kind = take(in, 1), word;
        size_t at = (kind & 1) != 0 ? take(in, 2) * 8 : take(in, 3) * 8;

        at %= size_bytes - 8;
        at -= at % 8;
        memcpy(&word, bad + at, 8);
        word = (kind & 6) == 0 ? word ^ (UINT64_C(1) << take(in, 1) % 64)
            : (kind & 6) == 2 ? take(in, 8)
            : (kind & 6) == 4 ? word + take(in, 1) - 128
            : UINT64_MAX - take(in, 1);
        memcpy(bad + at, &word, 8);
    }
    if ((flags & 1) != 0) {
        struct cq_geometry *g = (struct cq_geometry *)(void *)bad;

        g->checksum = cq_geometry_checksum(g);
    }
}

/* Writes over what is there: new pages for a file that was cut take longer than
 * all that is done with it. */
static void put_bad(void)
{
    int fd = open(fixture.path, O_WRONLY | O_CREAT, 0644);

    HOLDS(fd >= 0);
    HOLDS(pwrite(fd, bad, size_bytes, 0) == (ssize_t)size_bytes);
    HOLDS(ftruncate(fd, (off_t)size_bytes) == 0);
    close(fd);
}

static void remove_set_aside(void)
{
    static const char *const suffixes[] = { ".damaged", ".v1", ".v2" };
    char name[128];
    size_t i;

    for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        snprintf(name, sizeof(name), "%s%s", fixture.path, suffixes[i]);
        unlink(name);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    struct cq_table *t;

    if (good == NULL) {
        make_good();
    }
    damage(&in);
    put_bad();
    if (cq_tablefile_attach(fixture.path, true, &t, why, sizeof(why))
        == CQ_OK) {
        use_all(t);
        cq_tablefile_close(t);
    }
    /* what the use made good is bad again */
    put_bad();
    if (try_open(&fixture, &t, NULL) == CQ_OK) {
        HOLDS(cq_table_check(t, true, stderr) == 0);
        use_all(t);
        cq_tablefile_close(t);
    }
    remove_set_aside();
    return 0;
}
