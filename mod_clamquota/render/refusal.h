/* refusal - what a person reads whose program was refused, and the header
 * fields that the program reads.
 *
 * curl and wget print the text, freshclam -v logs it: so it is plain and says
 * all that helps. A refusal must cost less than what it refuses: nothing here
 * formats with printf, and the text is always shorter than 400 bytes. */
#ifndef CQ_REFUSAL_H
#define CQ_REFUSAL_H

#include "core/policy.h"

#include <stddef.h>

/* with NUL: the contract's "under 400 bytes" */
#define CQ_REFUSAL_SIZE 400

struct cq_refusal {
    const char *client;         /* as text; cut where it is too long */
    const char *pool;           /* its name, below CQ_POOL_NAME_SIZE */
    int64_t window_s;           /* how long what is allowed is for */
    enum cq_state state;        /* OVER, BUSY or COPIES */
    const char *file;           /* ClamQuotaCopies: of this path; or NULL */
    int64_t used_bytes;
    int64_t allowance_bytes;
    int64_t retry_after_s;      /* as in Retry-After */
    int64_t admitted_at_s;      /* unix seconds; not for BUSY */
    /* where the client finds its figures: "https", "example.org" or "[::1]",
     * 8443 or 0, "/clamquota-me" in URL form. Without path no link; without
     * host, or with one that no host can have, the path alone. */
    const char *scheme;
    const char *host;
    unsigned port;
    const char *path;
    const char *admin;          /* a mail address; NULL: "the operator" */
};

/* As draft-ietf-httpapi-ratelimit-headers-10 has them: the allowance of the
 * window, and the seconds for which nothing of it is left. Room for a name of
 * 31 characters and any int64_t. */
struct cq_refusal_fields {
    char policy[112];           /* RateLimit-Policy */
    char limit[72];             /* RateLimit */
    const char *retry_after;    /* Retry-After: the end of limit */
};

void cq_refusal_fields(const struct cq_refusal *refusal,
                       struct cq_refusal_fields *fields);

/** Writes the text, a link only as far as there is room for it.
 * @param text  result, ASCII lines
 * @return its length, below CQ_REFUSAL_SIZE */
size_t cq_refusal_text(const struct cq_refusal *refusal,
                       char text[CQ_REFUSAL_SIZE]);

#endif
