/* What the supervisor must make ready while it has the rights to: folders, listeners, the control
 * socket. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/error.h"
#include "launch.h"
#include "policy/policy.h"

#include <stdbool.h>

/* STATE with store/ (the group's), keeper/ (the keeper's alone) and run/. Refuses where a role
 * could not reach its folder. *is_new: nothing was in the store yet. */
MUST_USE bool premises_prepare(const char *state_directory,
                               const struct role_user users[ROLE_COUNT], bool *is_new,
                               struct error *why);
/* Bound and listening; the address defaults to "::", which takes IPv4 too. */
MUST_USE bool premises_listen(const struct listener *listener, int *fd, struct error *why);
/* STATE/run/control.sock, for root and the user who started the gateway. */
MUST_USE bool premises_listen_for_control(const char *state_directory, int *fd, struct error *why);
/* Held as long as the gateway runs: a second one over the same state would break both. */
MUST_USE bool premises_lock(const char *state_directory, int *lock, struct error *why);
