/* Files are read whole up to a limit, and replaced whole or not at all. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/descriptor.h"
#include "base/memory.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/letterlock-test-XXXXXX";
static char path[PATH_MAX];

static int make_directory(void **state)
{
    (void)state;
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/file", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory);
}

static void what_is_written_is_read_back(void **state)
{
    scoped(arena) arena = arena_new("test", MIB(1));
    struct span text = {NULL, 0};
    struct error why;
    struct stat status;

    (void)state;
    assert_true(file_replace(path, SPAN_LITERAL("old"), 0600, &why));
    assert_true(file_replace(path, SPAN_LITERAL("a\0new"), 0640, &why));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
    assert_true(file_read(path, 5, arena, &text, &why));
    assert_true(span_equal(text, SPAN_LITERAL("a\0new")));
    assert_true(file_replace(path, (struct span){NULL, 0}, 0600, &why));
    assert_true(file_read(path, 0, arena, &text, &why));
    assert_int_equal(text.len, 0);
    assert_non_null(text.data);
}

static void a_file_over_the_limit_is_an_error(void **state)
{
    scoped(arena) arena = arena_new("test", KIB(1));
    struct span text = {"untouched", 9};
    struct error why;

    (void)state;
    assert_true(file_replace(path, SPAN_LITERAL("123456"), 0600, &why));
    assert_false(file_read(path, 5, arena, &text, &why));
    assert_int_equal(why.kind, ERROR_IMPOSSIBLE);
    assert_int_equal(text.len, 9);
    assert_true(file_read(path, 6, arena, &text, &why));
}

static void a_big_file_is_read_whole(void **state)
{
    scoped(arena) arena = arena_new("test", MIB(1));
    static char big[100000];
    struct span text;
    struct error why;

    (void)state;
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)(i * 31);
    assert_true(file_replace(path, span_make(big, sizeof big), 0600, &why));
    assert_true(file_read(path, sizeof big, arena, &text, &why));
    assert_true(span_equal(text, span_make(big, sizeof big)));
}

static void an_absent_file_is_an_error_with_its_path(void **state)
{
    scoped(arena) arena = arena_new("test", KIB(1));
    struct span text;
    struct error why;

    (void)state;
    assert_false(file_read("/nonexistent/x", 5, arena, &text, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    assert_string_equal(why.text, "/nonexistent/x: No such file or directory");
    assert_false(file_replace("/nonexistent/x", SPAN_LITERAL(""), 0600, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    assert_false(file_replace(directory, SPAN_LITERAL(""), 0600, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
}

static void a_leftover_of_a_crash_stands_in_nobodys_way(void **state)
{
    scoped(arena) arena = arena_new("test", KIB(1));
    char beside[PATH_MAX + 8];
    struct span text;
    struct error why;

    (void)state;
    snprintf(beside, sizeof beside, "%s.new", path);
    assert_int_equal(symlink("/nonexistent/target", beside), 0);
    assert_true(file_replace(path, SPAN_LITERAL("fresh"), 0600, &why));
    assert_true(file_read(path, 10, arena, &text, &why));
    assert_true(span_equal(text, span_of("fresh")));
    assert_int_equal(access(beside, F_OK), -1);
}

static void a_pipe_is_read_to_its_end(void **state)
{
    scoped(arena) arena = arena_new("test", KIB(1));
    int ends[2];
    struct span text;
    struct error why;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_true(descriptor_write_all(ends[1], SPAN_LITERAL("through"), &why));
    descriptor_close(&ends[1]);
    assert_int_equal(ends[1], -1);
    descriptor_close(&ends[1]);
    assert_true(descriptor_read_all(ends[0], 100, arena, &text, &why));
    assert_true(span_equal(text, span_of("through")));
    assert_false(descriptor_write_all(ends[0], SPAN_LITERAL("x"), &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    descriptor_close(&ends[0]);
    assert_false(descriptor_read_all(ends[0], 100, arena, &text, &why));
}

static void no_memory_is_an_error(void **state)
{
    scoped(arena) small = arena_new("test", 16);
    struct span text;
    struct error why;

    (void)state;
    assert_true(file_replace(path, SPAN_LITERAL("more than sixteen bytes"), 0600, &why));
    assert_false(file_read(path, 100, small, &text, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    memory_fail_after(1);
    assert_false(file_read(path, 100, small, &text, &why));
    memory_fail_after(0);
    assert_int_equal(why.kind, ERROR_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(a_file_over_the_limit_is_an_error),
        cmocka_unit_test(a_big_file_is_read_whole),
        cmocka_unit_test(an_absent_file_is_an_error_with_its_path),
        cmocka_unit_test(a_leftover_of_a_crash_stands_in_nobodys_way),
        cmocka_unit_test(a_pipe_is_read_to_its_end),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests_name("descriptor", tests, make_directory, remove_directory);
}
