/* SQLite as the engine: its files, its plans, its failures. */
/* SPDX-License-Identifier: ISC */
#include "store_lab.h"

#include "connection.h"
#include "statements.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Runs SQL behind the store's back, as an intruder or an administrator would. */
static void tamper(struct lab *lab, const char *sql)
{
    sqlite3 *database;

    assert_int_equal(sqlite3_open(lab_path(lab, "store.sqlite"), &database), SQLITE_OK);
    if (sqlite3_exec(database, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(database));
    sqlite3_close(database);
}

static struct error refused_to_open(struct lab *lab, enum store_mode mode)
{
    struct store *store;
    struct error why = {0};

    assert_false(store_open(lab->directory, mode, lab->shared, &lab->clock, &entropy_of_system,
                            &store, &why));
    return why;
}

/* ---- plans ---- */

static void only_statements_that_may_do_so_scan_a_table(void **state)
{
    struct lab *lab = *state;
    struct connection connection;
    struct error why;
    char sql[2048];

    assert_true(
        connection_open(&connection, lab_path(lab, "store.sqlite"), CONNECTION_READER, &why));
    for (size_t i = 0; i < SQL_STATEMENT_COUNT; i++) {
        sqlite3_stmt *plan;
        assert_non_null(sql_statements[i].text);
        snprintf(sql, sizeof sql, "EXPLAIN QUERY PLAN %s", sql_statements[i].text);
        if (sqlite3_prepare_v2(connection.database, sql, -1, &plan, NULL) != SQLITE_OK)
            fail_msg("%s: %s", sqlite3_errmsg(connection.database), sql_statements[i].text);
        while (sqlite3_step(plan) == SQLITE_ROW) {
            const char *step = (const char *)sqlite3_column_text(plan, 3);
            bool is_scan = strncmp(step, "SCAN", 4) == 0 && strcmp(step, "SCAN CONSTANT ROW") != 0;
            if (is_scan && !sql_statements[i].may_scan)
                fail_msg("%s: %s", step, sql_statements[i].text);
        }
        sqlite3_finalize(plan);
    }
    connection_close(&connection);
}

/* ---- files ---- */

static void the_files_are_for_the_group_as_the_mask_allows(void **state)
{
    static const struct {
        mode_t mask, mode;
    } cases[] = {{0007, 0660}, {0077, 0600}};
    struct lab *lab = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        static const char *const names[] = {"store.sqlite", "store.sqlite-wal", "store.sqlite-shm"};
        struct lab other = {.hand = lab->hand, .arena = lab->arena};
        snprintf(other.directory, sizeof other.directory, "/tmp/letterlock-store-XXXXXX");
        assert_non_null(mkdtemp(other.directory));
        other.clock = clock_by_hand(&other.hand);
        mode_t before = umask(cases[i].mask);
        lab_open(&other);
        lab_accept(&other, "a.example");
        umask(before);
        for (size_t j = 0; j < COUNT(names); j++) {
            struct stat status;
            assert_int_equal(stat(lab_path(&other, names[j]), &status), 0);
            assert_int_equal(status.st_mode & 0777, cases[i].mode);
        }
        lab_close(&other);
        lab_remove_directory(other.directory);
    }
}

static void another_version_is_refused_by_name(void **state)
{
    struct lab *lab = *state;

    lab_close(lab);
    tamper(lab, "PRAGMA user_version = 2");
    struct error why = refused_to_open(lab, STORE_READ_WRITE);
    assert_int_equal(why.kind, ERROR_INTERNAL);
    assert_non_null(strstr(why.text, "schema version 2"));
    assert_non_null(strstr(why.text, "version 1"));
    assert_int_equal(refused_to_open(lab, STORE_READ_ONLY).kind, ERROR_INTERNAL);
}

static void a_foreign_database_is_refused(void **state)
{
    struct lab *lab = *state;

    lab_close(lab);
    unlink(lab_path(lab, "store.sqlite"));
    tamper(lab, "CREATE TABLE theirs(x)");
    assert_int_equal(refused_to_open(lab, STORE_READ_WRITE).kind, ERROR_INTERNAL);
}

static void a_damaged_file_is_named(void **state)
{
    struct lab *lab = *state;
    static const char garbage[8192] = "this is no database";

    lab_close(lab);
    int fd = open(lab_path(lab, "store.sqlite"), O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(write(fd, garbage, sizeof garbage), sizeof garbage);
    close(fd);
    struct error why = refused_to_open(lab, STORE_READ_WRITE);
    assert_int_equal(why.kind, ERROR_INTERNAL);
    assert_non_null(strstr(why.text, "damaged"));
}

static void a_directory_that_is_not_there_is_named(void **state)
{
    struct lab *lab = *state;
    struct store *store;
    struct error why;

    assert_false(store_open("/nonexistent/of/letterlock", STORE_READ_WRITE, NULL, &lab->clock,
                            &entropy_of_system, &store, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    assert_non_null(strstr(why.text, "/nonexistent/of/letterlock"));
    assert_false(store_open("/nonexistent/of/letterlock", STORE_READ_ONLY, NULL, &lab->clock,
                            &entropy_of_system, &store, &why));
}

static void a_directory_may_be_a_link_but_the_file_may_not(void **state)
{
    struct lab *lab = *state;
    struct lab linked = *lab;
    struct id id = lab_accept(lab, "a.example");

    lab_close(lab);
    snprintf(linked.directory, sizeof linked.directory, "%.60s-link", lab->directory);
    assert_int_equal(symlink(lab->directory, linked.directory), 0);
    lab_open(&linked);
    assert_true(lab_has_message(&linked, id));
    lab_close(&linked);
    unlink(linked.directory);

    assert_int_equal(rename(lab_path(lab, "store.sqlite"), lab_path(lab, "other")), 0);
    assert_int_equal(symlink("other", lab_path(lab, "store.sqlite")), 0);
    assert_int_equal(refused_to_open(lab, STORE_READ_WRITE).kind, ERROR_TEMPORARY);
}

static void a_store_opened_for_reading_reads_and_writes_nothing(void **state)
{
    struct lab *lab = *state;
    struct id id = lab_accept(lab, "a.example");
    struct lab reading = *lab;
    struct error why;
    struct draft draft;

    assert_true(store_open(lab->directory, STORE_READ_ONLY, NULL, &lab->clock, &entropy_of_system,
                           &reading.store, &why));
    assert_true(lab_has_message(&reading, id));
    lab_verify_tree(&reading);
    draft_make(lab, &draft, "a.example");
    assert_int_equal(lab_refused(&reading, &draft.change, 1).kind, ERROR_INTERNAL);
    store_close(reading.store);
    lab_close(lab);
    /* Also when nobody else has it open. */
    assert_true(store_open(lab->directory, STORE_READ_ONLY, NULL, &lab->clock, &entropy_of_system,
                           &reading.store, &why));
    assert_true(lab_has_message(&reading, id));
    store_close(reading.store);
}

/* ---- tampering ---- */

static void a_changed_leaf_is_not_whole(void **state)
{
    static const char *const changes[] = {
        "UPDATE event SET kind = 3 WHERE delivery = 1",
        "UPDATE event SET detail = x'00' WHERE delivery = 1",
        "UPDATE event SET at = at + 1 WHERE delivery = 1",
        "UPDATE event SET salt = zeroblob(16) WHERE delivery = 1",
        "UPDATE event SET salt = NULL WHERE delivery = 1",
        "UPDATE event SET hash = zeroblob(32) WHERE delivery = 1",
        "UPDATE event SET organisation = 999 WHERE delivery = 1",
        "UPDATE event SET detail = zeroblob(100000) WHERE delivery = 1",
        "UPDATE event SET kind = kind + 65536 WHERE delivery = 1",
        /* The newest leaf hidden, or followed by one that is in no tree. */
        "UPDATE event SET delivery = delivery + 4294967296 WHERE delivery = 1",
        ("INSERT INTO event SELECT 1000 + sequence, kind, at, message, delivery, organisation, "
         "detail, salt, hash FROM event WHERE delivery = 1"),
    };
    struct lab *lab = *state;

    for (size_t i = 0; i < COUNT(changes); i++) {
        struct store_claimed *claimed;
        lab_accept(lab, "a.example");
        tamper(lab, changes[i]);
        assert_int_equal(lab_claim(lab, LAB_START, &claimed), 1);
        assert_false(claimed->is_leaf_whole);
    }
    struct store_claimed *claimed;
    lab_accept(lab, "a.example");
    assert_int_equal(lab_claim(lab, LAB_START, &claimed), 1);
    assert_true(claimed->is_leaf_whole);
}

static void a_planted_row_passes_for_no_other_delivery(void **state)
{
    static const char *const changes[] = {"number = number + 4294967296", "number = 0",
                                          "number = -1", "message = x'00'"};
    struct lab *lab = *state;

    for (size_t i = 0; i < COUNT(changes); i++) {
        struct id id = lab_accept(lab, "a.example");
        struct store_change move = lab_move(id, 1, LAB_LEASE, DELIVERY_WAITING, DELIVERY_DELIVERED);
        struct store_claimed *claimed;
        char sql[256];

        snprintf(
            sql, sizeof sql,
            "CREATE TEMP TABLE planted AS SELECT * FROM delivery WHERE state = 0 AND number = 1;"
            "UPDATE planted SET %s; INSERT INTO delivery SELECT * FROM planted",
            changes[i]);
        tamper(lab, sql);
        assert_int_equal(lab_claim(lab, LAB_START, &claimed), 1);
        assert_true(id_equal(claimed->message.id, id));
        lab_commit(lab, &move, 1);
        assert_int_equal(lab_claim(lab, INT64_MAX / 2, &claimed), 0); /* nor for its patience */
        assert_int_equal(lab_next_due(lab), INT64_MAX);
    }
}

static void a_purged_row_is_seen_as_purged(void **state)
{
    struct lab *lab = *state;
    struct id id = lab_accept(lab, "a.example");
    struct store_journal_row *rows;
    struct error why;
    size_t count;

    tamper(lab, "UPDATE event SET salt = NULL, detail = NULL WHERE sequence = 1");
    assert_true(store_find_journal(lab->store, id, lab->arena, &rows, &count, &why));
    assert_int_equal(count, 2);
    assert_false(rows[0].is_purged);
    assert_true(rows[1].is_purged);
}

static void a_delivery_without_its_message_is_still_claimed(void **state)
{
    struct lab *lab = *state;
    struct id id = lab_accept(lab, "a.example");
    struct store_claimed *claimed;

    tamper(lab, "DELETE FROM message; DELETE FROM organisation");
    assert_int_equal(lab_claim(lab, LAB_START, &claimed), 1);
    assert_true(id_equal(claimed->message.id, id));
    assert_span(claimed->message.wrapped_content, "");
}

static void triggers_of_an_intruder_do_not_run(void **state)
{
    struct lab *lab = *state;

    tamper(lab, "CREATE TRIGGER theirs AFTER INSERT ON message BEGIN DELETE FROM event; END");
    lab_accept(lab, "a.example");
    lab_accept(lab, "a.example");
    lab_verify_tree(lab);
    assert_int_equal(lab_counts(lab).leaves, 4);
}

static void a_tree_that_is_gone_stops_all_writing(void **state)
{
    struct lab *lab = *state;
    struct store_tree tree;
    struct draft draft;
    struct error why;

    lab_accept(lab, "a.example");
    tamper(lab, "UPDATE tree SET size = 7");
    draft_make(lab, &draft, "a.example");
    assert_int_equal(lab_refused(lab, &draft.change, 1).kind, ERROR_INTERNAL);
    assert_false(store_tree_read(lab->store, &tree, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    tamper(lab, "UPDATE tree SET size = 0, peaks = x''"); /* its leaf 0 is there already */
    assert_int_equal(lab_refused(lab, &draft.change, 1).kind, ERROR_INTERNAL);
    assert_false(lab_has_message(lab, draft_id(&draft)));
}

/* ---- a full disk ---- */

static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit;

    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_is_temporary_and_takes_nothing_with_it(void **state)
{
    struct lab *lab = *state;
    static char large[200000];
    struct draft draft;

    signal(SIGXFSZ, SIG_IGN);
    struct id before = lab_accept(lab, "a.example");
    limit_file_size(150000);
    draft_make(lab, &draft, "a.example");
    draft.body[0] = span_make(large, sizeof large);
    struct error why = lab_refused(lab, &draft.change, 1);
    limit_file_size(RLIM_INFINITY);
    assert_int_equal(why.kind, ERROR_TEMPORARY);
    assert_string_equal(why.status, "4.3.1");
    assert_false(lab_has_message(lab, draft_id(&draft)));
    assert_true(lab_has_message(lab, before));
    lab_verify_tree(lab);

    lab_commit(lab, &draft.change, 1); /* the same again, once there is room */
    lab_reopen(lab);
    assert_true(lab_has_message(lab, draft_id(&draft)));
    lab_verify_tree(lab);
}

static void a_file_that_cannot_be_made_is_said(void **state)
{
    struct lab *lab = *state;

    lab_close(lab);
    unlink(lab_path(lab, "store.sqlite"));
    signal(SIGXFSZ, SIG_IGN);
    limit_file_size(100);
    struct error why = refused_to_open(lab, STORE_READ_WRITE);
    limit_file_size(RLIM_INFINITY);
    assert_int_equal(why.kind, ERROR_TEMPORARY);
    lab_open(lab); /* and half a database is no obstacle */
    lab_accept(lab, "a.example");
}

/* ---- memory ---- */

static void each_allocation_may_fail(void **state)
{
    struct lab *lab = *state;
    struct error why;

    lab_close(lab);
    for (unsigned n = 1;; n++) {
        memory_fail_after(n);
        bool is_open = store_open(lab->directory, STORE_READ_WRITE, lab->shared, &lab->clock,
                                  &entropy_of_system, &lab->store, &why);
        memory_fail_after(0);
        if (is_open)
            break;
        assert_int_equal(why.kind, ERROR_TEMPORARY);
        assert_in_range(n, 1, 50);
    }
    for (unsigned n = 1; n < 12; n++) {
        struct draft draft;
        draft_make(lab, &draft, "a.example");
        memory_fail_after(n);
        bool is_done = store_commit(lab->store, &(struct store_batch){&draft.change, 1}, &why);
        memory_fail_after(0);
        if (!is_done)
            assert_int_equal(why.kind, ERROR_TEMPORARY);
        assert_int_equal(lab_has_message(lab, draft_id(&draft)), is_done);
    }
    lab_verify_tree(lab);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, lab_set_up, lab_tear_down)
    const struct CMUnitTest tests[] = {
        ROW(only_statements_that_may_do_so_scan_a_table),
        ROW(the_files_are_for_the_group_as_the_mask_allows),
        ROW(another_version_is_refused_by_name),
        ROW(a_foreign_database_is_refused),
        ROW(a_damaged_file_is_named),
        ROW(a_directory_that_is_not_there_is_named),
        ROW(a_directory_may_be_a_link_but_the_file_may_not),
        ROW(a_store_opened_for_reading_reads_and_writes_nothing),
        ROW(a_changed_leaf_is_not_whole),
        ROW(a_planted_row_passes_for_no_other_delivery),
        ROW(a_purged_row_is_seen_as_purged),
        ROW(a_delivery_without_its_message_is_still_claimed),
        ROW(triggers_of_an_intruder_do_not_run),
        ROW(a_tree_that_is_gone_stops_all_writing),
        ROW(a_full_disk_is_temporary_and_takes_nothing_with_it),
        ROW(a_file_that_cannot_be_made_is_said),
        ROW(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
