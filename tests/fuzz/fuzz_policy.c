/* fuzz-deps: policy message base */
/* A policy never crashes the reader; one that loads prints as text that loads as the same policy.
 */
/* SPDX-License-Identifier: ISC */
#include "policy/policy.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every file that a policy names is the same small list. */
static bool read_file(void *self, struct span path, size_t limit, struct arena *arena,
                      struct span *text, struct error *why)
{
    (void)self;
    (void)path;
    *text = arena_copy(
        arena, span_until(SPAN_LITERAL("x.example\n.y.example # all\na@z.example\n"), limit));
    return text->data || error_set(why, ERROR_TEMPORARY, "", "no memory");
}

static void decide_something(const struct policy *policy)
{
    const struct facts facts = {
        .from = {SPAN_LITERAL("a"), SPAN_LITERAL("x.example")},
        .to = {SPAN_LITERAL("a"), SPAN_LITERAL("z.example")},
        .through = SPAN_LITERAL("10.1.2.3 network 10.0.0.0/8"),
        .subject = SPAN_LITERAL("[secure] words"),
        .size = 1 << 20,
        .recipients = 3,
    };
    struct decision decision;

    policy_decide(policy, &facts, NULL, 0, &decision);
    assert(decision.rule.len > 0);
    assert(decision.kind != DECISION_SEND || decision.ladder.count > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char needed[] = "hostname \"m.example\" state \"s\" certificate \"c\" key \"k\" "
                                 "master key passphrase listen smtp port 25\n";
    const struct policy_reader reader = {.read = read_file};
    struct policy_complaints complaints;
    scoped(arena) arena = arena_new("fuzz", (size_t)64 << 20);
    scoped_buffer text, first, second;

    buffer_init(&text, (size_t)8 << 20);
    buffer_init(&first, (size_t)8 << 20);
    buffer_init(&second, (size_t)8 << 20);
    /* An even first byte stands for a file that has the needed settings. */
    if (size > 0 && data[0] % 2 == 0)
        buffer_append(&text, SPAN_LITERAL(needed));
    buffer_append(&text, span_make(data + (size > 0), size - (size > 0)));
    scoped(policy) policy =
        policy_load(SPAN_LITERAL("fuzz"), buffer_span(&text), &reader, 0, arena, &complaints);
    if (!policy) {
        assert(complaints.error_count > 0);
        policy_complaints_print(&complaints, SPAN_LITERAL("fuzz"), &first);
        return 0;
    }
    decide_something(policy);
    policy_print(policy, &first);
    scoped(policy) again =
        policy_load(SPAN_LITERAL("again"), buffer_span(&first), &reader, 0, arena, &complaints);
    assert(again);
    policy_print(again, &second);
    assert(span_equal(buffer_span(&first), buffer_span(&second)));
    assert(memcmp(policy_digest(policy), policy_digest(again), POLICY_DIGEST_BYTES) == 0);
    return 0;
}
