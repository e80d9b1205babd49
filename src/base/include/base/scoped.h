/* Owners that clean up at the end of their scope, on every way out. */
/* SPDX-License-Identifier: ISC */
#pragma once

/* `scoped(arena) name = arena_new(…);` frees with arena_free(name) when the scope ends. Works for
 * every `struct thing` whose header has SCOPED_FREE(thing) below its thing_free(). */
#define scoped(thing) __attribute__((cleanup(thing##_free_at_end))) struct thing *

#define SCOPED_FREE(thing)                                                                         \
    static inline void thing##_free_at_end(struct thing **owner)                                   \
    {                                                                                              \
        thing##_free(*owner);                                                                      \
    }

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(text_at, first) __attribute__((format(printf, text_at, first)))
