/* client_words - a client of a view in words, for people. */
#ifndef CQ_CLAMQUOTA_CLIENT_WORDS_H
#define CQ_CLAMQUOTA_CLIENT_WORDS_H

#include "cli/output.h"

/** "ok", "over", "over, jailed" ... */
void cq_client_state(struct cq_writer *writer,
                     const struct cq_view_client *client);

/** How bad that is; also a client that is near its allowance (above 80 %). */
enum cq_style cq_client_style(const struct cq_view_client *client);

/** "1.5 GiB" or "1,234", and what they are of, e.g. " used, ". */
void cq_client_bytes(struct cq_writer *writer, int64_t bytes,
                     const char *what);
void cq_client_count(struct cq_writer *writer, int64_t number,
                     const char *what);

/** "84 %": used of its allowance; "-" without a limit. */
void cq_client_share(struct cq_writer *writer,
                     const struct cq_view_client *client);

/** "2026-11-23 18:21 UTC", in the quota's own zone; "-" for 0. */
void cq_client_moment(struct cq_writer *writer, const struct cq_period *period,
                      int64_t when_s);

/** "day 23 x 50M + 450M = 1.6 GiB", or "no limit". */
void cq_client_sum(struct cq_writer *writer,
                   const struct cq_view_client *client, int day,
                   int64_t grace_bytes);

#endif
