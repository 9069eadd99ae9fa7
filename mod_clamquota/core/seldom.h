/* seldom - marks functions that few requests call.
 *
 * Inlined, such a function makes all other requests save its registers: a
 * tenth of what a counted request costs (t/bench/request.pl). */
#ifndef CQ_SELDOM_H
#define CQ_SELDOM_H

#define CQ_SELDOM __attribute__((cold, noinline))

#endif
