/* Memory that ends all at once, with a limit. One thread uses an arena at a time. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/scoped.h"
#include "base/span.h"

#include <stddef.h>

struct arena;

/* `name` (static storage) tells in errors whose limit was met. Nothing is allocated but the handle
 * until the first use. NULL when memory is out. */
struct arena *arena_new(const char *name, size_t limit_bytes);
/* The same, but every byte is wiped before it is given back. */
struct arena *arena_new_secret(const char *name, size_t limit_bytes);
void arena_free(struct arena *arena); /* accepts NULL */
SCOPED_FREE(arena)

/* Zeroed, aligned for any type; NULL beyond the limit or when memory is out. */
void *arena_take(struct arena *arena, size_t size);
/* The same for an array: NULL on overflow too. */
void *arena_take_array(struct arena *arena, size_t count, size_t size);
/* A copy; .data is NULL when it could not be made (also for an empty span .data is not NULL). */
struct span arena_copy(struct arena *arena, struct span text);
/* A copy with a NUL at its end; NULL when it could not be made, or when text holds a NUL. */
char *arena_string(struct arena *arena, struct span text);
/* printf into the arena; .data is NULL when it could not be made. */
struct span arena_format(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);
/* Gives everything back (wiped where secret) but keeps the arena and its first block. */
void arena_reset(struct arena *arena);
size_t arena_used(const struct arena *arena);
