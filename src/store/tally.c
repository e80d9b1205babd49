/* Two hash tables with open addressing: tallies by row, rows by name. */
/* SPDX-License-Identifier: ISC */
#include "tally.h"

#include "base/memory.h"

#include <assert.h>

enum {
    TALLIES_LEAST = 64,
    TALLIES_KEPT = 1024,                 /* larger tables are given back after the group */
    NAMES_SLOTS = 2 * STORE_NAMES_MAX,   /* never more than half full */
    NAMES_BYTES = STORE_NAMES_MAX * 512, /* far above what names need */
};
_Static_assert((NAMES_SLOTS & (NAMES_SLOTS - 1)) == 0, "slots are found by masking");

struct name {
    struct span text;
    int64_t row;
};

/* The finaliser of SplitMix64: neighbouring rows land far apart. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static struct tally *slot_of(struct tally *slots, size_t capacity, int64_t row)
{
    size_t at = mix((uint64_t)row) & (capacity - 1);
    while (slots[at].row != 0 && slots[at].row != row)
        at = (at + 1) & (capacity - 1);
    return &slots[at];
}

static bool grow(struct tallies *tallies)
{
    size_t capacity = tallies->capacity ? 2 * tallies->capacity : TALLIES_LEAST;
    struct tally *slots = memory_allocate_array(capacity, sizeof *slots);
    if (!slots)
        return false;
    for (size_t i = 0; i < tallies->capacity; i++) {
        if (tallies->slots[i].row != 0)
            *slot_of(slots, capacity, tallies->slots[i].row) = tallies->slots[i];
    }
    memory_release(tallies->slots);
    tallies->slots = slots;
    tallies->capacity = capacity;
    return true;
}

struct tally *tally_of(struct tallies *tallies, int64_t row)
{
    assert(row != 0);
    if (2 * tallies->used >= tallies->capacity && !grow(tallies))
        return NULL;
    struct tally *slot = slot_of(tallies->slots, tallies->capacity, row);
    if (slot->row == 0) {
        slot->row = row;
        tallies->used++;
    }
    return slot;
}

void tallies_clear(struct tallies *tallies)
{
    memory_release(tallies->slots);
    *tallies = (struct tallies){0};
}

void tallies_empty(struct tallies *tallies)
{
    if (tallies->capacity > TALLIES_KEPT)
        tallies_clear(tallies);
    else if (tallies->used > 0)
        memset(tallies->slots, 0, tallies->capacity * sizeof *tallies->slots);
    tallies->used = 0;
}

bool names_init(struct names *names, uint64_t seed)
{
    *names = (struct names){
        .texts = arena_new("names in the store", NAMES_BYTES),
        .slots = memory_allocate_array(NAMES_SLOTS, sizeof(struct name)),
        .seed = seed,
    };
    return names->texts && names->slots;
}

void names_clear(struct names *names)
{
    arena_free(names->texts);
    memory_release(names->slots);
    *names = (struct names){0};
}

void names_forget(struct names *names)
{
    if (names->used == 0)
        return;
    memset(names->slots, 0, NAMES_SLOTS * sizeof *names->slots);
    arena_reset(names->texts);
    names->used = 0;
}

/* FNV-1a from a secret start, mixed. */
static struct name *place_of(const struct names *names, struct span text)
{
    uint64_t hash = names->seed;
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (uint8_t)text.data[i]) * 0x100000001b3u;
    size_t at = mix(hash) & (NAMES_SLOTS - 1);
    while (names->slots[at].row != 0 && !span_equal(names->slots[at].text, text))
        at = (at + 1) & (NAMES_SLOTS - 1);
    return &names->slots[at];
}

int64_t names_find(const struct names *names, struct span name)
{
    return place_of(names, name)->row;
}

void names_add(struct names *names, struct span name, int64_t row)
{
    if (names->used == STORE_NAMES_MAX)
        names_forget(names);
    struct span text = arena_copy(names->texts, name);
    if (!text.data) /* it is only a memory: without it the row is looked up again */
        return;
    *place_of(names, text) = (struct name){text, row};
    names->used++;
}
