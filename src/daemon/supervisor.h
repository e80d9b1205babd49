/* The one process that keeps its privileges: it starts the roles, watches them, and hands them what
 * they need. It reads the administrator's files and nothing else, neither the network nor its
 * children. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/log.h"

/* Runs the gateway in the foreground until SIGTERM or SIGINT. The exit status for main(). */
int supervise(const char *policy_path, enum log_level least);
/* Only checks the file, and says on standard error what is wrong with it. */
int supervise_check(const char *policy_path);
