/* The keeper's file as bytes and as values: one spelling for each state, kept in order. */
/* SPDX-License-Identifier: ISC */
#include "keeper_table.h"

#include "base/memory.h"
#include "base/secret.h"
#include "base/wire.h"

#include <assert.h>

static const char magic[8] = "LLKEEPER"; /* without a NUL */

void keeper_table_clear(struct keeper_table *table)
{
    memory_release(table->organisations);
    memory_release(table->classes);
    *table = (struct keeper_table){0};
}

/* ---- order ---- */

size_t keeper_organisation_index(const struct keeper_table *table, struct span name)
{
    size_t i = 0;

    while (i < table->organisation_count &&
           !span_equal(name,
                       span_make(table->organisations[i].name, table->organisations[i].name_len)))
        i++;
    return i;
}

static int compare(const struct keeper_class *a, uint32_t organisation, enum keeper_class_kind kind,
                   int32_t day)
{
    if (a->organisation != organisation)
        return a->organisation < organisation ? -1 : 1;
    if (a->kind != kind)
        return a->kind < kind ? -1 : 1;
    return a->day < day ? -1 : a->day > day;
}

size_t keeper_class_index(const struct keeper_table *table, uint32_t organisation,
                          enum keeper_class_kind kind, int32_t day, bool *is_there)
{
    size_t low = 0, high = table->class_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare(&table->classes[middle], organisation, kind, day) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *is_there =
        low < table->class_count && compare(&table->classes[low], organisation, kind, day) == 0;
    return low;
}

/* Room for one more of `count`; the new block, or NULL. */
static void *grow(void *block, size_t count, size_t *room, size_t most, size_t size)
{
    size_t wanted = *room > 0 ? *room * 2 : 16;
    void *grown;

    if (count < *room)
        return block;
    if (count >= most)
        return NULL;
    if (wanted > most)
        wanted = most;
    grown = memory_resize(block, *room * size, wanted * size);
    if (grown)
        *room = wanted;
    return grown;
}

bool keeper_organisation_add(struct keeper_table *table,
                             const struct keeper_organisation *organisation)
{
    struct keeper_organisation *grown =
        grow(table->organisations, table->organisation_count, &table->organisation_room,
             KEEPER_ORGANISATIONS_MAX, sizeof *grown);

    if (!grown)
        return false;
    table->organisations = grown;
    grown[table->organisation_count++] = *organisation;
    return true;
}

bool keeper_class_add(struct keeper_table *table, const struct keeper_class *added)
{
    struct keeper_class *grown = grow(table->classes, table->class_count, &table->class_room,
                                      KEEPER_CLASSES_MAX, sizeof *grown);
    bool is_there;
    size_t at;

    if (!grown)
        return false;
    table->classes = grown;
    at = keeper_class_index(table, added->organisation, added->kind, added->day, &is_there);
    assert(!is_there);
    memmove(grown + at + 1, grown + at, (table->class_count - at) * sizeof *grown);
    grown[at] = *added;
    table->class_count++;
    return true;
}

void keeper_class_remove(struct keeper_table *table, size_t index)
{
    assert(index < table->class_count);
    table->class_count--;
    memmove(table->classes + index, table->classes + index + 1,
            (table->class_count - index) * sizeof *table->classes);
    secret_wipe(table->classes + table->class_count, sizeof *table->classes);
}

size_t keeper_classes_remove_before(struct keeper_table *table, int32_t day)
{
    size_t kept = 0, removed;

    for (size_t i = 0; i < table->class_count; i++)
        if (table->classes[i].day >= day)
            table->classes[kept++] = table->classes[i];
    removed = table->class_count - kept;
    if (removed > 0)
        secret_wipe(table->classes + kept, removed * sizeof *table->classes);
    table->class_count = kept;
    return removed;
}

/* ---- bytes ---- */

bool keeper_table_print(const struct keeper_table *table, int32_t from_day, struct buffer *out)
{
    size_t classes = 0;

    for (size_t i = 0; i < table->class_count; i++)
        classes += table->classes[i].day >= from_day;
    wire_put_bytes(out, magic, sizeof magic);
    wire_put_u32(out, KEEPER_FILE_VERSION);
    wire_put_u8(out, (uint8_t)table->derivation.kind);
    wire_put_u8(out, (uint8_t)table->derivation.log2_n);
    wire_put_bytes(out, table->derivation.salt, sizeof table->derivation.salt);
    wire_put_bytes(out, table->checkpoint_wrapped, sizeof table->checkpoint_wrapped);
    wire_put_u8(out, table->has_checkpoint);
    if (table->has_checkpoint)
        checkpoint_put(&table->last, out);
    wire_put_u64(out, table->unwraps);
    wire_put_u64(out, table->texts);
    wire_put_u64(out, table->destroyed);
    wire_put_u64(out, table->destroyed_told);
    wire_put_u32(out, (uint32_t)table->organisation_count);
    for (size_t i = 0; i < table->organisation_count; i++) {
        const struct keeper_organisation *organisation = &table->organisations[i];

        wire_put_span(out, span_make(organisation->name, organisation->name_len));
        wire_put_bytes(out, organisation->wrapped, sizeof organisation->wrapped);
    }
    wire_put_u32(out, (uint32_t)classes);
    for (size_t i = 0; i < table->class_count; i++) {
        const struct keeper_class *class = &table->classes[i];

        if (class->day < from_day)
            continue;
        wire_put_u32(out, class->organisation);
        wire_put_u8(out, (uint8_t) class->kind);
        wire_put_u32(out, (uint32_t) class->day);
        wire_put_bytes(out, class->wrapped, sizeof class->wrapped);
    }
    return !out->failed;
}

static bool is_malformed(struct error *why)
{
    return error_set(why, ERROR_INTERNAL, "4.3.0", "the keeper's file is malformed");
}

static bool get_derivation(struct wire_reader *in, struct keeper_derivation *derivation,
                           uint32_t *version, struct error *why)
{
    char start[sizeof magic];
    uint8_t kind;

    wire_get_bytes(in, start, sizeof start);
    *version = wire_get_u32(in);
    kind = wire_get_u8(in);
    derivation->log2_n = wire_get_u8(in);
    wire_get_bytes(in, derivation->salt, sizeof derivation->salt);
    if (in->failed || memcmp(start, magic, sizeof magic) != 0)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "this is no keeper's file");
    if (*version == 0 || *version > KEEPER_FILE_VERSION)
        return error_set(why, ERROR_INTERNAL, "4.3.0",
                         "the keeper's file has version %u, this program knows %d", *version,
                         KEEPER_FILE_VERSION);
    switch (kind) {
    case KEEPER_MASTER_RAW:
        derivation->kind = KEEPER_MASTER_RAW;
        return derivation->log2_n == 0 || is_malformed(why);
    case KEEPER_MASTER_PASSPHRASE:
        derivation->kind = KEEPER_MASTER_PASSPHRASE;
        return (derivation->log2_n >= SCRYPT_LOG2_N_LEAST &&
                derivation->log2_n <= SCRYPT_LOG2_N_MOST) ||
               is_malformed(why);
    default: /* a byte from outside, not yet an enum */
        return is_malformed(why);
    }
}

bool keeper_derivation_parse(struct span text, struct keeper_derivation *derivation,
                             struct error *why)
{
    struct wire_reader in = {.rest = text};
    struct keeper_derivation got = {0};
    uint32_t version;

    if (!get_derivation(&in, &got, &version, why))
        return false;
    *derivation = got;
    return true;
}

static bool get_organisations(struct wire_reader *in, struct keeper_table *table)
{
    uint32_t count = wire_get_u32(in);

    for (uint32_t i = 0; i < count && !in->failed; i++) {
        struct keeper_organisation organisation = {0};
        struct span name = wire_get_span(in, sizeof organisation.name);

        wire_get_bytes(in, organisation.wrapped, sizeof organisation.wrapped);
        if (in->failed || keeper_organisation_index(table, name) != table->organisation_count)
            return false;
        organisation.name_len = name.len;
        memcpy(organisation.name, name.data, name.len);
        if (!keeper_organisation_add(table, &organisation))
            return false;
    }
    return !in->failed;
}

static bool get_classes(struct wire_reader *in, struct keeper_table *table)
{
    uint32_t count = wire_get_u32(in);

    for (uint32_t i = 0; i < count && !in->failed; i++) {
        struct keeper_class class = {.organisation = wire_get_u32(in)};
        uint8_t kind = wire_get_u8(in);
        const struct keeper_class *before =
            table->class_count > 0 ? &table->classes[table->class_count - 1] : NULL;

        class.day = (int32_t)wire_get_u32(in);
        wire_get_bytes(in, class.wrapped, sizeof class.wrapped);
        if (in->failed || class.organisation >= table->organisation_count ||
            kind >= KEEPER_CLASS_KIND_COUNT)
            return false;
        class.kind = (enum keeper_class_kind)kind;
        if (before && compare(before, class.organisation, class.kind, class.day) >= 0)
            return false;
        if (!keeper_class_add(table, &class))
            return false;
    }
    return !in->failed;
}

bool keeper_table_parse(struct span text, struct keeper_table *table, struct error *why)
{
    struct wire_reader in = {.rest = text};
    struct keeper_table got = {0};
    uint32_t version;
    uint8_t has_checkpoint;

    if (!get_derivation(&in, &got.derivation, &version, why))
        return false;
    wire_get_bytes(&in, got.checkpoint_wrapped, sizeof got.checkpoint_wrapped);
    has_checkpoint = wire_get_u8(&in);
    got.has_checkpoint = has_checkpoint == 1;
    if (got.has_checkpoint)
        checkpoint_get(&in, &got.last);
    got.unwraps = wire_get_u64(&in);
    got.texts = wire_get_u64(&in);
    if (version > 1) {
        got.destroyed = wire_get_u64(&in);
        got.destroyed_told = wire_get_u64(&in);
    }
    if (has_checkpoint > 1 || got.destroyed_told > got.destroyed || !get_organisations(&in, &got) ||
        !get_classes(&in, &got) || !wire_is_done(&in)) {
        keeper_table_clear(&got);
        return is_malformed(why);
    }
    *table = got;
    return true;
}
