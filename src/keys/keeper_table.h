/* What the keeper's file holds, as plain values: every key in it is wrapped. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/buffer.h"
#include "crypto.h"
#include "keys/keeper.h"

enum {
    KEEPER_FILE_VERSION = 2, /* 1 is read too: it counted no destroyed classes */
    KEEPER_FILE_MAC_BYTES = 32,
    KEEPER_FILE_FIXED_BYTES = 512, /* more than all that stands in it once */
    KEEPER_CLASS_PRINTED_BYTES = 4 + 1 + 4 + WRAPPED_KEY_BYTES,
    KEEPER_FILE_MAX =
        KEEPER_FILE_FIXED_BYTES +
        KEEPER_ORGANISATIONS_MAX * (4 + KEEPER_ORGANISATION_NAME_MAX + WRAPPED_KEY_BYTES) +
        KEEPER_CLASSES_MAX * KEEPER_CLASS_PRINTED_BYTES,
};

/* How the master key is made from what the administrator gives. */
struct keeper_derivation {
    enum keeper_master_kind kind;
    unsigned log2_n; /* 0 where the master is raw bytes */
    uint8_t salt[SCRYPT_SALT_BYTES];
};

struct keeper_organisation {
    size_t name_len;
    char name[KEEPER_ORGANISATION_NAME_MAX];
    uint8_t wrapped[WRAPPED_KEY_BYTES]; /* under the master's wrapping subkey */
};

enum keeper_class_kind { KEEPER_CLASS_CONTENT, KEEPER_CLASS_RECORD, KEEPER_CLASS_KIND_COUNT };
struct keeper_class {
    uint32_t organisation; /* its index */
    enum keeper_class_kind kind;
    int32_t day;
    uint8_t wrapped[WRAPPED_KEY_BYTES]; /* under the organisation's key */
};

struct keeper_table {
    struct keeper_derivation derivation;
    uint8_t checkpoint_wrapped[WRAPPED_KEY_BYTES]; /* Ed25519 seed, under the wrapping subkey */
    bool has_checkpoint;
    struct checkpoint last;
    uint64_t unwraps, texts;
    uint64_t destroyed, destroyed_told; /* classes, ever; and how many of them are journalled */
    struct keeper_organisation *organisations; /* owned; in the order they came */
    size_t organisation_count, organisation_room;
    struct keeper_class *classes; /* owned; ordered by organisation, kind, day, without doubles */
    size_t class_count, class_room;
};
void keeper_table_clear(struct keeper_table *table);

/* Everything before the file's MAC. Parsing and printing are inverses in the newest version.
 * Classes whose day is before `from_day` are left out. False: out of memory. */
MUST_USE bool keeper_table_print(const struct keeper_table *table, int32_t from_day,
                                 struct buffer *out);
MUST_USE bool keeper_table_parse(struct span text, struct keeper_table *table, struct error *why);
/* Only the head, which tells how to make the key that the rest is checked with. */
MUST_USE bool keeper_derivation_parse(struct span text, struct keeper_derivation *derivation,
                                      struct error *why);

/* Its index, or organisation_count where there is none. */
size_t keeper_organisation_index(const struct keeper_table *table, struct span name);
/* Where a class stands, or would stand. */
size_t keeper_class_index(const struct keeper_table *table, uint32_t organisation,
                          enum keeper_class_kind kind, int32_t day, bool *is_there);
/* False: too many, or out of memory. */
MUST_USE bool keeper_organisation_add(struct keeper_table *table,
                                      const struct keeper_organisation *organisation);
MUST_USE bool keeper_class_add(struct keeper_table *table, const struct keeper_class *added);
void keeper_class_remove(struct keeper_table *table, size_t index);
/* How many there were. */
size_t keeper_classes_remove_before(struct keeper_table *table, int32_t day);
