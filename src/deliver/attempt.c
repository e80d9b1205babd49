/* A job from its opening to its record. */
/* SPDX-License-Identifier: ISC */
#include "attempt.h"

#include "deliver/limits.h"

#include <assert.h>

/* Nothing is left to do with it, or only its return. */
static bool is_settled(const struct delivery *delivery)
{
    return delivery->is_over || delivery->is_returning;
}

/* Those whose records do not open: temporary ones come again, the others are held; but a hold ends,
 * though nobody can be told. */
static void set_aside_refused(struct aftermath *aftermath, struct job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        struct delivery *delivery = &job->deliveries[i];

        if (!delivery->is_refused || is_settled(delivery))
            continue;
        if (delivery->verdict.outcome == OUTCOME_TEMPORARY)
            aftermath_put_back(aftermath, delivery, OWN_FAULT_MS);
        else if (delivery->state == DELIVERY_HELD)
            aftermath_expire(aftermath, delivery);
        else
            aftermath_follow(aftermath, delivery);
    }
}

static bool is_same_names(const struct rung *a, const struct rung *b)
{
    if (a->name_count != b->name_count)
        return false;
    for (size_t i = 0; i < a->name_count; i++)
        if (!span_equal(a->names[i], b->names[i]))
            return false;
    return true;
}

/* May they go in one transaction, on one session, for one reason? The domain is the recipient's
 * own, which his tag binds: a row's destination only says where it waits. */
static bool go_together(const struct policy *policy, const struct delivery *a,
                        const struct delivery *b)
{
    const struct rung *rung = &a->ladder.rungs[a->rung], *other = &b->ladder.rungs[b->rung];

    if (rung->way != other->way || !is_same_names(rung, other))
        return false;
    if (rung->way != WAY_ROUTE)
        return span_equal(a->address.domain, b->address.domain);
    return policy_route(policy, &a->address) == policy_route(policy, &b->address);
}

/* A rung that is no way: where a refusing rule has put it, or where it climbed to. */
static bool ends_here(struct aftermath *aftermath, struct delivery *delivery)
{
    enum way way = delivery->ladder.rungs[delivery->rung].way;

    if (way != WAY_RETURN && way != WAY_HOLD)
        return false;
    verdict_set(&delivery->verdict, way == WAY_RETURN ? OUTCOME_REJECTED : OUTCOME_INTERNAL,
                way == WAY_RETURN ? "5.7.1" : "4.3.5",
                way == WAY_RETURN ? "the policy of the gateway does not let it go to this recipient"
                                  : "the record waits on a rung that holds");
    aftermath_follow(aftermath, delivery);
    return true;
}

/* The next deliveries that go together; 0: all are settled. */
static size_t choose_group(struct aftermath *aftermath, const struct policy *policy,
                           struct job *job, struct delivery **group)
{
    size_t count = 0;

    for (size_t i = 0; i < job->count; i++) {
        struct delivery *delivery = &job->deliveries[i];

        if (is_settled(delivery) || (count == 0 && ends_here(aftermath, delivery)))
            continue;
        if (count == 0 || go_together(policy, group[0], delivery))
            group[count++] = delivery;
    }
    return count;
}

static void forget_verdicts(struct delivery **group, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        group[i]->has_verdict = false;
        group[i]->verdict = (struct verdict){.outcome = OUTCOME_INTERNAL};
        group[i]->by = NULL;
    }
}

/* No verdict of this round counts but "delivered", and what may be a duplicate. */
static void stop_group(struct aftermath *aftermath, struct delivery **group, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct verdict *verdict = &group[i]->verdict;

        if (group[i]->has_verdict && (verdict_decides(verdict) || verdict->may_be_duplicate))
            aftermath_follow(aftermath, group[i]);
        else
            aftermath_put_back(aftermath, group[i], 0);
    }
}

static void follow_group(struct aftermath *aftermath, const struct try *t)
{
    if (t->is_stopped) {
        stop_group(aftermath, t->group, t->count);
        return;
    }
    for (size_t i = 0; i < t->count; i++) {
        if (t->was_busy)
            aftermath_put_back(aftermath, t->group[i], HOST_BUSY_MS);
        else
            aftermath_follow(aftermath, t->group[i]);
    }
    if (t->was_busy)
        jobs_put_back(schedule_mark_full(t->worker->deliver->schedule, t->job->destination),
                      HOST_BUSY_MS);
    else if (t->is_answered)
        aftermath_mark_up(aftermath);
    else if (t->is_down)
        aftermath_mark_down(aftermath);
}

static bool needs_body(const struct job *job)
{
    for (size_t i = 0; i < job->count; i++)
        if (!is_settled(&job->deliveries[i]) && job_needs_content(job, &job->deliveries[i]))
            return true;
    return false;
}

static void open_body_for(struct aftermath *aftermath, struct job *job)
{
    struct verdict verdict;

    if (!needs_body(job) || job_open_body(job, &verdict))
        return;
    for (size_t i = 0; i < job->count; i++) {
        struct delivery *delivery = &job->deliveries[i];

        if (is_settled(delivery) || !job_needs_content(job, delivery))
            continue;
        delivery->verdict = verdict;
        if (verdict.outcome == OUTCOME_TEMPORARY)
            aftermath_put_back(aftermath, delivery, OWN_FAULT_MS);
        else
            aftermath_follow(aftermath, delivery);
    }
}

static void climb_ladders(struct worker *worker, struct aftermath *aftermath, struct job *job)
{
    struct delivery **group = arena_take_array(job->arena, job->count, sizeof(struct delivery *));
    size_t count;

    if (!group) {
        for (size_t i = 0; i < job->count; i++)
            if (!is_settled(&job->deliveries[i]))
                aftermath_put_back(aftermath, &job->deliveries[i], OWN_FAULT_MS);
        return;
    }
    for (;;) {
        /* Each round asks the policy in force: a permit may have ended meanwhile. */
        scoped(policy) policy = policy_slot_get(worker->deliver->terms.policy);
        struct try t = {.worker = worker, .job = job, .policy = policy, .group = group};

        count = choose_group(aftermath, policy, job, group);
        if (count == 0)
            return;
        forget_verdicts(group, count);
        t.count = count;
        try_rung(&t);
        follow_group(aftermath, &t);
        aftermath_post(aftermath); /* "delivered" waits for no other's climb */
    }
}

static void expire_all(struct aftermath *aftermath, struct job *job)
{
    for (size_t i = 0; i < job->count; i++)
        if (!is_settled(&job->deliveries[i]))
            aftermath_expire(aftermath, &job->deliveries[i]);
}

void attempt_job(struct worker *worker, struct job *job)
{
    struct aftermath aftermath;

    if (!aftermath_begin(&aftermath, job)) {
        jobs_put_back(job, OWN_FAULT_MS);
        return;
    }
    job_open_records(job);
    set_aside_refused(&aftermath, job);
    if (job->kind == JOB_EXPIRED) {
        expire_all(&aftermath, job);
    } else {
        open_body_for(&aftermath, job);
        climb_ladders(worker, &aftermath, job);
    }
    aftermath_end(&aftermath);
    job_drop_secrets(job);
    job_unref(job);
}
