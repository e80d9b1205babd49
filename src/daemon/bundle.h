/* The policy with every file that it names, as one sealed memfd: roles open no files. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/span.h"
#include "policy/policy.h"

#include <stdbool.h>

/* Reads the file and loads it, writing down each file that loading reads. NULL on errors: then
 * `complaints` tells them, or, where the file itself cannot be read, *why (.kind not ERROR_NONE).
 * *bundle is a memfd of the caller's, sealed against every change. Complaints live in `arena`. */
struct policy *bundle_make(const char *policy_path, int64_t now_ms, struct arena *arena,
                           struct policy_complaints *complaints, int *bundle, struct error *why);
/* Loads the policy from a bundle alone. The bytes were sealed by the supervisor; that they are one
 * is checked nevertheless. */
MUST_USE bool bundle_load(int bundle, int64_t now_ms, struct policy **policy, struct error *why);

/* A memfd with these bytes, close-on-exec and sealed against every change; -1 with *why. */
int sealed_memfd(const char *name, struct span bytes, struct error *why);
