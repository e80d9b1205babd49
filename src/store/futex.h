/* Sleeping on a word of memory, and waking who sleeps there. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(_Atomic uint32_t) == sizeof(uint32_t), "a futex is four bytes");

/* Until woken, if the word still holds `seen`; `until` is of the monotonic clock, NULL for ever.
 * The word may lie in memory that processes share. Wakes for no reason too: look again. */
static inline void futex_wait(_Atomic uint32_t *word, uint32_t seen, const struct timespec *until)
{
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET, seen, until, NULL, FUTEX_BITSET_MATCH_ANY);
}
static inline void futex_wake_all(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
/* The same within one process, which is cheaper. */
static inline void futex_wait_private(_Atomic uint32_t *word, uint32_t seen)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}
/* Touches nothing at the address: its owner may have left already. */
static inline void futex_wake_private(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
/* A lock that the kernel hands on: 0 when it is ours, else -1 and errno. `until` is of the wall
 * clock. */
static inline long futex_lock(_Atomic uint32_t *word, const struct timespec *until)
{
    return syscall(SYS_futex, word, FUTEX_LOCK_PI, 0, until, NULL, 0);
}
static inline long futex_unlock(_Atomic uint32_t *word)
{
    return syscall(SYS_futex, word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
}
