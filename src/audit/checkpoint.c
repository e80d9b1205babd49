/* Checkpoints: what the keeper signs of the journal's tree, and whether that tree is still there.
 */
/* SPDX-License-Identifier: ISC */
#include "audit/journal.h"

#include "audit/checkpoint_bytes.h"
#include "audit/event.h"
#include "base/log.h"
#include "base/wire.h"

#include <pthread.h>

enum { CHECKPOINT_VERSION = 1 };

void checkpoint_print(const struct checkpoint *checkpoint, struct buffer *out)
{
    wire_put_u8(out, CHECKPOINT_VERSION);
    checkpoint_put(checkpoint, out);
}

bool checkpoint_parse(struct span bytes, struct checkpoint *checkpoint)
{
    struct wire_reader in = {.rest = bytes};
    struct checkpoint read;
    uint8_t version = wire_get_u8(&in);

    checkpoint_get(&in, &read);
    if (version != CHECKPOINT_VERSION || !wire_is_done(&in))
        return false;
    *checkpoint = read;
    return true;
}

static bool keep(struct store *store, const struct checkpoint *checkpoint, struct error *why)
{
    scoped_buffer bytes;

    buffer_init(&bytes, CHECKPOINT_BYTES_MAX);
    checkpoint_print(checkpoint, &bytes);
    if (bytes.failed)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "no memory for a checkpoint");
    return store_put_checkpoint(store,
                                &(struct store_checkpoint){.epoch = checkpoint->epoch,
                                                           .size = checkpoint->size,
                                                           .bytes = buffer_span(&bytes)},
                                why) ||
           error_within(why, "keeping a checkpoint");
}

/* ---- what was signed, and what has come since ---- */

static bool has_root(const struct merkle_tree *tree, const uint8_t root[static TREE_HASH_BYTES])
{
    struct merkle_hash own = merkle_root(tree);

    return memcmp(own.bytes, root, sizeof own.bytes) == 0;
}

/* The tree that was signed last, so that the next checkpoint reads only the rows since. It is never
 * believed without the keeper's root: without it all rows are read. */
static struct {
    pthread_mutex_t lock;
    struct merkle_tree tree;
} known = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void remember(const struct merkle_tree *tree)
{
    pthread_mutex_lock(&known.lock);
    known.tree = *tree;
    pthread_mutex_unlock(&known.lock);
}

/* Empty where it is not the one that the keeper signed. */
static struct merkle_tree recall(const struct checkpoint *last)
{
    struct merkle_tree tree;

    pthread_mutex_lock(&known.lock);
    tree = known.tree;
    pthread_mutex_unlock(&known.lock);
    return tree.size == last->size && has_root(&tree, last->root) ? tree
                                                                  : (struct merkle_tree){.size = 0};
}

/* From what was signed last to the head that is to be signed. */
struct growth {
    const struct checkpoint *last;
    const struct store_tree *head;
    struct merkle_tree tree; /* of the rows themselves */
    bool has_last;           /* it began as what was signed last */
    bool tells_gap;          /* a leaf says that this epoch does not */
};

static bool tells_gap(const struct growth *growth, const struct store_leaf *leaf)
{
    scoped(arena) arena = arena_new("an event's fields", STORE_LEAF_DETAIL_MAX * 8);
    const struct event_field *epoch, *size, *root;
    struct event_field *fields;
    struct error ignored;
    size_t count;

    if (!arena || !event_parse(leaf->detail, arena, &fields, &count, &ignored))
        return false;
    epoch = event_field_find(fields, count, FIELD_EPOCH);
    size = event_field_find(fields, count, FIELD_COUNT_OF);
    root = event_field_find(fields, count, FIELD_ROOT);
    return epoch && size && root && epoch->number == growth->head->epoch &&
           size->number == growth->last->size &&
           span_equal(root->text, span_make(growth->last->root, sizeof growth->last->root));
}

static bool grow(void *self, const struct store_journal_row *row)
{
    struct growth *growth = self;

    if (growth->tree.size == growth->head->tree.size || row->sequence != growth->tree.size)
        return false;
    merkle_append(&growth->tree, &row->hash);
    if (growth->tree.size == growth->last->size)
        growth->has_last = has_root(&growth->tree, growth->last->root);
    if (row->leaf.kind == EVENT_EPOCH_BEGUN && tells_gap(growth, &row->leaf))
        growth->tells_gap = true;
    return true;
}

/* The keeper sees sizes and roots, no rows. So it is asked here whether the head is what the rows
 * make, and whether they begin with what it signed last: else whoever writes into the store could
 * have a journal of his own signed. */
static bool may_be_signed(struct store *store, struct growth *growth, struct error *why)
{
    const struct checkpoint *last = growth->last;
    const struct store_tree *head = growth->head;
    struct merkle_hash root = merkle_root(&head->tree);

    if (head->epoch == last->epoch) /* an epoch's first checkpoint reads all */
        growth->tree = recall(last);
    growth->has_last = growth->tree.size == last->size;
    if (!store_each_leaf(store, growth->tree.size, grow, growth, why))
        return error_within(why, "reading the journal");
    if (growth->tree.size != head->tree.size || !has_root(&growth->tree, root.bytes))
        return error_set(why, ERROR_INTERNAL, "4.3.0",
                         "the journal's rows do not make its tree: nothing is signed");
    if (last->size == 0 || (head->epoch == last->epoch ? growth->has_last : growth->tells_gap))
        return true;
    return error_set(why, ERROR_INTERNAL, "4.3.0",
                     "the journal is not the one that was signed last: nothing is signed before "
                     "the next start has named the gap");
}

bool journal_checkpoint(struct store *store, struct keeper *keeper, const struct clock *clock,
                        struct error *why)
{
    uint8_t key[CHECKPOINT_KEY_BYTES];
    struct checkpoint last, next = {0};
    struct store_tree head;
    struct growth growth = {.last = &last, .head = &head};
    struct merkle_hash root;

    if (!keeper_last_checkpoint(keeper, &last, key, why) || !store_tree_read(store, &head, why))
        return false;
    root = merkle_root(&head.tree);
    if (head.tree.size == 0 || (last.epoch == head.epoch && last.size == head.tree.size &&
                                memcmp(root.bytes, last.root, sizeof root.bytes) == 0))
        return true;
    if (!may_be_signed(store, &growth, why))
        return false;
    next.epoch = head.epoch;
    next.size = head.tree.size;
    next.at_ms = clock_wall_ms(clock);
    memcpy(next.root, root.bytes, sizeof next.root);
    if (!keeper_sign_checkpoint(keeper, &next, why))
        return false;
    remember(&growth.tree);
    return keep(store, &next, why);
}

/* The root of the first `size` rows as they are now. */
struct prefix {
    uint64_t size;
    struct merkle_tree tree;
};

static bool add_to_prefix(void *self, const struct store_journal_row *row)
{
    struct prefix *prefix = self;

    if (prefix->tree.size == prefix->size || row->sequence != prefix->tree.size)
        return false;
    merkle_append(&prefix->tree, &row->hash);
    return true;
}

static bool holds_what_was_signed(struct store *store, const struct checkpoint *last,
                                  const struct store_tree *tree, bool *holds, struct error *why)
{
    struct prefix prefix = {.size = last->size};

    *holds = false;
    if (tree->epoch != last->epoch || tree->tree.size < last->size)
        return true;
    if (tree->tree.size > last->size) {
        if (!store_each_leaf(store, 0, add_to_prefix, &prefix, why))
            return error_within(why, "reading the journal");
    } else {
        prefix.tree = tree->tree;
    }
    *holds = prefix.tree.size == last->size && has_root(&prefix.tree, last->root);
    if (*holds)
        remember(&prefix.tree);
    return true;
}

/* The leaf that tells whoever reads the journal later what was signed and is not there. */
static bool begin_epoch(struct store *store, const struct checkpoint *last, uint64_t epoch,
                        const struct clock *clock, struct span gap, struct error *why)
{
    scoped(arena) arena = arena_new("an event", STORE_LEAF_DETAIL_MAX * 2);
    const struct event_field fields[] = {
        EVENT_NUMBER(FIELD_EPOCH, epoch),
        EVENT_NUMBER(FIELD_COUNT_OF, last->size),
        EVENT_TEXT(FIELD_ROOT, span_make(last->root, sizeof last->root)),
        EVENT_TEXT(FIELD_REASON, gap),
    };
    struct store_leaf leaf;

    if (!arena ||
        !event_leaf(EVENT_EPOCH_BEGUN, (struct id){{0}}, 0, SPAN_LITERAL(""), clock_wall_ms(clock),
                    fields, sizeof fields / sizeof fields[0], arena, &leaf))
        return error_set(why, ERROR_INTERNAL, "4.3.0", "no memory for an event");
    return store_epoch_begin(store, epoch, &leaf, why) ||
           error_within(why, "beginning an epoch of the journal");
}

bool journal_compare(struct store *store, struct keeper *keeper, const struct clock *clock,
                     struct buffer *gap, struct error *why)
{
    uint8_t key[CHECKPOINT_KEY_BYTES];
    char signed_at[CLOCK_ISO_SIZE];
    struct checkpoint last;
    struct store_tree tree;
    uint64_t epoch;
    bool holds;

    buffer_truncate(gap, 0);
    if (!keeper_last_checkpoint(keeper, &last, key, why) || !store_tree_read(store, &tree, why))
        return false;
    if (last.size == 0)
        return true;
    if (!holds_what_was_signed(store, &last, &tree, &holds, why))
        return false;
    if (holds) /* a crash between signing and keeping leaves it with the keeper alone */
        return keep(store, &last, why);

    clock_print_iso(last.at_ms, signed_at);
    epoch = (last.epoch > tree.epoch ? last.epoch : tree.epoch) + 1;
    if (tree.tree.size < last.size)
        buffer_append_format(gap,
                             "the keeper signed %llu rows at %s, and %llu are here: %llu or more "
                             "are missing",
                             (unsigned long long)last.size, signed_at,
                             (unsigned long long)tree.tree.size,
                             (unsigned long long)(last.size - tree.tree.size));
    else
        buffer_append_format(gap,
                             "the keeper signed %llu rows at %s, and the ones here are other ones",
                             (unsigned long long)last.size, signed_at);
    if (gap->failed)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "no memory for a text");
    return begin_epoch(store, &last, epoch, clock, buffer_span(gap), why);
}

bool journal_tell_expiry(struct store *store, struct keeper *keeper, const struct clock *clock,
                         struct error *why)
{
    scoped(arena) arena = arena_new("an event", STORE_LEAF_DETAIL_MAX * 2);
    struct store_change change = {.kind = STORE_LEAF, .leaf_count = 1};
    struct store_leaf leaf;
    uint64_t count, untold;

    if (!keeper_count_destroyed(keeper, 0, &count, &untold, why))
        return false;
    if (untold == 0)
        return true;
    if (!arena ||
        !event_leaf(EVENT_KEYS_EXPIRED, (struct id){{0}}, 0, SPAN_LITERAL(""), clock_wall_ms(clock),
                    &EVENT_NUMBER(FIELD_COUNT_OF, untold), 1, arena, &leaf))
        return error_set(why, ERROR_INTERNAL, "4.3.0", "no memory for an event");
    change.leaves = &leaf;
    return store_commit(store, &(struct store_batch){&change, 1}, why) &&
           keeper_count_destroyed(keeper, count, &count, &untold, why);
}

void journal_keep(struct store *store, struct store_shared *shared, struct keeper *keeper,
                  const struct clock *clock, const atomic_bool *stop)
{
    struct error why;

    while (!*stop) {
        uint32_t seen = doorbell_count(shared, DOORBELL_CHECKPOINT);

        if (!journal_tell_expiry(store, keeper, clock, &why))
            log_error(LOG_LEVEL_WARNING, "the end of keys could not be journalled", &why);
        if (!journal_checkpoint(store, keeper, clock, &why))
            log_error(why.kind == ERROR_INTERNAL ? LOG_LEVEL_ALARM : LOG_LEVEL_WARNING,
                      "no checkpoint was made", &why);
        if (!*stop)
            doorbell_wait(shared, DOORBELL_CHECKPOINT, seen, deadline_in_ms(JOURNAL_CHECKPOINT_MS));
    }
}
