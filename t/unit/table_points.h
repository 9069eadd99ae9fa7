/* table_points - the table's sources with their test points, and the list of
 * these, read from the sources. */
#ifndef CQ_TABLE_POINTS_H
#define CQ_TABLE_POINTS_H

#define CQ_TEST_POINTS
#include "table/account.c"
#include "table/bell.c"
#include "table/calendar.c"
#include "table/changes.c"
#include "table/check.c"
#include "table/claim.c"
#include "table/copies.c"
#include "table/exempt.c"
#include "table/exchange.c"
#include "table/geometry.c"
#include "table/guard.c"
#include "table/health.c"
#include "table/history.c"
#include "table/import.c"
#include "table/ledger.c"
#include "table/names.c"
#include "table/newfile.c"
#include "table/pools.c"
#include "table/readers.c"
#include "table/repair.c"
#include "table/reset.c"
#include "table/row.c"
#include "table/rules.c"
#include "table/settle.c"
#include "table/shares.c"
#include "table/stamped.c"
#include "table/tablefile.c"
#include "table/tally.c"
#include "table/turnover.c"
#include "table/validate.c"
#include "table/window.c"

#include "table_fixture.h"

#define POINTS_MAX 128

static char points[POINTS_MAX][32];
static int points_n;

static inline bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Those of an exchange begin with "round-". */
static inline void read_points(const char *path, bool of_rounds)
{
    FILE *in = fopen(path, "r");
    char line[256];

    while (in != NULL && fgets(line, sizeof(line), in) != NULL) {
        char *at = strstr(line, "CQ_POINT(\"");
        int known_point = 0;
        char name[32];

        if (at == NULL || sscanf(at, "CQ_POINT(\"%31[^\"]", name) != 1
            || begins(name, "round-") != of_rounds) {
            continue;
        }
        while (known_point < points_n
               && strcmp(points[known_point], name) != 0) {
            known_point++;
        }
        if (known_point == points_n && points_n < POINTS_MAX) {
            memcpy(points[points_n++], name, sizeof(name));
        }
    }
    if (in != NULL) {
        fclose(in);
    }
}

static inline void find_points(bool of_rounds)
{
    const char *dir_name = "mod_clamquota/table";
    DIR *dir = opendir(dir_name);
    struct dirent *entry;
    char path[512];

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        size_t n = strlen(entry->d_name);

        if (n > 2 && (strcmp(entry->d_name + n - 2, ".c") == 0
                      || strcmp(entry->d_name + n - 2, ".h") == 0)) {
            snprintf(path, sizeof(path), "%s/%s", dir_name, entry->d_name);
            read_points(path, of_rounds);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

#endif
