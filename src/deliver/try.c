/* One rung for a group of deliveries: host after host, until each has its verdict. */
/* SPDX-License-Identifier: ISC */
#include "attempt.h"

#include "deliver/limits.h"
#include "route.h"

#include <assert.h>
#include <stdio.h>

enum { PASSED_SIZE = 120 };

struct hunt {
    struct try *t;
    struct demand demand;
    struct recipient **recipients; /* for one transaction */
    unsigned tried;                /* targets that were connected to */
    unsigned dead;                 /* passed over as dead */
    bool is_last_hope;             /* all were dead: they are tried all the same */
    struct verdict loop;           /* we are the host */
    bool has_loop;
    bool has_kept; /* this host was asked on the session that was kept: */
    struct span kept_host;
    char kept_address[ADDRESS_TEXT_SIZE];
    char passed[PASSED_SIZE]; /* hosts and addresses that were left, for the journal */
};

static struct deliver *room(const struct hunt *h)
{
    return h->t->worker->deliver;
}

/* Does it want another host? A possible duplicate waits: at once it would surely be one. */
static bool is_pending(const struct delivery *delivery)
{
    return !delivery->has_verdict ||
           (!verdict_decides(&delivery->verdict) && !delivery->verdict.may_be_duplicate);
}

static bool has_pending(const struct hunt *h)
{
    for (size_t i = 0; i < h->t->count; i++)
        if (is_pending(h->t->group[i]))
            return true;
    return false;
}

/* What was said of a host counts for all that still wait. */
static void join_all(struct hunt *h, const struct verdict *verdict, const struct session_record *by)
{
    for (size_t i = 0; i < h->t->count; i++) {
        struct delivery *delivery = h->t->group[i];

        if (is_pending(delivery) &&
            verdict_join(&delivery->verdict, &delivery->has_verdict, verdict))
            delivery->by = by;
    }
}

static void pass_over(struct hunt *h, const struct target *target, const char *why)
{
    size_t len = strlen(h->passed);

    snprintf(h->passed + len, sizeof h->passed - len, "%s%.*s %s (%.40s)", len ? ", " : "",
             SPAN_ARGS(span_until(target->host, 60)), target->address_text, why);
}

static struct session_record *record_target(struct hunt *h, const struct target *target)
{
    struct session_record *record = arena_take(h->t->job->arena, sizeof *record);

    if (!record)
        return NULL;
    record->host = arena_copy(h->t->job->arena, target->host);
    memcpy(record->address, target->address_text, sizeof record->address);
    return record;
}

static struct session_record *record_session(struct hunt *h, const struct session *session)
{
    struct session_facts facts = session_facts(session);
    struct session_record *record = arena_take(h->t->job->arena, sizeof *record);

    if (!record)
        return NULL;
    record->host = arena_copy(h->t->job->arena, facts.host);
    snprintf(record->address, sizeof record->address, "%s", facts.address);
    record->mechanism = facts.mechanism;
    record->level = facts.level;
    record->has_proof = facts.proof != NULL;
    if (facts.proof)
        record->proof = *facts.proof;
    return record;
}

/* Those who have no verdict of this host yet, as many as fit in one transaction. */
static size_t gather(struct hunt *h)
{
    size_t count = 0, most = room(h)->terms.limits.recipients_per_message;

    for (size_t i = 0; i < h->t->count && count < most; i++)
        if (is_pending(h->t->group[i]) && !h->t->group[i]->to.has_verdict)
            h->recipients[count++] = &h->t->group[i]->to;
    return count;
}

static void join_answers(struct hunt *h, const struct session_record *by)
{
    for (size_t i = 0; i < h->t->count; i++) {
        struct delivery *delivery = h->t->group[i];

        if (is_pending(delivery) && delivery->to.has_verdict &&
            verdict_join(&delivery->verdict, &delivery->has_verdict, &delivery->to.verdict))
            delivery->by = by;
    }
}

enum by_session { BY_SESSION_DONE, BY_SESSION_NEEDS_NEW, BY_SESSION_STOPPED };

/* As many transactions as it takes, on the worker's session. */
static enum by_session transact(struct hunt *h)
{
    struct worker *worker = h->t->worker;
    struct letter *letter = h->t->job->letter;
    const struct envelope envelope = {
        .sender = letter->sender, .body = letter->body, .has_8bit = letter->has_8bit};
    const struct transaction_terms terms = {.limits = &room(h)->terms.limits,
                                            .arena = h->t->job->arena,
                                            .past_final = worker_past_final,
                                            .self = worker};
    size_t count;

    for (bool is_first = true; (count = gather(h)) > 0; is_first = false) {
        if (!is_first && stream_unread(session_stream(worker->session)) > 0)
            session_spoil(worker->session); /* no reply is carried over */
        if (session_is_spoiled(worker->session))
            return BY_SESSION_NEEDS_NEW;
        switch (transaction_run(worker->session, &envelope, h->recipients, count, &terms)) {
        case TRANSACTION_ANSWERED:
            break;
        case TRANSACTION_AGAIN:
            return BY_SESSION_NEEDS_NEW;
        case TRANSACTION_STOPPED:
            return BY_SESSION_STOPPED;
        }
    }
    return BY_SESSION_DONE;
}

static void begin_host(struct hunt *h)
{
    for (size_t i = 0; i < h->t->count; i++)
        h->t->group[i]->to = (struct recipient){.address = h->t->group[i]->recipient};
}

/* True: something more is to be said to this host, on a new session. */
static bool serve(struct hunt *h)
{
    struct session_record *by = record_session(h, h->t->worker->session);
    enum by_session end = transact(h);

    h->t->is_answered = true;
    join_answers(h, by);
    if (session_is_spoiled(h->t->worker->session))
        worker_close_session(h->t->worker);
    h->t->is_stopped = h->t->is_stopped || end == BY_SESSION_STOPPED;
    return end == BY_SESSION_NEEDS_NEW;
}

/* The session that the worker has kept, where it serves the very same demand. */
static void use_kept(struct hunt *h)
{
    struct worker *worker = h->t->worker;
    struct session_facts facts;

    if (!worker->session)
        return;
    if (!session_serves(worker->session, h->demand.key) ||
        !session_is_fit(worker->session, &room(h)->terms.limits)) {
        worker_close_session(worker);
        return;
    }
    begin_host(h);
    facts = session_facts(worker->session);
    h->kept_host = arena_copy(h->t->job->arena, facts.host);
    snprintf(h->kept_address, sizeof h->kept_address, "%s", facts.address);
    h->has_kept = !serve(h); /* it has said all it has to say */
}

static enum hosts_entry enter_host(struct hunt *h, const struct target *target)
{
    const struct deliver_terms *terms = &room(h)->terms;

    return hosts_enter(room(h)->hosts, target->host, target->address_text,
                       terms->limits.sessions_per_host,
                       h->is_last_hope ? INT64_MAX : clock_monotonic_ns(terms->clock));
}

static bool mark_dead(struct hunt *h, const struct target *target)
{
    const struct deliver_terms *terms = &room(h)->terms;

    return hosts_mark_dead(room(h)->hosts, target->host, target->address_text,
                           clock_monotonic_ns(terms->clock) + terms->limits.dead_host_ms * 1000000);
}

/* Opens the worker's session with the target. Where a host turns away one more session than those
 * that it has, nothing was tried. */
static bool open_session(struct hunt *h, const struct target *target, bool is_first)
{
    struct worker *worker = h->t->worker;
    const struct deliver_terms *terms = &room(h)->terms;
    const struct session_terms lent = {.tls = terms->tls,
                                       .limits = &terms->limits,
                                       .our_name = policy_settings(h->t->policy)->hostname,
                                       .watch = worker_watch,
                                       .self = worker};
    struct verdict end;
    bool is_dead, is_open;

    is_open = session_open(&lent, target, h->demand.key, h->t->job->arena, &worker->session, &end,
                           &is_dead);
    if (is_open)
        hosts_mark_open(room(h)->hosts, target->host, target->address_text);
    else
        hosts_leave(room(h)->hosts, target->host, target->address_text, false);
    if (!is_open && is_dead && !mark_dead(h, target) && is_first) {
        h->t->was_busy = true;
        pass_over(h, target, end.reason);
        return false;
    }
    h->tried += is_first;
    if (is_open)
        return true;
    if (atomic_load(&room(h)->is_stopping)) {
        h->t->is_stopped = true;
        return false;
    }
    if (!is_dead)
        h->t->is_answered = true;
    pass_over(h, target, end.reason);
    join_all(h, &end, record_target(h, target));
    return false;
}

static void try_target(struct hunt *h, const struct target *target)
{
    bool is_more = true;

    if (h->has_kept && span_equal(h->kept_host, target->host) &&
        strcmp(h->kept_address, target->address_text) == 0)
        return;
    worker_close_session(h->t->worker);
    for (unsigned i = 0; is_more && i <= ATTEMPT_FRESH_SESSIONS_MAX; i++) {
        switch (enter_host(h, target)) {
        case HOSTS_DEAD:
            h->dead++;
            return;
        case HOSTS_BUSY:
            h->t->was_busy = true;
            return;
        case HOSTS_WELCOME:
            break;
        }
        if (i == 0)
            begin_host(h);
        if (!open_session(h, target, i == 0))
            return;
        is_more = serve(h);
    }
}

/* A host that must not be asked. That it is ourselves decides only where no other said a word. */
static void take_note(struct hunt *h, const struct verdict *note)
{
    size_t len = strlen(h->passed);

    snprintf(h->passed + len, sizeof h->passed - len, "%s%.90s", len ? ", " : "", note->reason);
    if (note->outcome == OUTCOME_REJECTED) {
        h->loop = *note;
        h->has_loop = true;
        return;
    }
    join_all(h, note, NULL);
}

static void ask_hosts(struct hunt *h, const struct route_terms *terms)
{
    struct way_out out;
    struct target target;
    struct verdict verdict;
    enum way_out_next next;

    if (!way_out_begin(&out, terms, &h->demand, h->t->job->arena, &verdict)) {
        h->t->is_down = verdict.outcome == OUTCOME_TEMPORARY;
        join_all(h, &verdict, NULL);
        return;
    }
    while (has_pending(h) && !h->t->is_stopped && h->tried < ATTEMPT_TARGETS_MAX) {
        if (atomic_load(&room(h)->is_stopping)) {
            h->t->is_stopped = true;
            return;
        }
        next = way_out_next(&out, &target, &verdict);
        if (next == WAY_OUT_OVER)
            return;
        if (next == WAY_OUT_TARGET)
            try_target(h, &target);
        else
            take_note(h, &verdict);
    }
}

/* Names in the journal what was left on the way to the verdict. */
static void tell_passed(struct hunt *h)
{
    for (size_t i = 0; i < h->t->count; i++) {
        struct verdict *verdict = &h->t->group[i]->verdict;
        size_t len = strlen(verdict->reason);

        if (h->passed[0] != '\0' && h->t->group[i]->has_verdict && h->tried > 0 &&
            !strstr(h->passed, verdict->reason))
            snprintf(verdict->reason + len, sizeof verdict->reason - len, "; passed over: %s",
                     h->passed);
    }
}

static void end_hunt(struct hunt *h)
{
    struct verdict verdict;

    if (h->t->is_stopped)
        return;
    if (h->has_loop && !h->t->was_busy) /* who is busy may yet take it */
        for (size_t i = 0; i < h->t->count; i++)
            if (!h->t->group[i]->has_verdict) {
                h->t->group[i]->verdict = h->loop;
                h->t->group[i]->has_verdict = true;
            }
    h->t->was_busy = h->t->was_busy && h->tried == 0 && !h->t->is_answered;
    if (h->t->was_busy)
        return;
    verdict_set(&verdict, OUTCOME_TEMPORARY, "4.4.1", "no host could be asked");
    for (size_t i = 0; i < h->t->count; i++)
        if (!h->t->group[i]->has_verdict) {
            h->t->group[i]->verdict = verdict;
            h->t->group[i]->has_verdict = true;
        }
    h->t->is_down = (h->t->is_down || h->tried > 0) && !h->t->is_answered;
    tell_passed(h);
}

/* May the group go this way under the policy in force? Cleartext needs a permit for each. */
static bool is_permitted(struct hunt *h, struct error *why)
{
    const struct letter *letter = h->t->job->letter;
    int64_t now_ms = clock_wall_ms(room(h)->terms.clock);
    size_t organisation;
    bool is_known = policy_organisation_of_name(h->t->policy, letter->organisation, &organisation);
    bool is_all_plain = is_known;

    for (size_t i = 0; i < h->t->count && is_all_plain; i++) {
        const struct address *to = &h->t->group[i]->address;

        is_all_plain = h->demand.way == WAY_ROUTE
                           ? policy_permits_plain_route(h->t->policy, organisation, to, now_ms)
                           : policy_permits_cleartext(h->t->policy, organisation, to, now_ms);
    }
    h->demand.is_plain_permitted = is_all_plain;
    if (h->demand.way == WAY_CLEARTEXT && !is_all_plain)
        return error_set(why, ERROR_IMPOSSIBLE, "5.7.1", "no permit in force allows cleartext");
    return true;
}

void try_rung(struct try *t)
{
    const struct deliver_terms *terms = &t->worker->deliver->terms;
    const struct route_terms route_terms = {
        .policy = t->policy, .resolver = terms->resolver, .entropy = terms->entropy};
    const struct delivery *first = t->group[0];
    const struct rung *rung = &first->ladder.rungs[first->rung];
    struct hunt h = {.t = t,
                     .demand = {.way = rung->way,
                                .names = rung->names,
                                .name_count = rung->name_count,
                                .domain = first->address.domain}};
    struct verdict verdict;
    struct error why;

    if (rung->way == WAY_ROUTE)
        h.demand.route = policy_route(t->policy, &first->address);
    h.recipients = arena_take_array(t->job->arena, t->count, sizeof(struct recipient *));
    if (!is_permitted(&h, &why)) {
        verdict_of_error(&verdict, &why, OUTCOME_IMPOSSIBLE_FOR_NOW);
        join_all(&h, &verdict, NULL);
        return;
    }
    if (!h.recipients || !demand_print_key(&h.demand, t->job->arena)) {
        verdict_set(&verdict, OUTCOME_TEMPORARY, "4.3.1", "memory is out");
        join_all(&h, &verdict, NULL);
        return;
    }
    use_kept(&h);
    if (has_pending(&h) && !t->is_stopped)
        ask_hosts(&h, &route_terms);
    if (h.tried == 0 && h.dead > 0 && !t->was_busy && !t->is_answered && has_pending(&h) &&
        !t->is_stopped) {
        h.is_last_hope = true; /* better than to count an attempt that was none */
        ask_hosts(&h, &route_terms);
    }
    end_hunt(&h);
}
