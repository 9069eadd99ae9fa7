/* forecast - the pace so far, in integers. */
#include "render/forecast.h"

int64_t cq_forecast_bytes(int64_t sent_bytes, int64_t since_s, int64_t now_s,
                          int64_t end_s)
{
    int64_t gone_s = now_s - since_s;
    int64_t left_s = end_s - now_s;
    int64_t whole, part;

    if (gone_s < CQ_FORECAST_MIN_S) {
        gone_s = CQ_FORECAST_MIN_S;
    }
    if (left_s <= 0 || sent_bytes <= 0) {
        return sent_bytes;
    }
    whole = sent_bytes / gone_s;
    part = sent_bytes % gone_s * left_s / gone_s;
    if (whole >= (INT64_MAX - sent_bytes - part) / left_s) {
        return INT64_MAX;
    }
    return sent_bytes + whole * left_s + part;
}
