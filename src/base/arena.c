/* Blocks that grow with use and all end at once: for a message, a session or a request. */
/* SPDX-License-Identifier: ISC */
#include "base/arena.h"

#include "base/memory.h"
#include "base/secret.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#else
/* So that the sanitizer sees a step out of one taking and into the block's unused rest. */
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

enum {
    BLOCK_FIRST = 2048,     /* a typical SMTP command fits, and a short session in one block */
    BLOCK_LARGEST = 262144, /* doubling ends here: a bigger block would mostly lie unused */
    LARGE = 65536,          /* from here on a taking has a block to itself */
    ALIGNMENT = _Alignof(max_align_t),
};

/* Invariant: the bytes from `used` on are zero. */
struct block {
    struct block *next; /* the next older one */
    size_t size, used;
    max_align_t bytes[];
};

struct arena {
    const char *name;
    size_t limit, used; /* used <= limit */
    bool is_secret;
    struct block
        *current; /* where small takings come from; the last of its chain is the first made */
    struct block *large; /* a chain of blocks of one taking each */
};

static struct arena *arena_make(const char *name, size_t limit, bool is_secret)
{
    struct arena *arena = memory_allocate(sizeof *arena);

    if (arena)
        *arena = (struct arena){.name = name, .limit = limit, .is_secret = is_secret};
    return arena;
}

struct arena *arena_new(const char *name, size_t limit_bytes)
{
    return arena_make(name, limit_bytes, false);
}

struct arena *arena_new_secret(const char *name, size_t limit_bytes)
{
    return arena_make(name, limit_bytes, true);
}

/* Frees the newest block of a chain and steps to the next older one. */
static void drop_block(const struct arena *arena, struct block **chain)
{
    struct block *block = *chain;

    *chain = block->next;
    ASAN_UNPOISON_MEMORY_REGION(block->bytes, block->size);
    if (arena->is_secret)
        secret_wipe(block->bytes, block->used);
    memory_release(block);
}

void arena_reset(struct arena *arena)
{
    struct block *first;

    while (arena->large)
        drop_block(arena, &arena->large);
    while (arena->current && arena->current->next)
        drop_block(arena, &arena->current);
    arena->used = 0;
    if (!(first = arena->current))
        return;
    ASAN_UNPOISON_MEMORY_REGION(first->bytes, first->size);
    secret_wipe(first->bytes, first->used); /* zero for its next user, be it secret or not */
    ASAN_POISON_MEMORY_REGION(first->bytes, first->size);
    first->used = 0;
}

void arena_free(struct arena *arena)
{
    if (!arena)
        return;
    arena_reset(arena);
    if (arena->current)
        drop_block(arena, &arena->current);
    memory_release(arena);
}

static bool add_block(struct block **chain, size_t size)
{
    size_t total;
    struct block *block;

    if (!size_add(sizeof *block, size, &total) || !(block = memory_allocate(total)))
        return false;
    ASAN_POISON_MEMORY_REGION(block->bytes, size);
    block->size = size;
    block->next = *chain;
    *chain = block;
    return true;
}

/* The size of the next block for small takings, of which the first is `size` bytes. */
static size_t next_block_size(const struct arena *arena, size_t size)
{
    size_t next = arena->current ? 2 * arena->current->size : BLOCK_FIRST;
    size_t left = arena->limit - arena->used; /* more could never be taken */

    next = next < BLOCK_LARGEST ? next : BLOCK_LARGEST;
    next = next < left ? next : left;
    return next > size ? next : size;
}

void *arena_take(struct arena *arena, size_t size)
{
    size_t rounded;
    struct block *block;
    char *taken;

    if (!size_add(size > 0 ? size : 1, ALIGNMENT - 1, &rounded))
        return NULL;
    rounded -= rounded % ALIGNMENT;
    if (rounded > arena->limit - arena->used)
        return NULL;
    if (rounded >= LARGE) {
        if (!add_block(&arena->large, rounded))
            return NULL;
        block = arena->large;
    } else {
        block = arena->current;
        if ((!block || rounded > block->size - block->used) &&
            !add_block(&arena->current, next_block_size(arena, rounded)))
            return NULL;
        block = arena->current;
    }
    taken = (char *)block->bytes + block->used;
    block->used += rounded;
    arena->used += rounded;
    ASAN_UNPOISON_MEMORY_REGION(taken, size);
    return taken;
}

void *arena_take_array(struct arena *arena, size_t count, size_t size)
{
    size_t total;

    return size_multiply(count, size, &total) ? arena_take(arena, total) : NULL;
}

struct span arena_copy(struct arena *arena, struct span text)
{
    char *copy = arena_take(arena, text.len);

    if (!copy)
        return (struct span){NULL, 0};
    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    return (struct span){copy, text.len};
}

char *arena_string(struct arena *arena, struct span text)
{
    char *copy;
    size_t size;

    if (span_index(text, '\0') < text.len || !size_add(text.len, 1, &size) ||
        !(copy = arena_take(arena, size)))
        return NULL;
    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    return copy; /* what was taken is zero, so it ends in a NUL */
}

struct span arena_format(struct arena *arena, const char *format, ...)
{
    va_list arguments, again;
    struct span text = {NULL, 0};
    char *out;
    int len;

    va_start(arguments, format);
    va_copy(again, arguments);
    len = vsnprintf(NULL, 0, format, arguments);
    if (len >= 0 && (out = arena_take(arena, (size_t)len + 1)) != NULL) {
        vsnprintf(out, (size_t)len + 1, format, again);
        text = span_make(out, (size_t)len);
    }
    va_end(again);
    va_end(arguments);
    return text;
}

size_t arena_used(const struct arena *arena)
{
    return arena->used;
}
