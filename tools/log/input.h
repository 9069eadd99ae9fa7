/* input - the bytes of a file, unpacked if it begins as gzip does. Private to
 * log/. */
#ifndef CQ_LOG_INPUT_H
#define CQ_LOG_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <zlib.h>

#ifndef CQ_LOG_PACKED_SIZE
#define CQ_LOG_PACKED_SIZE 65536
#endif

struct cq_log_input {
    int fd;
    uint64_t read_bytes;
    bool is_known;              /* plain or gzip? */
    bool is_packed;
    bool is_inflating;          /* within a member */
    bool is_end;                /* of the file */
    z_stream z;
    uint8_t packed[CQ_LOG_PACKED_SIZE];
};

/* what cq_log_input_read() returns beside a number of bytes */
enum {
    CQ_LOG_INPUT_END = 0,
    CQ_LOG_INPUT_WAIT = -1,     /* interrupted, or would block */
    CQ_LOG_INPUT_FAILED = -2
};

/** Reads into a buffer what one read() gives; waits for it if the file is a
 * blocking pipe. An input is all zero but for its fd at first.
 * @param size  at least 2
 * @param why   on CQ_LOG_INPUT_FAILED a clause (static, or strerror()'s)
 * @return a number of bytes, or one of the enum */
ssize_t cq_log_input_read(struct cq_log_input *input, char *to, size_t size,
                          const char **why);

/** Frees what unpacking needs; the fd stays open. */
void cq_log_input_end(struct cq_log_input *input);

#endif
