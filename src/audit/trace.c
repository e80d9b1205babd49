/* A message's journey told as a person would: one sentence an event, in order, with its time. */
/* SPDX-License-Identifier: ISC */
#include "audit/trace.h"

#include "audit/event.h"
#include "audit/words.h"
#include "base/clock.h"
#include "base/wire.h"
#include "keys/sealing.h"

#include <inttypes.h>

enum {
    SENTENCE_MAX = 16384,
    COLUMNS = 96,
    INDENT = 12, /* "  12:44:36  " */
    FIELDS_MAX = STORE_LEAF_DETAIL_MAX * 16,
};

struct teller {
    const struct store_message *message;
    const struct trace_opener *opener;
    struct buffer *out;
    int64_t now_ms;
    int32_t day; /* of the last line: the date is told when it changes */
    bool has_state;
    uint64_t state; /* as the last event told has it */
};
struct told {
    const struct store_leaf *leaf;
    const char *phrase; /* what is said of this kind of event */
    const struct event_field *fields;
    size_t count;
};

/* ---- words ---- */

static void put(struct buffer *out, const char *text)
{
    buffer_append(out, span_of(text));
}

static bool has(const struct told *told, enum event_field_id id)
{
    return event_field_find(told->fields, told->count, id) != NULL;
}

static uint64_t number(const struct told *told, enum event_field_id id)
{
    const struct event_field *field = event_field_find(told->fields, told->count, id);

    return field ? field->number : 0;
}

/* before, the field's text, after; nothing where there is no such field or it is empty. */
static void put_field(struct buffer *out, const struct told *told, const char *before,
                      enum event_field_id id, const char *after)
{
    const struct event_field *field = event_field_find(told->fields, told->count, id);

    if (!field || field->text.len == 0)
        return;
    put(out, before);
    words_safe(out, field->text, false);
    put(out, after);
}

static void put_sealed(struct teller *teller, struct buffer *out, const char *what,
                       struct span sealed)
{
    scoped_buffer plain;

    buffer_init_secret(&plain, SEAL_TEXT_MAX);
    if (!teller->opener ||
        !teller->opener->open(teller->opener->self, teller->message, what, sealed, &plain))
        put(out, "(sealed)");
    else
        words_safe(out, buffer_span(&plain), true);
}

static void put_sender(struct teller *teller, struct buffer *out)
{
    scoped_buffer plain;

    buffer_init_secret(&plain, SEAL_TEXT_MAX);
    if (!teller->opener || !teller->opener->open(teller->opener->self, teller->message, TEXT_SENDER,
                                                 teller->message->sender, &plain))
        put(out, "(sealed)");
    else if (plain.len == 0)
        put(out, "nobody (<>: a report)");
    else
        words_safe(out, buffer_span(&plain), true);
}

/* ---- sentences ---- */

static void tell_accepted(struct teller *teller, const struct told *told, struct buffer *out)
{
    (void)teller;
    put(out, told->phrase);
    put_field(out, told, " by the listener ", FIELD_LISTENER, "");
    if (has(told, FIELD_THROUGH)) /* it begins with the address */
        put_field(out, told, " from ", FIELD_THROUGH, "");
    else
        put_field(out, told, " from ", FIELD_ADDRESS, "");
    put_field(out, told, " over ", FIELD_TLS_VERSION, "");
    put_field(out, told, " with ", FIELD_TLS_CIPHER, "");
    if (has(told, FIELD_SIZE)) {
        put(out, ": ");
        words_count(out, number(told, FIELD_SIZE), "byte", "bytes");
    }
    if (has(told, FIELD_RECIPIENTS)) {
        put(out, " for ");
        words_count(out, number(told, FIELD_RECIPIENTS), "recipient", "recipients");
    }
    put(out, ".");
    put_field(out, told, " Tolerated: ", FIELD_CLIENT_FAULT, ".");
}

static void put_rule(struct buffer *out, const struct told *told)
{
    put_field(out, told, " \"", FIELD_RULE, "\"");
}

static void tell_decided(struct teller *teller, const struct told *told, struct buffer *out)
{
    const struct event_field *ladder = event_field_find(told->fields, told->count, FIELD_LADDER);
    uint64_t state = number(told, FIELD_STATE);

    (void)teller;
    put(out, told->phrase);
    put_rule(out, told);
    if (state == DELIVERY_HELD) {
        put_field(out, told, " holds it, by ", FIELD_LADDER, "");
    } else if (ladder && span_equal(ladder->text, SPAN_LITERAL("{ return }"))) {
        put(out, " refuses it, so it is returned");
    } else {
        put(out, " decides");
        put_field(out, told, ": the ways, in order, are ", FIELD_LADDER, "");
    }
    if (has(told, FIELD_UID))
        buffer_append_format(out, "; asked for by user %" PRIu64, number(told, FIELD_UID));
    put_field(out, told, "; ", FIELD_REASON, "");
    put(out, ".");
    put_field(out, told, " The sender is told by message ", FIELD_REPORT, ".");
}

static void put_proof(struct buffer *out, const struct told *told)
{
    const struct event_field *mechanism =
        event_field_find(told->fields, told->count, FIELD_MECHANISM);

    put_field(out, told, ", over ", FIELD_TLS_VERSION, "");
    put_field(out, told, " with ", FIELD_TLS_CIPHER, "");
    if (!mechanism || mechanism->text.len == 0)
        return;
    if (span_equal(mechanism->text, SPAN_LITERAL("pkix")))
        put(out, ", its certificate verified");
    else if (span_equal(mechanism->text, SPAN_LITERAL("none")))
        put(out, has(told, FIELD_TLS_VERSION) ? ", its certificate not verified" : "");
    else
        put_field(out, told, ", proven by ", FIELD_MECHANISM, "");
}

/* "Attempt 2 by tls verify, at mx1.x.example (192.0.2.7), over TLSv1.3 …: not now: … (4.4.1)." */
static void tell_attempt(struct teller *teller, const struct told *told, struct buffer *out)
{
    const struct event_field *reply = event_field_find(told->fields, told->count, FIELD_PEER_REPLY);
    const struct event_field *way = event_field_find(told->fields, told->count, FIELD_WAY);
    bool was_held = way && span_equal(way->text, SPAN_LITERAL("hold"));
    bool was_tried = way || has(told, FIELD_HOST);

    if (was_held)
        put(out, "The hold ended");
    else if (was_tried && number(told, FIELD_ATTEMPT) > 0)
        buffer_append_format(out, "Attempt %" PRIu64, number(told, FIELD_ATTEMPT));
    else if (was_tried)
        put(out, "An attempt");
    else
        put(out, "Without an attempt");
    if (!was_held)
        put_field(out, told, " by ", FIELD_WAY, "");
    put_field(out, told, ", at ", FIELD_HOST, "");
    put_field(out, told, " (", FIELD_ADDRESS, ")");
    put_proof(out, told);
    buffer_append_format(out, ": %s", told->phrase);
    put_field(out, told, "; ", FIELD_REASON, "");
    put_field(out, told, " (", FIELD_STATUS, ")");
    put(out, ".");
    if (number(told, FIELD_POSSIBLE_DUPLICATE))
        put(out, " The line broke when the other side may have had it already: it may arrive "
                 "twice.");
    if (reply && reply->text.len > 0) {
        put(out, " It said: ");
        put_sealed(teller, out, TEXT_PEER_REPLY, reply->text);
        put(out, ".");
    }
    if (has(told, FIELD_NEXT_ATTEMPT)) {
        put(out, " Next attempt at ");
        words_time(out, (int64_t)number(told, FIELD_NEXT_ATTEMPT));
        put(out, ".");
    }
    put_field(out, told, " The sender is told by message ", FIELD_REPORT, ".");
}

/* What a person of this machine did. */
static void tell_act(struct teller *teller, const struct told *told, struct buffer *out)
{
    (void)teller;
    put(out, told->phrase);
    if (has(told, FIELD_UID))
        buffer_append_format(out, " by user %" PRIu64, number(told, FIELD_UID));
    put_field(out, told, "; the rule \"", FIELD_RULE, "\" is passed over");
    put_field(out, told, "; the ways, in order, are now ", FIELD_LADDER, "");
    if (told->leaf->kind == EVENT_DELIVERY_RELEASED && number(told, FIELD_STATE) == DELIVERY_HELD)
        put(out, "; it is held again");
    put_field(out, told, "; ", FIELD_REASON, "");
    put(out, ".");
}

/* A newer release's event: its name is all that can be said. */
static void tell_plainly(struct teller *teller, const struct told *told, struct buffer *out)
{
    const char *name = event_kind_name(told->leaf->kind);

    (void)teller;
    if (name)
        put(out, name);
    else
        buffer_append_format(out, "an event of kind %u", told->leaf->kind);
    put_field(out, told, ": ", FIELD_REASON, "");
    put(out, ".");
}

static const struct sentence {
    enum event_kind kind;
    void (*tell)(struct teller *teller, const struct told *told, struct buffer *out);
    const char *phrase;
} sentences[] = {
    {EVENT_MESSAGE_ACCEPTED, tell_accepted, "Taken"},
    {EVENT_DELIVERY_DECIDED, tell_decided, "The rule"},
    {EVENT_DELIVERY_DELIVERED, tell_attempt, "delivered"},
    {EVENT_DELIVERY_DEFERRED, tell_attempt, "not now"},
    {EVENT_DELIVERY_CLIMBED, tell_attempt, "not this way, so the next rung is tried"},
    {EVENT_DELIVERY_HELD, tell_attempt, "held"},
    {EVENT_DELIVERY_RETURNED, tell_attempt, "given up and returned"},
    {EVENT_DELIVERY_DROPPED, tell_attempt, "given up"},
    {EVENT_DELIVERY_RELEASED, tell_act, "Released"},
    {EVENT_DELIVERY_RETRIED, tell_act, "An attempt now was asked for"},
    {EVENT_DELIVERY_HELD_BY_HAND, tell_act, "Held"},
    {EVENT_DELIVERY_DELETED, tell_act, "Deleted"},
    {EVENT_TEXT_OPENED, tell_act, "Sealed texts were looked at"},
};

static const struct sentence *sentence_of(uint16_t kind)
{
    for (size_t i = 0; i < sizeof sentences / sizeof sentences[0]; i++)
        if (sentences[i].kind == (enum event_kind)kind)
            return &sentences[i];
    return NULL;
}

/* ---- lines ---- */

/* Breaks at blanks, so that no line is longer than COLUMNS where it can be helped. */
static void put_wrapped(struct buffer *out, struct span text)
{
    while (text.len > COLUMNS - INDENT) {
        size_t cut = COLUMNS - INDENT;

        while (cut > 0 && text.data[cut] != ' ')
            cut--;
        if (cut == 0) /* one long word */
            cut = span_index(text, ' ');
        if (cut == text.len)
            break;
        buffer_append(out, span_until(text, cut));
        buffer_append_format(out, "\n%*s", INDENT, "");
        text = span_from(text, cut + 1);
    }
    buffer_append(out, text);
    buffer_append_byte(out, '\n');
}

static bool tell_row(struct teller *teller, const struct store_journal_row *row, struct error *why)
{
    scoped(arena) arena = arena_new("an event's fields", FIELDS_MAX);
    struct told told = {.leaf = &row->leaf};
    struct event_field *fields;
    scoped_buffer sentence, canonical;
    bool is_whole;
    char iso[CLOCK_ISO_SIZE];
    struct error unreadable;

    buffer_init_secret(&sentence, SENTENCE_MAX);
    buffer_init(&canonical, STORE_LEAF_CANONICAL_MAX);
    is_whole = store_row_is_whole(row, &canonical);
    if (!is_whole && !row->is_purged)
        put(&sentence, "(this row was changed: verify the journal) ");
    if (!arena)
        return error_set(why, ERROR_TEMPORARY, "4.3.0", "no memory for an event");
    if (row->is_purged) {
        put(&sentence, "(the details of this event were purged)");
    } else if (!event_parse(row->leaf.detail, arena, &fields, &told.count, &unreadable)) {
        put(&sentence, "(an event that cannot be read)");
    } else {
        const struct sentence *how = sentence_of(row->leaf.kind);

        told.fields = fields;
        if (is_whole && has(&told, FIELD_STATE)) {
            teller->has_state = true;
            teller->state = number(&told, FIELD_STATE);
        }
        told.phrase = how ? how->phrase : NULL;
        (how ? how->tell : tell_plainly)(teller, &told, &sentence);
    }
    clock_print_iso(row->leaf.at_ms, iso);
    if (clock_day(row->leaf.at_ms) != teller->day) {
        teller->day = clock_day(row->leaf.at_ms);
        buffer_append_format(teller->out, "  %.10s\n", iso);
    }
    buffer_append_format(teller->out, "  %.8s  ", iso + 11);
    put_wrapped(teller->out, buffer_span(&sentence));
    return true;
}

/* An end is final, so its event is there, unless somebody wrote it into the database. Before the
 * end the journal, which was read later, may just be ahead. */
static bool is_contradicted(const struct teller *teller, const struct store_delivery *delivery)
{
    return delivery->state > DELIVERY_HELD && teller->has_state && /* not all was purged */
           teller->state != (uint64_t)delivery->state;
}

static void tell_now(struct teller *teller, const struct store_delivery *delivery)
{
    struct buffer *out = teller->out;

    buffer_append_format(out, "  %-8s  ", "now");
    if (is_contradicted(teller, delivery))
        put(out, "its record does not agree with the journal, and says: ");
    switch (delivery->state) {
    case DELIVERY_WAITING:
        if (delivery->lease) {
            put(out, "is being delivered");
        } else if (delivery->due_at_ms > teller->now_ms) {
            buffer_append_format(out, "waits for attempt %" PRIu32 " at ", delivery->attempts + 1);
            words_time(out, delivery->due_at_ms);
            put(out, ", in ");
            words_duration(out, delivery->due_at_ms - teller->now_ms);
        } else {
            put(out, "is due");
        }
        break;
    case DELIVERY_HELD:
        put(out, "held, and returned to the sender at ");
        words_time(out, delivery->ends_at_ms);
        put(out, " if nobody releases it");
        break;
    case DELIVERY_DELIVERED:
        put(out, "delivered");
        break;
    case DELIVERY_RETURNED:
        put(out, "returned: the recipient did not get it");
        break;
    case DELIVERY_DELETED:
        put(out, "deleted: the recipient did not get it");
        break;
    case DELIVERY_DROPPED:
        put(out, "dropped: the recipient did not get it");
        break;
    case DELIVERY_STATE_COUNT:
        break;
    }
    put(out, ".\n");
}

/* The rows of one delivery, or (0) of the message as a whole. */
static bool tell_rows(struct teller *teller, const struct store_journal_row *rows, size_t count,
                      uint32_t delivery, struct error *why)
{
    teller->day = INT32_MIN;
    teller->has_state = false;
    for (size_t i = 0; i < count; i++)
        if (rows[i].leaf.delivery == delivery && !tell_row(teller, &rows[i], why))
            return false;
    return true;
}

bool trace_write(const struct store_message *message, const struct store_delivery *deliveries,
                 size_t delivery_count, const struct store_journal_row *rows, size_t row_count,
                 const struct trace_opener *opener, int64_t now_ms, struct buffer *out,
                 struct error *why)
{
    struct teller teller = {.message = message, .opener = opener, .out = out, .now_ms = now_ms};
    char id[ID_TEXT_SIZE];

    id_print(message->id, id);
    buffer_append_format(out, "Message %s, ", id);
    words_count(out, message->size, "byte", "bytes");
    put(out, message->is_report ? ", a report of the gateway's own" : "");
    put(out, "\n  from      ");
    put_sender(&teller, out);
    if (message->organisation.len > 0) {
        put(out, ", of \"");
        words_safe(out, message->organisation, false);
        put(out, "\"");
    }
    put(out, "\n");
    if (!tell_rows(&teller, rows, row_count, 0, why))
        return false;
    for (size_t i = 0; i < delivery_count; i++) {
        buffer_append_format(out, "\nDelivery %" PRIu32 ", to ", deliveries[i].number);
        put_sealed(&teller, out, TEXT_RECIPIENT, deliveries[i].recipient);
        put(out, "\n");
        if (!tell_rows(&teller, rows, row_count, deliveries[i].number, why))
            return false;
        tell_now(&teller, &deliveries[i]);
    }
    if (out->failed)
        return error_set(why, ERROR_TEMPORARY, "4.3.0", "the story does not fit in memory");
    return true;
}
