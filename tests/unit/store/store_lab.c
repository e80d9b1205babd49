/* A store in a directory of its own, a clock that stands still, and messages made by the line. */
/* SPDX-License-Identifier: ISC */
#include "store_lab.h"

#include <dirent.h>
#include <unistd.h>

static void make_shared(struct lab *lab)
{
    struct error why;
    int fd;

    assert_true(store_shared_create(&fd, &why));
    assert_true(store_shared_attach(fd, &lab->shared, &why));
    close(fd);
}

int lab_set_up(void **state)
{
    struct lab *lab = calloc(1, sizeof *lab);

    snprintf(lab->directory, sizeof lab->directory, "/tmp/letterlock-store-XXXXXX");
    assert_non_null(mkdtemp(lab->directory));
    lab->hand.wall_ms = LAB_START;
    lab->clock = clock_by_hand(&lab->hand);
    lab->arena = arena_new("test", MIB(64));
    make_shared(lab);
    lab_open(lab);
    *state = lab;
    return 0;
}

void lab_remove_directory(const char *directory)
{
    DIR *opened = opendir(directory);
    struct dirent *entry;
    char path[400];

    while (opened && (entry = readdir(opened))) {
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        unlink(path);
    }
    if (opened)
        closedir(opened);
    rmdir(directory);
}

int lab_tear_down(void **state)
{
    struct lab *lab = *state;

    lab_close(lab);
    store_shared_free(lab->shared);
    arena_free(lab->arena);
    lab_remove_directory(lab->directory);
    free(lab);
    return 0;
}

void lab_open(struct lab *lab)
{
    struct error why;

    if (!store_open(lab->directory, STORE_READ_WRITE, lab->shared, &lab->clock, &entropy_of_system,
                    &lab->store, &why))
        fail_msg("%s", why.text);
}

void lab_close(struct lab *lab)
{
    store_close(lab->store);
    lab->store = NULL;
}

void lab_reopen(struct lab *lab)
{
    lab_close(lab);
    lab_open(lab);
}

char *lab_path(const struct lab *lab, const char *name)
{
    struct span path = arena_format(lab->arena, "%s/%s", lab->directory, name);

    return arena_string(lab->arena, path);
}

struct id draft_id(const struct draft *draft)
{
    return draft->change.accept.message.id;
}

void draft_add_delivery(struct draft *draft, const char *destination)
{
    size_t at = draft->change.accept.delivery_count++;

    assert_true(at < LAB_DRAFT_DELIVERIES);
    draft->deliveries[at] = (struct store_delivery){
        .number = (uint32_t)at + 1,
        .destination = span_of(destination),
        .recipient = SPAN_LITERAL("a sealed recipient"),
        .ladder = SPAN_LITERAL("tls verify, then return"),
        .rule = SPAN_LITERAL("outwards"),
        .is_rule_of_gateway = true,
        .policy_digest = {1, 2, 3},
        .tag = {4, 5, 6},
        .rung_since_ms = LAB_START,
        .due_at_ms = LAB_START,
        .ends_at_ms = LAB_START + 4 * LAB_HOUR,
    };
}

void draft_make(struct lab *lab, struct draft *draft, const char *destination)
{
    struct id id = id_make(&lab->clock, &entropy_of_system);

    *draft = (struct draft){
        .change = {.kind = STORE_ACCEPT,
                   .accept = {.message = {.id = id,
                                          .organisation = SPAN_LITERAL("clinic"),
                                          .accepted_at_ms = LAB_START,
                                          .size = 11,
                                          .has_8bit = true,
                                          .is_sender_known = true,
                                          .wrapped_content = SPAN_LITERAL("wrapped content key"),
                                          .wrapped_record = SPAN_LITERAL("wrapped record key"),
                                          .content_day = 19675,
                                          .record_day = 20000,
                                          .sender = SPAN_LITERAL("a sealed sender"),
                                          .facts = SPAN_LITERAL("sealed facts")},
                              .body = draft->body,
                              .body_count = 1,
                              .deliveries = draft->deliveries},
                   .leaves = draft->leaves,
                   .leaf_count = 2},
        .leaves = {{.kind = 1,
                    .message = id,
                    .organisation = SPAN_LITERAL("clinic"),
                    .at_ms = LAB_START,
                    .detail = SPAN_LITERAL("accepted")},
                   {.kind = 2,
                    .message = id,
                    .delivery = 1,
                    .organisation = SPAN_LITERAL("clinic"),
                    .at_ms = LAB_START,
                    .detail = SPAN_LITERAL("decided")}},
        .body = {SPAN_LITERAL("sealed body")},
    };
    draft_add_delivery(draft, destination);
}

void lab_commit(struct lab *lab, const struct store_change *changes, size_t count)
{
    struct error why;

    if (!store_commit(lab->store, &(struct store_batch){changes, count}, &why))
        fail_msg("%s", why.text);
}

struct error lab_refused(struct lab *lab, const struct store_change *changes, size_t count)
{
    struct error why = {0};

    assert_false(store_commit(lab->store, &(struct store_batch){changes, count}, &why));
    return why;
}

struct id lab_accept(struct lab *lab, const char *destination)
{
    struct draft draft;

    draft_make(lab, &draft, destination);
    lab_commit(lab, &draft.change, 1);
    return draft_id(&draft);
}

struct store_change lab_move(struct id message, uint32_t delivery, uint64_t lease,
                             enum delivery_state from, enum delivery_state to)
{
    return (struct store_change){
        .kind = STORE_MOVE,
        .move = {.message = message,
                 .delivery = delivery,
                 .expected_lease = lease,
                 .expected_state = from,
                 .state = to,
                 .rung_since_ms = LAB_START,
                 .due_at_ms = LAB_START + LAB_HOUR,
                 .ends_at_ms = LAB_START + 4 * LAB_HOUR,
                 .last_reason = SPAN_LITERAL("because")},
    };
}

struct store_change lab_put_off(const char *destination, int64_t until_ms, uint32_t failures)
{
    return (struct store_change){.kind = STORE_PUT_OFF,
                                 .put_off = {.destination = span_of(destination),
                                             .due_at_ms = until_ms,
                                             .failures = failures}};
}

struct store_change lab_up(const char *destination)
{
    return (struct store_change){.kind = STORE_DESTINATION_UP,
                                 .put_off = {.destination = span_of(destination)}};
}

size_t lab_claim(struct lab *lab, int64_t now_ms, struct store_claimed **claimed)
{
    struct store_claim claim = {.now_ms = now_ms,
                                .lease_until_ms = now_ms + LAB_HOUR,
                                .lease = LAB_LEASE,
                                .limit = STORE_CLAIM_MAX,
                                .limit_per_destination = STORE_CLAIM_MAX};
    struct error why;
    size_t count;

    if (!store_claim(lab->store, &claim, lab->arena, claimed, &count, &why))
        fail_msg("%s", why.text);
    return count;
}

int64_t lab_next_due(struct lab *lab)
{
    struct error why;
    int64_t due;

    assert_true(store_next_due(lab->store, NULL, 0, &due, &why));
    return due;
}

static bool find(struct lab *lab, struct id id, struct store_message *message,
                 struct store_delivery **deliveries, size_t *count)
{
    struct error why;
    bool found;

    if (!store_find_message(lab->store, id, lab->arena, &found, message, deliveries, count, &why))
        fail_msg("%s", why.text);
    return found;
}

bool lab_has_message(struct lab *lab, struct id id)
{
    struct store_message message;
    struct store_delivery *deliveries;
    size_t count;

    return find(lab, id, &message, &deliveries, &count);
}

struct store_message lab_message(struct lab *lab, struct id id)
{
    struct store_message message;
    struct store_delivery *deliveries;
    size_t count;

    assert_true(find(lab, id, &message, &deliveries, &count));
    return message;
}

struct store_delivery lab_delivery(struct lab *lab, struct id id, uint32_t number)
{
    struct store_message message;
    struct store_delivery *deliveries;
    size_t count;

    assert_true(find(lab, id, &message, &deliveries, &count));
    assert_true(number >= 1 && number <= count);
    return deliveries[number - 1];
}

struct store_counts lab_counts(struct lab *lab)
{
    struct store_counts counts;
    struct error why;

    assert_true(store_count(lab->store, &counts, &why));
    return counts;
}

static bool add_row(void *self, const struct store_journal_row *row)
{
    struct merkle_tree *tree = self;
    scoped_buffer canonical;

    buffer_init(&canonical, KIB(32));
    assert_int_equal(row->sequence, tree->size);
    store_leaf_canonical(row->sequence, &row->leaf, &canonical);
    struct merkle_hash hash = merkle_leaf(row->salt, buffer_span(&canonical));
    assert_memory_equal(hash.bytes, row->hash.bytes, sizeof hash.bytes);
    merkle_append(tree, &hash);
    return true;
}

void lab_verify_tree(struct lab *lab)
{
    struct merkle_tree rebuilt = {0};
    struct store_tree stored;
    struct error why;

    assert_true(store_each_leaf(lab->store, 0, add_row, &rebuilt, &why));
    assert_true(store_tree_read(lab->store, &stored, &why));
    assert_int_equal(stored.tree.size, rebuilt.size);
    struct merkle_hash one = merkle_root(&stored.tree), other = merkle_root(&rebuilt);
    assert_memory_equal(one.bytes, other.bytes, sizeof one.bytes);
}

void lab_assert_span(struct span actual, struct span expected, const char *file, int line)
{
    if (span_equal(actual, expected))
        return;
    print_error("%.*s is not %.*s\n", SPAN_ARGS(actual), SPAN_ARGS(expected));
    _fail(file, line);
}
