/* A buffer grows up to its limit, and its first failure sticks. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/buffer.h"
#include "base/memory.h"

static void what_is_appended_is_there(void **state)
{
    scoped_buffer buffer;

    (void)state;
    buffer_init(&buffer, KIB(64));
    assert_int_equal(buffer_span(&buffer).len, 0);
    assert_non_null(buffer_span(&buffer).data);
    for (size_t i = 0; i < 1000; i++) {
        assert_true(buffer_append(&buffer, SPAN_LITERAL("a\0")));
        assert_true(buffer_append_byte(&buffer, 'b'));
        assert_true(buffer_append_format(&buffer, "%03zu", i));
    }
    assert_true(buffer_append(&buffer, (struct span){NULL, 0}));
    assert_int_equal(buffer.len, 6000);
    assert_memory_equal(buffer.data + 5994, "a\0b999", 6);
    buffer_truncate(&buffer, 6);
    assert_true(span_equal(buffer_span(&buffer), SPAN_LITERAL("a\0b000")));
}

static void the_limit_is_reached_and_never_passed(void **state)
{
    scoped_buffer buffer;

    (void)state;
    buffer_init(&buffer, 5);
    assert_true(buffer_append_format(&buffer, "%s", "12345"));
    assert_false(buffer_append_byte(&buffer, '6'));
    assert_true(buffer.failed);
    assert_false(buffer_append(&buffer, SPAN_LITERAL("")));
    assert_true(span_equal(buffer_span(&buffer), span_of("12345")));
    buffer_clear(&buffer);
    assert_false(buffer.failed);
    assert_false(buffer_append_format(&buffer, "%s", "123456"));
    assert_int_equal(buffer.len, 0);
    buffer_clear(&buffer);
    assert_null(buffer_reserve(&buffer, SIZE_MAX));
}

static void reserved_room_is_the_callers(void **state)
{
    scoped_buffer buffer;
    char *room;

    (void)state;
    buffer_init(&buffer, 1000);
    room = buffer_reserve(&buffer, 1000);
    assert_non_null(room);
    memset(room, 'x', 1000);
    buffer.len += 1000;
    assert_int_equal(buffer_span(&buffer).data[999], 'x');
    assert_null(buffer_reserve(&buffer, 1));
}

static void a_secret_buffer_keeps_its_bytes_when_it_moves(void **state)
{
    scoped_buffer buffer;

    (void)state;
    buffer_init_secret(&buffer, KIB(8));
    for (size_t i = 0; i < KIB(8); i++)
        assert_true(buffer_append_byte(&buffer, (char)('a' + i % 26)));
    for (size_t i = 0; i < KIB(8); i++)
        assert_int_equal(buffer.data[i], 'a' + i % 26);
    buffer_truncate(&buffer, 3);
    assert_int_equal(buffer.data[3], 0);
}

static void a_failed_allocation_sticks_and_loses_nothing(void **state)
{
    (void)state;
    for (int secret = 0; secret < 2; secret++) {
        scoped_buffer buffer;

        (secret ? buffer_init_secret : buffer_init)(&buffer, KIB(8));
        assert_true(buffer_append(&buffer, SPAN_LITERAL("kept")));
        memory_fail_after(1);
        assert_null(buffer_reserve(&buffer, KIB(4)));
        memory_fail_after(0);
        assert_false(buffer_append_byte(&buffer, 'x'));
        assert_true(span_equal(buffer_span(&buffer), span_of("kept")));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_appended_is_there),
        cmocka_unit_test(the_limit_is_reached_and_never_passed),
        cmocka_unit_test(reserved_room_is_the_callers),
        cmocka_unit_test(a_secret_buffer_keeps_its_bytes_when_it_moves),
        cmocka_unit_test(a_failed_allocation_sticks_and_loses_nothing),
    };
    return cmocka_run_group_tests_name("buffer", tests, NULL, NULL);
}
