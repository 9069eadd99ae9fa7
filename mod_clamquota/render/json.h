/* json - parts that two of our JSON objects have in common. */
#ifndef CQ_JSON_H
#define CQ_JSON_H

#include "render/write.h"

/** Writes "period": {...}, a member without the comma around it. */
void cq_json_period(struct cq_writer *writer, const struct cq_period *period,
                    int day, int64_t next_day_s);

/** Writes the object of one client in one pool. */
void cq_json_client(struct cq_writer *writer,
                    const struct cq_view_client *client);

#endif
