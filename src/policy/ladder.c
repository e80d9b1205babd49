/* The one table of what follows an outcome, and the names of ways and outcomes. */
/* SPDX-License-Identifier: ISC */
#include "model.h"

#include <assert.h>

static const struct {
    const char *name;
    const char *readers; /* the people who could read a letter that goes this way */
} ways[] = {
    [WAY_TLS_ENCRYPT] = {"tls encrypt",
                         "an active attacker, a forger of DNS, and the recipient's provider"},
    [WAY_TLS_VERIFY] = {"tls verify", "a forger of DNS and the recipient's provider"},
    [WAY_TLS_SECURE] = {"tls secure", "the recipient's provider"},
    [WAY_ROUTE] = {"route", "the organisation's own server"},
    [WAY_CLEARTEXT] = {"cleartext", "everybody on the way: a passive listener, an active attacker, "
                                    "a forger of DNS, and the recipient's provider"},
    [WAY_HOLD] = {"hold", "nobody"},
    [WAY_RETURN] = {"return", "nobody"},
};
_Static_assert(sizeof ways / sizeof ways[0] == WAY_COUNT, "a way without a row");

const char *way_name(enum way way)
{
    return ways[way].name;
}
const char *way_readers(enum way way)
{
    return ways[way].readers;
}

const char *outcome_name(enum outcome outcome)
{
    static const char *const names[] = {
        [OUTCOME_DELIVERED] = "delivered",   [OUTCOME_TEMPORARY] = "temporary",
        [OUTCOME_IMPOSSIBLE] = "impossible", [OUTCOME_IMPOSSIBLE_FOR_NOW] = "impossible for now",
        [OUTCOME_REJECTED] = "rejected",     [OUTCOME_INTERNAL] = "internal",
    };
    _Static_assert(sizeof names / sizeof names[0] == OUTCOME_COUNT, "an outcome without a name");
    return names[outcome];
}

enum { DAY_MS = 24 * 3600 * 1000 };

/* Never past the end of time, whatever a damaged clock says. */
static int64_t later(int64_t moment_ms, int64_t by_ms)
{
    int64_t sum;
    return __builtin_add_overflow(moment_ms, by_ms, &sum) ? INT64_MAX : sum;
}

static int64_t hold_ms(const struct rung *rung)
{
    return rung->patience_ms > 0 ? rung->patience_ms : (int64_t)HOLD_DEFAULT_DAYS * DAY_MS;
}

int64_t ladder_longest_ms(const struct ladder *ladder)
{
    int64_t longest = (int64_t)LADDER_LIFE_DAYS * DAY_MS;

    for (size_t i = 0; i < ladder->count; i++)
        if (ladder->rungs[i].way == WAY_HOLD)
            longest = later(longest, hold_ms(&ladder->rungs[i]));
    return longest;
}

int64_t ladder_rung_end(const struct ladder *ladder, size_t rung, int64_t since_ms,
                        int64_t accepted_at_ms)
{
    assert(rung < ladder->count);
    const struct rung *at = &ladder->rungs[rung];
    const int64_t life_ends = later(accepted_at_ms, (int64_t)LADDER_LIFE_DAYS * DAY_MS);

    switch (at->way) {
    case WAY_HOLD: /* people need their time, however late the hold began */
        return later(since_ms, hold_ms(at));
    case WAY_RETURN:
        return since_ms;
    case WAY_TLS_ENCRYPT:
    case WAY_TLS_VERIFY:
    case WAY_TLS_SECURE:
    case WAY_ROUTE:
    case WAY_CLEARTEXT:
        break;
    case WAY_COUNT:
        assert(false);
    }
    if (at->patience_ms == 0)
        return life_ends;
    const int64_t patience_ends = later(since_ms, at->patience_ms);
    return patience_ends < life_ends ? patience_ends : life_ends;
}

/* To the rung, or to what it stands for; behind the last rung comes `return`. */
static struct step climb_to(const struct ladder *ladder, size_t rung, int64_t now_ms,
                            int64_t accepted_at_ms)
{
    if (rung >= ladder->count || ladder->rungs[rung].way == WAY_RETURN)
        return (struct step){.kind = STEP_RETURN, .rung = rung};
    return (struct step){
        .kind = ladder->rungs[rung].way == WAY_HOLD ? STEP_HOLD : STEP_CLIMB,
        .rung = rung,
        .rung_ends_at_ms = ladder_rung_end(ladder, rung, now_ms, accepted_at_ms),
    };
}

/* Is the end all that stands above? */
static bool only_return_is_left(const struct ladder *ladder, size_t rung)
{
    return rung + 1 >= ladder->count || ladder->rungs[rung + 1].way == WAY_RETURN;
}

/* The rung's own way again, while it has patience. A `hold` has no way: it just stays. */
static struct step stay_or_climb(const struct ladder *ladder, size_t rung, int64_t rung_since_ms,
                                 int64_t accepted_at_ms, int64_t now_ms)
{
    const int64_t ends_at_ms = ladder_rung_end(ladder, rung, rung_since_ms, accepted_at_ms);

    if (now_ms >= ends_at_ms)
        return climb_to(ladder, rung + 1, now_ms, accepted_at_ms);
    return (struct step){
        .kind = ladder->rungs[rung].way == WAY_HOLD ? STEP_HOLD : STEP_RETRY,
        .rung = rung,
        .rung_ends_at_ms = ends_at_ms,
    };
}

struct step ladder_next(const struct ladder *ladder, size_t rung, enum outcome outcome,
                        int64_t rung_since_ms, int64_t accepted_at_ms, int64_t now_ms)
{
    assert(rung < ladder->count);
    switch (outcome) {
    case OUTCOME_DELIVERED:
        return (struct step){.kind = STEP_END, .rung = rung};
    case OUTCOME_TEMPORARY:
        return stay_or_climb(ladder, rung, rung_since_ms, accepted_at_ms, now_ms);
    case OUTCOME_IMPOSSIBLE:
        return climb_to(ladder, rung + 1, now_ms, accepted_at_ms);
    case OUTCOME_IMPOSSIBLE_FOR_NOW:
        /* Waiting costs nothing where the only other end is giving up. */
        if (only_return_is_left(ladder, rung))
            return stay_or_climb(ladder, rung, rung_since_ms, accepted_at_ms, now_ms);
        return climb_to(ladder, rung + 1, now_ms, accepted_at_ms);
    case OUTCOME_REJECTED:
        return (struct step){.kind = STEP_RETURN, .rung = rung};
    case OUTCOME_INTERNAL:
        break;
    case OUTCOME_COUNT:
        assert(false);
    }
    return (struct step){
        .kind = STEP_HOLD,
        .rung = rung,
        .is_internal = true,
        .rung_ends_at_ms = later(now_ms, (int64_t)HOLD_DEFAULT_DAYS * DAY_MS),
    };
}

struct step ladder_begin(const struct ladder *ladder, int64_t accepted_at_ms)
{
    return climb_to(ladder, 0, accepted_at_ms, accepted_at_ms);
}

struct span ladder_print(const struct ladder *ladder, struct arena *arena)
{
    scoped_buffer text;

    buffer_init(&text, POLICY_LADDER_TEXT_MAX);
    print_ladder(ladder, &text);
    return text.failed ? (struct span){NULL, 0} : arena_copy(arena, buffer_span(&text));
}
