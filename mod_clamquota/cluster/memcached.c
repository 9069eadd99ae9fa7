/* memcached - the transport in front of libmemcached.
 *
 * A link has two handles. The reader waits for each answer. The writer sends
 * cas and add with "noreply" and reads nothing, ever: answers that no caller
 * waits for are what makes libmemcached's asserts fail. Both speak the text
 * protocol, in which "noreply" also holds for what fails. Behaviours are set
 * before the first byte and never changed: that closes the connection. */
#include "cluster/transport.h"

#ifdef CQ_HAVE_MEMCACHED

#include <libmemcached/memcached.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Linux sends a lost packet again after 200 ms + a round trip at the earliest:
 * less than this would take every loss for a failure. */
#define TIMEOUT_MS 1000

/* Keys of one request line: 24 kB, which fits into any socket's buffer, so that
 * neither side waits for the other to read. */
#define GET_MAX 1000

struct link {
    struct cq_link link;        /* first */
    memcached_st *reader;
    memcached_st *writer;
};

static struct link *as_link(struct cq_link *link)
{
    return (struct link *)link;
}

static bool fail(struct cq_link *link, memcached_st *handle,
                 memcached_return_t rc)
{
    const char *text = memcached_last_error_message(handle);
    size_t i;

    snprintf(link->why, sizeof(link->why), "%s",
             text != NULL && text[0] != '\0' ? text
                                             : memcached_strerror(handle, rc));
    /* "... -> libmemcached/io.cc:350" is for its authors */
    for (i = 0; link->why[i] != '\0'; i++) {
        if (strncmp(&link->why[i], " -> ", 4) == 0) {
            link->why[i] = '\0';
            break;
        }
    }
    return false;
}

enum role { READER, WRITER };

static memcached_st *make_handle(const struct cq_cluster_server *server,
                                 const char *name_space, enum role role)
{
    memcached_st *handle = memcached_create(NULL);

    if (handle == NULL) {
        return NULL;
    }
    memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_CONNECT_TIMEOUT,
                           TIMEOUT_MS);
    memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_POLL_TIMEOUT,
                           TIMEOUT_MS);
    memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_SUPPORT_CAS, 1);
    memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_NOREPLY,
                           role == WRITER);
    /* the writer's small requests may wait for one another on the way */
    memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_TCP_NODELAY,
                           role == READER);
    if ((name_space[0] != '\0'
         && memcached_callback_set(handle, MEMCACHED_CALLBACK_NAMESPACE,
                                   name_space) != MEMCACHED_SUCCESS)
        || memcached_server_add(handle, server->host, server->port)
               != MEMCACHED_SUCCESS) {
        memcached_free(handle);
        return NULL;
    }
    return handle;
}

static void close_link(void *world, struct cq_link *link)
{
    (void)world;
    if (link != NULL) {
        memcached_free(as_link(link)->reader);
        memcached_free(as_link(link)->writer);
        free(link);
    }
}

static struct cq_link *open_link(void *world,
                                 const struct cq_cluster_server *server,
                                 const char *name_space)
{
    struct link *link = calloc(1, sizeof(*link));

    (void)world;
    if (link == NULL) {
        return NULL;
    }
    link->reader = make_handle(server, name_space, READER);
    link->writer = make_handle(server, name_space, WRITER);
    if (link->reader == NULL || link->writer == NULL) {
        close_link(NULL, &link->link);
        return NULL;
    }
    return &link->link;
}

/* One request. Answers come in the order of the keys. */
static bool fetch_batch(struct cq_link *link, const struct cq_key_text *keys,
                        size_t first, size_t n, cq_found *found, void *baton)
{
    memcached_st *reader = as_link(link)->reader;
    const char *texts[GET_MAX];
    size_t lengths[GET_MAX];
    memcached_result_st result;
    memcached_return_t rc;
    size_t i, at = 0;

    for (i = 0; i < n; i++) {
        texts[i] = keys[first + i].text;
        lengths[i] = keys[first + i].length;
    }
    rc = memcached_mget(reader, texts, lengths, n);
    if (rc != MEMCACHED_SUCCESS) {
        return fail(link, reader, rc);
    }
    memcached_result_create(reader, &result);
    while (memcached_fetch_result(reader, &result, &rc) != NULL
           && rc == MEMCACHED_SUCCESS) {
        size_t length = memcached_result_key_length(&result);

        while (at < n && (length != lengths[at]
                          || memcmp(memcached_result_key_value(&result),
                                    texts[at], length) != 0)) {
            at++;
        }
        if (at < n) {
            const void *value = memcached_result_value(&result);

            found(baton, first + at, value, memcached_result_length(&result),
                  memcached_result_cas(&result));
        }
    }
    memcached_result_free(&result);
    return rc == MEMCACHED_END || rc == MEMCACHED_NOTFOUND
           || fail(link, reader, rc);
}

static bool fetch(void *world, struct cq_link *link,
                  const struct cq_key_text *keys, size_t n, cq_found *found,
                  void *baton)
{
    size_t first;

    (void)world;
    for (first = 0; first < n; first += GET_MAX) {
        if (!fetch_batch(link, keys, first, n - first < GET_MAX ? n - first
                                                             : GET_MAX,
                         found, baton)) {
            return false;
        }
    }
    return true;
}

static bool store(void *world, struct cq_link *link,
                  const struct cq_key_text *key, const unsigned char *value,
                  size_t size, uint32_t expiry_s, uint64_t cas)
{
    memcached_st *writer = as_link(link)->writer;
    const char *bytes = (const char *)value;
    memcached_return_t rc = cas != 0
        ? memcached_cas(writer, key->text, key->length, bytes, size,
                        (time_t)expiry_s, 0, cas)
        : memcached_add(writer, key->text, key->length, bytes, size,
                        (time_t)expiry_s, 0);

    (void)world;
    return rc == MEMCACHED_SUCCESS || rc == MEMCACHED_BUFFERED
           || fail(link, writer, rc);
}

static bool flush(void *world, struct cq_link *link)
{
    memcached_st *writer = as_link(link)->writer;
    memcached_return_t rc = memcached_flush_buffers(writer);

    (void)world;
    return rc == MEMCACHED_SUCCESS || fail(link, writer, rc);
}

static int64_t clock_ms(void *world)
{
    struct timespec now;

    (void)world;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

const struct cq_transport *cq_memcached(void)
{
    static const struct cq_transport transport = {
        open_link, close_link, fetch, store, flush, clock_ms
    };

    return &transport;
}

#else

const struct cq_transport *cq_memcached(void)
{
    return NULL;
}

#endif

bool cq_cluster_available(void)
{
    return cq_memcached() != NULL;
}
