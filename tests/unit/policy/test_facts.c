/* Facts as bytes: what is stored with a message is what a later decision runs over. */
/* SPDX-License-Identifier: ISC */
#include "policy_house.h"

#include "message/limits.h"

static const char two_organisations[] =
    "organisation \"Lakeside\" { domains \"lakeside.example\" send \"all\" by { tls verify } }";

static struct facts some_facts(void)
{
    return (struct facts){
        .organisation = 1,
        .from = address_of("nurse@lakeside.example"),
        .to = address_of("a@partner.example"),
        .through = SPAN_LITERAL("10.1.2.3 network 10.0.0.0/8"),
        .subject = SPAN_LITERAL("[secure] Befund für Mühle"),
        .size = 1ull << 40,
        .recipients = 3,
        .is_inward = true,
    };
}

static void facts_come_back_as_they_were(void **state)
{
    (void)state;
    scoped(arena) arena = arena_new("test", MIB(1));
    scoped(policy) policy = must_load(two_organisations, arena);
    const struct facts facts = some_facts();
    struct facts read = {0};
    struct error why;
    scoped_buffer bytes, again;

    buffer_init(&bytes, KIB(64));
    buffer_init(&again, KIB(64));
    facts_print(&facts, SPAN_LITERAL("Lakeside"), &bytes);
    assert_true(facts_parse(buffer_span(&bytes), policy, &read, &why));
    assert_int_equal(read.organisation, 1);
    assert_true(address_equal(&read.from, &facts.from) && address_equal(&read.to, &facts.to));
    assert_true(span_equal(read.through, facts.through) && span_equal(read.subject, facts.subject));
    assert_int_equal(read.size, facts.size);
    assert_int_equal(read.recipients, 3);
    assert_true(read.is_inward);
    facts_print(&read, SPAN_LITERAL("Lakeside"), &again);
    assert_true(span_equal(buffer_span(&bytes), buffer_span(&again)));
}

static void damaged_facts_are_refused(void **state)
{
    (void)state;
    scoped(arena) arena = arena_new("test", MIB(1));
    scoped(policy) policy = must_load(two_organisations, arena);
    const struct facts facts = some_facts();
    struct facts read = {.recipients = 77};
    struct error why;
    scoped_buffer bytes;

    buffer_init(&bytes, KIB(64));
    facts_print(&facts, SPAN_LITERAL("Lakeside"), &bytes);
    for (size_t i = 0; i < bytes.len; i++)
        assert_false(facts_parse(span_make(bytes.data, i), policy, &read, &why));
    assert_string_equal(why.text, "stored facts are damaged");
    buffer_append_byte(&bytes, 0);
    assert_false(facts_parse(buffer_span(&bytes), policy, &read, &why));
    buffer_truncate(&bytes, bytes.len - 1);
    bytes.data[bytes.len - 1] = 2; /* neither inward nor not */
    assert_false(facts_parse(buffer_span(&bytes), policy, &read, &why));
    bytes.data[0] = 2;
    assert_false(facts_parse(buffer_span(&bytes), policy, &read, &why));
    assert_non_null(strstr(why.text, "unknown version 2"));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    assert_int_equal(read.recipients, 77); /* nothing was written */
}

static void organisation_that_is_gone_is_told(void **state)
{
    (void)state;
    scoped(arena) arena = arena_new("test", MIB(1));
    scoped(policy) policy = must_load(two_organisations, arena);
    const struct facts facts = some_facts();
    struct facts read;
    struct error why;
    scoped_buffer bytes;

    buffer_init(&bytes, KIB(64));
    facts_print(&facts, SPAN_LITERAL("Hillside"), &bytes);
    assert_false(facts_parse(buffer_span(&bytes), policy, &read, &why));
    assert_non_null(strstr(why.text, "not in the policy any more"));
}

static void what_could_not_be_read_is_not_written(void **state)
{
    (void)state;
    static char long_text[HEADER_TEXT_MAX + 1];
    struct facts facts = some_facts();
    scoped_buffer bytes;

    memset(long_text, 'a', sizeof long_text);
    facts.subject = span_make(long_text, sizeof long_text);
    buffer_init(&bytes, KIB(64));
    facts_print(&facts, SPAN_LITERAL("Lakeside"), &bytes);
    assert_true(bytes.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_come_back_as_they_were),
        cmocka_unit_test(damaged_facts_are_refused),
        cmocka_unit_test(organisation_that_is_gone_is_told),
        cmocka_unit_test(what_could_not_be_read_is_not_written),
    };
    return cmocka_run_group_tests_name("facts", tests, NULL, NULL);
}
