/* The role for administrators: it lists, releases and asks the keeper, and can open no body. */
/* SPDX-License-Identifier: ISC */
#include "control.h"

#include "audit/journal.h"
#include "base/descriptor.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/wire.h"
#include "policy/policy.h"
#include "sandbox.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { POLICY_PRINTED_MAX = 2 * POLICY_TEXT_MAX };

bool control_journal(struct control *control, enum event_kind kind, struct id message,
                     uint32_t delivery, struct span organisation, const struct event_field *fields,
                     size_t count, struct error *why)
{
    scoped(arena) arena = arena_new("an event", 2 * (size_t)STORE_LEAF_DETAIL_MAX);
    struct store_leaf leaf;
    const struct store_change change = {.kind = STORE_LEAF, .leaves = &leaf, .leaf_count = 1};

    if (!arena || !event_leaf(kind, message, delivery, organisation,
                              clock_wall_ms(&control->common.clock), fields, count, arena, &leaf))
        return error_set(why, ERROR_TEMPORARY, "", "no memory for an event");
    return store_commit(control->common.store,
                        &(struct store_batch){.changes = &change, .count = 1}, why);
}

static void journal_of_gateway(struct control *control, enum event_kind kind,
                               const struct event_field *fields, size_t count)
{
    struct error why;

    if (!control_journal(control, kind, (struct id){{0}}, 0, SPAN_LITERAL(""), fields, count, &why))
        log_error(LOG_LEVEL_ALARM, "an event could not be written down", &why);
}

/* ---- the policy ---- */

/* What a digest stands for must be found later, when decisions are looked at. */
static void keep_policy(struct control *control, const struct policy *policy)
{
    scoped_buffer text;
    struct error why;

    buffer_init(&text, POLICY_PRINTED_MAX);
    policy_print(policy, &text);
    if (text.failed ||
        !store_put_policy(control->common.store, policy_digest(policy), buffer_span(&text), &why))
        log_plain(LOG_LEVEL_WARNING, "the policy's text could not be kept with its digest");
}

static void policy_in_force(void *self, struct policy *policy)
{
    struct control *control = self;
    const struct event_field fields[] = {
        EVENT_TEXT(FIELD_POLICY_DIGEST, span_make(policy_digest(policy), POLICY_DIGEST_BYTES)),
    };

    keep_policy(control, policy);
    journal_of_gateway(control, EVENT_POLICY_IN_FORCE, fields, 1);
}

static void policy_refused(void *self, uint32_t errors, uint32_t line)
{
    char reason[96] = "it needs a restart, or cannot be read";

    if (line > 0)
        snprintf(reason, sizeof reason, "the first error is in line %u", line);
    else if (errors > 0)
        snprintf(reason, sizeof reason, "the file has errors");
    journal_of_gateway(self, EVENT_POLICY_REFUSED,
                       (const struct event_field[]){EVENT_NUMBER(FIELD_COUNT_OF, errors),
                                                    EVENT_TEXT(FIELD_REASON, span_of(reason))},
                       2);
}

/* ---- threads ---- */

static void *serve(void *self)
{
    struct control *control = self;

    while (!control->is_stopping) {
        struct pollfd wanted[] = {{.fd = FD_CONTROL, .events = POLLIN},
                                  {.fd = control->stop_event, .events = POLLIN}};
        scoped_descriptor fd = -1;

        if (poll(wanted, 2, -1) < 0 || wanted[1].revents != 0)
            continue;
        fd = accept4(FD_CONTROL, NULL, NULL, SOCK_CLOEXEC); /* or another thread has it already */
        if (fd >= 0)
            control_serve(control, fd);
    }
    return NULL;
}

static void publish_checkpoint_key(struct control *control)
{
    char path[STATE_PATH_MAX + 32], text[2 * CHECKPOINT_KEY_BYTES + 2];
    uint8_t key[CHECKPOINT_KEY_BYTES];
    struct checkpoint last;
    struct error why;

    snprintf(path, sizeof path, "%s/store/checkpoint.pub",
             control->common.arguments->state_directory);
    if (keeper_last_checkpoint(control->common.keeper, &last, key, &why)) {
        hex_print(key, sizeof key, text);
        text[2 * CHECKPOINT_KEY_BYTES] = '\n';
        if (file_replace(path, span_make(text, 2 * CHECKPOINT_KEY_BYTES + 1), 0644, &why))
            return;
    }
    log_error(LOG_LEVEL_WARNING, "the checkpoint key could not be put beside the store", &why);
}

/* Compares what the keeper signed with what is here, then signs on. Waits for the keeper where it
 * is late; without it nothing is signed, and nothing else is harmed. */
static void *keep_journal(void *self)
{
    struct control *control = self;
    struct common *common = &control->common;
    scoped_buffer gap;
    struct error why;

    buffer_init(&gap, KIB(4));
    while (!journal_compare(common->store, common->keeper, &common->clock, &gap, &why)) {
        uint32_t seen = doorbell_count(common->shared, DOORBELL_CHECKPOINT);

        log_error(LOG_LEVEL_WARNING, "the journal could not be compared with the keeper's", &why);
        doorbell_wait(common->shared, DOORBELL_CHECKPOINT, seen, deadline_in_ms(1000));
        if (control->is_stopping)
            return NULL;
    }
    if (gap.len > 0)
        log_fact(LOG_LEVEL_ALARM, "the journal is not the one that was signed: a new epoch begins",
                 {"gap", buffer_span(&gap)});
    publish_checkpoint_key(control);
    journal_keep(common->store, common->shared, common->keeper, &common->clock,
                 &control->is_stopping);
    return NULL;
}

static bool start_threads(struct control *control, struct error *why)
{
    int failed = pthread_create(&control->journal, NULL, keep_journal, control);

    if (failed != 0)
        return error_system(why, failed, "no thread can be made");
    while (control->thread_count < CONTROL_THREADS) {
        failed = pthread_create(&control->threads[control->thread_count], NULL, serve, control);
        if (failed != 0)
            return error_system(why, failed, "no thread can be made");
        control->thread_count++;
    }
    return true;
}

static bool begin(struct control *control, struct error *why)
{
    control->stop_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (control->stop_event < 0)
        return error_system(why, errno, "an eventfd cannot be made");
    control->board = mmap(NULL, sizeof *control->board, PROT_READ, MAP_SHARED, FD_BOARD, 0);
    if (control->board == MAP_FAILED)
        return error_system(why, errno, "the board cannot be mapped");
    return common_begin(&control->common, why) && common_enter(&control->common, why) &&
           sandbox_shut_calls(ROLE_CONTROL, why);
}

static void end(struct control *control)
{
    const uint64_t one = 1;
    struct error why;

    control->is_stopping = true;
    (void)!write(control->stop_event, &one, sizeof one); /* the socket is the next control's too */
    doorbell_ring(control->common.shared, DOORBELL_CHECKPOINT);
    for (size_t i = 0; i < control->thread_count; i++)
        pthread_join(control->threads[i], NULL);
    pthread_join(control->journal, NULL);
    /* What was written since the last minute is signed too; without a keeper, at the next start. */
    if (!journal_checkpoint(control->common.store, control->common.keeper, &control->common.clock,
                            &why))
        log_error(LOG_LEVEL_WARNING, "no last checkpoint was made", &why);
    common_end(&control->common);
}

int control_main(const struct role_arguments *arguments)
{
    static struct control the_control = {.common.role = ROLE_CONTROL};
    struct control *control = &the_control;
    const struct common_hooks hooks = {
        .on_policy = policy_in_force, .on_refused = policy_refused, .self = control};
    struct error why;

    control->common.arguments = arguments;
    if (!begin(control, &why))
        return common_hopeless(&why);
    if (arguments->is_first) {
        journal_of_gateway(control, EVENT_GATEWAY_STARTED, NULL, 0);
        policy_in_force(control, control->common.first);
    } else {
        keep_policy(control, control->common.first);
    }
    if (!start_threads(control, &why))
        return common_hopeless(&why);
    log_plain(LOG_LEVEL_INFO, "ready");
    (void)common_watch(&control->common, &hooks);
    end(control);
    return EXIT_SUCCESS;
}
