/* Reading the master key, as the gateway does at its start and `letterlock key rotate` too. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "keys/keeper.h"
#include "policy/policy.h"

#include <stdbool.h>

/* Appends what the settings name to the secret buffer: a credential of the service manager, a file,
 * or a passphrase (one line of standard input, asked for where that is a terminal). */
MUST_USE bool master_key_read(const struct settings *settings, const char *policy_path,
                              enum keeper_master_kind *kind, struct buffer *out, struct error *why);
/* The key of one file: 32 bytes, or 64 hex digits. */
MUST_USE bool master_key_read_file(const char *path, struct buffer *key, struct error *why);
/* A whole secret file into the secret buffer; warns where others than its owner may read or write
 * it. `what` names it in errors. */
MUST_USE bool secret_file_read(const char *path, const char *what, size_t limit, struct buffer *out,
                               struct error *why);
/* A path as the policy writes it, seen from the policy's folder. NULL: no memory, or a NUL in it.
 */
char *path_beside_policy(const char *policy_path, struct span path, struct arena *arena);
