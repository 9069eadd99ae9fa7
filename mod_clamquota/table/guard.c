/* guard - a lost page of a mapped table kills no process.
 *
 * The one place with state of the process: a signal's action is the
 * process's, and its handler is given no pointer of ours. */
#include "table/guard.h"
#include "table/parts.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>

/* mappings at once: a server's table, its copy of another size, a bell */
#define REGIONS 8

static struct {
    _Atomic uintptr_t begin;            /* 0: free */
    _Atomic uintptr_t end;
    _Atomic(_Atomic uint32_t *) lost;   /* raised with the first lost page */
} regions[REGIONS];

static struct sigaction replaced;         /* by ours */

/* The mapping from a lost page on becomes zeros of this process alone. To its
 * end: what a file lost by being cut short lies there, and however many pages
 * are lost one after the other, there are never more than two mappings. */
static bool replace_page(uintptr_t address)
{
    int i;

    for (i = 0; i < REGIONS; i++) {
        uintptr_t begin = atomic_load(&regions[i].begin);
        uintptr_t end = atomic_load(&regions[i].end);
        uintptr_t page = address / CQ_PAGE * CQ_PAGE;

        if (begin == 0 || address < begin || address >= end) {
            continue;
        }
        if (mmap((void *)page, end - page, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE,
                 -1, 0) == MAP_FAILED) {
            return false;
        }
        atomic_store(atomic_load(&regions[i].lost), 1);
        return true;
    }
    return false;
}

/* mmap(2) is a plain system call, and the rest are lock-free atomics. */
static void on_bus_error(int signal_number, siginfo_t *info, void *context)
{
    int error = errno;

    (void)context;
    if (info->si_code <= 0 || !replace_page((uintptr_t)info->si_addr)) {
        /* Not ours: the access is made again, under the action that was there
         * before; a signal that was sent is sent again. */
        sigaction(SIGBUS, &replaced, NULL);
        if (info->si_code <= 0) {
            raise(signal_number);
        }
    }
    errno = error;
}

static void install(void)
{
    struct sigaction ours, now;

    if (sigaction(SIGBUS, NULL, &now) == 0
        && (now.sa_flags & SA_SIGINFO) != 0
        && now.sa_sigaction == on_bus_error) {
        return;
    }
    memset(&ours, 0, sizeof(ours));
    ours.sa_sigaction = on_bus_error;
    ours.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    sigemptyset(&ours.sa_mask);
    replaced = now;
    sigaction(SIGBUS, &ours, NULL);
}

void cq_guard_begin(void *base, size_t size, _Atomic uint32_t *lost)
{
    int i, place = -1;

    for (i = REGIONS - 1; i >= 0; i--) {
        uintptr_t begin = atomic_load(&regions[i].begin);

        if (begin == (uintptr_t)base) {
            place = i;
            break;
        }
        place = begin == 0 ? i : place;
    }
    /* with no place left it is not guarded, that is all */
    if (place >= 0) {
        atomic_store(&regions[place].lost, lost);
        atomic_store(&regions[place].end, (uintptr_t)base + size);
        atomic_store(&regions[place].begin, (uintptr_t)base);
        install();
    }
}

void cq_guard_end(const void *base)
{
    struct sigaction now;
    bool any = false;
    int i;

    for (i = 0; i < REGIONS; i++) {
        if (atomic_load(&regions[i].begin) == (uintptr_t)base) {
            atomic_store(&regions[i].begin, 0);
        }
        any = any || atomic_load(&regions[i].begin) != 0;
    }
    if (!any && sigaction(SIGBUS, NULL, &now) == 0
        && (now.sa_flags & SA_SIGINFO) != 0
        && now.sa_sigaction == on_bus_error) {
        sigaction(SIGBUS, &replaced, NULL);
    }
}

void cq_table_guard(struct cq_table *t)
{
    cq_guard_begin(t->header, t->size, &t->condition->lost);
}

void cq_table_unguard(struct cq_table *t)
{
    cq_guard_end(t->header);
}
