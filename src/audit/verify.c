/* The check of the whole journal: every row, in one walk, against every checkpoint. */
/* SPDX-License-Identifier: ISC */
#include "audit/journal.h"

#include "audit/checkpoint_bytes.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdarg.h>

/* What is kept of a checkpoint while the rows go by. */
struct claim {
    uint64_t size;
    uint8_t root[TREE_HASH_BYTES];
    bool is_signed; /* well-formed, and signed by the keeper */
};
struct walk {
    const uint8_t *key;
    struct claim *claims; /* by size */
    size_t claim_count, claim_capacity;
    bool is_memory_out;

    size_t next_claim;
    uint64_t proven; /* rows that a checkpoint which holds has covered */
    struct merkle_tree tree;
    const struct store_tree *head;
    struct merkle_hash root_at_head;
    struct buffer canonical;
    struct journal_verdict *verdict;
};

static bool bad(struct walk *walk, uint64_t sequence, const char *format, ...) PRINTF_LIKE(3, 4);
/* Keeps the first problem; false, to end the walk. */
static bool bad(struct walk *walk, uint64_t sequence, const char *format, ...)
{
    va_list arguments;

    if (!walk->verdict->holds)
        return false;
    walk->verdict->holds = false;
    walk->verdict->bad_sequence = sequence;
    va_start(arguments, format);
    vsnprintf(walk->verdict->problem, sizeof walk->verdict->problem, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- checkpoints, before the rows ---- */

static bool add_claim(struct walk *walk, const struct claim *claim)
{
    if (walk->claim_count == walk->claim_capacity) {
        size_t capacity = walk->claim_capacity ? walk->claim_capacity * 2 : 64;
        struct claim *more;
        size_t size;

        if (!size_multiply(capacity, sizeof *more, &size))
            more = NULL;
        else
            more = memory_resize(walk->claims, walk->claim_capacity * sizeof *more, size);
        if (!more) {
            walk->is_memory_out = true;
            return false;
        }
        walk->claims = more;
        walk->claim_capacity = capacity;
    }
    walk->claims[walk->claim_count++] = *claim;
    return true;
}

static bool gather_checkpoint(void *self, const struct store_checkpoint *stored)
{
    struct walk *walk = self;
    struct claim claim = {.size = stored->size};
    struct checkpoint checkpoint;

    if (checkpoint_parse(stored->bytes, &checkpoint)) {
        claim.is_signed = checkpoint.epoch == stored->epoch && checkpoint.size == stored->size &&
                          checkpoint_verify(&checkpoint, walk->key);
        memcpy(claim.root, checkpoint.root, sizeof claim.root);
    }
    walk->verdict->checkpoints++;
    return add_claim(walk, &claim);
}

static int by_size(const void *left, const void *right)
{
    const struct claim *a = left, *b = right;

    return (a->size > b->size) - (a->size < b->size);
}

static bool gather(struct walk *walk, struct store *store, const struct checkpoint *anchor,
                   struct error *why)
{
    if (!store_each_checkpoint(store, gather_checkpoint, walk, why))
        return error_within(why, "reading the checkpoints");
    if (anchor && anchor->size > 0) {
        struct claim claim = {.size = anchor->size,
                              .is_signed = checkpoint_verify(anchor, walk->key)};

        memcpy(claim.root, anchor->root, sizeof claim.root);
        (void)add_claim(walk, &claim);
    }
    if (walk->is_memory_out)
        return error_set(why, ERROR_TEMPORARY, "4.3.0", "no memory for the checkpoints");
    if (walk->claims)
        qsort(walk->claims, walk->claim_count, sizeof *walk->claims, by_size);
    return true;
}

/* ---- rows ---- */

/* The checkpoints over just the rows walked so far. */
static bool claims_hold(struct walk *walk)
{
    while (walk->next_claim < walk->claim_count &&
           walk->claims[walk->next_claim].size <= walk->tree.size) {
        const struct claim *claim = &walk->claims[walk->next_claim++];
        uint64_t last = claim->size > 0 ? claim->size - 1 : 0;
        struct merkle_hash root;

        if (!claim->is_signed)
            return bad(walk, last,
                       "the checkpoint over the first %" PRIu64
                       " rows was not signed by the keeper",
                       claim->size);
        root = merkle_root(&walk->tree);
        if (memcmp(root.bytes, claim->root, sizeof claim->root) != 0)
            return bad(walk, walk->proven,
                       "a row from %" PRIu64 " to %" PRIu64
                       " was changed together with its hash: the checkpoint says otherwise",
                       walk->proven, last);
        walk->proven = claim->size;
    }
    return true;
}

static bool check_row(void *self, const struct store_journal_row *row)
{
    struct walk *walk = self;
    uint64_t expected = walk->tree.size;

    if (row->sequence > INT64_MAX)
        return bad(walk, expected, "a row %" PRId64 " does not belong to the journal",
                   (int64_t)row->sequence);
    if (row->sequence > expected)
        return bad(walk, expected, "row %" PRIu64 " is missing", expected);
    if (row->sequence < expected)
        return bad(walk, row->sequence, "row %" PRIu64 " is there twice", row->sequence);
    /* A later release may empty rows, and will say so by an event of its own. */
    if (row->is_purged)
        return bad(walk, expected, "row %" PRIu64 " was emptied, and no event says so", expected);
    if (!store_row_is_whole(row, &walk->canonical))
        return bad(walk, expected, "row %" PRIu64 " was changed", expected);
    merkle_append(&walk->tree, &row->hash);
    walk->verdict->leaves++;
    if (walk->tree.size == walk->head->tree.size)
        walk->root_at_head = merkle_root(&walk->tree);
    return claims_hold(walk);
}

/* `later` was read after the rows: whatever was walked must be in it. */
static void check_head(struct walk *walk, const struct store_tree *later)
{
    uint64_t size = walk->tree.size;
    struct merkle_hash head = merkle_root(&walk->head->tree);

    if (size < walk->head->tree.size)
        bad(walk, size, "row %" PRIu64 " is missing: the journal should have %" PRIu64, size,
            walk->head->tree.size);
    else if (size > later->tree.size)
        bad(walk, later->tree.size, "row %" PRIu64 " does not belong to the journal",
            later->tree.size);
    else if (memcmp(head.bytes, walk->root_at_head.bytes, sizeof head.bytes) != 0)
        bad(walk, walk->proven,
            "a row from %" PRIu64 " on was changed together with its hash: the tree's head says "
            "otherwise",
            walk->proven);
    else if (walk->next_claim < walk->claim_count)
        bad(walk, size, "row %" PRIu64 " is missing: a checkpoint was made over %" PRIu64, size,
            walk->claims[walk->next_claim].size);
}

static bool verify_rows(struct walk *walk, struct store *store, struct error *why)
{
    struct store_tree later;

    if (walk->head->tree.size == 0)
        walk->root_at_head = merkle_root(&walk->tree);
    if (!store_each_leaf(store, 0, check_row, walk, why))
        return error_within(why, "reading the journal");
    if (!store_tree_read(store, &later, why))
        return false;
    if (walk->verdict->holds)
        check_head(walk, &later);
    return true;
}

bool journal_verify(struct store *store, const uint8_t key[CHECKPOINT_KEY_BYTES],
                    const struct checkpoint *anchor, struct journal_verdict *verdict,
                    struct error *why)
{
    struct journal_verdict found = {.holds = true};
    struct store_tree head;
    struct walk walk = {.key = key, .head = &head, .verdict = &found};
    bool done;

    /* The checkpoints first: rows that come meanwhile are more, never fewer. */
    buffer_init(&walk.canonical, STORE_LEAF_CANONICAL_MAX);
    done = gather(&walk, store, anchor, why) && store_tree_read(store, &head, why) &&
           verify_rows(&walk, store, why);
    buffer_clear(&walk.canonical);
    memory_release(walk.claims);
    if (done)
        *verdict = found;
    return done;
}
