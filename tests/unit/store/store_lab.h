/* A store in a directory of its own, a clock that stands still, and messages made by the line. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

enum {
    LAB_NOW = 1700000000, /* seconds; times in the tests are counted from LAB_START */
    LAB_DRAFT_DELIVERIES = 8,
    LAB_LEASE = 77,
};
#define LAB_START ((int64_t)LAB_NOW * 1000)
#define LAB_HOUR ((int64_t)3600000)

struct lab {
    char directory[80];
    struct clock_by_hand hand;
    struct clock clock;
    struct store_shared *shared;
    struct store *store;
    struct arena *arena; /* for whatever the test reads */
};

/* For cmocka: *state becomes a struct lab with an open, empty store. */
int lab_set_up(void **state);
int lab_tear_down(void **state);
void lab_close(struct lab *lab);
void lab_open(struct lab *lab);
void lab_reopen(struct lab *lab);
char *lab_path(const struct lab *lab, const char *name); /* in the arena */
void lab_remove_directory(const char *directory);

/* A message with one delivery, due now, and two leaves; tests change what they are about. */
struct draft {
    struct store_change change;
    struct store_delivery deliveries[LAB_DRAFT_DELIVERIES];
    struct store_leaf leaves[2];
    struct span body[3];
    size_t body_count;
};
void draft_make(struct lab *lab, struct draft *draft, const char *destination);
void draft_add_delivery(struct draft *draft, const char *destination);
struct id draft_id(const struct draft *draft);

/* Must succeed. */
void lab_commit(struct lab *lab, const struct store_change *changes, size_t count);
/* Makes and commits such a message. */
struct id lab_accept(struct lab *lab, const char *destination);
/* Must be refused; why it was. */
struct error lab_refused(struct lab *lab, const struct store_change *changes, size_t count);

/* A move as its owner makes it. */
struct store_change lab_move(struct id message, uint32_t delivery, uint64_t lease,
                             enum delivery_state from, enum delivery_state to);
struct store_change lab_put_off(const char *destination, int64_t until_ms, uint32_t failures);
struct store_change lab_up(const char *destination);

/* Everything that is due at now_ms, leased to LAB_LEASE for an hour. */
size_t lab_claim(struct lab *lab, int64_t now_ms, struct store_claimed **claimed);
int64_t lab_next_due(struct lab *lab);
struct store_message lab_message(struct lab *lab, struct id id);
struct store_delivery lab_delivery(struct lab *lab, struct id id, uint32_t number);
bool lab_has_message(struct lab *lab, struct id id);
struct store_counts lab_counts(struct lab *lab);
/* Reads all leaves and hashes them anew: the tree must be that of the rows, without a gap. */
void lab_verify_tree(struct lab *lab);

#define assert_span(actual, text) lab_assert_span(actual, span_of(text), __FILE__, __LINE__)
void lab_assert_span(struct span actual, struct span expected, const char *file, int line);
