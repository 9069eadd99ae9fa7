/* names - what the versions of files are called, for people.
 *
 * Nothing is decided by a name: it may be absent, or another version's by the
 * time it is read, and the checksum shows that. A process acquires a place by
 * changing its day, so that one of several writes. */
#include "table/parts.h"

#include <stddef.h>

/* places that a version may have */
#define PROBES 8u

/* no name, as a number */
#define NO_NAME UINT64_MAX

static uint64_t name_checksum(const struct cq_table *t, uint64_t version,
                              const struct cq_name_slot *slot)
{
    const uint64_t facts[3] = { version, (uint64_t)slot->size_bytes,
                                (uint64_t)slot->mtime_us };

    return cq_hash_text(&t->header->geometry.seed, slot->path,
                        strnlen(slot->path, sizeof(slot->path)), facts, 3);
}

static void write_name(const struct cq_table *t, struct cq_name_slot *slot,
                       const struct cq_version *version)
{
    size_t length = strlen(version->path);
    const char *end = version->path;

    atomic_store(&slot->version, 0);
    atomic_thread_fence(memory_order_seq_cst);
    slot->size_bytes = version->size_bytes;
    slot->mtime_us = version->mtime_us;
    memset(slot->path, 0, sizeof(slot->path));
    if (length >= sizeof(slot->path)) {
        memcpy(slot->path, "...", 3);
        end += length - (sizeof(slot->path) - 1 - 3);
        memcpy(slot->path + 3, end, sizeof(slot->path) - 1 - 3);
    }
    else {
        memcpy(slot->path, end, length);
    }
    atomic_store(&slot->checksum, name_checksum(t, version->hash, slot));
    atomic_store(&slot->version, version->hash);
}

uint64_t cq_name_keep(struct cq_table *t, const struct cq_version *version,
                      uint16_t day)
{
    uint64_t free_at = NO_NAME;
    uint64_t free_day = 0;
    uint32_t i;

    if (t->names_n == 0) {
        return NO_NAME;
    }
    for (i = 0; i < PROBES; i++) {
        uint64_t at = (version->hash + i) % t->names_n;
        struct cq_name_slot *slot = &t->names[at];
        uint64_t its_day = atomic_load_explicit(&slot->day,
                                                memory_order_relaxed);

        if (atomic_load_explicit(&slot->version, memory_order_relaxed)
            == version->hash) {
            if (its_day != day) {
                atomic_compare_exchange_strong(&slot->day, &its_day, day);
            }
            return at;
        }
        if (free_at == NO_NAME && its_day != day) {
            free_at = at;
            free_day = its_day;
        }
    }
    if (free_at == NO_NAME
        || !atomic_compare_exchange_strong(&t->names[free_at].day, &free_day,
                                           day)) {
        return NO_NAME;
    }
    write_name(t, &t->names[free_at], version);
    return free_at;
}

uint64_t cq_name_copy(const struct cq_table *t, uint64_t number,
                      struct cq_copies_row *copy)
{
    const struct cq_name_slot *slot;
    struct cq_name_slot seen;
    uint64_t version;

    if (number >= t->names_n) {
        return 0;
    }
    slot = &t->names[number];
    version = atomic_load_explicit(&slot->version, memory_order_acquire);
    memset(&seen, 0, sizeof(seen));
    seen.size_bytes = slot->size_bytes;
    seen.mtime_us = slot->mtime_us;
    memcpy(seen.path, slot->path, sizeof(seen.path));
    if (version == 0
        || atomic_load(&slot->checksum) != name_checksum(t, version, &seen)) {
        return 0;
    }
    seen.path[sizeof(seen.path) - 1] = '\0';
    memcpy(copy->path, seen.path, sizeof(copy->path));
    copy->size_bytes = seen.size_bytes;
    copy->mtime_us = seen.mtime_us;
    return version;
}
