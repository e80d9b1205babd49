/* What the roles that use one store share in memory: the fair lock of the writers, and doorbells.
 */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/scoped.h"

#include <stdbool.h>
#include <stdint.h>

enum doorbell {
    DOORBELL_QUEUE, /* fresh mail was handed over, or a delivery became due by somebody's act */
    DOORBELL_CHECKPOINT, /* another STORE_CHECKPOINT_LEAVES leaves were written */
    DOORBELL_COUNT
};

/* A mapping of a memfd that the supervisor makes and hands to each role. Survives the death of any
 * role at any moment, also of the one that holds the lock. The roles live in one PID namespace. */
struct store_shared;
/* Makes the memfd (close-on-exec, sealed against a change of size). */
MUST_USE bool store_shared_create(int *fd, struct error *why);
/* Maps it; fd is not kept. */
MUST_USE bool store_shared_attach(int fd, struct store_shared **out, struct error *why);
void store_shared_free(struct store_shared *shared); /* unmaps */
SCOPED_FREE(store_shared)

void doorbell_ring(struct store_shared *shared, enum doorbell doorbell);
/* Read before looking for work; doorbell_wait() returns at once when it was rung since. */
uint32_t doorbell_count(struct store_shared *shared, enum doorbell doorbell);
/* Until rung after `seen`, or the deadline. */
void doorbell_wait(struct store_shared *shared, enum doorbell doorbell, uint32_t seen,
                   struct deadline until);
