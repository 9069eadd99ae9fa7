/* input - plain and gzip, told apart by the first two bytes. */
#include "log/input.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* zlib: gzip with the largest window */
#define GZIP_WINDOW_BITS (16 + MAX_WBITS)

static ssize_t read_bytes(struct cq_log_input *input, void *to, size_t size,
                          const char **why)
{
    ssize_t n = read(input->fd, to, size);

    if (n > 0) {
        input->read_bytes += (uint64_t)n;
    }
    else if (n == 0) {
        input->is_end = true;
    }
    else if (errno == EINTR || errno == EAGAIN) {
        return CQ_LOG_INPUT_WAIT;
    }
    else {
        *why = strerror(errno);
        return CQ_LOG_INPUT_FAILED;
    }
    return n;
}

/* Fills up the packed bytes. */
static ssize_t read_packed(struct cq_log_input *input, const char **why)
{
    ssize_t n;

    memmove(input->packed, input->z.next_in, input->z.avail_in);
    input->z.next_in = input->packed;
    n = read_bytes(input, input->packed + input->z.avail_in,
                   sizeof(input->packed) - input->z.avail_in, why);
    if (n > 0) {
        input->z.avail_in += (uInt)n;
    }
    return n;
}

/* Begins the next member, or the file. Other bytes behind the last member (a
 * tape's zeros) are ignored, as gzip does. */
static ssize_t begin_member(struct cq_log_input *input, const char **why)
{
    static const uint8_t magic[2] = { 0x1f, 0x8b };

    while (input->z.avail_in < sizeof(magic) && !input->is_end) {
        ssize_t n = read_packed(input, why);

        if (n < 0) {
            return n;
        }
    }
    if (input->z.avail_in < sizeof(magic)
        || memcmp(input->z.next_in, magic, sizeof(magic)) != 0) {
        return CQ_LOG_INPUT_END;
    }
    if ((input->is_packed ? inflateReset(&input->z)
                          : inflateInit2(&input->z, GZIP_WINDOW_BITS))
        != Z_OK) {
        *why = "out of memory";
        return CQ_LOG_INPUT_FAILED;
    }
    input->is_packed = input->is_inflating = true;
    return 1;
}

static ssize_t unpack(struct cq_log_input *input, char *to, size_t size,
                      const char **why)
{
    input->z.next_out = (Bytef *)to;
    input->z.avail_out = (uInt)size;
    while (input->z.avail_out == size) {
        ssize_t n = 1;
        int result;

        if (!input->is_inflating) {
            n = begin_member(input, why);
        }
        else if (input->z.avail_in == 0 && !input->is_end) {
            n = read_packed(input, why);
        }
        if (n < 0 || !input->is_inflating) {
            return n;
        }
        result = inflate(&input->z, Z_NO_FLUSH);
        if (result == Z_STREAM_END) {
            input->is_inflating = false;
        }
        else if (result == Z_BUF_ERROR && input->is_end) {
            *why = "the gzip data ends early";
            return CQ_LOG_INPUT_FAILED;
        }
        else if (result != Z_OK && result != Z_BUF_ERROR) {
            *why = "the gzip data is damaged";
            return CQ_LOG_INPUT_FAILED;
        }
    }
    return (ssize_t)(size - input->z.avail_out);
}

ssize_t cq_log_input_read(struct cq_log_input *input, char *to, size_t size,
                          const char **why)
{
    size_t n;

    if (!input->is_known) {
        ssize_t result;

        if (input->z.next_in == NULL) {
            input->z.next_in = input->packed;
        }
        result = begin_member(input, why);
        if (result < 0) {
            return result;
        }
        input->is_known = true;
    }
    if (input->is_packed) {
        return unpack(input, to, size, why);
    }
    /* what was read to know it */
    n = input->z.avail_in < size ? input->z.avail_in : size;
    if (n > 0) {
        memcpy(to, input->z.next_in, n);
        input->z.next_in += n;
        input->z.avail_in -= (uInt)n;
        return (ssize_t)n;
    }
    return input->is_end ? CQ_LOG_INPUT_END : read_bytes(input, to, size, why);
}

void cq_log_input_end(struct cq_log_input *input)
{
    if (input->is_packed) {
        inflateEnd(&input->z);
    }
    input->is_packed = false;
}
