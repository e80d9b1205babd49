/* What all roles but the keeper begin with, and how each hears from the supervisor. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/entropy.h"
#include "keys/keeper.h"
#include "policy/slot.h"
#include "role.h"
#include "store/handover.h"
#include "store/store.h"

#include <stdbool.h>

struct common {
    const struct role_arguments *arguments;
    enum role role;
    struct clock clock;
    struct policy *first;     /* the policy that the role began with: listeners point into it */
    struct policy_slot *slot; /* the policy in force */
    struct store_shared *shared;
    struct keeper *keeper;
    struct store *store; /* by common_enter() */
};
/* Loads the policy, maps what is shared, connects to the keeper. Nothing from outside is read. */
MUST_USE bool common_begin(struct common *common, struct error *why);
/* Shuts the files, opens the store within these walls. What needs files of the system must be
 * loaded by now; sandbox_shut_calls() comes after. */
MUST_USE bool common_enter(struct common *common, struct error *why);
void common_end(struct common *common);

/* What a role does beside swapping its policy; each may be NULL. */
struct common_hooks {
    void (*on_policy)(void *self, struct policy *policy);
    void (*on_refused)(void *self, uint32_t errors, uint32_t line);
    void *self;
};
/* Listens to the supervisor until it is time to end; gives the deadline for what is in hand. A role
 * that cannot load a new policy ends too: it begins again with that, rather than go on under an old
 * one. */
struct deadline common_watch(struct common *common, const struct common_hooks *hooks);

/* The wall clock; tests may have moved it (meson option test_hooks). */
struct clock common_clock(void);
/* Applies LETTERLOCK_TEST_LIMITS where test_hooks is on: those with this prefix ("receive."). */
void common_test_limits(const char *prefix,
                        bool (*set)(void *limits, struct span name, long long value), void *limits);

/* The lives of the roles. */
int receive_main(const struct role_arguments *arguments);
int deliver_main(const struct role_arguments *arguments);
int keeper_main(const struct role_arguments *arguments);
int control_main(const struct role_arguments *arguments);

/* The role cannot work: says why, and how the process ends. */
int common_hopeless(const struct error *why);
