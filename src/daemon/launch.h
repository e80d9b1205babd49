/* How a role comes to life: a fork, the descriptors it may have, its own user, a fresh exec. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/error.h"
#include "role.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct role_user {
    uid_t uid;
    gid_t gid;
};
/* Started as root: the users letterlock-receive … with the group letterlock, or numbers where there
 * are no such names. Without the right to change users: whoever started it. Logs which. */
void role_users_find(struct role_user users[ROLE_COUNT]);

/* For good, and the groups too. False: the right is missing, or the number means nothing here. */
bool role_user_take(const struct role_user *user);

struct placement {
    int target; /* FD_… */
    int source;
};
struct launch {
    int program; /* descriptor of our own executable */
    enum role role;
    struct role_user user;
    const struct placement *placements;
    size_t placement_count;
};
/* *pid is the child's. It begins with an empty environment (but for test hooks), and ends at once
 * with a log line where something stands in its way. */
MUST_USE bool launch(const struct launch *launch, pid_t *pid, struct error *why);
