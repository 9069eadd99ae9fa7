/* layout_bell - the bell and the report of clamquota-sync in the header, byte
 * for byte. Private to table/; layout.h shows where the header lies. */
#ifndef CQ_LAYOUT_BELL_H
#define CQ_LAYOUT_BELL_H

#include "table/layout_exempt.h"

/* The jail's bell (bell.h).
 *
 *   place n of the ring is row r  <=>  ring[n modulo CQ_RING] = word(n, r)
 *
 * The watcher renews until_s. While that lies ahead, a refusal of an offender
 * counts rung up, writes the place and wakes the watcher (futex on rung) if
 * sleeping is set. Between the count and the write the place has no row: the
 * watcher then looks at all rows, as it does where the writer was killed.
 * So the module makes no system call without a watcher, and at most one for
 * each sleep of it. */
#define CQ_RING 256u

struct cq_bell_words {
    _Alignas(64) _Atomic uint32_t after;    /* ring from this number of refusals
                                             * on; 0: there is no watcher */
    _Atomic uint32_t sleeping;
    _Atomic int64_t until_s;                /* unix seconds */
    _Alignas(64) _Atomic uint32_t rung;     /* the next place, modulo CQ_RING */
    _Alignas(64) cq_word ring[CQ_RING];     /* cq_ring_word() */
};

/* As clamquota-sync writes it after each pass: jail.h. */
struct cq_jail_words {
    _Atomic uint32_t motion;    /* odd while it is being written */
    uint32_t reserved;
    _Atomic int64_t as_of_s;    /* 0: no jail */
    _Atomic int64_t jailed;
    _Atomic int64_t capacity;   /* 0: without a limit */
    _Atomic int64_t dropped;    /* packets; -1: not known */
    char spec[88];              /* as --jail has it, cut */
};

/* The word of a place of the ring: never 0, nor the one of a round before */
static inline uint64_t cq_ring_word(uint32_t place, uint32_t row)
{
    return ((uint64_t)~place << 32) | row;
}

#endif
