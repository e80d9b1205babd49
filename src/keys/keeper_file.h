/* The keeper's file in the hands of the keeper: what its protocol needs of it. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "keeper_table.h"

/* One thread uses it at a time. Locked in memory where the system allows; wiped at its end. */
struct keeper_file {
    char *path;                          /* owned; NULL: lives in memory only (fuzzing) */
    int lock;                            /* held while open: a second process is refused */
    struct key wrapping, authenticating; /* the master's two subkeys; the master is not kept */
    struct wrapper wrapper;
    uint8_t checkpoint_key[CHECKPOINT_KEY_BYTES];
    struct keeper_table table;
};

/* A new one without a path. */
MUST_USE bool keeper_file_new_in_memory(const struct keeper_master *master,
                                        const struct entropy *entropy, struct keeper_file **out,
                                        struct error *why);
/* Writes what the table says to the disk. */
MUST_USE bool keeper_file_save(struct keeper_file *file, struct error *why);

/* A class by its name. */
struct keeper_class_name {
    struct span organisation;
    enum keeper_class_kind kind;
    int32_t day;
};
/* Makes those that are missing, and their organisations, and saves them before it returns. */
MUST_USE bool keeper_file_ensure(struct keeper_file *file, const struct keeper_class_name *names,
                                 size_t count, const struct entropy *entropy, struct error *why);
/* False: there is none (any more). */
MUST_USE bool keeper_file_class_key(struct keeper_file *file, const struct keeper_class_name *name,
                                    struct key *key);
/* Signs with the checkpoint key. False: out of memory. */
MUST_USE bool keeper_file_sign(struct keeper_file *file, struct span text,
                               uint8_t signature[static CHECKPOINT_SIGNATURE_BYTES]);
