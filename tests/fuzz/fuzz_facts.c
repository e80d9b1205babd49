/* fuzz-deps: policy message base */
/* Stored facts that are read are written as the same bytes. */
/* SPDX-License-Identifier: ISC */
#include "policy/policy.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool read_file(void *self, struct span path, size_t limit, struct arena *arena,
                      struct span *text, struct error *why)
{
    (void)self;
    (void)path;
    *text = arena_copy(arena, span_until(SPAN_LITERAL("text"), limit));
    return text->data || error_set(why, ERROR_TEMPORARY, "", "no memory");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] =
        "hostname \"m.example\" state \"s\" certificate \"c\" key \"k\" master key passphrase "
        "listen smtp port 25 organisation \"A\" { domains \"a.example\" "
        "refuse \"r\" when to \".x.example\" or through \"10.0.0.0/8\" or subject has \"secret\" "
        "send \"s\" by { tls verify } }";
    static struct policy *policy;
    const struct policy_reader reader = {.read = read_file};
    struct policy_complaints complaints;
    scoped(arena) arena = arena_new("fuzz", 1 << 20);
    struct decision decision;
    struct facts facts;
    struct error why;
    scoped_buffer out;

    buffer_init(&out, 1 << 20);
    if (!policy)
        policy = policy_load(SPAN_LITERAL("fuzz"), span_of(text), &reader, 0, arena, &complaints);
    assert(policy);
    if (!facts_parse(span_make(data, size), policy, &facts, &why)) {
        assert(why.kind != ERROR_NONE);
        return 0;
    }
    facts_print(&facts, policy_organisation_name(policy, facts.organisation), &out);
    assert(!out.failed && span_equal(buffer_span(&out), span_make(data, size)));
    policy_decide(policy, &facts, NULL, 0, &decision);
    assert(decision.rule.len > 0);
    return 0;
}
