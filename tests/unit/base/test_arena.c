/* An arena gives zeroed, aligned memory up to its limit and takes all of it back at once. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/arena.h"
#include "base/memory.h"

static void every_size_is_zeroed_and_aligned(void **state)
{
    scoped(arena) arena = arena_new("test", MIB(4));

    (void)state;
    for (size_t size = 0; size < 3000; size += 7) {
        char *taken = arena_take(arena, size);

        assert_non_null(taken);
        assert_int_equal((uintptr_t)taken % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(taken[i], 0);
        memset(taken, 0xff, size);
    }
}

static void takings_do_not_overlap(void **state)
{
    static const size_t sizes[] = {1, 100000, 16, 2048, 70000, 3, 300000, 9};
    scoped(arena) arena = arena_new("test", MIB(4));
    char *taken[COUNT(sizes)];

    (void)state;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        taken[i] = arena_take(arena, sizes[i]);
        memset(taken[i], (int)i + 1, sizes[i]);
    }
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (size_t j = 0; j < sizes[i]; j++)
            assert_int_equal(taken[i][j], i + 1);
}

static void the_limit_is_reached_and_never_passed(void **state)
{
    scoped(arena) arena = arena_new("test", 4096);

    (void)state;
    assert_null(arena_take(arena, 4097));
    assert_null(arena_take(arena, SIZE_MAX));
    assert_int_equal(arena_used(arena), 0);
    for (size_t i = 0; i < 256; i++)
        assert_non_null(arena_take(arena, 16));
    assert_int_equal(arena_used(arena), 4096);
    assert_null(arena_take(arena, 1));
    assert_null(arena_take(arena, 0));
}

static void an_overflowing_array_is_refused(void **state)
{
    scoped(arena) arena = arena_new("test", KIB(4));

    (void)state;
    assert_null(arena_take_array(arena, SIZE_MAX / 2, 3));
    assert_non_null(arena_take_array(arena, 10, 3));
}

static void a_reset_gives_zeroed_memory_again(void **state)
{
    scoped(arena) arena = arena_new("test", MIB(1));
    char *first = arena_take(arena, 1000), *again;

    (void)state;
    memset(first, 'x', 1000);
    memset(arena_take(arena, 200000), 'y', 200000);
    memset(arena_take(arena, 5000), 'z', 5000);
    arena_reset(arena);
    assert_int_equal(arena_used(arena), 0);
    memory_fail_after(1); /* the first block is kept, so nothing is allocated */
    again = arena_take(arena, 1000);
    memory_fail_after(0);
    assert_ptr_equal(again, first);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(again[i], 0);
    arena_reset(arena);
    arena_reset(arena);
}

static void copies_are_made(void **state)
{
    scoped(arena) arena = arena_new_secret("test", 64);
    struct span copy = arena_copy(arena, SPAN_LITERAL("a\0b"));

    (void)state;
    assert_true(span_equal(copy, SPAN_LITERAL("a\0b")));
    copy = arena_copy(arena, (struct span){NULL, 0});
    assert_non_null(copy.data);
    assert_int_equal(copy.len, 0);
    assert_null(
        arena_copy(arena, span_of("more than is left in an arena as small as this one")).data);
}

static void a_string_holds_no_nul_but_its_last(void **state)
{
    scoped(arena) arena = arena_new("test", 64);

    (void)state;
    assert_string_equal(arena_string(arena, SPAN_LITERAL("abc")), "abc");
    assert_string_equal(arena_string(arena, (struct span){NULL, 0}), "");
    assert_null(arena_string(arena, SPAN_LITERAL("a\0b")));
}

static void formatted_text_lives_in_the_arena(void **state)
{
    scoped(arena) arena = arena_new("test", 64);

    (void)state;
    assert_true(span_equal(arena_format(arena, "%d-%s", 42, "x"), span_of("42-x")));
    assert_null(arena_format(arena, "%*d", 100, 1).data);
}

static void failing_allocations_leave_a_sound_arena(void **state)
{
    (void)state;
    memory_fail_after(1);
    assert_null(arena_new("test", 64));
    for (unsigned n = 1; n <= 4; n++) {
        scoped(arena) arena = arena_new("test", MIB(1));

        memory_fail_after(n);
        for (size_t i = 0; i < 4; i++)
            (void)arena_take(arena, i % 2 ? 100 : 70000);
        memory_fail_after(0);
        assert_non_null(arena_take(arena, 10));
    }
    arena_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_is_zeroed_and_aligned),
        cmocka_unit_test(takings_do_not_overlap),
        cmocka_unit_test(the_limit_is_reached_and_never_passed),
        cmocka_unit_test(an_overflowing_array_is_refused),
        cmocka_unit_test(a_reset_gives_zeroed_memory_again),
        cmocka_unit_test(copies_are_made),
        cmocka_unit_test(a_string_holds_no_nul_but_its_last),
        cmocka_unit_test(formatted_text_lives_in_the_arena),
        cmocka_unit_test(failing_allocations_leave_a_sound_arena),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
