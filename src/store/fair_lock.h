/* Whose turn it is to write, among the processes that use one store. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "store/shared.h"

/* Waits for the turn of this process; they alternate. False: nobody gave the lock back for
 * STORE_BUSY_MS, and SQLite's own lock must decide. `shared` may be NULL: then always true. */
MUST_USE bool fair_lock_take(struct store_shared *shared);
/* After a fair_lock_take() that gave true. */
void fair_lock_give(struct store_shared *shared);
