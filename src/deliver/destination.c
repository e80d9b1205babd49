/* The table of destinations. */
/* SPDX-License-Identifier: ISC */
#include "destination.h"

#include "base/memory.h"

size_t destinations_bucket(struct span bytes)
{
    uint32_t hash = 2166136261U;

    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ (unsigned char)bytes.data[i]) * 16777619U;
    return hash % TABLE_BUCKETS;
}

static void destination_free(struct destination *destination)
{
    if (!destination)
        return;
    arena_free(destination->arena);
    memory_release(destination);
}

static struct destination *destination_new(struct span name)
{
    struct destination *made = memory_allocate(sizeof *made);

    if (!made)
        return NULL;
    made->last = &made->first;
    made->arena = arena_new("destination", KIB(4));
    if (made->arena)
        made->name = arena_copy(made->arena, name);
    if (made->name.data)
        return made;
    destination_free(made);
    return NULL;
}

static void forget_idle(struct destinations *table)
{
    for (size_t i = 0; i < TABLE_BUCKETS; i++) {
        struct destination **at = &table->buckets[i];

        while (*at) {
            struct destination *destination = *at;

            if (destination->waiting > 0 || destination->sessions > 0) {
                at = &destination->next;
                continue;
            }
            *at = destination->next;
            destination_free(destination);
            table->count--;
        }
    }
}

struct destination *destinations_find(struct destinations *table, struct span name)
{
    struct destination **bucket = &table->buckets[destinations_bucket(name)], *made;

    for (struct destination *found = *bucket; found; found = found->next)
        if (span_equal(found->name, name))
            return found;
    if (table->count >= DESTINATIONS_MAX)
        forget_idle(table);
    if (table->count >= DESTINATIONS_MAX)
        return NULL;
    made = destination_new(name);
    if (!made)
        return NULL;
    made->next = *bucket;
    *bucket = made;
    table->count++;
    return made;
}

void destinations_clear(struct destinations *table)
{
    for (size_t i = 0; i < TABLE_BUCKETS; i++)
        while (table->buckets[i]) {
            struct destination *destination = table->buckets[i];

            table->buckets[i] = destination->next;
            destination_free(destination);
        }
}
