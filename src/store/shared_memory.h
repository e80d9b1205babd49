/* Memory that processes share by a descriptor: made once, its size sealed, mapped where it is used.
 */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/error.h"

#include <stddef.h>

MUST_USE bool shared_memory_create(const char *name, size_t size, int *fd, struct error *why);
/* Refuses memory of another size, or whose size could still change: touching what is no longer
 * there would kill the process. */
MUST_USE bool shared_memory_map(int fd, size_t size, void **memory, struct error *why);
