/* plan_settle - what becomes of a plan: what was done, what can't be. */
#include "sync/plan.h"

#include <stdlib.h>

static int compare_changes(const void *a, const void *b)
{
    const struct jail_change *one = a;
    const struct jail_change *other = b;

    return cq_key_compare(&one->key, &other->key);
}

void plan_settle(struct plan *plan, int64_t now_s)
{
    size_t i, c = 0, n = 0;

    /* a key has at most one change */
    qsort(plan->changes, plan->change_n, sizeof(plan->changes[0]),
          compare_changes);
    for (i = 0; i < plan->owned_n; i++) {
        struct plan_owned owned = plan->owned[i];
        const struct jail_change *change = NULL;

        while (c < plan->change_n
               && cq_key_compare(&plan->changes[c].key, &owned.key) < 0) {
            c++;
        }
        if (c < plan->change_n
            && cq_key_compare(&plan->changes[c].key, &owned.key) == 0) {
            change = &plan->changes[c];
        }
        if (change != NULL
            && change->failed == (change->op == JAIL_ADD)
            && change->op != JAIL_RENEW) {
            continue;
        }
        if (change != NULL && !change->failed) {
            owned.renewed_at_s = now_s;
        }
        plan->owned[n++] = owned;
    }
    plan->owned_n = n;
}

void plan_drop_additions(struct plan *plan)
{
    size_t i, a = 0, n = 0;

    /* additions stand together, in order, as does what is owned */
    while (a < plan->change_n && plan->changes[a].op != JAIL_ADD) {
        a++;
    }
    for (i = 0; i < plan->owned_n; i++) {
        if (a < plan->change_n && plan->changes[a].op == JAIL_ADD
            && cq_key_compare(&plan->changes[a].key, &plan->owned[i].key)
                == 0) {
            a++;
        }
        else {
            plan->owned[n++] = plan->owned[i];
        }
    }
    plan->owned_n = n;
    for (i = 0, n = 0; i < plan->change_n; i++) {
        if (plan->changes[i].op != JAIL_ADD) {
            plan->changes[n++] = plan->changes[i];
        }
    }
    plan->jailed_n -= plan->change_n - n;
    plan->change_n = n;
}
