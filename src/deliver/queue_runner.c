/* Finds out what is due, fresh mail first, and never has more in hand than it may. */
/* SPDX-License-Identifier: ISC */
#include "attempt.h"
#include "base/log.h"
#include "deliver/limits.h"
#include "intake.h"
#include "recording.h"
#include "room.h"

enum { CLAIM_PER_DESTINATION = 256 };

struct runner {
    struct deliver *deliver;
    int64_t looked_at_ms; /* when the store was last asked, queue time */
    int64_t next_due_ms;  /* what it said then; INT64_MAX: nothing */
    int64_t renew_at_ms;
    int64_t record_again_ms;
    bool is_wanting_room; /* too much is in hand */
    bool has_more_fresh;  /* some was left, so that leases and the store have their turn */
    bool has_looked;
};

static int64_t now_ms(const struct runner *runner)
{
    return queue_clock_ms(runner->deliver->queue_clock);
}

/* True when there was any. */
static bool take_fresh(struct runner *runner)
{
    struct deliver *deliver = runner->deliver;
    struct handover *handover = deliver->terms.handover;
    bool took_any = false;
    size_t size;

    runner->has_more_fresh = false;
    while (handover && (size = handover_next_size(handover)) > 0) {
        struct fresh_message fresh;
        struct letter *letter;

        if (atomic_load(&deliver->is_stopping))
            break;
        if (took_any && now_ms(runner) >= runner->looked_at_ms + STORE_LOOK_MS) {
            runner->has_more_fresh = true;
            break;
        }
        if (!schedule_has_room(deliver->schedule, size)) {
            runner->is_wanting_room = true;
            break;
        }
        letter = letter_new(deliver);
        if (!letter)
            break;
        if (!handover_take(handover, letter->secrets, &fresh)) {
            letter_unref(letter);
            break;
        }
        took_any = true;
        if (fresh.lease == deliver->lease &&
            now_ms(runner) - fresh.accepted_at_ms < FRESH_AGE_MAX_MS)
            intake_fresh(letter, &fresh);
        else /* of somebody before us, or too old: its rows are free, or will be */
            letter_unref(letter);
    }
    return took_any;
}

static void take_claimed(struct runner *runner, const struct store_claimed *claimed, size_t count)
{
    size_t from = 0;

    for (size_t i = 1; i <= count; i++)
        if (i == count || !id_equal(claimed[i].message.id, claimed[from].message.id)) {
            intake_claimed(runner->deliver, &claimed[from], i - from);
            from = i;
        }
}

static bool is_in_hand(void *self, struct id message, uint32_t delivery)
{
    return schedule_holds(self, message, delivery);
}

static struct store_hand all_in_hand(struct deliver *deliver)
{
    return (struct store_hand){.has = is_in_hand, .self = deliver->schedule};
}

/* Claims what is due, once; true when there may be more at once. */
static bool claim(struct runner *runner, const struct span *skip, size_t skip_count)
{
    struct deliver *deliver = runner->deliver;
    scoped(arena) arena = arena_new("claim", CLAIM_ARENA_MAX);
    struct store_claim wanted = {.now_ms = now_ms(runner),
                                 .lease = deliver->lease,
                                 .limit = STORE_CLAIM_MAX,
                                 .limit_per_destination = CLAIM_PER_DESTINATION,
                                 .skip = skip,
                                 .skip_count = skip_count,
                                 .hand = all_in_hand(deliver)};
    struct store_claimed *claimed;
    struct error why;
    size_t count;

    wanted.lease_until_ms = wanted.now_ms + deliver->terms.limits.lease_ms;
    if (!arena || !store_claim(deliver->terms.store, &wanted, arena, &claimed, &count, &why)) {
        runner->next_due_ms = wanted.now_ms + RECORD_AGAIN_MS;
        return false;
    }
    take_claimed(runner, claimed, count);
    return count > 0;
}

static void look_into_store(struct runner *runner)
{
    struct deliver *deliver = runner->deliver;

    runner->looked_at_ms = now_ms(runner);
    for (;;) {
        scoped(arena) arena = arena_new("busy destinations", CLAIM_ARENA_MAX);
        struct span *skip = NULL;
        size_t skip_count;
        struct error why;

        if (atomic_load(&deliver->is_stopping))
            return;
        if (!schedule_has_room(deliver->schedule, 0)) {
            runner->is_wanting_room = true;
            runner->next_due_ms = INT64_MAX; /* its coming rings */
            return;
        }
        skip_count = arena ? schedule_busy(deliver->schedule, arena, &skip) : 0;
        if (!store_next_due(deliver->terms.store, skip, skip_count, &runner->next_due_ms, &why)) {
            runner->next_due_ms = now_ms(runner) + RECORD_AGAIN_MS;
            return;
        }
        if (runner->next_due_ms > now_ms(runner) || !claim(runner, skip, skip_count))
            return;
    }
}

static void renew_leases(struct runner *runner)
{
    struct deliver *deliver = runner->deliver;
    int64_t now = now_ms(runner);
    const struct store_renewal renewal = {.lease = deliver->lease,
                                          .until_ms = now + deliver->terms.limits.lease_ms,
                                          .hand = all_in_hand(deliver)};
    struct error why;

    if (now < runner->renew_at_ms)
        return;
    runner->renew_at_ms = now + deliver->terms.limits.lease_ms / 3;
    if (!store_leases_renew(deliver->terms.store, &renewal, &why))
        runner->renew_at_ms = now + RECORD_AGAIN_MS;
}

/* One event, so that whoever reads the times of the others knows why they leap. */
static void tell_set_clock(struct runner *runner)
{
    const struct deliver_terms *terms = &runner->deliver->terms;
    scoped(recording) recording = NULL;
    struct event_field field = EVENT_TEXT(FIELD_REASON, ((struct span){0}));
    struct store_change *change = NULL;
    struct store_leaf *leaf = NULL;
    int64_t by_ms;

    if (!queue_clock_was_set(runner->deliver->queue_clock, &by_ms))
        return;
    log_plain(LOG_LEVEL_WARNING, "the machine's clock was set");
    recording = recording_new(runner->deliver);
    if (recording) {
        field.text =
            arena_format(recording->arena, "%s by %lld seconds", by_ms < 0 ? "back" : "forward",
                         (long long)(by_ms < 0 ? -by_ms : by_ms) / 1000);
        leaf = arena_take(recording->arena, sizeof *leaf);
        change = recording_add(recording);
    }
    if (!leaf || !change ||
        !event_leaf(EVENT_CLOCK_SET, (struct id){0}, 0, SPAN_LITERAL(""),
                    clock_wall_ms(terms->clock), &field, 1, recording->arena, leaf))
        return; /* memory is out: the log has it */
    *change = (struct store_change){.kind = STORE_LEAF, .leaves = leaf, .leaf_count = 1};
    recording_post(recording);
    recording = NULL;
}

static void record_again(struct runner *runner)
{
    if (now_ms(runner) < runner->record_again_ms)
        return;
    if (recordings_post_again(runner->deliver))
        runner->record_again_ms = now_ms(runner) + RECORD_AGAIN_MS;
}

static bool has_unwritten(struct deliver *deliver)
{
    bool has_some;

    pthread_mutex_lock(&deliver->lock);
    has_some = deliver->unwritten != NULL;
    pthread_mutex_unlock(&deliver->lock);
    return has_some;
}

/* Another consumer has the queue now: what it leased is not ours to start. */
static bool has_lost_lease(const struct deliver *deliver)
{
    return deliver->terms.handover && handover_lease(deliver->terms.handover) != deliver->lease;
}

static int64_t sleep_ms(struct runner *runner, bool has_looked)
{
    int64_t now = now_ms(runner), until = runner->next_due_ms;

    if (runner->has_more_fresh)
        return 0;
    if (!has_looked && until > runner->looked_at_ms + STORE_LOOK_MS)
        until = runner->looked_at_ms + STORE_LOOK_MS;
    if (has_unwritten(runner->deliver) && until > runner->record_again_ms)
        until = runner->record_again_ms;
    if (until > runner->renew_at_ms)
        until = runner->renew_at_ms;
    if (until - now > RUNNER_SLEEP_MS)
        return RUNNER_SLEEP_MS;
    return until > now ? until - now : 1;
}

static void take_turn(struct runner *runner)
{
    bool took_fresh, looks;

    tell_set_clock(runner);
    record_again(runner);
    renew_leases(runner);
    workers_bury(runner->deliver);
    runner->is_wanting_room = false;
    took_fresh = take_fresh(runner);
    looks = !took_fresh || now_ms(runner) >= runner->looked_at_ms + STORE_LOOK_MS;
    if (looks && !runner->is_wanting_room)
        look_into_store(runner);
    runner->has_looked = looks;
}

void *queue_run(void *self)
{
    struct deliver *deliver = self;
    struct runner runner = {.deliver = deliver, .next_due_ms = INT64_MAX};

    while (!atomic_load(&deliver->is_stopping)) {
        uint32_t seen = doorbell_count(deliver->terms.shared, DOORBELL_QUEUE);

        if (has_lost_lease(deliver)) {
            log_plain(LOG_LEVEL_ALARM, "the queue's lease is lost: nothing more is taken");
            jobs_put_back(schedule_stop(deliver->schedule), 0);
            break;
        }
        take_turn(&runner);
        if (atomic_load(&deliver->is_stopping))
            break;
        doorbell_wait(deliver->terms.shared, DOORBELL_QUEUE, seen,
                      deadline_in_ms(sleep_ms(&runner, runner.has_looked)));
    }
    return NULL;
}
