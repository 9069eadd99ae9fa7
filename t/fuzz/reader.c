/* reader - fuzzes an access log as bytes come: in small pieces, with time-outs
 * and an error in between, plain or as gzip. What a log says does not depend on
 * the pieces. First four bytes that say how they come, then the log. */
#include "input.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <zlib.h>

static struct input file;
static uint64_t pieces;         /* 0: all of it at once */
static int error;               /* in place of the end; 0: none */

static ssize_t read_piece(int fd, void *to, size_t size)
{
    size_t n = size < file.size ? size : file.size;

    (void)fd;
    if (pieces != 0) {
        pieces ^= pieces << 13;
        pieces ^= pieces >> 7;
        pieces ^= pieces << 17;
        if (pieces % 8 == 0) {
            errno = pieces % 16 == 0 ? EINTR : EAGAIN;
            return -1;
        }
        n = n < 1 + pieces / 16 % 64 ? n : 1 + pieces / 16 % 64;
    }
    if (n == 0 && size > 0 && error != 0) {
        errno = error;
        return -1;
    }
    memcpy(to, file.at, n);
    file.at += n;
    file.size -= n;
    return (ssize_t)n;
}

#define read read_piece
#include "log/input.c"
#include "log/reader.c"

struct seen {
    uint64_t records, sum;
    struct cq_log_report report;
};

static void add(struct seen *seen, const char *at, size_t size)
{
    seen->sum = seen->sum * 31 + crc32(0, (const Bytef *)at, (uInt)size);
}

static struct seen read_log(const struct cq_log_format *format,
                            const uint8_t *bytes, size_t size)
{
    static FILE *nowhere;
    struct seen seen = { 0, 0, { .program = "t" } };
    struct cq_log_record record;
    enum cq_log_next next;
    struct cq_log *log;

    if (nowhere == NULL) {
        nowhere = fopen("/dev/null", "w");
    }
    HOLDS(nowhere != NULL);
    seen.report.err = nowhere;
    file = (struct input){ bytes, size };
    HOLDS(cq_log_open("-", format, (struct cq_prefixes){ 32, 64 },
                      &seen.report, &log) == CQ_OK);
    while ((next = cq_log_next(log, &record)) != CQ_LOG_END) {
        if (next == CQ_LOG_RECORD) {
            seen.records++;
            seen.sum = seen.sum * 31 + (uint64_t)record.bytes
                + (uint64_t)record.time_s + (uint64_t)record.status;
            add(&seen, record.path.at, record.path.length);
            add(&seen, record.agent.at, record.agent.length);
        }
        HOLDS(next != CQ_LOG_WAIT || pieces != 0);
    }
    HOLDS(cq_log_get_format(log) != NULL);
    HOLDS(file.size == 0 || log->has_failed || log->input.is_packed);
    cq_log_close(log);
    return seen;
}

/* gzip without compression: as good to unpack, and made in no time. */
static size_t pack(const uint8_t *bytes, size_t size, uint8_t *to)
{
    static const uint8_t head[10] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3 };
    uint32_t crc = (uint32_t)crc32(0, bytes, (uInt)size), n = (uint32_t)size;
    size_t i;

    memcpy(to, head, 10);
    to[10] = 1;                 /* the last block, stored */
    to[11] = (uint8_t)n;
    to[12] = (uint8_t)(n >> 8);
    to[13] = (uint8_t)~n;
    to[14] = (uint8_t)(~n >> 8);
    memcpy(to + 15, bytes, size);
    for (i = 0; i < 4; i++) {
        to[15 + size + i] = (uint8_t)(crc >> 8 * i);
        to[19 + size + i] = (uint8_t)(n >> 8 * i);
    }
    return size + 23;
}

static bool has_long_line(const uint8_t *bytes, size_t size)
{
    size_t i, length = 0;

    for (i = 0; i < size; i++) {
        length = bytes[i] == '\n' || bytes[i] == '\0' ? 0 : length + 1;
        if (length > CQ_LOG_LINE_MAX) {
            return true;
        }
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "combined", "vhost", "clamav",
                                         "common", "pairs" };
    static struct cq_log_format formats[5];
    static uint8_t packed[4096 + 64];
    struct input in = { data, size };
    uint64_t kind = take(&in, 1), seed = take(&in, 3);
    struct cq_log_format *format = &formats[(kind >> 3) % 5];
    struct seen whole, parts;

    if (format->field_n == 0) {
        HOLDS(cq_log_format_compile(format, names[(kind >> 3) % 5], NULL, 0)
              == CQ_OK);
    }
    if ((kind & 1) != 0 && in.size <= 4096) {
        in.size = pack(in.at, in.size, packed);
        in.at = packed;
    }
    error = (kind & 2) != 0 ? EIO : 0;
    if ((kind & 4) != 0) {      /* it is detected by the first piece */
        pieces = seed;
        (void)read_log(NULL, in.at, in.size);
        return 0;
    }
    pieces = 0;
    whole = read_log(format, in.at, in.size);
    pieces = seed | 1;
    parts = read_log(format, in.at, in.size);
    HOLDS(has_long_line(data, size)
          || (whole.records == parts.records && whole.sum == parts.sum
              && whole.report.line_n == parts.report.line_n
              && whole.report.bad_n == parts.report.bad_n
              && whole.report.no_client_n == parts.report.no_client_n));
    return 0;
}
