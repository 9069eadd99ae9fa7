/* tablecheck - verifies a table file for the tests that run a real httpd.
 *
 * Maps it read-only and prints a line for each violation. `-q` says that
 * nothing is open, so that the sums must agree too and nothing may be in
 * flight. Exits 0 when all is well, 6 when not, 2 on a usage error: as
 * `clamquota check` will. */
#include "table/parts.h"
#include "table/tablefile.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Entries that a process still owns: none when nothing is open. */
static uint32_t owned_entries(const struct cq_table *table)
{
    uint32_t high = cq_ledger_high(table);
    uint32_t owned = 0;
    uint32_t i;

    for (i = 0; i < high; i++) {
        if (atomic_load(&table->ledger[i].owner) != 0) {
            owned++;
        }
    }
    return owned;
}

int main(int argc, char **argv)
{
    bool quiet = argc == 3 && strcmp(argv[1], "-q") == 0;
    char why[CQ_WHY_SIZE] = "";
    struct cq_table *table;
    int violations;

    if (argc != 2 && !quiet) {
        fprintf(stderr, "usage: tablecheck [-q] FILE\n");
        return 2;
    }
    if (cq_tablefile_attach(argv[argc - 1], false, &table, why, sizeof(why))
        != CQ_OK) {
        printf("%s\n", why);
        return 6;
    }
    violations = cq_table_check(table, quiet, stdout);
    if (quiet && owned_entries(table) != 0) {
        printf("%" PRIu32 " ledger entries are in use\n",
               owned_entries(table));
        violations++;
    }
    cq_tablefile_close(table);
    return violations == 0 ? 0 : 6;
}
