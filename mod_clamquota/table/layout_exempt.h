/* layout_exempt - exemptions and changes of state, byte for byte. Private to
 * table/; layout.h shows where the two sections lie.
 *
 * An exemption e:
 *
 *   address   16 bytes as in struct cq_key
 *   packed    turn:16 state:2 family:3 prefix:8 until_s:35
 *   seal      hash of address, turn, family and prefix
 *
 *       FREE --acquired--> WRITING ----sealed----> LIVE
 *        ^                    |                     |
 *        +-- after 60 s, or acquired by another ----+ ended, or expired
 *
 *   a network is exempt until T <=> T = the largest until_s of the LIVE
 *                                   places that are sealed for it, T > now
 *   LIVE(e)                      => e < places(header.exempt)
 *
 * A writer that was stopped for minutes may break the first line for a place
 * that another one has acquired since: it writes the address, the seal no
 * longer fits, and the place exempts no client. It changes nothing else, as
 * each change of packed is one compare-and-swap and each writer gives the place
 * another turn. In WRITING the bits of until_s are the second at which the
 * writer began.
 *
 * header.exempt is places:11 turn:21. It changes before a place becomes LIVE,
 * so that the second line holds, and after, so that answers that were kept with
 * its former value are known to be old. */
#ifndef CQ_LAYOUT_EXEMPT_H
#define CQ_LAYOUT_EXEMPT_H

#include <stdatomic.h>
#include <stdint.h>

#ifndef CQ_EXEMPT_SLOTS
#define CQ_EXEMPT_SLOTS 1024u
#endif
#ifndef CQ_CHANGES
#define CQ_CHANGES 8192u
#endif

typedef _Atomic uint64_t cq_word;       /* one of the words shown here and in
                                         * layout.h */

enum cq_exempt_state { CQ_EXEMPT_FREE = 0, CQ_EXEMPT_WRITING = 1,
                       CQ_EXEMPT_LIVE = 2 };

#define CQ_EXEMPT_WRITING_S 60

#define CQ_EXEMPT_UNTIL_BITS 35         /* unix seconds, to the year 3058 */
#define CQ_EXEMPT_PREFIX_SHIFT 35
#define CQ_EXEMPT_FAMILY_SHIFT 43
#define CQ_EXEMPT_STATE_SHIFT 46
#define CQ_EXEMPT_TURN_SHIFT 48

#define CQ_EXEMPT_PLACES_SHIFT 21
#define CQ_EXEMPT_TURN_MASK ((1u << CQ_EXEMPT_PLACES_SHIFT) - 1)
_Static_assert(CQ_EXEMPT_SLOTS >> (32 - CQ_EXEMPT_PLACES_SHIFT) == 0,
               "all places can be in use");

struct cq_exempt_slot {
    cq_word address[2];
    cq_word packed;
    cq_word seal;
};

_Static_assert(sizeof(struct cq_exempt_slot) == 32, "half a cache line");

/* A place of the ring of changes. header.change_n counts the changes ever
 * noted; number n lies in place n modulo CQ_CHANGES:
 *
 *   readers believe it <=> seal = hash of all other words and n
 *
 * Only while a place is being written, by one process or two, or after its
 * writer died, the seal does not fit: then the place has no change. */
struct cq_change_slot {
    cq_word seal;
    cq_word address[2];
    cq_word packed;             /* policy:16 pool:16 reserved:8 kind:8 family:8
                                 * prefix:8 */
    cq_word at_s;
    union {
        cq_word used_bytes;
        cq_word clients;        /* of CQ_CHANGE_PERIOD */
    };
    union {
        cq_word allowance_bytes;
        cq_word until_s;        /* of CQ_CHANGE_EXEMPT */
    };
    cq_word reserved;
};
_Static_assert(sizeof(struct cq_change_slot) == 64, "a cache line");

#endif
