/* The journal as evidence: what is whole holds, and a thousand tamperings are each found and named.
 */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "audit/event.h"
#include "audit/journal.h"
#include "base/memory.h"
#include "base/wire.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROWS = 120, EDITS = 1000 };

static char directory[64], store_path[96], keeper_path[96], database_path[128];

/* ---- a keeper on a thread, and a store ---- */

static struct {
    struct keeper_file *file;
    struct keeper *keeper;
    pthread_t thread;
    int stop, ends[2], receive[2];
    bool is_receive_taken; /* its end was closed by who took it over */
    struct clock_by_hand hand;
    struct clock clock;
    uint8_t key[CHECKPOINT_KEY_BYTES];
} house;

static void *keep(void *unused)
{
    const struct keeper_terms terms = {
        .file = house.file,
        .peers = {[KEEPER_PEER_RECEIVE] = house.receive[0],
                  [KEEPER_PEER_DELIVER] = -1,
                  [KEEPER_PEER_CONTROL] = house.ends[0]},
        .clock = &house.clock,
        .entropy = &entropy_of_system,
        .stop = house.stop,
    };

    (void)unused;
    keeper_run(&terms);
    return NULL;
}

static void begin_keeper(void)
{
    static const uint8_t raw[KEY_BYTES] = {7};
    const struct keeper_master master = {KEEPER_MASTER_RAW, span_make(raw, sizeof raw)};
    struct error why;

    assert_true(
        keeper_file_open(keeper_path, &master, true, &entropy_of_system, &house.file, &why));
    keeper_file_checkpoint_key(house.file, house.key);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, house.ends), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, house.receive), 0);
    house.is_receive_taken = false;
    house.stop = eventfd(0, 0);
    assert_int_equal(pthread_create(&house.thread, NULL, keep, NULL), 0);
    house.keeper = keeper_connect(house.ends[1], &entropy_of_system);
    assert_non_null(house.keeper);
}

static void end_keeper(void)
{
    uint64_t one = 1;

    assert_int_equal(write(house.stop, &one, sizeof one), sizeof one);
    pthread_join(house.thread, NULL);
    keeper_free(house.keeper);
    keeper_file_free(house.file);
    close(house.ends[0]);
    close(house.receive[0]);
    if (!house.is_receive_taken)
        close(house.receive[1]);
    close(house.stop);
}

static struct store *open_store(enum store_mode mode)
{
    struct store *store = NULL;
    struct error why;

    if (!store_open(store_path, mode, NULL, &house.clock, &entropy_of_system, &store, &why))
        fail_msg("%s", why.text);
    return store;
}

static void write_rows(struct store *store, unsigned count)
{
    scoped(arena) arena = arena_new("rows", MIB(8));

    for (unsigned i = 0; i < count; i++) {
        const struct event_field fields[] = {EVENT_NUMBER(FIELD_STATE, DELIVERY_WAITING),
                                             EVENT_NUMBER(FIELD_RUNG, i % 3),
                                             EVENT_TEXT(FIELD_HOST, SPAN_LITERAL("mx.x.example"))};
        struct store_leaf leaf;
        struct store_change change = {.kind = STORE_LEAF, .leaves = &leaf, .leaf_count = 1};
        struct error why;

        assert_true(event_leaf(EVENT_DELIVERY_DEFERRED, (struct id){{1, (uint8_t)i}}, 1 + i % 4,
                               SPAN_LITERAL("clinic"), 1000 + i, fields, 3, arena, &leaf));
        assert_true(store_commit(store, &(struct store_batch){&change, 1}, &why));
    }
}

static struct journal_verdict verify(struct store *store, const struct checkpoint *anchor)
{
    struct journal_verdict verdict = {0};
    struct error why;

    if (!journal_verify(store, house.key, anchor, &verdict, &why))
        fail_msg("%s", why.text);
    return verdict;
}

static void checkpoint(struct store *store)
{
    struct error why;

    if (!journal_checkpoint(store, house.keeper, &house.clock, &why))
        fail_msg("%s", why.text);
}

static void remove_store(void)
{
    char command[256];

    snprintf(command, sizeof command, "rm -rf %s && mkdir %s", store_path, store_path);
    assert_int_equal(system(command), 0);
}

/* ---- tampering ---- */

static void run(sqlite3 *database, const char *sql)
{
    char *message = NULL;

    if (sqlite3_exec(database, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
}

static const char *const changes[] = {
    "UPDATE event SET kind = kind + 1 WHERE sequence = %u",
    "UPDATE event SET at = at + 1 WHERE sequence = %u",
    "UPDATE event SET message = randomblob(16) WHERE sequence = %u",
    "UPDATE event SET delivery = delivery + 1 WHERE sequence = %u",
    "UPDATE event SET detail = CAST(detail || x'00' AS BLOB) WHERE sequence = %u",
    "UPDATE event SET salt = randomblob(16) WHERE sequence = %u",
    "UPDATE event SET hash = randomblob(32) WHERE sequence = %u",
    "DELETE FROM event WHERE sequence = %u",
    "UPDATE event SET detail = NULL, salt = NULL WHERE sequence = %u",
};

/* One edit of row `at` (two of them for a swap with a later one), in an open transaction. */
static void edit(sqlite3 *database, unsigned way, unsigned at, unsigned other)
{
    char sql[512];

    if (way < COUNT(changes)) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(sql, sizeof sql, changes[way], at);
#pragma GCC diagnostic pop
    } else {
        snprintf(sql, sizeof sql,
                 "UPDATE event SET sequence = -1 WHERE sequence = %u;"
                 "UPDATE event SET sequence = %u WHERE sequence = %u;"
                 "UPDATE event SET sequence = %u WHERE sequence = -1",
                 at, at, other, other);
    }
    run(database, sql);
}

static void each_of_a_thousand_edits_is_found_and_its_row_named(void **state)
{
    struct entropy_by_seed seed = {11};
    struct entropy entropy = entropy_by_seed(&seed);
    struct store *store;
    sqlite3 *database;
    struct journal_verdict verdict;

    (void)state;
    store = open_store(STORE_READ_WRITE);
    write_rows(store, ROWS / 2);
    checkpoint(store);
    write_rows(store, ROWS / 2);
    checkpoint(store);
    verdict = verify(store, NULL);
    assert_true(verdict.holds);
    assert_int_equal(verdict.leaves, ROWS);
    assert_int_equal(verdict.checkpoints, 2);
    store_close(store);
    assert_int_equal(sqlite3_open(database_path, &database), SQLITE_OK);
    run(database, "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF");
    run(database, "CREATE TABLE whole AS SELECT * FROM event");
    for (unsigned i = 0; i < EDITS; i++) {
        unsigned at = entropy_below(&entropy, ROWS - 1);
        unsigned other = at + 1 + entropy_below(&entropy, ROWS - 1 - at);
        unsigned way = entropy_below(&entropy, COUNT(changes) + 1);

        run(database, "BEGIN");
        edit(database, way, at, other);
        run(database, "COMMIT");
        store = open_store(STORE_READ_ONLY);
        verdict = verify(store, NULL);
        store_close(store);
        if (verdict.holds || verdict.bad_sequence != at)
            fail_msg("edit %u of row %u: %d, row %llu, %s", way, at, verdict.holds,
                     (unsigned long long)verdict.bad_sequence, verdict.problem);
        run(database, "BEGIN; DELETE FROM event; INSERT INTO event SELECT * FROM whole; COMMIT");
    }
    sqlite3_close(database);
}

/* Edits that leave alone every byte that a leaf's hash covers, or that hide where rows are read. */
static const struct {
    const char *name, *sql;
    uint64_t row;
} strange[] = {
    {"a kind past its range", "UPDATE event SET kind = kind + 65536 WHERE sequence = 3", 3},
    {"a delivery past its range",
     "UPDATE event SET delivery = delivery + 4294967296 WHERE sequence = 3", 3},
    {"a gateway's event under a message of a wrong length",
     "UPDATE event SET message = x'0102' WHERE sequence = 20", 20},
    {"a gateway's event under a message of zeros",
     "UPDATE event SET message = zeroblob(16) WHERE sequence = 20", 20},
    {"no detail, written in another way", "UPDATE event SET detail = x'' WHERE sequence = 20", 20},
    {"a gateway's event of an organisation that is not there",
     "UPDATE event SET organisation = 99 WHERE sequence = 20", 20},
    {"a detail that fits in no memory",
     "UPDATE event SET detail = zeroblob(5000000) WHERE sequence = 3", 3},
    {"an organisation that fits in no memory",
     "UPDATE organisation SET name = CAST(zeroblob(5000000) AS TEXT) WHERE name = 'clinic'", 0},
    {"a row before the first",
     "INSERT INTO event SELECT -1, kind, at, message, delivery, organisation, detail, salt, hash "
     "FROM event WHERE sequence = 3",
     0},
    {"a row far behind the last",
     "INSERT INTO event SELECT 9223372036854775807, kind, at, message, delivery, organisation, "
     "detail, salt, hash FROM event WHERE sequence = 3",
     21},
};

static void a_row_that_is_strange_but_for_its_hash_is_named(void **state)
{
    const struct store_leaf of_the_gateway = {.kind = EVENT_GATEWAY_STARTED, .at_ms = 5};
    const struct store_change change = {
        .kind = STORE_LEAF, .leaves = &of_the_gateway, .leaf_count = 1};

    (void)state;
    for (size_t i = 0; i < COUNT(strange); i++) {
        struct store *store;
        sqlite3 *database;
        struct journal_verdict verdict;
        struct error why;

        remove_store();
        store = open_store(STORE_READ_WRITE);
        write_rows(store, 20);
        assert_true(store_commit(store, &(struct store_batch){&change, 1}, &why));
        store_close(store);
        assert_int_equal(sqlite3_open(database_path, &database), SQLITE_OK);
        run(database, strange[i].sql);
        sqlite3_close(database);
        store = open_store(STORE_READ_ONLY);
        verdict = verify(store, NULL);
        store_close(store);
        if (verdict.holds || verdict.bad_sequence != strange[i].row)
            fail_msg("%s: %d, row %llu, %s", strange[i].name, verdict.holds,
                     (unsigned long long)verdict.bad_sequence, verdict.problem);
    }
}

static void a_row_changed_with_its_hash_lies_between_two_checkpoints(void **state)
{
    struct store *store;
    sqlite3 *database;
    struct journal_verdict verdict;
    sqlite3_stmt *update;
    struct merkle_hash hash;
    scoped_buffer canonical;
    scoped(arena) arena = arena_new("test", MIB(1));
    struct store_journal_row *rows;
    struct error why;
    size_t count;

    (void)state;
    store = open_store(STORE_READ_WRITE);
    write_rows(store, 10);
    checkpoint(store);
    write_rows(store, 10);
    checkpoint(store);
    assert_true(store_find_journal(store, (struct id){{1, 3}}, arena, &rows, &count, &why));
    assert_int_equal(count, 2);
    rows[1].leaf.at_ms += 5; /* row 13 */
    buffer_init(&canonical, KIB(16));
    store_leaf_canonical(rows[1].sequence, &rows[1].leaf, &canonical);
    hash = merkle_leaf(rows[1].salt, buffer_span(&canonical));
    store_close(store);
    assert_int_equal(sqlite3_open(database_path, &database), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(database, "UPDATE event SET at = at + 5, hash = ? WHERE sequence = 13",
                           -1, &update, NULL),
        SQLITE_OK);
    sqlite3_bind_blob(update, 1, hash.bytes, sizeof hash.bytes, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(update), SQLITE_DONE);
    sqlite3_finalize(update);
    sqlite3_close(database);
    store = open_store(STORE_READ_ONLY);
    verdict = verify(store, NULL);
    store_close(store);
    assert_false(verdict.holds);
    assert_int_equal(verdict.bad_sequence, 10);
    assert_non_null(strstr(verdict.problem, "from 10 to 19"));
}

static void a_cut_tail_is_found_by_the_keepers_own_checkpoint(void **state)
{
    struct store *store;
    struct checkpoint last;
    uint8_t key[CHECKPOINT_KEY_BYTES];
    char command[512];
    scoped_buffer gap;
    struct error why;

    (void)state;
    store = open_store(STORE_READ_WRITE);
    write_rows(store, 10);
    checkpoint(store);
    store_close(store);
    snprintf(command, sizeof command, "rm -rf %s.old && cp -r %s %s.old", store_path, store_path,
             store_path);
    assert_int_equal(system(command), 0);
    store = open_store(STORE_READ_WRITE);
    write_rows(store, 5);
    checkpoint(store);
    store_close(store);
    snprintf(command, sizeof command, "rm -rf %s && mv %s.old %s", store_path, store_path,
             store_path);
    assert_int_equal(system(command), 0); /* yesterday's backup comes back */

    store = open_store(STORE_READ_WRITE);
    assert_true(keeper_last_checkpoint(house.keeper, &last, key, &why));
    assert_true(verify(store, NULL).holds); /* by itself it looks whole */
    assert_false(verify(store, &last).holds);
    assert_int_equal(verify(store, &last).bad_sequence, 10);

    buffer_init(&gap, KIB(4));
    assert_true(journal_compare(store, house.keeper, &house.clock, &gap, &why));
    buffer_append_byte(&gap, '\0');
    assert_non_null(strstr(gap.data, "signed 15 rows"));
    assert_non_null(strstr(gap.data, "5 or more are missing"));
    checkpoint(store);
    assert_true(keeper_last_checkpoint(house.keeper, &last, key, &why));
    assert_int_equal(last.size, 11);
    assert_true(verify(store, &last).holds);
    buffer_truncate(&gap, 0);
    assert_true(journal_compare(store, house.keeper, &house.clock, &gap, &why));
    assert_int_equal(gap.len, 0);
    store_close(store);
}

static void another_journal_of_the_same_size_begins_an_epoch(void **state)
{
    struct store *store;
    struct checkpoint last;
    uint8_t key[CHECKPOINT_KEY_BYTES];
    scoped_buffer gap;
    struct error why;

    (void)state;
    store = open_store(STORE_READ_WRITE);
    write_rows(store, 9);
    checkpoint(store);
    assert_true(keeper_last_checkpoint(house.keeper, &last, key, &why));
    store_close(store);
    remove_store();
    store = open_store(STORE_READ_WRITE);
    write_rows(store, (unsigned)last.size + 3);
    buffer_init(&gap, KIB(4));
    assert_true(journal_compare(store, house.keeper, &house.clock, &gap, &why));
    assert_true(gap.len > 0);
    checkpoint(store);
    assert_true(verify(store, NULL).holds);
    store_close(store);
}

static void must_not_sign(struct store *store, uint64_t size_of_last)
{
    struct checkpoint last;
    uint8_t key[CHECKPOINT_KEY_BYTES];
    struct error why;

    assert_false(journal_checkpoint(store, house.keeper, &house.clock, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    assert_true(keeper_last_checkpoint(house.keeper, &last, key, &why));
    assert_int_equal(last.size, size_of_last);
}

static void must_sign_behind_a_gap(struct store *store)
{
    scoped_buffer gap;
    struct error why;

    buffer_init(&gap, KIB(4));
    assert_true(journal_compare(store, house.keeper, &house.clock, &gap, &why));
    assert_true(gap.len > 0);
    checkpoint(store);
    write_rows(store, 3);
    checkpoint(store);
    assert_true(verify(store, NULL).holds);
}

/* Whoever may write into the store makes another journal, whole in itself, longer than the one that
 * was signed. */
static void another_longer_journal_is_not_signed_before_its_gap_is_told(void **state)
{
    struct store *store;

    (void)state;
    store = open_store(STORE_READ_WRITE);
    write_rows(store, 10);
    checkpoint(store);
    store_close(store);
    remove_store();
    store = open_store(STORE_READ_WRITE);
    write_rows(store, 15);
    must_not_sign(store, 10);
    must_sign_behind_a_gap(store);
    store_close(store);
}

static void an_epoch_that_names_no_gap_is_not_signed(void **state)
{
    struct store *store;
    sqlite3 *database;

    (void)state;
    store = open_store(STORE_READ_WRITE);
    write_rows(store, 10);
    checkpoint(store);
    assert_int_equal(sqlite3_open(database_path, &database), SQLITE_OK);
    run(database, "UPDATE tree SET epoch = epoch + 1");
    sqlite3_close(database);
    write_rows(store, 2);
    must_not_sign(store, 10);
    must_sign_behind_a_gap(store);
    store_close(store);
}

static void a_tree_that_its_rows_do_not_make_is_not_signed(void **state)
{
    struct store *store;
    sqlite3 *database;

    (void)state;
    store = open_store(STORE_READ_WRITE);
    write_rows(store, 10);
    checkpoint(store);
    assert_int_equal(sqlite3_open(database_path, &database), SQLITE_OK);
    run(database, "UPDATE tree SET peaks = CAST(peaks || zeroblob(32) AS BLOB), size = 11");
    sqlite3_close(database);
    write_rows(store, 2);
    must_not_sign(store, 10);
    store_close(store);
}

static void a_checkpoint_of_another_key_is_no_checkpoint(void **state)
{
    struct store *store = open_store(STORE_READ_WRITE);
    struct journal_verdict verdict;
    struct error why;
    uint8_t key[CHECKPOINT_KEY_BYTES];

    (void)state;
    write_rows(store, 3);
    checkpoint(store);
    memcpy(key, house.key, sizeof key);
    key[0] ^= 1;
    assert_true(journal_verify(store, key, NULL, &verdict, &why));
    assert_false(verdict.holds);
    assert_non_null(strstr(verdict.problem, "not signed"));
    store_close(store);
}

/* ---- the end of keys ---- */

static bool add_told(void *self, const struct store_journal_row *row)
{
    scoped(arena) arena = arena_new("an event's fields", KIB(64));
    struct event_field *fields;
    size_t count;
    struct error why;

    if (row->leaf.kind != EVENT_KEYS_EXPIRED)
        return true;
    assert_true(event_parse(row->leaf.detail, arena, &fields, &count, &why));
    *(uint64_t *)self += event_field_find(fields, count, FIELD_COUNT_OF)->number;
    return true;
}

static void tell_and_expect(struct store *store, uint64_t told, uint64_t rows)
{
    struct store_counts counts;
    uint64_t sum = 0;
    struct error why;

    assert_true(journal_tell_expiry(store, house.keeper, &house.clock, &why));
    assert_true(store_each_leaf(store, 0, add_told, &sum, &why));
    assert_int_equal(sum, told);
    assert_true(store_count(store, &counts, &why));
    assert_int_equal(counts.leaves, rows);
}

/* Two classes are made with it: the day of the first is the sooner one. */
static void take_pair(int32_t content_day, int32_t record_day)
{
    scoped(keeper) receive = keeper_connect(house.receive[1], &entropy_of_system);
    struct key_pair pair;
    struct error why;

    house.is_receive_taken = true;
    assert_true(
        keeper_take_pair(receive, SPAN_LITERAL("clinic"), content_day, record_day, &pair, &why));
}

static void days_pass(int days)
{
    end_keeper();
    clock_by_hand_move(&house.hand, (int64_t)days * 86400000);
    begin_keeper();
}

static void destroyed_keys_are_told_once_in_the_journal(void **state)
{
    const int32_t today = clock_day(house.hand.wall_ms);
    struct store *store = open_store(STORE_READ_WRITE);

    (void)state;
    take_pair(today + 1, today + 4);
    tell_and_expect(store, 0, 0);
    days_pass(2);
    tell_and_expect(store, 1, 1);
    tell_and_expect(store, 1, 1);
    days_pass(1); /* what it was told is still known to it */
    tell_and_expect(store, 1, 1);
    checkpoint(store);
    days_pass(2);
    tell_and_expect(store, 2, 2);
    store_close(store);
}

static int begin(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/letterlock-journal-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(store_path, sizeof store_path, "%s/store", directory);
    snprintf(keeper_path, sizeof keeper_path, "%s/keys", directory);
    snprintf(database_path, sizeof database_path, "%s/store.sqlite", store_path);
    house.hand = (struct clock_by_hand){.wall_ms = 1700000000000, .monotonic_ns = 1};
    house.clock = clock_by_hand(&house.hand);
    remove_store();
    begin_keeper();
    return 0;
}

static int end(void **state)
{
    char command[128];

    (void)state;
    end_keeper();
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_of_a_thousand_edits_is_found_and_its_row_named, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_row_that_is_strange_but_for_its_hash_is_named, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_row_changed_with_its_hash_lies_between_two_checkpoints,
                                        begin, end),
        cmocka_unit_test_setup_teardown(a_cut_tail_is_found_by_the_keepers_own_checkpoint, begin,
                                        end),
        cmocka_unit_test_setup_teardown(another_journal_of_the_same_size_begins_an_epoch, begin,
                                        end),
        cmocka_unit_test_setup_teardown(another_longer_journal_is_not_signed_before_its_gap_is_told,
                                        begin, end),
        cmocka_unit_test_setup_teardown(an_epoch_that_names_no_gap_is_not_signed, begin, end),
        cmocka_unit_test_setup_teardown(a_tree_that_its_rows_do_not_make_is_not_signed, begin, end),
        cmocka_unit_test_setup_teardown(a_checkpoint_of_another_key_is_no_checkpoint, begin, end),
        cmocka_unit_test_setup_teardown(destroyed_keys_are_told_once_in_the_journal, begin, end),
    };

    return cmocka_run_group_tests_name("the journal", tests, NULL, NULL);
}
