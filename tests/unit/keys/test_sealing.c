/* What is sealed opens in one way only: whole, in order, as what it was. */
/* SPDX-License-Identifier: ISC */
#include "keys/sealing.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct key key_a = {{1, 2, 3}}, key_b = {{1, 2, 4}};
static const struct id message_a = {{5, 6}}, message_b = {{5, 7}};
static uint8_t text[SEAL_CHUNK_BYTES]; /* filled once, below */

enum { CHUNKS = 3, LAST_LEN = 100 };

static int fill(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 7 + i / 256);
    return 0;
}

/* Two full chunks and a short last one. */
static void seal_three(struct buffer sealed[CHUNKS])
{
    scoped(content_cipher) cipher = content_cipher_new(&key_a, message_a);
    struct span whole = span_make(text, sizeof text), last = span_until(whole, LAST_LEN);

    for (uint32_t i = 0; i < CHUNKS; i++) {
        buffer_init(&sealed[i], SEAL_CHUNK_BYTES + SEAL_CHUNK_OVERHEAD);
        assert_true(content_seal(cipher, i, i == 2, i == 2 ? &last : &whole, 1, &sealed[i]));
    }
}

static bool opens(const struct key *key, struct id message, uint32_t number, bool is_last,
                  struct span sealed)
{
    scoped(content_cipher) cipher = content_cipher_new(key, message);
    scoped_buffer out;
    struct error why;
    bool opened;

    buffer_init_secret(&out, SEAL_CHUNK_BYTES);
    opened = content_open(cipher, number, is_last, sealed, &out, &why);
    if (opened) {
        assert_memory_equal(out.data ? out.data : "", text, out.len);
    } else {
        assert_int_equal(why.kind, ERROR_INTERNAL);
        assert_non_null(strstr(why.text, "the content does not open"));
        assert_int_equal(out.len, 0);
    }
    return opened;
}

static void content_opens_as_it_was_sealed(void **state)
{
    struct buffer sealed[CHUNKS];

    (void)state;
    seal_three(sealed);
    assert_int_equal(sealed[0].len, SEAL_CHUNK_BYTES + SEAL_CHUNK_OVERHEAD);
    assert_int_equal(sealed[2].len, LAST_LEN + SEAL_CHUNK_OVERHEAD);
    for (uint32_t i = 0; i < CHUNKS; i++) {
        assert_true(opens(&key_a, message_a, i, i == 2, buffer_span(&sealed[i])));
        buffer_clear(&sealed[i]);
    }
}

static void pieces_are_sealed_as_one(void **state)
{
    scoped(content_cipher) cipher = content_cipher_new(&key_a, message_a);
    struct span pieces[] = {
        span_make(text, 10), {NULL, 0}, span_make(text + 10, 1), span_make(text + 11, 500)};
    struct span whole = span_make(text, 511);
    scoped_buffer a, b;

    (void)state;
    buffer_init(&a, 1000);
    buffer_init(&b, 1000);
    assert_true(content_seal(cipher, 4, true, pieces, 4, &a));
    assert_true(content_seal(cipher, 4, true, &whole, 1, &b));
    assert_true(span_equal(buffer_span(&a), buffer_span(&b)));
    assert_true(opens(&key_a, message_a, 4, true, buffer_span(&a)));
}

static void an_empty_last_chunk_is_sealed_too(void **state)
{
    scoped(content_cipher) cipher = content_cipher_new(&key_a, message_a);
    scoped_buffer sealed;

    (void)state;
    buffer_init(&sealed, 100);
    assert_true(content_seal(cipher, 0, true, NULL, 0, &sealed));
    assert_int_equal(sealed.len, SEAL_CHUNK_OVERHEAD);
    assert_true(opens(&key_a, message_a, 0, true, buffer_span(&sealed)));
    assert_false(opens(&key_a, message_b, 0, true, buffer_span(&sealed)));
}

static void cut_swapped_and_appended_chunks_are_found(void **state)
{
    struct buffer sealed[CHUNKS];

    (void)state;
    seal_three(sealed);
    /* The end is cut off: the chunk that stands last now was not the last one. */
    assert_false(opens(&key_a, message_a, 1, true, buffer_span(&sealed[1])));
    /* Two have changed their places. */
    assert_false(opens(&key_a, message_a, 0, false, buffer_span(&sealed[1])));
    assert_false(opens(&key_a, message_a, 1, false, buffer_span(&sealed[0])));
    /* Something follows the last one, or the last one stands elsewhere. */
    assert_false(opens(&key_a, message_a, 2, false, buffer_span(&sealed[2])));
    assert_false(opens(&key_a, message_a, 3, true, buffer_span(&sealed[2])));
    /* It is another message's, or under another key. */
    assert_false(opens(&key_a, message_b, 0, false, buffer_span(&sealed[0])));
    assert_false(opens(&key_b, message_a, 0, false, buffer_span(&sealed[0])));
    for (size_t i = 0; i < CHUNKS; i++)
        buffer_clear(&sealed[i]);
}

static void a_chunk_with_any_byte_changed_or_cut_does_not_open(void **state)
{
    struct buffer sealed[CHUNKS];
    struct span last;

    (void)state;
    seal_three(sealed);
    last = buffer_span(&sealed[2]);
    for (size_t i = 0; i < last.len; i++) {
        sealed[2].data[i] ^= 0x40;
        assert_false(opens(&key_a, message_a, 2, true, last));
        sealed[2].data[i] ^= 0x40;
        assert_false(opens(&key_a, message_a, 2, true, span_until(last, i)));
    }
    /* Longer than any chunk, and a full one that is a byte short. */
    assert_false(
        opens(&key_a, message_a, 0, false, span_until(buffer_span(&sealed[0]), sealed[0].len - 1)));
    assert_false(opens(&key_a, message_a, 0, true, span_make(text, sizeof text)));
    for (size_t i = 0; i < CHUNKS; i++)
        buffer_clear(&sealed[i]);
}

static void content_that_cannot_be_stored_says_so(void **state)
{
    scoped(content_cipher) cipher = content_cipher_new(&key_a, message_a);
    struct span plain = span_make(text, 10);
    scoped_buffer small, sealed;
    struct error why;

    (void)state;
    buffer_init(&small, 9);
    buffer_init(&sealed, 100);
    assert_false(content_seal(cipher, 0, true, &plain, 1, &small));
    buffer_clear(&small);
    assert_true(content_seal(cipher, 0, true, &plain, 1, &sealed));
    assert_false(content_open(cipher, 0, true, buffer_span(&sealed), &small, &why));
    assert_int_equal(why.kind, ERROR_TEMPORARY);
    memory_fail_after(1);
    assert_null(content_cipher_new(&key_a, message_a));
    memory_fail_after(0);
}

static void a_text_opens_as_what_it_was_only(void **state)
{
    static const char *const whats[] = {TEXT_SENDER, TEXT_RECIPIENT, TEXT_FACTS, TEXT_PEER_REPLY};
    struct error why;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        scoped_buffer sealed;

        buffer_init(&sealed, 1000);
        assert_true(text_seal(&key_a, message_a, whats[i], SPAN_LITERAL("ann@clinic.example"),
                              &entropy_of_system, &sealed));
        assert_int_equal(sealed.len, 18 + SEAL_TEXT_OVERHEAD);
        for (size_t j = 0; j < 4; j++) {
            scoped_buffer out;

            buffer_init(&out, 1000);
            assert_int_equal(
                text_open(&key_a, message_a, whats[j], buffer_span(&sealed), &out, &why), i == j);
            if (i == j)
                assert_true(span_equal(buffer_span(&out), SPAN_LITERAL("ann@clinic.example")));
            else
                assert_int_equal(why.kind, ERROR_INTERNAL);
        }
    }
}

static void a_text_with_any_byte_changed_or_cut_does_not_open(void **state)
{
    scoped_buffer sealed, out;
    struct error why;

    (void)state;
    buffer_init(&sealed, 1000);
    buffer_init(&out, 1000);
    assert_true(text_seal(&key_a, message_a, TEXT_SENDER, SPAN_LITERAL("ann"), &entropy_of_system,
                          &sealed));
    for (size_t i = 0; i < sealed.len; i++) {
        sealed.data[i] ^= 1;
        assert_false(text_open(&key_a, message_a, TEXT_SENDER, buffer_span(&sealed), &out, &why));
        sealed.data[i] ^= 1;
        assert_false(text_open(&key_a, message_a, TEXT_SENDER, span_until(buffer_span(&sealed), i),
                               &out, &why));
        assert_int_equal(why.kind, ERROR_INTERNAL);
    }
    assert_false(text_open(&key_b, message_a, TEXT_SENDER, buffer_span(&sealed), &out, &why));
    assert_false(text_open(&key_a, message_b, TEXT_SENDER, buffer_span(&sealed), &out, &why));
    assert_int_equal(out.len, 0);
    assert_true(text_open(&key_a, message_a, TEXT_SENDER, buffer_span(&sealed), &out, &why));
}

static void the_longest_text_is_sealed_and_a_longer_one_is_not(void **state)
{
    scoped_buffer sealed, out;
    struct error why;

    (void)state;
    buffer_init(&sealed, MIB(1));
    buffer_init(&out, MIB(1));
    assert_false(text_seal(&key_a, message_a, TEXT_FACTS, span_make(text, SEAL_TEXT_MAX + 1),
                           &entropy_of_system, &sealed));
    assert_true(text_seal(&key_a, message_a, TEXT_FACTS, span_make(text, SEAL_TEXT_MAX),
                          &entropy_of_system, &sealed));
    assert_true(text_open(&key_a, message_a, TEXT_FACTS, buffer_span(&sealed), &out, &why));
    assert_memory_equal(out.data, text, SEAL_TEXT_MAX);
    assert_false(text_open(&key_a, message_a, TEXT_FACTS,
                           span_make(text, SEAL_TEXT_MAX + SEAL_TEXT_OVERHEAD + 1), &out, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    memory_fail_after(1);
    buffer_clear(&out);
    assert_false(text_open(&key_a, message_a, TEXT_FACTS, buffer_span(&sealed), &out, &why));
    memory_fail_after(0);
    assert_int_equal(why.kind, ERROR_TEMPORARY);
}

static void the_same_text_never_looks_the_same_twice(void **state)
{
    scoped_buffer a, b;

    (void)state;
    buffer_init(&a, 100);
    buffer_init(&b, 100);
    assert_true(
        text_seal(&key_a, message_a, TEXT_SENDER, SPAN_LITERAL("x"), &entropy_of_system, &a));
    assert_true(
        text_seal(&key_a, message_a, TEXT_SENDER, SPAN_LITERAL("x"), &entropy_of_system, &b));
    assert_false(span_equal(buffer_span(&a), buffer_span(&b)));
}

static void a_tag_changes_with_each_thing_it_covers(void **state)
{
    const struct binding base = {.message = message_a,
                                 .delivery = 1,
                                 .organisation = SPAN_LITERAL("clinic"),
                                 .recipient = SPAN_LITERAL("ann@x.example"),
                                 .ladder = SPAN_LITERAL("{ tls verify, return }"),
                                 .policy_digest = {1}};
    struct binding others[7];
    uint8_t tag[BINDING_TAG_BYTES], other[BINDING_TAG_BYTES];

    (void)state;
    for (size_t i = 0; i < 7; i++)
        others[i] = base;
    others[0].message = message_b;
    others[1].delivery = 2;
    others[2].organisation = SPAN_LITERAL("clinic2");
    others[3].recipient = SPAN_LITERAL("bob@x.example");
    others[4].ladder = SPAN_LITERAL("{ tls encrypt, return }");
    others[5].policy_digest[31] = 1;
    /* A byte that moves over a border is not the same text. */
    others[6].organisation = SPAN_LITERAL("clinica");
    others[6].recipient = SPAN_LITERAL("nn@x.example");
    binding_tag(&key_a, &base, tag);
    for (size_t i = 0; i < 7; i++) {
        binding_tag(&key_a, &others[i], other);
        assert_memory_not_equal(tag, other, sizeof tag);
    }
    binding_tag(&key_b, &base, other);
    assert_memory_not_equal(tag, other, sizeof tag);
    binding_tag(&key_a, &base, other);
    assert_memory_equal(tag, other, sizeof tag);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_opens_as_it_was_sealed),
        cmocka_unit_test(pieces_are_sealed_as_one),
        cmocka_unit_test(an_empty_last_chunk_is_sealed_too),
        cmocka_unit_test(cut_swapped_and_appended_chunks_are_found),
        cmocka_unit_test(a_chunk_with_any_byte_changed_or_cut_does_not_open),
        cmocka_unit_test(content_that_cannot_be_stored_says_so),
        cmocka_unit_test(a_text_opens_as_what_it_was_only),
        cmocka_unit_test(a_text_with_any_byte_changed_or_cut_does_not_open),
        cmocka_unit_test(the_longest_text_is_sealed_and_a_longer_one_is_not),
        cmocka_unit_test(the_same_text_never_looks_the_same_twice),
        cmocka_unit_test(a_tag_changes_with_each_thing_it_covers),
    };

    return cmocka_run_group_tests_name("sealing", tests, fill, NULL);
}
