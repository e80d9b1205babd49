/* The keeper's file: one master key opens it, no byte of it can change, and what expired is gone.
 */
/* SPDX-License-Identifier: ISC */
#include "keeper_file.h"

#include "base/arena.h"
#include "base/descriptor.h"
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64], path[128];

static const struct keeper_master raw = {KEEPER_MASTER_RAW,
                                         SPAN_LITERAL("0123456789abcdef0123456789abcdef")};
static const struct keeper_master other_raw = {KEEPER_MASTER_RAW,
                                               SPAN_LITERAL("0123456789abcdef0123456789abcdeF")};
static const struct keeper_master words = {KEEPER_MASTER_PASSPHRASE,
                                           SPAN_LITERAL("a sealed letter needs no envelope")};
static const struct keeper_master other_words = {KEEPER_MASTER_PASSPHRASE,
                                                 SPAN_LITERAL("a sealed letter needs an envelope")};

enum { TODAY = 20000, LATER = 20014 };
static const struct keeper_class_name names[] = {
    {SPAN_LITERAL("clinic"), KEEPER_CLASS_CONTENT, TODAY},
    {SPAN_LITERAL("clinic"), KEEPER_CLASS_RECORD, LATER},
    {SPAN_LITERAL("praxis"), KEEPER_CLASS_CONTENT, LATER},
    {SPAN_LITERAL("praxis"), KEEPER_CLASS_RECORD, TODAY},
};
enum { NAMES = sizeof names / sizeof names[0] };

static int make_directory(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/test_keeper_file.XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/keeper", directory);
    return 0;
}

static int remove_directory(void **state)
{
    char beside[160];

    (void)state;
    unlink(path);
    snprintf(beside, sizeof beside, "%s.lock", path);
    unlink(beside);
    snprintf(beside, sizeof beside, "%s.copy", path);
    unlink(beside);
    return rmdir(directory);
}

static struct keeper_file *must_open(const struct keeper_master *master, bool may_create)
{
    struct keeper_file *file = NULL;
    struct error why = {0};

    if (!keeper_file_open(path, master, may_create, &entropy_of_system, &file, &why))
        fail_msg("%s", why.text);
    return file;
}

static enum error_kind refusal(const struct keeper_master *master)
{
    struct keeper_file *file = NULL;
    struct error why = {.kind = ERROR_NONE};

    assert_false(keeper_file_open(path, master, false, &entropy_of_system, &file, &why));
    assert_null(file);
    return why.kind;
}

/* A file with four classes of two organisations; their keys in `keys`. */
static struct keeper_file *make_classes(struct key keys[NAMES])
{
    struct keeper_file *file = must_open(&raw, true);
    struct error why;

    assert_true(keeper_file_ensure(file, names, 2, &entropy_of_system, &why));
    assert_true(keeper_file_ensure(file, names + 2, 2, &entropy_of_system, &why));
    for (size_t i = 0; i < NAMES; i++)
        assert_true(keeper_file_class_key(file, &names[i], &keys[i]));
    return file;
}

static void assert_same_classes(struct keeper_file *file, const struct key keys[NAMES])
{
    for (size_t i = 0; i < NAMES; i++) {
        struct key key;

        assert_true(keeper_file_class_key(file, &names[i], &key));
        assert_memory_equal(&key, &keys[i], sizeof key);
    }
}

static void a_file_keeps_its_classes_and_its_checkpoint_key(void **state)
{
    struct key keys[NAMES];
    struct keeper_file *file = make_classes(keys);
    uint8_t before[CHECKPOINT_KEY_BYTES], after[CHECKPOINT_KEY_BYTES];
    struct stat stat_of_file;

    (void)state;
    keeper_file_checkpoint_key(file, before);
    keeper_file_free(file);
    assert_int_equal(stat(path, &stat_of_file), 0);
    assert_int_equal(stat_of_file.st_mode & 0777, 0600);
    file = must_open(&raw, true);
    assert_same_classes(file, keys);
    keeper_file_checkpoint_key(file, after);
    assert_memory_equal(before, after, sizeof before);
    keeper_file_free(file);
}

static void no_two_classes_share_a_key(void **state)
{
    struct key keys[NAMES];
    struct keeper_file *file = make_classes(keys);

    (void)state;
    for (size_t i = 0; i < NAMES; i++)
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(&keys[i], &keys[j], sizeof keys[i]);
    keeper_file_free(file);
}

static void a_class_is_on_the_disk_before_it_is_used(void **state)
{
    struct key keys[NAMES], key;
    struct keeper_file *file = make_classes(keys);
    struct keeper_class_name another = {SPAN_LITERAL("hospice"), KEEPER_CLASS_CONTENT, TODAY};
    struct error why;
    char kept[160];

    (void)state;
    /* A directory in the place of the file: it cannot be replaced. */
    snprintf(kept, sizeof kept, "%s.copy", path);
    assert_int_equal(rename(path, kept), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_false(keeper_file_ensure(file, &another, 1, &entropy_of_system, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    assert_false(keeper_file_class_key(file, &another, &key));
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rename(kept, path), 0);
    assert_same_classes(file, keys);
    assert_true(keeper_file_ensure(file, &another, 1, &entropy_of_system, &why));
    assert_true(keeper_file_class_key(file, &another, &key));
    keeper_file_free(file);
}

static void memory_that_is_out_is_temporary_and_loses_nothing(void **state)
{
    struct key keys[NAMES];
    struct keeper_file *file = make_classes(keys), *none = NULL;
    struct error why = {0};

    (void)state;
    for (unsigned n = 1; n < 30; n++) {
        struct keeper_class_name another = {SPAN_LITERAL("clinic"), KEEPER_CLASS_CONTENT,
                                            TODAY + (int32_t)n};
        bool done;

        memory_fail_after(n);
        done = keeper_file_ensure(file, &another, 1, &entropy_of_system, &why);
        memory_fail_after(0);
        assert_true(done || why.kind == ERROR_TEMPORARY);
        assert_same_classes(file, keys);
    }
    keeper_file_free(file);
    for (unsigned n = 1; n < 4; n++) {
        memory_fail_after(n);
        assert_false(keeper_file_open(path, &raw, false, &entropy_of_system, &none, &why));
        memory_fail_after(0);
    }
    keeper_file_free(must_open(&raw, false));
}

static void a_wrong_master_key_does_not_open_it(void **state)
{
    static const struct keeper_master short_one = {KEEPER_MASTER_RAW, SPAN_LITERAL("0123")};

    (void)state;
    keeper_file_free(must_open(&raw, true));
    assert_int_equal(refusal(&other_raw), ERROR_INTERNAL);
    assert_int_equal(refusal(&words), ERROR_INTERNAL);
    assert_int_equal(refusal(&short_one), ERROR_IMPOSSIBLE);
    keeper_file_free(must_open(&raw, false));
}

static void a_passphrase_opens_what_it_made_and_a_wrong_one_does_not(void **state)
{
    static const struct keeper_master empty = {KEEPER_MASTER_PASSPHRASE, SPAN_LITERAL("")};

    (void)state;
    keeper_file_free(must_open(&words, true));
    assert_int_equal(refusal(&other_words), ERROR_INTERNAL);
    assert_int_equal(refusal(&raw), ERROR_INTERNAL);
    assert_int_equal(refusal(&empty), ERROR_IMPOSSIBLE);
    keeper_file_free(must_open(&words, false));
}

static void a_missing_file_is_made_only_where_that_is_wanted(void **state)
{
    (void)state;
    assert_int_equal(refusal(&raw), ERROR_INTERNAL);
    assert_int_equal(access(path, F_OK), -1);
}

static void a_second_process_is_refused_while_one_has_it_open(void **state)
{
    struct keeper_file *file = must_open(&raw, true);

    (void)state;
    assert_int_equal(refusal(&raw), ERROR_TEMPORARY);
    keeper_file_free(file);
    keeper_file_free(must_open(&raw, false));
}

static struct span read_file(struct arena *arena)
{
    struct span text;
    struct error why;

    assert_true(file_read(path, MIB(1), arena, &text, &why));
    return text;
}

static void write_file(struct span text)
{
    struct error why;

    assert_true(file_replace(path, text, 0600, &why));
}

static void a_file_changed_or_cut_at_any_byte_is_refused(void **state)
{
    scoped(arena) arena = arena_new("test", MIB(1));
    struct key keys[NAMES];
    struct span text;
    char *changed;

    (void)state;
    keeper_file_free(make_classes(keys));
    text = read_file(arena);
    changed = arena_take(arena, text.len);
    memcpy(changed, text.data, text.len);
    for (size_t i = 0; i < text.len; i++) {
        changed[i] ^= 0x21;
        write_file(span_make(changed, text.len));
        assert_int_equal(refusal(&raw), ERROR_INTERNAL);
        changed[i] ^= 0x21;
        write_file(span_until(text, i));
        assert_int_equal(refusal(&raw), ERROR_INTERNAL);
    }
    write_file(span_make(arena_take(arena, text.len + 1), text.len + 1));
    assert_int_equal(refusal(&raw), ERROR_INTERNAL);
    write_file(text);
    keeper_file_free(must_open(&raw, false));
}

static void rotation_changes_the_master_and_nothing_else(void **state)
{
    struct key keys[NAMES];
    struct keeper_file *file = make_classes(keys);
    uint8_t before[CHECKPOINT_KEY_BYTES], signature[CHECKPOINT_SIGNATURE_BYTES];
    struct error why;

    (void)state;
    keeper_file_checkpoint_key(file, before);
    file->table.unwraps = 7;
    assert_true(keeper_file_rotate(file, &other_raw, &entropy_of_system, &why));
    assert_same_classes(file, keys); /* at once */
    keeper_file_free(file);
    assert_int_equal(refusal(&raw), ERROR_INTERNAL);
    file = must_open(&other_raw, false);
    assert_same_classes(file, keys); /* and when opened again */
    assert_int_equal(file->table.unwraps, 7);
    assert_memory_equal(file->checkpoint_key, before, sizeof before);
    assert_true(keeper_file_sign(file, SPAN_LITERAL("text"), signature));
    assert_true(ed25519_verify(before, SPAN_LITERAL("text"), signature));

    /* From a key to a passphrase. */
    assert_true(keeper_file_rotate(file, &words, &entropy_of_system, &why));
    keeper_file_free(file);
    assert_int_equal(refusal(&other_raw), ERROR_INTERNAL);
    file = must_open(&words, false);
    assert_same_classes(file, keys);
    keeper_file_free(file);
}

static void a_rotation_that_fails_leaves_the_old_master_in_force(void **state)
{
    static const struct keeper_master short_one = {KEEPER_MASTER_RAW, SPAN_LITERAL("0123")};
    struct key keys[NAMES];
    struct keeper_file *file = make_classes(keys);
    struct error why;

    (void)state;
    assert_false(keeper_file_rotate(file, &short_one, &entropy_of_system, &why));
    assert_int_equal(why.kind, ERROR_IMPOSSIBLE);
    for (unsigned n = 1; n < 3; n++) {
        memory_fail_after(n);
        assert_false(keeper_file_rotate(file, &other_raw, &entropy_of_system, &why));
        memory_fail_after(0);
        assert_int_equal(why.kind, ERROR_TEMPORARY);
    }
    assert_same_classes(file, keys);
    keeper_file_free(file);
    file = must_open(&raw, false);
    assert_same_classes(file, keys);
    keeper_file_free(file);
}

static void classes_whose_day_has_passed_are_destroyed(void **state)
{
    struct key keys[NAMES], key;
    struct keeper_file *file = make_classes(keys);
    size_t destroyed = 99;
    struct error why;

    (void)state;
    assert_true(keeper_file_expire(file, TODAY, &destroyed, &why)); /* its day has not passed */
    assert_int_equal(destroyed, 0);
    assert_true(keeper_file_expire(file, TODAY + 1, &destroyed, &why));
    assert_int_equal(destroyed, 2);
    for (int again = 0; again < 2; again++) {
        for (size_t i = 0; i < NAMES; i++)
            assert_int_equal(keeper_file_class_key(file, &names[i], &key), names[i].day == LATER);
        keeper_file_free(file);
        file = must_open(&raw, false);
    }
    assert_int_equal(file->table.destroyed, 2);
    assert_true(keeper_file_expire(file, INT32_MAX, &destroyed, &why));
    assert_int_equal(destroyed, 2);
    keeper_file_free(file);
    file = must_open(&raw, false);
    assert_int_equal(file->table.destroyed, 4);
    assert_int_equal(file->table.destroyed_told, 0);
    keeper_file_free(file);
}

/* What an open descriptor still shows of the file that was replaced. */
static void the_bytes_of_destroyed_classes_are_overwritten(void **state)
{
    struct key keys[NAMES];
    struct keeper_file *file = make_classes(keys);
    FILE *old = fopen(path, "re");
    size_t destroyed;
    struct error why;
    int c;

    (void)state;
    assert_non_null(old);
    assert_true(keeper_file_expire(file, TODAY + 1, &destroyed, &why));
    while ((c = fgetc(old)) != EOF)
        assert_int_equal(c, 0);
    fclose(old);
    keeper_file_free(file);
}

static void a_copy_made_by_link_is_not_ours_to_destroy(void **state)
{
    scoped(arena) arena = arena_new("test", MIB(1));
    struct key keys[NAMES];
    struct keeper_file *file = make_classes(keys);
    struct span before = read_file(arena), kept;
    size_t destroyed;
    struct error why;
    char copy[160];

    (void)state;
    snprintf(copy, sizeof copy, "%s.copy", path);
    assert_int_equal(link(path, copy), 0);
    assert_true(keeper_file_expire(file, TODAY + 1, &destroyed, &why));
    assert_true(file_read(copy, MIB(1), arena, &kept, &why));
    assert_true(span_equal(before, kept));
    keeper_file_free(file);
}

static void an_expiry_that_cannot_be_written_is_tried_again(void **state)
{
    struct key keys[NAMES];
    struct keeper_file *file = make_classes(keys);
    size_t destroyed = 99;
    struct error why;

    (void)state;
    memory_fail_after(1);
    assert_false(keeper_file_expire(file, TODAY + 1, &destroyed, &why));
    memory_fail_after(0);
    assert_int_equal(destroyed, 99);
    assert_int_equal(file->table.destroyed, 0);
    assert_true(keeper_file_expire(file, TODAY + 1, &destroyed, &why));
    assert_int_equal(destroyed, 2);
    assert_int_equal(file->table.destroyed, 2);
    keeper_file_free(file);
}

static void a_table_prints_and_parses_back_equal_and_refuses_any_cut(void **state)
{
    struct key keys[NAMES];
    struct keeper_file *file = make_classes(keys);
    struct keeper_table table;
    scoped_buffer once, twice;
    struct error why;

    (void)state;
    buffer_init(&once, MIB(1));
    buffer_init(&twice, MIB(1));
    file->table.has_checkpoint = true;
    file->table.last = (struct checkpoint){.epoch = 1, .size = 2, .at_ms = -1, .root = {3}};
    assert_true(keeper_table_print(&file->table, INT32_MIN, &once));
    assert_true(keeper_table_parse(buffer_span(&once), &table, &why));
    assert_true(keeper_table_print(&table, INT32_MIN, &twice));
    assert_true(span_equal(buffer_span(&once), buffer_span(&twice)));
    keeper_table_clear(&table);
    for (size_t i = 0; i < once.len; i++) {
        assert_false(keeper_table_parse(span_until(buffer_span(&once), i), &table, &why));
        assert_int_equal(why.kind, ERROR_INTERNAL);
    }
    buffer_append_byte(&once, 0);
    assert_false(keeper_table_parse(buffer_span(&once), &table, &why));
    keeper_file_free(file);
}

static void a_newer_version_is_named(void **state)
{
    struct keeper_table table = {0};
    struct error why;
    scoped_buffer out;

    (void)state;
    buffer_init(&out, MIB(1));
    assert_true(keeper_table_print(&table, 0, &out));
    out.data[11] = 3;
    assert_false(keeper_table_parse(buffer_span(&out), &table, &why));
    assert_non_null(strstr(why.text, "version 3"));
}

/* Version 1 had no counts of destroyed classes: two numbers before those of organisations and of
 * classes, which are both 0 here. */
static void a_file_of_version_1_is_read(void **state)
{
    enum { COUNTS = 2 * 4, NEW_IN_2 = 2 * 8 };
    struct keeper_table table = {.unwraps = 5, .texts = 6}, read;
    struct error why;
    scoped_buffer out;

    (void)state;
    buffer_init(&out, MIB(1));
    assert_true(keeper_table_print(&table, 0, &out));
    memset(out.data + out.len - COUNTS - NEW_IN_2, 0, COUNTS);
    buffer_truncate(&out, out.len - NEW_IN_2);
    out.data[11] = 1;
    assert_true(keeper_table_parse(buffer_span(&out), &read, &why));
    assert_int_equal(read.unwraps, 5);
    assert_int_equal(read.texts, 6);
    assert_int_equal(read.destroyed, 0);
    keeper_table_clear(&read);
    for (size_t i = 0; i < out.len; i++)
        assert_false(keeper_table_parse(span_until(buffer_span(&out), i), &read, &why));
}

static void more_told_than_destroyed_is_malformed(void **state)
{
    struct keeper_table table = {.destroyed = 1, .destroyed_told = 2};
    struct error why;
    scoped_buffer out;

    (void)state;
    buffer_init(&out, MIB(1));
    assert_true(keeper_table_print(&table, 0, &out));
    assert_false(keeper_table_parse(buffer_span(&out), &table, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
}

#define IN_A_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_DIRECTORY(a_file_keeps_its_classes_and_its_checkpoint_key),
        IN_A_DIRECTORY(no_two_classes_share_a_key),
        IN_A_DIRECTORY(a_class_is_on_the_disk_before_it_is_used),
        IN_A_DIRECTORY(memory_that_is_out_is_temporary_and_loses_nothing),
        IN_A_DIRECTORY(a_wrong_master_key_does_not_open_it),
        IN_A_DIRECTORY(a_passphrase_opens_what_it_made_and_a_wrong_one_does_not),
        IN_A_DIRECTORY(a_missing_file_is_made_only_where_that_is_wanted),
        IN_A_DIRECTORY(a_second_process_is_refused_while_one_has_it_open),
        IN_A_DIRECTORY(a_file_changed_or_cut_at_any_byte_is_refused),
        IN_A_DIRECTORY(rotation_changes_the_master_and_nothing_else),
        IN_A_DIRECTORY(a_rotation_that_fails_leaves_the_old_master_in_force),
        IN_A_DIRECTORY(classes_whose_day_has_passed_are_destroyed),
        IN_A_DIRECTORY(the_bytes_of_destroyed_classes_are_overwritten),
        IN_A_DIRECTORY(a_copy_made_by_link_is_not_ours_to_destroy),
        IN_A_DIRECTORY(an_expiry_that_cannot_be_written_is_tried_again),
        IN_A_DIRECTORY(a_table_prints_and_parses_back_equal_and_refuses_any_cut),
        cmocka_unit_test(a_newer_version_is_named),
        cmocka_unit_test(a_file_of_version_1_is_read),
        cmocka_unit_test(more_told_than_destroyed_is_malformed),
    };

    return cmocka_run_group_tests_name("the keeper's file", tests, NULL, NULL);
}
