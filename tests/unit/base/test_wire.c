/* Canonical bytes: what is put is got back, and no cut of it passes for the whole. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/memory.h"
#include "base/wire.h"

static void put_sample(struct buffer *out)
{
    wire_put_u8(out, 0xfe);
    wire_put_u16(out, 0x0102);
    wire_put_u32(out, 0x03040506);
    wire_put_u64(out, 0xf708090a0b0c0d0e);
    wire_put_bytes(out, "xyz", 3);
    wire_put_span(out, SPAN_LITERAL("te\0xt"));
    wire_put_span(out, (struct span){NULL, 0});
}

static void numbers_are_big_endian(void **state)
{
    scoped_buffer buffer;

    (void)state;
    buffer_init(&buffer, KIB(1));
    put_sample(&buffer);
    assert_true(span_equal(buffer_span(&buffer),
                           SPAN_LITERAL("\xfe\x01\x02\x03\x04\x05\x06\xf7\x08\x09\x0a\x0b\x0c\x0d"
                                        "\x0exyz\0\0\0\5te\0xt\0\0\0\0")));
}

/* Reads the sample; its values are right where nothing failed, and harmless where something did. */
static bool read_sample(struct wire_reader *in)
{
    uint8_t u8 = wire_get_u8(in);
    uint16_t u16 = wire_get_u16(in);
    uint32_t u32 = wire_get_u32(in);
    uint64_t u64 = wire_get_u64(in);
    char bytes[3] = "???";
    struct span text, empty;

    wire_get_bytes(in, bytes, sizeof bytes);
    text = wire_get_span(in, 5);
    empty = wire_get_span(in, 0);
    if (in->failed) {
        assert_true(text.len == 0 || empty.len == 0);
        assert_non_null(empty.data);
        return false;
    }
    assert_int_equal(u8, 0xfe);
    assert_int_equal(u16, 0x0102);
    assert_int_equal(u32, 0x03040506);
    assert_true(u64 == 0xf708090a0b0c0d0e);
    assert_memory_equal(bytes, "xyz", 3);
    assert_true(span_equal(text, SPAN_LITERAL("te\0xt")));
    assert_int_equal(empty.len, 0);
    return true;
}

static void what_is_put_is_got_back_and_no_cut_of_it(void **state)
{
    scoped_buffer buffer;
    struct wire_reader in;

    (void)state;
    buffer_init(&buffer, KIB(1));
    put_sample(&buffer);
    for (size_t len = 0; len < buffer.len; len++) {
        in = (struct wire_reader){.rest = span_until(buffer_span(&buffer), len)};
        assert_false(read_sample(&in));
        assert_false(wire_is_done(&in));
        assert_int_equal(wire_get_u64(&in), 0);
    }
    in = (struct wire_reader){.rest = buffer_span(&buffer)};
    assert_true(read_sample(&in));
    assert_true(wire_is_done(&in));
    wire_put_u8(&buffer, 0);
    in = (struct wire_reader){.rest = buffer_span(&buffer)};
    assert_true(read_sample(&in));
    assert_false(wire_is_done(&in));
}

static void a_failed_reader_gives_zeros(void **state)
{
    struct wire_reader in = {.rest = SPAN_LITERAL("ab")};
    char bytes[3] = "???";

    (void)state;
    wire_get_bytes(&in, bytes, 3);
    assert_memory_equal(bytes, "\0\0\0", 3);
    assert_true(in.failed);
    assert_int_equal(wire_get_u8(&in), 0);
    wire_get_bytes(&in, NULL, 0);
}

static void a_span_over_its_limit_is_a_failure(void **state)
{
    struct wire_reader in = {.rest = SPAN_LITERAL("\0\0\0\3abc")};

    (void)state;
    assert_int_equal(wire_get_span(&in, 2).len, 0);
    assert_true(in.failed);
}

static const struct hex_case {
    const char *name, *text;
    bool is_hex;
} hexes[] = {
    {"lower case", "00ff10ab", true}, {"upper case", "00FF10AB", true},
    {"too short", "00ff10", false},   {"too long", "00ff10abcd", false},
    {"odd", "00ff10abc", false},      {"no digit", "00ff10ag", false},
    {"a blank", "00ff10 a", false},   {"nothing", "", false},
};

static void hex_is_read(void **state)
{
    const struct hex_case *c = *state;
    uint8_t bytes[4] = {1, 2, 3, 4};
    char printed[9];

    assert_int_equal(hex_parse(span_of(c->text), bytes, sizeof bytes), c->is_hex);
    assert_memory_equal(bytes, c->is_hex ? "\x00\xff\x10\xab" : "\1\2\3\4", 4);
    if (!c->is_hex)
        return;
    hex_print(bytes, sizeof bytes, printed);
    assert_string_equal(printed, "00ff10ab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_big_endian),
        cmocka_unit_test(what_is_put_is_got_back_and_no_cut_of_it),
        cmocka_unit_test(a_failed_reader_gives_zeros),
        cmocka_unit_test(a_span_over_its_limit_is_a_failure),
    };
    return cmocka_run_group_tests_name("wire", tests, NULL, NULL) +
           run_table("hex", hexes, hex_is_read);
}
