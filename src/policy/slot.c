/* The policy in force, behind a lock that is held for a pointer's copy only. */
/* SPDX-License-Identifier: ISC */
#include "policy/slot.h"

#include "base/memory.h"

#include <pthread.h>

struct policy_slot {
    pthread_mutex_t lock;
    struct policy *policy;
};

struct policy_slot *policy_slot_new(struct policy *policy)
{
    struct policy_slot *slot = memory_allocate(sizeof *slot);

    if (!slot) {
        policy_free(policy);
        return NULL;
    }
    pthread_mutex_init(&slot->lock, NULL);
    slot->policy = policy;
    return slot;
}

void policy_slot_free(struct policy_slot *slot)
{
    if (!slot)
        return;
    policy_free(slot->policy);
    pthread_mutex_destroy(&slot->lock);
    memory_release(slot);
}

struct policy *policy_slot_get(struct policy_slot *slot)
{
    pthread_mutex_lock(&slot->lock);
    struct policy *policy = policy_ref(slot->policy);
    pthread_mutex_unlock(&slot->lock);
    return policy;
}

void policy_slot_set(struct policy_slot *slot, struct policy *policy)
{
    pthread_mutex_lock(&slot->lock);
    struct policy *old = slot->policy;
    slot->policy = policy;
    pthread_mutex_unlock(&slot->lock);
    policy_free(old);
}
