/* What was not taken, and why, in the journal: posted, never waited for, and bounded. */
/* SPDX-License-Identifier: ISC */
#include "session.h"

#include "base/memory.h"

/* One leaf on its way. It owns all that the store reads until it is done. */
struct told {
    struct store_posting posting;
    struct store_change change;
    struct store_leaf leaf;
    struct arena *arena;
    struct receive *receive;
};

enum { TOLD_ARENA_MAX = 8192 };

static void told_free(struct told *told)
{
    if (!told)
        return;
    arena_free(told->arena);
    memory_release(told);
}

/* On the store's writer thread. A leaf that could not be written is lost: the refusal itself
 * stands, and a store that fails is the alarm of whoever needs it. */
static void told_done(struct store_posting *posting, const struct error *why)
{
    struct told *told = (struct told *)(void *)posting;
    struct receive *receive = told->receive;

    (void)why;
    told_free(told);
    pthread_mutex_lock(&receive->lock);
    receive->refusals_posted--;
    pthread_cond_broadcast(&receive->changed);
    pthread_mutex_unlock(&receive->lock);
}

/* Under the lock. */
static bool is_within_minute(struct receive *receive)
{
    const int64_t now_ns = clock_monotonic_ns(receive->terms.clock), minute_ns = 60000000000;

    if (now_ns - receive->refusals_since_ns >= minute_ns) {
        receive->refusals_since_ns = now_ns;
        receive->refusals_this_minute = 0;
    }
    return receive->refusals_this_minute < receive->terms.limits.refusals_a_minute;
}

/* A place among those under way, and of this minute? *untold: how many have found none before. */
static bool take_place(struct receive *receive, unsigned *untold)
{
    bool has_place;

    pthread_mutex_lock(&receive->lock);
    has_place = is_within_minute(receive) && receive->refusals_posted < RECEIVE_REFUSALS_MAX;
    if (has_place) {
        receive->refusals_this_minute++;
        receive->refusals_posted++;
        *untold = receive->refusals_untold;
        receive->refusals_untold = 0;
    } else {
        receive->refusals_untold++;
    }
    pthread_mutex_unlock(&receive->lock);
    return has_place;
}

static void give_place_back(struct receive *receive, unsigned untold)
{
    pthread_mutex_lock(&receive->lock);
    receive->refusals_posted--;
    receive->refusals_untold += untold + 1;
    pthread_cond_broadcast(&receive->changed);
    pthread_mutex_unlock(&receive->lock);
}

/* The client's own words ("helo", addresses) stay out: where it came from is enough. */
static bool write_leaf(const struct session *session, enum event_kind kind, const char *status,
                       const char *reason, unsigned untold, struct told *told)
{
    const struct event_field fields[] = {
        EVENT_TEXT(FIELD_LISTENER, span_of(listener_word(session))),
        EVENT_TEXT(FIELD_ADDRESS, span_of(session->address_text)),
        EVENT_TEXT(FIELD_STATUS, span_of(status)),
        EVENT_TEXT(FIELD_REASON, span_of(reason)),
        EVENT_NUMBER(FIELD_COUNT_OF, untold),
    };
    size_t count = sizeof fields / sizeof fields[0] - (untold > 0 ? 0 : 1);

    return event_leaf(kind, (struct id){{0}}, 0, SPAN_LITERAL(""),
                      clock_wall_ms(session->receive->terms.clock), fields, count, told->arena,
                      &told->leaf);
}

void tell_refused(struct session *session, enum event_kind kind, const char *status,
                  const char *reason)
{
    struct receive *receive = session->receive;
    struct told *told;
    unsigned untold;

    if (session->transaction.is_told || !take_place(receive, &untold))
        return;
    session->transaction.is_told = true;
    told = memory_allocate(sizeof *told);
    if (!told || !(told->arena = arena_new("refusal", TOLD_ARENA_MAX)) ||
        !write_leaf(session, kind, status, reason, untold, told)) {
        told_free(told);
        give_place_back(receive, untold);
        return;
    }
    told->receive = receive;
    told->change = (struct store_change){
        .kind = STORE_LEAF,
        .leaves = &told->leaf,
        .leaf_count = 1,
    };
    told->posting.batch = (struct store_batch){.changes = &told->change, .count = 1};
    told->posting.done = told_done;
    store_post(receive->terms.store, &told->posting);
}

void wait_refusals_told(struct receive *receive)
{
    pthread_mutex_lock(&receive->lock);
    while (receive->refusals_posted > 0)
        pthread_cond_wait(&receive->changed, &receive->lock);
    pthread_mutex_unlock(&receive->lock);
}
