/* table_fileops - what the tests of the table's file do to files. */
#ifndef CQ_TABLE_FILEOPS_H
#define CQ_TABLE_FILEOPS_H

#include "table_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

static char why[CQ_WHY_SIZE];        /* the last sentence */

static inline enum cq_status try_open(struct fixture *f,
                                      struct cq_table **table,
                                      unsigned *events)
{
    memset(why, 0, sizeof(why));
    return cq_tablefile_open(&f->want, table, events, why, sizeof(why));
}

static inline int names_in(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;

    ck_assert_ptr_nonnull(dir);
    while (readdir(dir) != NULL) {
        n++;
    }
    closedir(dir);
    return n - 2;
}

static inline void write_file(const char *path, const void *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
    close(fd);
}

static inline unsigned char *read_whole(const char *path, size_t *size)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    unsigned char *bytes;

    ck_assert(fd >= 0 && fstat(fd, &st) == 0);
    *size = (size_t)st.st_size;
    bytes = malloc(*size);
    ck_assert_ptr_nonnull(bytes);
    ck_assert_int_eq(read(fd, bytes, *size), st.st_size);
    close(fd);
    return bytes;
}

static inline void poke(const char *path, off_t at, const void *bytes,
                        size_t n)
{
    int fd = open(path, O_WRONLY);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, bytes, n, at), (ssize_t)n);
    close(fd);
}

static inline void put_clients(struct cq_table *t, uint32_t n)
{
    struct cq_clock clock = clock_at(t, NOON_S);
    uint32_t k;

    for (k = 0; k < n; k++) {
        charge_client(t, k, &clock, 100 + k);
    }
}

static inline void assert_clients(struct cq_table *t, uint32_t n)
{
    struct cq_clock clock = clock_at(t, NOON_S);
    struct cq_table_figures figures;
    uint32_t k;

    for (k = 0; k < n; k++) {
        ck_assert_int_eq(row_of(t, k, &clock).used_bytes, 100 + k);
    }
    cq_table_figures(t, &figures);
    ck_assert_int_eq(figures.clients, n);
    ck_assert_int_eq(figures.evictions, 0);
    assert_sound(t);
}

#endif
