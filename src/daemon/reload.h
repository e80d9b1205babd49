/* What a reload may not change, since descriptors, keys or folders hang on it. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "policy/policy.h"

/* The setting that differs and needs a restart, in the policy's words; NULL: none. */
const char *reload_needs_restart(const struct settings *now, const struct settings *next);
