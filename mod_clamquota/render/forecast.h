/* forecast - what will have been sent by the end of a period. Pure. */
#ifndef CQ_FORECAST_H
#define CQ_FORECAST_H

#include <stdint.h>

/* A pace is taken over an hour at least: what came in the first minute of a
 * period says nothing about the rest. */
#define CQ_FORECAST_MIN_S 3600

/** Bytes sent from since_s to end_s if it goes on as it did until now_s.
 * @param sent_bytes  since since_s, >= 0
 * @param since_s     unix seconds: the period's start, or later where nothing
 *                    was counted before
 * @return at least sent_bytes; saturates at INT64_MAX */
int64_t cq_forecast_bytes(int64_t sent_bytes, int64_t since_s, int64_t now_s,
                          int64_t end_s);

#endif
