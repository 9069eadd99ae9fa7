/* row - the life of one row, in Promela, for spin.
 *
 * PROCS processes serve two clients from a window of two rows: find or claim
 * or reclaim a row, hold it, reserve, draw, release. Up to KILLS of them are
 * killed after any write to shared memory; the housekeeping settles what the
 * dead left. SECOND is the client of the second process; with FULL both rows
 * are others' at first. Each transition names the function it stands for.
 * Bytes are tagged by client, so that one client's in another's row show. Not
 * in here: the period and its stamps, patience, a death of the housekeeping
 * (t/unit/table_points.c has them).
 *
 * Invariants, with the names of layout.h:
 *   one_row       a row becomes LIVE only if no other of its client is
 *   own_bytes     no row holds another client's bytes
 *   held          a row that a process draws in has its client's identity
 *   balance       quiet: holders(r) = entries HELD, committed(r) = used(r)
 *                 + sum of left, and every row is LIVE or EMPTY and zero
 */
#define ROWS 2
#define NONE 7
#define AGAIN 6
#define TRIES 2                 /* searches before a request goes uncounted */

mtype = { EMPTY, CLAIM, KILLED, RECLAIM, LIVE };        /* identity's state */
mtype = { IDLE, CLAIMING, HELD };                       /* entry's purpose */

/* the row: hot[r] */
mtype state[ROWS];
byte client[ROWS];              /* the hash in identity */
byte committed[ROWS];
byte used[ROWS];
byte holders[ROWS];
byte tag[ROWS];                 /* 1 + client whose bytes are in used */

/* the ledger: entry[p] */
mtype purpose[PROCS];
byte row_of[PROCS];
byte left[PROCS];
bool motion[PROCS];
bool alive[PROCS];
bool ended[PROCS];
byte kills;                     /* at most so many, to stay finite */

#define ID(r, s, c) (state[r] == s && client[r] == c)

/* killed here, or not */
#define POINT if :: atomic { kills > 0 -> kills--; alive[p] = false; \
                             r = 0; tries = 0; found = false; ended[p] = true; \
                             goto over } \
                 :: skip fi

/* cq_row_zero(): not holders */
#define ZERO(r) committed[r] = 0; used[r] = 0; tag[r] = 0

/* cq_window_find(), cq_claim_row(), choose(): what was seen may be over when
 * it is acted upon, so one look at both rows is as good as several */
inline search(c)
{
    if
    :: tries == TRIES -> r = NONE
    :: else ->
       tries++;
       if
       :: ID(0, LIVE, c) -> r = 0; found = true
       :: ID(1, LIVE, c) -> r = 1; found = true
       :: else ->
          found = false;
          if
          :: (ID(0, RECLAIM, c) || ID(1, RECLAIM, c)
              || ID(0, CLAIM, c) || ID(1, CLAIM, c)) -> r = AGAIN
          :: else ->
             if
             :: (state[0] == EMPTY || (state[0] == LIVE && holders[0] == 0))
                -> r = 0
             :: (state[1] == EMPTY || (state[1] == LIVE && holders[1] == 0))
                -> r = 1
             :: else -> r = AGAIN
             fi
          fi
       fi
    fi
}

proctype server(byte p; byte c)
{
    byte r, tries;
    bool found;

again:
    atomic { search(c) };
    if
    :: r == NONE ->
       atomic { r = 0; tries = 0; found = false; ended[p] = true };
       goto over
    :: r == AGAIN -> r = 0; goto again
    :: else -> if :: found -> found = false; goto hold :: else fi
    fi;
    atomic { row_of[p] = r; purpose[p] = CLAIMING };    /* try_claim() */
    POINT;
    if
    :: atomic { state[r] == EMPTY -> state[r] = CLAIM; client[r] = c }
    :: atomic {                         /* reclaim(): the compare-and-swap */
           (state[r] == LIVE && client[r] != c) ->
           state[r] = RECLAIM
       };
       POINT;
       if
#ifndef WITHOUT_SECOND_LOOK     /* then the test must find it */
       :: holders[r] != 0 -> state[r] = LIVE; POINT; goto idle
       :: holders[r] == 0
#else
       :: skip
#endif
       fi;
       committed[r] = 0;                /* cq_row_zero(), before and after */
       POINT;
       atomic { used[r] = 0; tag[r] = 0 };
       POINT;
       atomic { state[r] = CLAIM; client[r] = c }
    :: else -> goto idle
    fi;
    POINT;
    if                                  /* alone() */
    :: atomic { (ID(1 - r, CLAIM, c) && r == 0) -> state[1] = KILLED };
       POINT
    :: else
    fi;
    if
    :: (ID(1 - r, LIVE, c) || ID(1 - r, CLAIM, c) || ID(1 - r, RECLAIM, c))
       -> goto lost
    :: else
    fi;
    if
    :: atomic { ID(r, CLAIM, c) ->
                state[r] = LIVE;
                assert(!ID(1 - r, LIVE, c)) }           /* one_row */
    :: else -> goto lost
    fi;
    POINT;
    purpose[p] = IDLE;
    goto hold;
lost:   /* give_up() */
    ZERO(r);
    POINT;
    state[r] = EMPTY;
    POINT;
idle:
    purpose[p] = IDLE;
    goto again;

hold:   /* hold() */
    atomic { motion[p] = true; row_of[p] = r; left[p] = 0; purpose[p] = HELD };
    POINT;
    holders[r]++;
    POINT;
    if
    :: ID(r, LIVE, c)
    :: else ->
       holders[r]--;
       POINT;
       atomic { purpose[p] = IDLE; row_of[p] = NONE; motion[p] = false };
       goto again
    fi;
    /* cq_account_admit(): reserves one; the entry stays in motion */
    committed[r]++;
    POINT;
    atomic { left[p]++; motion[p] = false };
    POINT;
    /* cq_account_charge(): out of the reservation */
    atomic { motion[p] = true; left[p]-- };
    POINT;
    atomic {
        assert(client[r] == c && state[r] != EMPTY);    /* held */
        assert(tag[r] == 0 || tag[r] == 1 + c);         /* own_bytes */
        used[r]++; tag[r] = 1 + c
    };
    POINT;
    /* cq_account_close() */
    atomic { motion[p] = true; holders[r]-- };
    POINT;
    atomic { row_of[p] = NONE; purpose[p] = IDLE; motion[p] = false };
    atomic { r = 0; tries = 0; found = false; ended[p] = true };
over:
    skip
}

/* What the ledger says of a row: hear() in settle.c. */
inline hear(r, sum, n, moving, claims)
{
    sum = 0; n = 0; moving = false; claims = false; q = 0;
    do
    :: q < PROCS ->
       if
       :: (row_of[q] == r && !(motion[q] && !alive[q])) ->
          moving = moving || motion[q];
          claims = claims || (alive[q] && purpose[q] == CLAIMING);
          if
          :: purpose[q] == HELD -> sum = sum + left[q]; n++
          :: else
          fi
       :: else
       fi;
       q++
    :: else -> break
    od
}

#define DEAD(p) (!alive[p] && (purpose[p] != IDLE || motion[p]))

/* The housekeeping: cq_table_settle(), dead processes in any order. Its
 * two equal looks at a row are one atomic look here; what it writes are
 * compare-and-swaps on what it saw, which the look's atomicity stands for. */
proctype settler()
{
    byte p, q, r, sum, n;
    bool moving, claims, restart;

    do
    :: (!DEAD(0) && !DEAD(1) && !DEAD(PROCS - 1)
        && ended[0] && ended[1] && ended[PROCS - 1]) -> break
    :: (DEAD(0) || DEAD(1) || DEAD(PROCS - 1)) ->
          restart = false;
          if
          :: DEAD(0) -> p = 0
          :: DEAD(1) -> p = 1
          :: DEAD(PROCS - 1) -> p = PROCS - 1
          fi;
          if
          :: purpose[p] == CLAIMING ->
             r = row_of[p];             /* finish_claim() */
             atomic {
                 hear(r, sum, n, moving, claims);
                 if
                 :: (claims || moving || state[r] == EMPTY
                     || state[r] == LIVE) ->
                    restart = ((claims || moving) && state[r] != EMPTY
                               && state[r] != LIVE)
                 :: else ->
                    if
                    :: (state[r] == RECLAIM && n > 0) -> state[r] = LIVE
                    :: else -> ZERO(r); state[r] = EMPTY
                    fi
                 fi
             };
             if
             :: restart
             :: else -> atomic { row_of[p] = NONE; purpose[p] = IDLE;
                                 motion[p] = false }
             fi
          :: (purpose[p] == HELD && !motion[p]) ->
             motion[p] = true           /* give_back(): no voice from now */
          :: (purpose[p] == HELD && motion[p]) ->
             r = row_of[p];             /* recompute() */
             atomic {
                 hear(r, sum, n, moving, claims);
                 restart = (moving
                            || (state[r] != EMPTY && state[r] != LIVE));
                 if
                 :: restart
                 :: else -> committed[r] = used[r] + sum; holders[r] = n
                 fi
             };
             if
             :: restart
             :: else -> atomic { row_of[p] = NONE; purpose[p] = IDLE;
                                 left[p] = 0; motion[p] = false }
             fi
          :: else ->                    /* died with nothing in its hands */
             atomic { row_of[p] = NONE; motion[p] = false }
          fi
    od;
    /* balance */
    atomic {
        r = 0;
        do
        :: r < ROWS ->
           hear(r, sum, n, moving, claims);
           assert(holders[r] == n && n == 0);
           assert(committed[r] == used[r] + sum);
           assert(state[r] == LIVE || state[r] == EMPTY);
           assert(state[r] == LIVE || (used[r] == 0 && tag[r] == 0));
           r++
        :: else -> break
        od;
        skip
    }
}

init {
    byte i;

    atomic {
        i = 0;
        do
        :: i < PROCS -> alive[i] = true; purpose[i] = IDLE;
                        row_of[i] = NONE; i++
        :: else -> break
        od;
        state[0] = EMPTY; state[1] = EMPTY;
#ifdef FULL
        /* both rows are others' already: the way is to reclaim */
        state[0] = LIVE; client[0] = 5; used[0] = 1; committed[0] = 1;
        tag[0] = 6;
        state[1] = LIVE; client[1] = 6; used[1] = 1; committed[1] = 1;
        tag[1] = 7;
#endif
        kills = KILLS
    };
    atomic {
        run server(0, 0);
        run server(1, SECOND);
#if PROCS == 3
        run server(2, 1);
#endif
        run settler()
    }
}
