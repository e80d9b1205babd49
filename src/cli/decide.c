/* Which rule would a message meet, and why? Runs the very function that the gateway runs. */
/* SPDX-License-Identifier: ISC */
#include "cli.h"

#include "audit/words.h"
#include "base/descriptor.h"
#include "base/memory.h"
#include "letter.h"
#include "policy/ladder.h"

#include <inttypes.h>
#include <unistd.h>

enum { OUTPUT_MAX = 64 << 20 };

struct telling {
    struct buffer *out;
    unsigned asked;
};

static const char *const decision_words[] = {
    [DECISION_SEND] = "sent", [DECISION_HOLD] = "held", [DECISION_REFUSE] = "refused"};

/* ---- the envelope ---- */

struct decide_arguments {
    const char *policy_path, *message_path, *from, *through;
    const char *to[LETTER_RECIPIENTS_MAX];
    size_t to_count;
};

static bool read_arguments(const struct cli *cli, struct decide_arguments *arguments)
{
    arguments->policy_path = cli->policy_path;
    for (int at = 0; at < cli->count; at++) {
        const char *value;

        if ((value = cli_option(cli, &at, "--from")) != NULL)
            arguments->from = value;
        else if ((value = cli_option(cli, &at, "--through")) != NULL)
            arguments->through = value;
        else if ((value = cli_option(cli, &at, "--to")) != NULL) {
            if (arguments->to_count == LETTER_RECIPIENTS_MAX)
                return false;
            arguments->to[arguments->to_count++] = value;
        } else if (!arguments->policy_path)
            arguments->policy_path = cli->arguments[at];
        else if (!arguments->message_path)
            arguments->message_path = cli->arguments[at];
        else
            return false;
    }
    return arguments->policy_path && arguments->message_path;
}

static void put_address(struct buffer *out, const struct address *address, struct arena *arena)
{
    struct span text = address_print(address, arena);

    if (address_is_null(address))
        buffer_append(out, SPAN_LITERAL("<>"));
    else
        words_safe(out, text, true);
}

static void put_envelope(const struct policy *policy, const struct letter *letter,
                         const struct facts *facts, struct arena *arena, struct buffer *out)
{
    struct span organisation = policy_organisation_name(policy, facts->organisation);

    buffer_append(out, SPAN_LITERAL("From        "));
    put_address(out, &letter->from, arena);
    if (organisation.len > 0)
        buffer_append_format(out, ", of \"%.*s\"", SPAN_ARGS(organisation));
    buffer_append(out, SPAN_LITERAL("\nSubject     "));
    words_safe(out, letter->subject, false);
    buffer_append_format(out, "\nSize        %" PRIu64 " bytes\nRecipients  %u\n", facts->size,
                         facts->recipients);
    if (facts->through.len > 0)
        buffer_append_format(out, "Through     %.*s\n", SPAN_ARGS(facts->through));
    if (letter->had_bare_lines)
        buffer_append(out,
                      SPAN_LITERAL("Note        lines of the file that end in LF were taken as "
                                   "ending in CRLF\n"));
    if (letter->refusal)
        buffer_append_format(out,
                             "Note        the gateway would not take this message at all: %s\n",
                             letter->refusal);
}

/* ---- one recipient ---- */

static void tell(void *self, const struct rule_told *told)
{
    struct telling *telling = self;
    char line[24] = "built in";

    telling->asked++;
    if (told->line > 0)
        snprintf(line, sizeof line, "line %u", told->line);
    buffer_append_format(telling->out, "  %-8s %-7s %-9s \"%.*s\"\n                   %.*s\n",
                         told->matched ? "yes" : "no", told->stage, line, SPAN_ARGS(told->rule),
                         SPAN_ARGS(told->because));
}

static void put_ladder(struct buffer *out, const struct ladder *ladder, struct arena *arena)
{
    for (size_t i = 0; i < ladder->count; i++) {
        const struct ladder one = {.rungs = &ladder->rungs[i], .count = 1};
        struct span text = ladder_print(&one, arena);
        enum way way = ladder->rungs[i].way;

        /* "{ tls verify for 1 day }" without its braces */
        if (text.len > 4)
            text = span_until(span_from(text, 2), text.len - 4);
        buffer_append_format(out, "     %zu. %-36.*s could be read by: %s\n", i + 1,
                             SPAN_ARGS(text), way_readers(way));
    }
}

static void put_outcome(struct buffer *out, const struct decision *decision, struct arena *arena)
{
    buffer_append_format(out, "  so it is %s", decision_words[decision->kind]);
    if (decision->line > 0)
        buffer_append_format(out, " by the rule in line %u", decision->line);
    switch (decision->kind) {
    case DECISION_SEND:
        buffer_append(out, SPAN_LITERAL(", by the first of these ways that works:\n"));
        put_ladder(out, &decision->ladder, arena);
        break;
    case DECISION_HOLD:
        buffer_append(out, SPAN_LITERAL(" for "));
        words_duration(out, decision->hold_ms);
        buffer_append(out, SPAN_LITERAL(", then returned to the sender if nobody releases it.\n"));
        break;
    case DECISION_REFUSE:
        buffer_append(out, SPAN_LITERAL(": the client hears so where all recipients are refused, "
                                        "else the sender gets a report.\n"));
        break;
    }
}

/* As at acceptance: who is ours and has a route is reached inwards, and by his own organisation's
 * rules; all others by the sender's. */
static void facts_for(const struct policy *policy, const struct address *to, struct facts *facts)
{
    size_t organisation;

    facts->to = *to;
    facts->is_inward = policy_organisation_of_domain(policy, to->domain, &organisation) &&
                       policy_route(policy, to) != NULL;
    if (facts->is_inward)
        facts->organisation = organisation;
}

static struct facts facts_of(const struct policy *policy, const struct letter *letter,
                             const char *through)
{
    struct facts facts = {
        .from = letter->from,
        .through = through ? span_of(through) : (struct span){"", 0},
        .subject = letter->subject,
        .size = letter->bytes.len,
        .recipients = (unsigned)letter->to_count,
    };

    if (!policy_organisation_of_domain(policy, letter->from.domain, &facts.organisation))
        facts.organisation = 0;
    return facts;
}

static void decide_all(const struct policy *policy, const struct letter *letter,
                       const char *through, struct arena *arena, struct buffer *out)
{
    const struct facts common = facts_of(policy, letter, through);
    scoped_buffer table;

    buffer_init(&table, OUTPUT_MAX);
    put_envelope(policy, letter, &common, arena, out);
    for (size_t i = 0; i < letter->to_count; i++) {
        struct telling telling = {.out = out};
        struct facts facts = common;
        struct decision decision;
        struct span recipient = address_print(&letter->to[i], arena);

        facts_for(policy, &letter->to[i], &facts);
        buffer_append(out, SPAN_LITERAL("\nTo "));
        put_address(out, &letter->to[i], arena);
        buffer_append_format(out, "%s\n", facts.is_inward ? " (inwards)" : "");
        policy_explain(policy, &facts, arena, tell, &telling, &decision);
        put_outcome(out, &decision, arena);
        buffer_append_format(&table, "%-36.*s %-8s \"%.*s\"\n", SPAN_ARGS(recipient),
                             decision_words[decision.kind], SPAN_ARGS(decision.rule));
    }
    buffer_append_format(out, "\n%-36s %-8s %s\n", "RECIPIENT", "", "RULE");
    buffer_append(out, buffer_span(&table));
    if (table.failed)
        out->failed = true;
}

int decide_command(const struct cli *cli)
{
    scoped(arena) arena = arena_new("the policy and the message", 2 * (size_t)CLI_ARENA_MAX);
    static struct decide_arguments arguments; /* large, and there is one */
    scoped(policy) policy = NULL;
    struct letter letter;
    scoped_buffer out;
    struct error why;

    buffer_init(&out, OUTPUT_MAX);
    if (!read_arguments(cli, &arguments))
        return cli_fail("which? letterlock decide FILE MESSAGE [--from A] [--to A]… [--through T]");
    if (!arena)
        return cli_fail("no memory");
    policy = cli_load_policy(arguments.policy_path, false, arena);
    if (!policy)
        return cli_fail("%s cannot be used", arguments.policy_path);
    if (!letter_read(arguments.message_path, arguments.from, arguments.to, arguments.to_count,
                     arena, &letter, &why))
        return cli_fail("%s: %s", arguments.message_path, why.text);
    decide_all(policy, &letter, arguments.through, arena, &out);
    if (out.failed)
        return cli_fail("no memory");
    if (!descriptor_write_all(STDOUT_FILENO, buffer_span(&out), &why))
        return cli_fail("%s", why.text);
    return EXIT_SUCCESS;
}
