/* What each kind of change does within the writer's transaction. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "ledger.h"

/* A job of the writer (writer.h); self is a const struct store_batch. */
MUST_USE bool change_apply_batch(struct ledger *ledger, void *self, struct error *why);
