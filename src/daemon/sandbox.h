/* What a role gives up before the first byte from outside. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/error.h"
#include "role.h"

#include <stdbool.h>

/* First of all: no core dumps, nothing to attach to, no capabilities and no new privileges, limits
 * on descriptors. */
MUST_USE bool sandbox_limit(enum role role, struct error *why);
/* Landlock: from here on this thread (and those it makes) opens files in the role's own part of the
 * state directory alone. Where the kernel has no Landlock this is logged, once, and true. */
MUST_USE bool sandbox_shut_files(enum role role, const char *state_directory, struct error *why);
/* seccomp: from here on all threads make the system calls of the role's list alone; any other one
 * kills the process, and the kernel's log names it. */
MUST_USE bool sandbox_shut_calls(enum role role, struct error *why);
