/* What an administrator may look at: the roles, the queue, and one message's journey. */
/* SPDX-License-Identifier: ISC */
#include "control.h"

#include "audit/checkpoint_bytes.h"
#include "audit/journal.h"
#include "audit/trace.h"
#include "audit/words.h"
#include "base/memory.h"
#include "base/wire.h"
#include "keys/sealing.h"

#include <inttypes.h>
#include <signal.h>

enum { TRACE_MAX = 16 << 20, WORDS_MAX = 512 };

/* ---- status ---- */

static void say_time(struct answer *answer, int64_t wall_ms)
{
    scoped_buffer text;

    buffer_init(&text, WORDS_MAX);
    words_time(&text, wall_ms);
    answer_say_text(answer, buffer_span(&text));
}

static void say_duration(struct answer *answer, int64_t ms)
{
    scoped_buffer text;

    buffer_init(&text, WORDS_MAX);
    words_duration(&text, ms > 0 ? ms : 0);
    answer_say_text(answer, buffer_span(&text));
}

static void say_roles(struct answer *answer)
{
    const struct board *board = answer->control->board;

    for (enum role role = 0; role < ROLE_COUNT; role++) {
        int pid = board->roles[role].pid, signal_number = board->roles[role].last_signal;
        const char *signal_name = signal_number > 0 ? sigabbrev_np(signal_number) : NULL;

        answer_say(answer, "%-10s %-8s ", role == 0 ? "Roles" : "", role_name(role));
        if (pid == 0) {
            answer_say(answer, "not running");
        } else {
            answer_say(answer, "process %d for ", pid);
            say_duration(answer, answer->now_ms - board->roles[role].started_at_ms);
        }
        if (board->roles[role].restarts > 0)
            answer_say(answer, ", started again %" PRIu32 " time%s", board->roles[role].restarts,
                       board->roles[role].restarts == 1 ? "" : "s");
        if (signal_name)
            answer_say(answer, ", last killed by %s", signal_name);
        answer_say(answer, "\n");
    }
}

static void say_listeners(struct answer *answer, const struct settings *settings)
{
    static const char *const kinds[] = {[LISTENER_SMTP] = "smtp",
                                        [LISTENER_SUBMISSION] = "submission",
                                        [LISTENER_SUBMISSIONS] = "submissions",
                                        [LISTENER_RELAY] = "relay"};
    static const char *const trust[] = {[TRUST_NOBODY] = "outsiders, to our own domains",
                                        [TRUST_CERTIFICATE] = "who shows a trusted certificate",
                                        [TRUST_NETWORK] = "a trusted network"};

    for (size_t i = 0; i < settings->listener_count; i++) {
        const struct listener *listener = &settings->listeners[i];
        struct span address =
            listener->address.len > 0 ? listener->address : SPAN_LITERAL("all addresses");

        answer_say(answer, "%-10s %-11s port %u on %.*s, for %s\n", i == 0 ? "Listeners" : "",
                   kinds[listener->kind], listener->port, SPAN_ARGS(address),
                   trust[listener->trust]);
    }
}

static void say_keeper(struct answer *answer)
{
    uint8_t key[CHECKPOINT_KEY_BYTES];
    struct checkpoint last;
    struct error why;

    if (!keeper_last_checkpoint(answer->control->common.keeper, &last, key, &why)) {
        answer_say(answer, "%-10s the keeper does not answer: %s\n", "Keys", why.text);
    } else if (last.size > 0) {
        answer_say(answer, "%-10s %" PRIu64 " events signed at ", "", last.size);
        say_time(answer, last.at_ms);
        answer_say(answer,
                   ", epoch %" PRIu64 "\n%-10s opened %" PRIu64 " messages and %" PRIu64
                   " texts since the keys were made\n",
                   last.epoch, "Keeper", last.unwraps, last.texts);
    }
}

bool control_status(struct answer *answer, struct error *why)
{
    const struct settings *settings = policy_settings(answer->policy);
    const struct board *board = answer->control->board;
    char digest[2 * POLICY_DIGEST_BYTES + 1];
    struct store_counts counts;

    if (!store_count(answer->control->common.store, &counts, why))
        return false;
    hex_print(policy_digest(answer->policy), POLICY_DIGEST_BYTES, digest);
    answer_say(answer, "%-10s %.*s, process %d, since ", "Gateway", SPAN_ARGS(settings->hostname),
               board->supervisor);
    say_time(answer, board->started_at_ms);
    answer_say(answer, " (");
    say_duration(answer, answer->now_ms - board->started_at_ms);
    answer_say(answer, ")\n%-10s %.16s… in force\n", "Policy", digest);
    if (settings->laboratory.host.len > 0)
        answer_say(answer,
                   "%-10s addresses in %.*s count as public: this is no gateway for real "
                   "mail\n",
                   "Laboratory", SPAN_ARGS(settings->laboratory.host));
    say_listeners(answer, settings);
    say_roles(answer);
    answer_say(answer, "%-10s %" PRIu64 " waiting, %" PRIu64 " held\n", "Queue", counts.waiting,
               counts.held);
    answer_say(answer,
               "%-10s %" PRIu64 " delivered, %" PRIu64 " returned, %" PRIu64 " deleted, %" PRIu64
               " dropped\n",
               "Ended", counts.delivered, counts.returned, counts.deleted, counts.dropped);
    answer_say(answer, "%-10s %" PRIu64 " events about %" PRIu64 " messages\n", "Journal",
               counts.leaves, counts.messages);
    say_keeper(answer);
    return true;
}

/* ---- the queue ---- */

static void say_when(struct answer *answer, const struct store_delivery *delivery)
{
    scoped_buffer text;
    int64_t left = delivery->due_at_ms - answer->now_ms;

    buffer_init(&text, WORDS_MAX);
    if (delivery->state == DELIVERY_HELD) {
        buffer_append(&text, SPAN_LITERAL("held for "));
        left = delivery->ends_at_ms - answer->now_ms;
        words_duration(&text, left > 0 ? left : 0);
    } else if (delivery->lease != 0) {
        buffer_append(&text, SPAN_LITERAL("under way"));
    } else if (left <= 0) {
        buffer_append(&text, SPAN_LITERAL("due now"));
    } else {
        buffer_append(&text, SPAN_LITERAL("in "));
        words_duration(&text, left);
    }
    answer_say(answer, "%-20.*s", SPAN_ARGS(buffer_span(&text)));
}

static void say_queued(struct answer *answer, const struct store_queued *queued)
{
    const struct store_delivery *delivery = &queued->delivery;
    char id[ID_TEXT_SIZE], name[ID_TEXT_SIZE + 16];

    id_print(queued->message.id, id);
    snprintf(name, sizeof name, "%s/%" PRIu32, id, delivery->number);
    answer_say(answer, "%-30s ", name);
    say_when(answer, delivery);
    answer_say(answer, " %5" PRIu32 "  %-28.*s ", delivery->attempts,
               SPAN_ARGS(delivery->destination));
    if (delivery->last_reason.len > 0)
        answer_say(answer, "%.*s\n", SPAN_ARGS(delivery->last_reason));
    else if (delivery->state == DELIVERY_HELD)
        answer_say(answer, "by the rule \"%.*s\"\n", SPAN_ARGS(delivery->rule));
    else
        answer_say(answer, "not tried yet\n");
}

bool control_queue(struct answer *answer, struct error *why)
{
    struct id after = {{0}};
    uint32_t after_delivery = 0;
    size_t shown = 0, count;

    do {
        scoped(arena) page = arena_new("a page of the queue", CONTROL_ARENA_MAX);
        struct store_queued *queued;

        if (!page)
            return error_set(why, ERROR_TEMPORARY, "", "no memory for the queue");
        if (!store_list_queue(answer->control->common.store, answer->request->text, after,
                              after_delivery, CONTROL_LIST_PAGE, page, &queued, &count, why))
            return false;
        if (shown == 0 && count > 0)
            answer_say(answer, "%-30s %-20s %5s  %-28s %s\n", "DELIVERY", "NEXT", "TRIES",
                       "DESTINATION", "WHY");
        for (size_t i = 0; i < count; i++)
            say_queued(answer, &queued[i]);
        shown += count;
        if (count > 0) {
            after = queued[count - 1].message.id;
            after_delivery = queued[count - 1].delivery.number;
        }
    } while (count == CONTROL_LIST_PAGE && shown < CONTROL_LIST_MAX && !answer->is_broken);
    if (shown == 0)
        answer_say(answer, "Nothing waits%s.\n",
                   answer->request->text.len > 0 ? " for this destination" : "");
    else if (shown >= CONTROL_LIST_MAX)
        answer_say(answer, "(the first %d are shown)\n", CONTROL_LIST_MAX);
    return true;
}

bool control_destinations(struct answer *answer, struct error *why)
{
    struct store_destination *list;
    size_t count;

    if (!store_list_destinations(answer->control->common.store, CONTROL_DESTINATIONS_MAX,
                                 answer->arena, &list, &count, why))
        return false;
    if (count == 0) {
        answer_say(answer, "Nothing waits.\n");
        return true;
    }
    answer_say(answer, "%-36s %8s %8s %9s  %s\n", "DESTINATION", "WAITING", "HELD", "FAILURES",
               "NEXT ATTEMPT");
    for (size_t i = 0; i < count; i++) {
        answer_say(answer, "%-36.*s %8" PRIu64 " %8" PRIu64 " %9" PRIu32 "  ",
                   SPAN_ARGS(list[i].name), list[i].waiting, list[i].held, list[i].failures);
        if (list[i].waiting == 0)
            answer_say(answer, "-\n");
        else if (list[i].next_due_ms == INT64_MAX)
            answer_say(answer, "under way\n");
        else if (list[i].next_due_ms <= answer->now_ms)
            answer_say(answer, "now\n");
        else {
            answer_say(answer, "in ");
            say_duration(answer, list[i].next_due_ms - answer->now_ms);
            answer_say(answer, "\n");
        }
    }
    return true;
}

/* ---- trace ---- */

static bool wrapped_keys_of(const struct store_message *message, struct wrapped_keys *keys)
{
    if (message->wrapped_record.len != WRAPPED_KEY_BYTES)
        return false;
    *keys = (struct wrapped_keys){.content_day = message->content_day,
                                  .record_day = message->record_day};
    memcpy(keys->record, message->wrapped_record.data, WRAPPED_KEY_BYTES);
    if (message->wrapped_content.len == WRAPPED_KEY_BYTES)
        memcpy(keys->content, message->wrapped_content.data, WRAPPED_KEY_BYTES);
    return true;
}

bool control_open_text(void *self, const struct store_message *message, const char *what,
                       struct span sealed, struct buffer *out)
{
    struct answer *answer = self;
    struct wrapped_keys keys;
    struct error why;

    return wrapped_keys_of(message, &keys) &&
           keeper_open_text(answer->control->common.keeper, message->id, message->organisation,
                            &keys, what, sealed, answer->uid, out, &why);
}

bool control_trace(struct answer *answer, struct error *why)
{
    struct control *control = answer->control;
    struct id id = answer->request->message;
    const struct event_field fields[] = {EVENT_NUMBER(FIELD_UID, answer->uid)};
    const struct trace_opener opener = {.open = control_open_text, .self = answer};
    struct store_message message;
    struct store_delivery *deliveries;
    struct store_journal_row *rows;
    size_t delivery_count, row_count;
    scoped_buffer story;
    bool found;

    buffer_init_secret(&story, TRACE_MAX);
    if (!store_find_message(control->common.store, id, answer->arena, &found, &message, &deliveries,
                            &delivery_count, why))
        return false;
    if (!found)
        return error_set(why, ERROR_REJECTED, "", "there is no such message");
    /* Written down before anything is shown. */
    if (!control_journal(control, EVENT_TEXT_OPENED, id, 0, message.organisation, fields, 1, why) ||
        !store_find_journal(control->common.store, id, answer->arena, &rows, &row_count, why))
        return false;
    if (!trace_write(&message, deliveries, delivery_count, rows, row_count, &opener, answer->now_ms,
                     &story, why))
        return false;
    answer_say_text(answer, buffer_span(&story));
    return true;
}

/* ---- the journal ---- */

bool control_checkpoint(struct answer *answer, struct error *why)
{
    struct common *common = &answer->control->common;
    char root[2 * TREE_HASH_BYTES + 1], signature[2 * CHECKPOINT_SIGNATURE_BYTES + 1];
    uint8_t key[CHECKPOINT_KEY_BYTES];
    struct checkpoint last;

    if (!journal_checkpoint(common->store, common->keeper, &common->clock, why) ||
        !keeper_last_checkpoint(common->keeper, &last, key, why))
        return false;
    if (last.size == 0) {
        answer_say(answer, "The journal is empty: nothing to sign.\n");
        return true;
    }
    hex_print(last.root, sizeof last.root, root);
    hex_print(last.signature, sizeof last.signature, signature);
    answer_say(answer, "epoch      %" PRIu64 "\nevents     %" PRIu64 "\nroot       %s\nsigned     ",
               last.epoch, last.size, root);
    say_time(answer, last.at_ms);
    answer_say(answer, "\nopened     %" PRIu64 " messages, %" PRIu64 " texts\nsignature  %s\n",
               last.unwraps, last.texts, signature);
    return true;
}

bool control_anchor(struct answer *answer, struct error *why)
{
    uint8_t key[CHECKPOINT_KEY_BYTES];
    char text[2 * CHECKPOINT_BYTES_MAX + 1];
    struct checkpoint last;
    scoped_buffer bytes;

    buffer_init(&bytes, CHECKPOINT_BYTES_MAX);
    if (!keeper_last_checkpoint(answer->control->common.keeper, &last, key, why))
        return false;
    checkpoint_print(&last, &bytes);
    hex_print(key, sizeof key, text);
    answer_say(answer, "%s\n", text);
    hex_print(bytes.data, bytes.len, text);
    answer_say(answer, "%s\n", text);
    return true;
}
