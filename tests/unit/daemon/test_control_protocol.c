/* Requests at the control socket: what is printed parses back, and nothing else parses. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/memory.h"
#include "daemon/control_protocol.h"

static const struct control_request full = {
    .op = CONTROL_RELEASE,
    .message = {{1, 2, 3, 4}},
    .delivery = 7,
    .text = {"the phone rang", 14},
};

/* What follows the length. */
static struct span printed(const struct control_request *request, struct buffer *out)
{
    buffer_init(out, CONTROL_REQUEST_MAX + 4);
    control_request_print(request, out);
    assert_false(out->failed);
    assert_int_equal(out->data[2] * 256 + (unsigned char)out->data[3], out->len - 4);
    return span_from(buffer_span(out), 4);
}

static void a_request_parses_back(void **state)
{
    scoped_buffer out;
    struct control_request read;
    struct error why;

    (void)state;
    assert_true(control_request_parse(printed(&full, &out), &read, &why));
    assert_int_equal(read.op, full.op);
    assert_true(id_equal(read.message, full.message));
    assert_int_equal(read.delivery, full.delivery);
    assert_true(span_equal(read.text, full.text));
}

static void the_longest_request_fits(void **state)
{
    static char text[CONTROL_TEXT_MAX];
    struct control_request request = full, read;
    scoped_buffer out;
    struct error why;

    (void)state;
    memset(text, 'x', sizeof text);
    request.text = span_make(text, sizeof text);
    assert_true(control_request_parse(printed(&request, &out), &read, &why));
    assert_int_equal(read.text.len, CONTROL_TEXT_MAX);
}

static void a_request_cut_at_any_byte_is_refused(void **state)
{
    scoped_buffer out;
    struct span bytes = printed(&full, &out);

    (void)state;
    for (size_t len = 0; len < bytes.len; len++) {
        struct control_request read = {.delivery = 99};
        struct error why;

        assert_false(control_request_parse(span_until(bytes, len), &read, &why));
        assert_int_equal(why.kind, ERROR_REJECTED);
        assert_int_equal(read.delivery, 99);
    }
}

static const struct change_case {
    const char *name;
    size_t at;
    char byte;
} changes[] = {
    {"another version is refused", 0, 2},
    {"operation 0 is refused", 1, 0},
    {"an unknown operation is refused", 1, CONTROL_OP_END},
    {"a longer length than there are bytes is refused", 25, 15},
    {"a shorter length than there are bytes is refused", 25, 13},
    {"a control character in the text is refused", 30, '\33'},
    {"a delete character in the text is refused", 30, 127},
};

static void a_changed_request_is_refused(void **state)
{
    const struct change_case *c = *state;
    struct control_request read;
    scoped_buffer out;
    struct error why;

    (void)printed(&full, &out);
    out.data[4 + c->at] = c->byte;
    assert_false(control_request_parse(span_from(buffer_span(&out), 4), &read, &why));
    assert_int_equal(why.kind, ERROR_REJECTED);
}

static void a_frame_is_length_kind_and_text(void **state)
{
    scoped_buffer out;

    (void)state;
    buffer_init(&out, 64);
    control_frame_print(CONTROL_FRAME_FAILED, SPAN_LITERAL("no"), &out);
    assert_int_equal(out.len, 7);
    assert_memory_equal(out.data, "\0\0\0\3\3no", 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_parses_back),
        cmocka_unit_test(the_longest_request_fits),
        cmocka_unit_test(a_request_cut_at_any_byte_is_refused),
        cmocka_unit_test(a_frame_is_length_kind_and_text),
    };

    return run_table("changes", changes, a_changed_request_is_refused) +
           cmocka_run_group_tests_name("requests", tests, NULL, NULL);
}
