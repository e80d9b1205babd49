/* The one table from a peer's reply to the outcome of a rung. */
/* SPDX-License-Identifier: ISC */
#include "verdict.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const step_names[] = {
    [SMTP_STEP_GREETING] = "the greeting", [SMTP_STEP_EHLO] = "EHLO",
    [SMTP_STEP_STARTTLS] = "STARTTLS",     [SMTP_STEP_MAIL] = "MAIL FROM",
    [SMTP_STEP_RCPT] = "RCPT TO",          [SMTP_STEP_DATA] = "DATA",
    [SMTP_STEP_FINAL] = "the end of data",
};
_Static_assert(sizeof step_names / sizeof step_names[0] == SMTP_STEP_COUNT, "a step has no name");

/* Permanent codes that do not mean "never": the first row that fits counts. */
static const struct {
    unsigned code;      /* 0: any 5yz */
    const char *status; /* "": a reply without one */
    const char *reason;
} climbs[] = {
    {552, "5.3.4", "the message is too large for the other side"},
    {552, "5.2.3", "the message is too large for the other side"},
    {552, "", "the message is too large for the other side"},
    {0, "5.7.30", "the other side cannot give the protection that was asked for"},
};

const char *smtp_step_name(enum smtp_step step)
{
    return step_names[step];
}

bool verdict_set(struct verdict *verdict, enum outcome outcome, const char *status,
                 const char *format, ...)
{
    va_list args;

    *verdict = (struct verdict){.outcome = outcome};
    snprintf(verdict->status, sizeof verdict->status, "%s", status);
    va_start(args, format);
    vsnprintf(verdict->reason, sizeof verdict->reason, format, args);
    va_end(args);
    return false;
}

bool verdict_of_error(struct verdict *verdict, const struct error *why, enum outcome impossible)
{
    static const enum outcome outcomes[] = {
        [ERROR_NONE] = OUTCOME_INTERNAL,     [ERROR_TEMPORARY] = OUTCOME_TEMPORARY,
        [ERROR_IMPOSSIBLE] = OUTCOME_COUNT,  [ERROR_REJECTED] = OUTCOME_REJECTED,
        [ERROR_INTERNAL] = OUTCOME_INTERNAL,
    };
    enum outcome outcome = outcomes[why->kind];

    assert(why->kind != ERROR_NONE);
    return verdict_set(verdict, outcome == OUTCOME_COUNT ? impossible : outcome,
                       why->status ? why->status : "", "%s", why->text);
}

void verdict_quote(struct verdict *verdict, const struct smtp_reply *reply, struct arena *arena)
{
    struct span kept = arena_copy(arena, span_until(smtp_reply_span(reply), PEER_REPLY_KEPT_MAX));

    verdict->reply = kept.data ? kept : (struct span){0};
}

void verdict_within(struct verdict *verdict, const char *context)
{
    char text[ERROR_TEXT_SIZE];
    int len = snprintf(text, sizeof text, "%s: %.*s", context, (int)(sizeof text / 2 + 60),
                       verdict->reason);

    if (len > 0)
        memcpy(verdict->reason, text, sizeof text);
}

static bool climb_row_of(const struct smtp_reply *reply, const char **reason)
{
    for (size_t i = 0; i < sizeof climbs / sizeof climbs[0]; i++)
        if ((climbs[i].code == 0 || climbs[i].code == reply->code) &&
            strcmp(climbs[i].status, reply->status) == 0) {
            *reason = climbs[i].reason;
            return true;
        }
    return false;
}

void verdict_of_reply(struct verdict *verdict, const struct smtp_reply *reply, enum smtp_step step,
                      struct arena *arena)
{
    const char *reason = NULL, *at = smtp_step_name(step);
    char fallback[16];
    const char *status = reply->status[0] != '\0' ? reply->status : fallback;

    snprintf(fallback, sizeof fallback, "%u.0.0", reply->code / 100);
    if (reply->code / 100 == 2 && step == SMTP_STEP_FINAL) {
        verdict_set(verdict, OUTCOME_DELIVERED, status, "the other side took it");
    } else if (reply->code / 100 == 4) {
        verdict_set(verdict, OUTCOME_TEMPORARY, status, "%u in reply to %s", reply->code, at);
    } else if (reply->code / 100 < 4) { /* a yes to what was no question: nothing was taken */
        verdict_set(verdict, OUTCOME_TEMPORARY, "4.5.0", "%u in reply to %s makes no sense",
                    reply->code, at);
    } else if (climb_row_of(reply, &reason)) {
        verdict_set(verdict, OUTCOME_IMPOSSIBLE, status, "%s (%u in reply to %s)", reason,
                    reply->code, at);
    } else {
        verdict_set(verdict, OUTCOME_REJECTED, status, "%u in reply to %s", reply->code, at);
    }
    verdict_quote(verdict, reply, arena);
}

void verdict_of_rcpt(struct verdict *verdict, const struct smtp_reply *reply, size_t taken_before,
                     struct arena *arena)
{
    bool is_bare = reply->status[0] == '\0';
    bool is_too_many = (reply->code == 452 && strcmp(reply->status, "4.5.3") == 0) ||
                       (reply->code == 552 && strcmp(reply->status, "5.5.3") == 0) ||
                       ((reply->code == 452 || reply->code == 552) && is_bare && taken_before > 0);

    if (!is_too_many) {
        verdict_of_reply(verdict, reply, SMTP_STEP_RCPT, arena);
        return;
    }
    verdict_set(verdict, OUTCOME_TEMPORARY, "4.5.3", "too many recipients at once (%u)",
                reply->code);
    verdict->is_too_many = true;
    verdict_quote(verdict, reply, arena);
}

bool verdict_decides(const struct verdict *verdict)
{
    return verdict->outcome == OUTCOME_DELIVERED || verdict->outcome == OUTCOME_REJECTED;
}

static int weight(const struct verdict *verdict)
{
    static const int weights[] = {
        [OUTCOME_DELIVERED] = 5, [OUTCOME_REJECTED] = 5,           [OUTCOME_INTERNAL] = 4,
        [OUTCOME_TEMPORARY] = 3, [OUTCOME_IMPOSSIBLE_FOR_NOW] = 2, [OUTCOME_IMPOSSIBLE] = 1,
    };
    _Static_assert(sizeof weights / sizeof weights[0] == OUTCOME_COUNT, "an outcome has no weight");

    return weights[verdict->outcome];
}

bool verdict_join(struct verdict *so_far, bool *has_one, const struct verdict *other)
{
    bool may_be_duplicate = (*has_one && so_far->may_be_duplicate) || other->may_be_duplicate;
    bool counts = !*has_one || weight(other) > weight(so_far);

    if (counts)
        *so_far = *other;
    so_far->may_be_duplicate = may_be_duplicate; /* that is never forgotten */
    *has_one = true;
    return counts;
}
