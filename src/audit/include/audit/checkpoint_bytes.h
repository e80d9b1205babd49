/* A signed checkpoint as bytes, as the store keeps it. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/buffer.h"
#include "base/span.h"
#include "keys/keeper.h"

#include <stdbool.h>

enum { CHECKPOINT_BYTES_MAX = 256 };
/* Printing and parsing are inverses. */
void checkpoint_print(const struct checkpoint *checkpoint, struct buffer *out);
MUST_USE bool checkpoint_parse(struct span bytes, struct checkpoint *checkpoint);
