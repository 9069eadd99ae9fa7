/* units - sizes and durations as people write them, and back.
 *
 * Exact integer arithmetic, whole string, overflow refused. 1024-based:
 * 50M = 52,428,800 bytes. */
#ifndef CQ_UNITS_H
#define CQ_UNITS_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/* Largest size accepted: a counter has 48 bits (table/layout.h) and an
 * allowance multiplies a Daily by up to 31 days and adds a Grace, so a size
 * stops at 2^42 bytes = 4T: 32 x 2^42 = 2^47 stays inside. */
#define CQ_SIZE_MAX_BYTES (INT64_C(1) << 42)

/* Largest duration: 366 days */
#define CQ_DURATION_MAX_MS (INT64_C(366) * 86400 * 1000)

/* enough for any formatted size */
#define CQ_SIZE_TEXT_SIZE 32

/** Reads "52428800", "400k", "50M", "1.5G", "1T" (letter in either case). A
 * fraction needs a letter, may have up to 9 digits and is cut down to whole
 * bytes. No sign, no blank, no "MB".
 * @param bytes  result, 0..CQ_SIZE_MAX_BYTES; untouched on failure
 * @return CQ_OK; CQ_EINVAL malformed; CQ_ERANGE too large */
enum cq_status cq_size_parse(const char *text, int64_t *bytes);

/** Reads "90", "90s", "15m", "6h", "1d", "1w" and, where the caller can use
 * milliseconds, "500ms". Whole numbers only.
 * @param ms  result in milliseconds, 0..CQ_DURATION_MAX_MS
 * @return as cq_size_parse() */
enum cq_status cq_duration_parse_ms(const char *text, int64_t *ms);

/** Like cq_duration_parse_ms(), in seconds; "ms" is then malformed. */
enum cq_status cq_duration_parse_s(const char *text, int64_t *seconds);

/** The shortest form that cq_size_parse() reads back to the same number:
 * 52428800 -> "50M", 1000 -> "1000". Negative numbers print as "-...". */
const char *cq_size_format_exact(int64_t bytes, char *text, size_t size);

/** For people: "0 B", "999 B", "1.5 KiB", "50.0 MiB", "1.2 TiB". */
const char *cq_size_format_human(int64_t bytes, char *text, size_t size);

#endif
