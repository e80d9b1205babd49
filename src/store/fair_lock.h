/* Whose turn it is to write, among the processes that use one store. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "store/shared.h"

/* Waits for the turn of this process; they alternate. False: the turn did not come within
 * STORE_BUSY_MS, and SQLite's own lock must decide, as it does always. Who held the lock all that
 * time loses it. `shared` may be NULL: then always true. */
MUST_USE bool fair_lock_take(struct store_shared *shared);
/* The same with another bound on the wait, for tests. */
MUST_USE bool fair_lock_take_within(struct store_shared *shared, unsigned ms);
/* After a fair_lock_take() that gave true. */
void fair_lock_give(struct store_shared *shared);
