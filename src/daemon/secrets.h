/* What only the keeper may know: the master key and the private keys of TLS, on their way to it. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "keys/keeper.h"
#include "policy/policy.h"

#include <stdbool.h>

/* Reads what the settings name: a credential of the service manager, a file (32 bytes, or 64 hex
 * digits), or a passphrase (one line of standard input, asked for where that is a terminal); and
 * the certificate's private key, which must fit it. Warns where others may read a file. *secrets is
 * a memfd of the caller's, sealed and locked in memory; the supervisor keeps it open, for the
 * keeper that is started again. */
MUST_USE bool secrets_gather(const struct settings *settings, const char *policy_path, int *secrets,
                             struct error *why);

/* The keeper's side: all lives in the secret arena. */
struct secrets {
    struct keeper_master master;
    struct span key_pem; /* empty: the gateway has no certificate */
};
MUST_USE bool secrets_receive(int fd, struct arena *arena, struct secrets *secrets,
                              struct error *why);
