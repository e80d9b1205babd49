/* Facts as canonical bytes: sealed with a message, and what a later decision runs over again. */
/* SPDX-License-Identifier: ISC */
#include "model.h"

#include "base/wire.h"
#include "message/limits.h"

enum { FACTS_VERSION = 1, FACTS_PART_MAX = 1024 };

/* What could not be read back is not written. */
static void put(struct buffer *out, struct span text, size_t limit)
{
    if (text.len > limit)
        out->failed = true;
    wire_put_span(out, text);
}

void facts_print(const struct facts *facts, struct span organisation_name, struct buffer *out)
{
    wire_put_u8(out, FACTS_VERSION);
    put(out, organisation_name, POLICY_ORGANISATION_MAX);
    put(out, facts->from.local, FACTS_PART_MAX);
    put(out, facts->from.domain, FACTS_PART_MAX);
    put(out, facts->to.local, FACTS_PART_MAX);
    put(out, facts->to.domain, FACTS_PART_MAX);
    put(out, facts->through, POLICY_THROUGH_MAX);
    put(out, facts->subject, HEADER_TEXT_MAX);
    wire_put_u64(out, facts->size);
    wire_put_u32(out, facts->recipients);
    wire_put_u8(out, facts->is_inward);
}

bool facts_parse(struct span bytes, const struct policy *policy, struct facts *facts,
                 struct error *why)
{
    struct wire_reader in = {.rest = bytes};
    struct facts parsed = {0};

    const uint8_t version = wire_get_u8(&in);
    if (bytes.len > 0 && version != FACTS_VERSION)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "stored facts have the unknown version %u",
                         version);
    const struct span organisation = wire_get_span(&in, POLICY_ORGANISATION_MAX);
    parsed.from.local = wire_get_span(&in, FACTS_PART_MAX);
    parsed.from.domain = wire_get_span(&in, FACTS_PART_MAX);
    parsed.to.local = wire_get_span(&in, FACTS_PART_MAX);
    parsed.to.domain = wire_get_span(&in, FACTS_PART_MAX);
    parsed.through = wire_get_span(&in, POLICY_THROUGH_MAX);
    parsed.subject = wire_get_span(&in, HEADER_TEXT_MAX);
    parsed.size = wire_get_u64(&in);
    parsed.recipients = wire_get_u32(&in);
    const uint8_t is_inward = wire_get_u8(&in);
    if (!wire_is_done(&in) || is_inward > 1)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "stored facts are damaged");
    parsed.is_inward = is_inward == 1;
    if (!policy_organisation_of_name(policy, organisation, &parsed.organisation))
        return error_set(why, ERROR_INTERNAL, "4.3.0",
                         "the organisation of the stored facts is not in the policy any more");
    *facts = parsed;
    return true;
}
