/* table_image - a table's file whose words a fuzzer changes: table.c, page.c.
 *
 * One file for all inputs, put back to how it was: to make one takes longer
 * than what an input does with it. */
#ifndef CQ_FUZZ_TABLE_IMAGE_H
#define CQ_FUZZ_TABLE_IMAGE_H

#include "input.h"

#define CQ_PLAIN_ASSERT
#include "../unit/table_fileops.h"

#include "table/exempt.h"
#include "table/jail.h"
#include "table/shares.h"

#include <sys/random.h>

#define CLIENTS 10

static struct fixture fixture;
static char kept_path[128];     /* a second name of the file */
static unsigned char *good, *file;
static size_t size_bytes;

/* An input does the same each time: the hashes' key, and with it the place of
 * a client's row, is that of all runs, and each server has the same session. */
ssize_t getrandom(void *bytes, size_t size, unsigned flags)
{
    (void)flags;
    memset(bytes, good == NULL ? 1 : 2, size);
    return (ssize_t)size;
}

/* section[i] begins section_at[i] and ends where the next one begins. */
#define SECTIONS 16
static uint64_t section_at[SECTIONS + 1];

static inline void find_sections(const struct cq_geometry *g)
{
    const uint64_t begin[SECTIONS + 1] = {
        0, sizeof(*g) / 8 * 8, g->pools_at, g->stripes_at, g->policies_at,
        g->history_at, g->days_at, g->exempt_at, g->changes_at, g->ledger_at,
        g->names_at, g->hot_at, g->cold_at, g->cluster_at,
        g->cluster_at + 4096, g->cluster_at + g->cluster_size / 4096 / 2 * 4096,
        g->file_size
    };

    memcpy(section_at, begin, sizeof(section_at));
}

static inline void remove_fixture(void)
{
    munmap(file, size_bytes);
    free(good);
    fixture_end(&fixture, NULL);
}

/* Something of everything that a table can hold. */
static inline void fill(struct cq_table *t)
{
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_account account = open_client(t, 3, &clock), pair;
    struct cq_key net = client(0), other = client(7);
    struct cq_act act = { .kind = CQ_ACT_RESET, .net = other,
                          .at_ms = NOON_S * 1000 - 1 };
    struct cq_jail_report jail = { .spec = "nft:inet/a/b,c", .jailed = 1,
                                   .as_of_s = NOON_S, .capacity = 100 };
    struct cq_policy policy = { 1000, 10 };
    struct cq_version version;
    struct cq_usage usage;
    uint16_t index;

    put_clients(t, CLIENTS);
    cq_table_policy(t, 0, "ClamQuotaDaily", &policy, &index);
    cq_table_pool_refuses(t, 0, true);
    cq_account_charge(&account, &clock, 1000000);
    cq_account_count_refusal(&account, &clock, CQ_STATE_OVER);
    cq_version_make(t, "/a/daily.cvd", 100, 1, &version);
    HOLDS(cq_copies_open(t, cq_table_identity(t, 0, &net), &version, &clock,
                         &pair) == CQ_OK);
    cq_copies_charge(&pair, &clock, 50);
    cq_account_close(&pair);
    HOLDS(cq_exempt_set(t, &net, NOON_S + 9999, NOON_S) == CQ_OK);
    cq_act_note(t, &act, NOON_S * 1000);
    cq_jail_report_file(&jail, "/etc/deny");
    cq_table_jail_set(t, &jail);
    cq_table_mark_jailed(t, &other, true);
    /* something reserved, as after kill -9 */
    (void)cq_account_admit(&account, &clock, 10000000, 4096, &usage);
}

static inline void make_good(void)
{
    struct cq_table *t;
    uint16_t pool;
    int fd;

    fixture_begin(&fixture, CLIENTS);
    fixture.want.files = 8;
    fixture.want.ledger_entries = 16;
    fixture.want.cluster = true;
    fixture.want.machine = 1;
    t = fixture_open(&fixture, NULL);
    HOLDS(cq_table_pool(t, "default", &pool) == CQ_OK);
    fill(t);
    cq_tablefile_close(t);
    good = read_whole(fixture.path, &size_bytes);
    find_sections((struct cq_geometry *)(void *)good);
    snprintf(kept_path, sizeof(kept_path), "%s/kept", fixture.dir);
    HOLDS(link(fixture.path, kept_path) == 0);
    fd = open(kept_path, O_RDWR);
    file = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    HOLDS(fd >= 0 && file != MAP_FAILED);
    close(fd);
    atexit(remove_fixture);
}

/* Makes the file good again, and changes words of it; those of a small section
 * are chosen as often as others.
 * @param puts_right  the checksum of the geometry */
static inline void damage(struct input *in, bool puts_right)
{
    struct cq_geometry *g;

    if (good == NULL) {
        make_good();
    }
    put_back(file, good, size_bytes);
    g = (struct cq_geometry *)(void *)file;
    while (in->size > 0) {
        uint64_t kind = take(in, 1), word;
        size_t section = kind >> 2 & 15;
        size_t words = (section_at[section + 1] - section_at[section]) / 8;
        unsigned char *place = file + section_at[section]
            + take(in, 2) % words * 8;

        memcpy(&word, place, 8);
        word = (kind & 3) == 0 ? word ^ (UINT64_C(1) << take(in, 1) % 64)
            : (kind & 3) == 1 ? take(in, 8)
            : (kind & 3) == 2 ? word + take(in, 1) - 128
            : UINT64_MAX - take(in, 1);
        memcpy(place, &word, 8);
    }
    if (puts_right) {
        g->checksum = cq_geometry_checksum(g);
    }
}

#endif
