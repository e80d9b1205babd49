/* The newest deliveries at one glance: to whom, by which rule, which way, and what happened. */
/* SPDX-License-Identifier: ISC */
#include "control.h"

#include "audit/words.h"
#include "base/memory.h"
#include "keys/sealing.h"

#include <inttypes.h>

enum { COLUMNS = 6, CELL_MAX = 1024, ROWS_ARENA_MAX = 32 << 20 };

/* One delivery as it is told: the texts lie in the arena of the rows. */
struct told {
    struct id message;
    uint32_t number, attempts;
    enum delivery_state state;
    struct span recipient, rule, way, host, tls_version, tls_cipher, mechanism, status, what;
};

static const char *const state_names[DELIVERY_STATE_COUNT] = {
    [DELIVERY_WAITING] = "waiting",     [DELIVERY_HELD] = "held",
    [DELIVERY_DELIVERED] = "delivered", [DELIVERY_RETURNED] = "returned",
    [DELIVERY_DELETED] = "deleted",     [DELIVERY_DROPPED] = "dropped",
};

static struct span text_of(const struct event_field *fields, size_t count, enum event_field_id id)
{
    const struct event_field *field = event_field_find(fields, count, id);

    return field ? field->text : SPAN_LITERAL("");
}

/* "delivered: its certificate verified for its own name", "waiting: no STARTTLS there; again in 58
 * seconds", … */
static struct span what_happened(const struct answer *answer, const struct store_delivery *delivery,
                                 struct span level, struct span reason, struct arena *arena)
{
    static const struct {
        const char *level, *words;
    } proofs[] = {
        {"secure", "its certificate verified for a name in the policy"},
        {"verify", "its certificate verified for its own name"},
        {"encrypt", "encrypted, and nobody checked to whom"},
        {"cleartext", "in the clear, as a permit allows"},
        {"local", "inwards, on this machine"},
    };
    const char *state = state_names[delivery->state];
    scoped_buffer text;

    buffer_init(&text, CELL_MAX);
    buffer_append(&text, span_of(state));
    if (delivery->state == DELIVERY_DELIVERED) {
        for (size_t i = 0; i < sizeof proofs / sizeof proofs[0]; i++)
            if (span_equal(level, span_of(proofs[i].level)))
                buffer_append_format(&text, ": %s", proofs[i].words);
    } else if (reason.len > 0) {
        buffer_append_format(&text, ": %.*s", SPAN_ARGS(reason));
    } else if (delivery->state == DELIVERY_HELD) {
        buffer_append_format(&text, " by the rule");
    }
    if (delivery->state == DELIVERY_WAITING && delivery->lease == 0) {
        const int64_t left = delivery->due_at_ms - answer->now_ms;

        buffer_append_format(&text, "; again in ");
        words_duration(&text, left > 0 ? left : 0);
    }
    return arena_copy(arena, buffer_span(&text));
}

/* The newest leaf that tells of an attempt at it, or the newest of all; NULL: none. */
static const struct store_journal_row *leaf_of(const struct store_journal_row *rows, size_t count,
                                               uint32_t delivery)
{
    const struct store_journal_row *newest = NULL;

    for (size_t i = 0; i < count; i++)
        if (rows[i].leaf.delivery == delivery && !rows[i].is_purged)
            newest = &rows[i];
    return newest;
}

static bool tell(struct answer *answer, const struct store_message *message,
                 const struct store_delivery *delivery, const struct store_journal_row *rows,
                 size_t row_count, struct arena *arena, struct told *told)
{
    const struct store_journal_row *row = leaf_of(rows, row_count, delivery->number);
    struct event_field *fields = NULL;
    scoped_buffer recipient, shown;
    struct error ignored;
    size_t count = 0;

    if (row && !event_parse(row->leaf.detail, arena, &fields, &count, &ignored))
        count = 0;
    buffer_init_secret(&recipient, CELL_MAX);
    buffer_init_secret(&shown, (size_t)CELL_MAX * 4);
    if (!control_open_text(answer, message, TEXT_RECIPIENT, delivery->recipient, &recipient)) {
        buffer_clear(&recipient);
        buffer_append(&recipient, SPAN_LITERAL("(sealed)"));
    }
    words_safe(&shown, buffer_span(&recipient), true);
    *told = (struct told){
        .message = message->id,
        .number = delivery->number,
        .attempts = delivery->attempts,
        .state = delivery->state,
        .recipient = arena_copy(arena, buffer_span(&shown)),
        .rule = delivery->rule,
        .way = text_of(fields, count, FIELD_WAY),
        .host = text_of(fields, count, FIELD_HOST),
        .tls_version = text_of(fields, count, FIELD_TLS_VERSION),
        .tls_cipher = text_of(fields, count, FIELD_TLS_CIPHER),
        .mechanism = text_of(fields, count, FIELD_MECHANISM),
        .status = text_of(fields, count, FIELD_STATUS),
    };
    told->what = what_happened(answer, delivery, text_of(fields, count, FIELD_LEVEL),
                               delivery->last_reason.len > 0 ? delivery->last_reason
                                                             : text_of(fields, count, FIELD_REASON),
                               arena);
    return told->recipient.data && told->what.data;
}

/* ---- as JSON: an array of objects ---- */

static void put_json_text(struct buffer *out, const char *name, struct span text)
{
    buffer_append_format(out, ",\"%s\":\"", name);
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char c = (unsigned char)text.data[i];

        if (c == '"' || c == '\\' || c < 0x20 || c == 0x7f)
            buffer_append_format(out, "\\u%04x", c);
        else
            buffer_append_byte(out, (char)c);
    }
    buffer_append_byte(out, '"');
}

static void say_json(struct answer *answer, const struct told *told, bool is_first)
{
    char id[ID_TEXT_SIZE];
    scoped_buffer text;

    buffer_init_secret(&text, (size_t)COLUMNS * CELL_MAX * 6);
    id_print(told->message, id);
    buffer_append_format(
        &text,
        "%s{\"message\":\"%s\",\"delivery\":%" PRIu32 ",\"attempts\":%" PRIu32 ",\"state\":\"%s\"",
        is_first ? "" : ",\n", id, told->number, told->attempts, state_names[told->state]);
    put_json_text(&text, "recipient", told->recipient);
    put_json_text(&text, "rule", told->rule);
    put_json_text(&text, "way", told->way);
    put_json_text(&text, "host", told->host);
    put_json_text(&text, "tls_version", told->tls_version);
    put_json_text(&text, "tls_cipher", told->tls_cipher);
    put_json_text(&text, "mechanism", told->mechanism);
    put_json_text(&text, "status", told->status);
    put_json_text(&text, "what", told->what);
    buffer_append_byte(&text, '}');
    answer_say_text(answer, buffer_span(&text));
}

/* ---- as a table for people ---- */

static void put_cell(struct buffer *line, struct span text, int width)
{
    buffer_append_format(line, "%-*.*s  ", width,
                         SPAN_ARGS(text.len > 0 ? text : SPAN_LITERAL("-")));
}

static void say_line(struct answer *answer, const struct told *told)
{
    char name[ID_TEXT_SIZE + 16], id[ID_TEXT_SIZE];
    scoped_buffer line;

    buffer_init_secret(&line, (size_t)COLUMNS * CELL_MAX * 2);
    id_print(told->message, id);
    snprintf(name, sizeof name, "%s/%" PRIu32, id, told->number);
    put_cell(&line, span_of(name), 28);
    put_cell(&line, told->recipient, 30);
    put_cell(&line, told->rule, 24);
    put_cell(&line, told->way, 11);
    put_cell(&line, told->tls_version, 7);
    buffer_append(&line, told->what);
    buffer_append_byte(&line, '\n');
    answer_say_text(answer, buffer_span(&line));
}

static bool say_message(struct answer *answer, struct id id, bool is_json, bool *is_first,
                        struct error *why)
{
    scoped(arena) arena = arena_new_secret("the deliveries of one message", ROWS_ARENA_MAX);
    const struct event_field fields[] = {EVENT_NUMBER(FIELD_UID, answer->uid)};
    struct store *store = answer->control->common.store;
    struct store_message message;
    struct store_delivery *deliveries;
    struct store_journal_row *rows;
    size_t count, row_count;
    bool found;

    if (!arena)
        return error_set(why, ERROR_TEMPORARY, "", "no memory for the list");
    if (!store_find_message(store, id, arena, &found, &message, &deliveries, &count, why))
        return false;
    if (!found)
        return true;
    /* Written down before anything is shown. */
    if (!control_journal(answer->control, EVENT_TEXT_OPENED, id, 0, message.organisation, fields, 1,
                         why) ||
        !store_find_journal(store, id, arena, &rows, &row_count, why))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct told told;

        if (!tell(answer, &message, &deliveries[i], rows, row_count, arena, &told))
            return error_set(why, ERROR_TEMPORARY, "", "no memory for the list");
        if (is_json)
            say_json(answer, &told, *is_first);
        else
            say_line(answer, &told);
        *is_first = false;
    }
    return true;
}

bool control_deliveries(struct answer *answer, struct error *why)
{
    struct span number, format;
    unsigned long long last = CONTROL_LATEST_DEFAULT;
    bool is_first = true;
    struct id *ids;
    size_t count;

    span_split(answer->request->text, ' ', &number, &format);
    if (number.len > 0 && !span_number(number, CONTROL_LATEST_MAX, &last))
        return error_set(why, ERROR_REJECTED, "", "a number up to %d, please", CONTROL_LATEST_MAX);
    const bool is_json = span_equal(format, SPAN_LITERAL("json"));
    if (!store_list_latest(answer->control->common.store, (size_t)last, answer->arena, &ids, &count,
                           why))
        return false;
    if (is_json)
        answer_say(answer, "[");
    else if (count > 0)
        answer_say(answer, "%-28s  %-30s  %-24s  %-11s  %-7s  %s\n", "DELIVERY", "RECIPIENT",
                   "RULE", "WAY", "TLS", "WHAT HAPPENED");
    else
        answer_say(answer, "No message came yet.\n");
    /* Oldest first, so that the newest stands where the eye is. */
    for (size_t i = count; i > 0 && !answer->is_broken; i--)
        if (!say_message(answer, ids[i - 1], is_json, &is_first, why))
            return false;
    if (is_json)
        answer_say(answer, "]\n");
    return true;
}
