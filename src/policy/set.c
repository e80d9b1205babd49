/* Sets of texts and addresses, and what makes a text clean: the small things that lists
 * and rules are built of. */
/* SPDX-License-Identifier: ISC */
#include "model.h"

#include "base/utf8.h"

/* ---- sets ---- */

/* FNV-1a with a last stir. The keys are the administrator's, so that nobody outside can choose ones
 * that collide. */
static uint64_t hash_of(const struct joined *key)
{
    uint64_t hash = 0xCBF29CE484222325u;

    for (size_t part = 0; part < 3; part++)
        for (size_t i = 0; i < key->part[part].len; i++)
            hash = (hash ^ (unsigned char)key->part[part].data[i]) * 0x100000001B3u;
    return hash ^ (hash >> 29);
}

static bool is_key(struct span text, const struct joined *key)
{
    if (text.len != key->part[0].len + key->part[1].len + key->part[2].len)
        return false;
    for (size_t part = 0; part < 3; part++) {
        const struct span piece = key->part[part];

        if (piece.len > 0 && memcmp(text.data, piece.data, piece.len) != 0)
            return false;
        text = span_from(text, piece.len);
    }
    return true;
}

bool set_init(struct set *set, const struct span *keys, size_t count, struct arena *arena)
{
    size_t slots = 4;

    if (count > SET_KEYS_MAX)
        return false;
    while (slots < 2 * count)
        slots *= 2;
    *set = (struct set){
        .keys = keys,
        .slots = arena_take_array(arena, slots, sizeof *set->slots),
        .mask = slots - 1,
    };
    return set->slots != NULL;
}

/* The slot that holds the key, or the free one where it would go. */
static uint32_t *slot_of(const struct set *set, const struct joined *key)
{
    size_t at = (size_t)hash_of(key) & set->mask;

    while (set->slots[at] != 0 && !is_key(set->keys[set->slots[at] - 1], key))
        at = (at + 1) & set->mask;
    return &set->slots[at];
}

size_t set_add(struct set *set, size_t index)
{
    uint32_t *slot = slot_of(set, &(struct joined){{set->keys[index]}});

    if (*slot == 0)
        *slot = (uint32_t)(index + 1);
    return *slot - 1;
}

size_t set_find(const struct set *set, const struct joined *key)
{
    const uint32_t slot = set->slots ? *slot_of(set, key) : 0;

    return slot == 0 ? SIZE_MAX : slot - 1;
}

/* ---- texts ---- */

bool text_is_clean(struct span text)
{
    size_t bad_at;

    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7F)
            return false;
    return utf8_is_valid(text, &bad_at);
}
