/* The policy in force, swapped whole by a reload while sessions hold on to the one they began with.
 */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/scoped.h"
#include "policy/policy.h"

/* Thread-safe. */
struct policy_slot;
struct policy_slot *policy_slot_new(struct policy *policy); /* takes the reference over */
void policy_slot_free(struct policy_slot *slot);
SCOPED_FREE(policy_slot)
/* A reference of the caller's own: policy_free() it. */
struct policy *policy_slot_get(struct policy_slot *slot);
void policy_slot_set(struct policy_slot *slot, struct policy *policy); /* takes it over */
