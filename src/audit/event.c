/* The catalogue of events as two tables, and the canonical bytes in which an event is kept. */
/* SPDX-License-Identifier: ISC */
#include "audit/event.h"

#include "base/wire.h"

#include <assert.h>

/* The first byte of a detail. A field is its number (u16), its form (u8), and a u64 or a span. */
enum { DETAIL_VERSION = 1, FORM_NUMBER = 0, FORM_TEXT = 1 };

static const struct {
    const char *name, *meaning;
} kinds[] = {
    [EVENT_GATEWAY_STARTED] = {"gateway started", "The gateway came up."},
    [EVENT_POLICY_IN_FORCE] = {"policy in force",
                               "From here on this policy decides, by a start or a reload."},
    [EVENT_POLICY_REFUSED] = {"policy refused",
                              "A reload's file had errors; the policy before it stays in force."},
    [EVENT_EPOCH_BEGUN] = {"epoch begun",
                           "The journal is not the one that the keeper last signed: rows are "
                           "missing or are other ones. What is signed from here on is a new "
                           "epoch."},
    [EVENT_KEYS_EXPIRED] = {"keys expired",
                            "Keys whose day had passed were destroyed; what they sealed is "
                            "deleted thereby."},
    [EVENT_CLOCK_SET] = {"clock set", "The machine's clock was set; what waits does not wait any "
                                      "longer for it."},
    [EVENT_MESSAGE_ACCEPTED] = {"message accepted",
                                "The message was taken; this was on disk before the client "
                                "heard so."},
    [EVENT_MESSAGE_REFUSED] = {"message refused",
                               "A message was refused in the dialogue; it has no name."},
    [EVENT_CLIENT_LEFT] = {"client left",
                           "The client was gone before the end of a message: nothing was taken."},
    [EVENT_DELIVERY_DECIDED] = {"delivery decided",
                                "The policy gave this recipient a ladder, held or refused."},
    [EVENT_DELIVERY_DELIVERED] = {"delivery delivered", "The other side took the message."},
    [EVENT_DELIVERY_DEFERRED] = {"delivery deferred",
                                 "An attempt failed for now; the delivery stays on its rung."},
    [EVENT_DELIVERY_CLIMBED] = {"delivery climbed",
                                "A rung ended without success; the next one is tried."},
    [EVENT_DELIVERY_HELD] = {"delivery held",
                             "Held by its ladder, or for a fault of the gateway's own."},
    [EVENT_DELIVERY_RETURNED] = {"delivery returned",
                                 "Failed for good; the sender is told, or the reason says why "
                                 "not."},
    [EVENT_DELIVERY_DELETED] = {"delivery deleted", "An administrator deleted it."},
    [EVENT_DELIVERY_DROPPED] = {"delivery dropped",
                                "A report of ours could not go and was given up."},
    [EVENT_DELIVERY_RELEASED] = {"delivery released",
                                 "An administrator released it: the named rule is passed over, "
                                 "or the policy decided anew."},
    [EVENT_DELIVERY_RETRIED] = {"delivery retried", "An administrator asked for an attempt now."},
    [EVENT_DELIVERY_HELD_BY_HAND] = {"delivery held by hand", "An administrator held it."},
    [EVENT_TEXT_OPENED] = {"text opened", "An administrator looked at sealed texts."},
};
enum { KIND_COUNT = sizeof kinds / sizeof kinds[0] };

enum field_type { NUMBER, TEXT, BYTES, SEALED };
static const char *const type_names[] = {
    [NUMBER] = "number", [TEXT] = "text", [BYTES] = "bytes", [SEALED] = "sealed text"};

static const struct {
    const char *name;
    enum field_type type;
    const char *meaning;
} field_table[] = {
    [FIELD_STATE] = {"state", NUMBER,
                     "the delivery's state after the event: 0 waiting, 1 held, 2 delivered, "
                     "3 returned, 4 deleted, 5 dropped"},
    [FIELD_RUNG] = {"rung", NUMBER, "the rung after the event, from 0"},
    [FIELD_RULE] = {"rule", TEXT, "the rule's name"},
    [FIELD_LADDER] = {"ladder", TEXT, "the ladder, as the policy language writes it"},
    [FIELD_POLICY_DIGEST] = {"policy digest", BYTES, "SHA-256 of the policy with its lists"},
    [FIELD_WAY] = {"way", TEXT, "the rung that was tried"},
    [FIELD_HOST] = {"host", TEXT, "the MX host or the route"},
    [FIELD_ADDRESS] = {"address", TEXT, "the IP address of the other side"},
    [FIELD_TLS_VERSION] = {"tls version", TEXT, "of the session"},
    [FIELD_TLS_CIPHER] = {"tls cipher", TEXT, "of the session"},
    [FIELD_CERTIFICATE] = {"certificate", BYTES, "SHA-256 of the other side's certificate"},
    [FIELD_MECHANISM] = {"mechanism", TEXT, "what proved who the other side is: none, pkix or pin"},
    [FIELD_LEVEL] = {"level", TEXT,
                     "what the connection reached: encrypt, verify, secure, "
                     "cleartext or local"},
    [FIELD_OUTCOME] = {"outcome", TEXT, "how the attempt ended"},
    [FIELD_STATUS] = {"status", TEXT, "an RFC 3463 code"},
    [FIELD_REASON] = {"reason", TEXT, "why, in words that hold nothing personal"},
    [FIELD_PEER_REPLY] = {"peer reply", SEALED, "what the other side said"},
    [FIELD_NEXT_ATTEMPT] = {"next attempt", NUMBER, "when, in ms since 1970"},
    [FIELD_POSSIBLE_DUPLICATE] = {"possible duplicate", NUMBER,
                                  "1: the line broke after the final dot, so that the other side "
                                  "may have the message"},
    [FIELD_REPORT] = {"report", TEXT, "the message that tells the sender"},
    [FIELD_LISTENER] = {"listener", TEXT, "smtp, submission, submissions or relay"},
    [FIELD_THROUGH] = {"through", TEXT, "who handed it in, as far as that was proven"},
    [FIELD_SIZE] = {"size", NUMBER, "bytes"},
    [FIELD_RECIPIENTS] = {"recipients", NUMBER, "how many"},
    [FIELD_UID] = {"uid", NUMBER, "the user of this machine who did it"},
    [FIELD_COUNT_OF] = {"count", NUMBER, "how many things the event speaks of"},
    [FIELD_ATTEMPT] = {"attempt", NUMBER, "which one, from 1"},
    [FIELD_EPOCH] = {"epoch", NUMBER, "of the journal"},
    [FIELD_ROOT] = {"root", BYTES, "of the journal's tree"},
    [FIELD_CLIENT_FAULT] = {"client fault", TEXT, "what a client did wrong and was tolerated"},
};
enum { FIELD_COUNT = sizeof field_table / sizeof field_table[0] };

static bool is_known_field(enum event_field_id id)
{
    return (unsigned)id < FIELD_COUNT && field_table[id].name;
}

bool event_field_is_number(enum event_field_id id)
{
    return is_known_field(id) && field_table[id].type == NUMBER;
}

const char *event_field_name(enum event_field_id id)
{
    return is_known_field(id) ? field_table[id].name : NULL;
}

const char *event_kind_name(uint16_t kind)
{
    return kind < KIND_COUNT ? kinds[kind].name : NULL;
}

const char *event_kind_meaning(uint16_t kind)
{
    return kind < KIND_COUNT ? kinds[kind].meaning : NULL;
}

static void put_field(struct buffer *out, const struct event_field *field)
{
    wire_put_u16(out, (uint16_t)field->id);
    if (event_field_is_number(field->id)) {
        wire_put_u8(out, FORM_NUMBER);
        wire_put_u64(out, field->number);
    } else {
        wire_put_u8(out, FORM_TEXT);
        wire_put_span(out, field->text);
    }
}

bool event_leaf(enum event_kind kind, struct id message, uint32_t delivery,
                struct span organisation, int64_t at_ms, const struct event_field *fields,
                size_t count, struct arena *arena, struct store_leaf *leaf)
{
    scoped_buffer detail;
    struct span kept;

    assert(event_kind_name((uint16_t)kind));
    buffer_init(&detail, STORE_LEAF_DETAIL_MAX);
    wire_put_u8(&detail, DETAIL_VERSION);
    for (size_t i = 0; i < count; i++) {
        assert(is_known_field(fields[i].id));
        if (event_field_is_number(fields[i].id) || fields[i].text.data)
            put_field(&detail, &fields[i]);
    }
    if (detail.failed)
        return false;
    kept = arena_copy(arena, buffer_span(&detail));
    if (!kept.data)
        return false;
    *leaf = (struct store_leaf){.kind = (uint16_t)kind,
                                .message = message,
                                .delivery = delivery,
                                .organisation = organisation,
                                .at_ms = at_ms,
                                .detail = kept};
    return true;
}

/* One field off the front. False: the reader has failed, or the form is unknown or not the field's.
 */
static bool get_field(struct wire_reader *in, struct event_field *field)
{
    uint16_t id = wire_get_u16(in);
    uint8_t form = wire_get_u8(in);

    *field = (struct event_field){.id = (enum event_field_id)id};
    if (form == FORM_NUMBER)
        field->number = wire_get_u64(in);
    else if (form == FORM_TEXT)
        field->text = wire_get_span(in, STORE_LEAF_DETAIL_MAX);
    else
        return false;
    if (is_known_field(field->id) && event_field_is_number(field->id) != (form == FORM_NUMBER))
        return false;
    return !in->failed;
}

bool event_parse(struct span detail, struct arena *arena, struct event_field **fields,
                 size_t *count, struct error *why)
{
    struct wire_reader in = {.rest = detail};
    struct wire_reader again;
    struct event_field *list, ignored;
    size_t found = 0;

    if (wire_get_u8(&in) != DETAIL_VERSION)
        return error_set(why, ERROR_INTERNAL, "4.3.0",
                         "an event is of a version that is not known");
    again = in;
    for (; in.rest.len > 0; found++)
        if (!get_field(&in, &ignored))
            return error_set(why, ERROR_INTERNAL, "4.3.0", "an event's detail makes no sense");
    list = arena_take_array(arena, found + 1, sizeof *list);
    if (!list)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "an event does not fit in memory");
    for (size_t i = 0; i < found; i++)
        if (!get_field(&again, &list[i]))
            return error_set(why, ERROR_INTERNAL, "4.3.0", "an event's detail makes no sense");
    *fields = list;
    *count = found;
    return true;
}

const struct event_field *event_field_find(const struct event_field *fields, size_t count,
                                           enum event_field_id id)
{
    for (size_t i = 0; i < count; i++)
        if (fields[i].id == id)
            return &fields[i];
    return NULL;
}

void event_catalogue_print(struct buffer *out)
{
    buffer_append(out, SPAN_LITERAL("| number | event | meaning |\n|---|---|---|\n"));
    for (unsigned i = 0; i < KIND_COUNT; i++)
        if (kinds[i].name)
            buffer_append_format(out, "| %u | %s | %s |\n", i, kinds[i].name, kinds[i].meaning);
    buffer_append(out, SPAN_LITERAL("\n| number | field | type | meaning |\n|---|---|---|---|\n"));
    for (unsigned i = 0; i < FIELD_COUNT; i++)
        if (field_table[i].name)
            buffer_append_format(out, "| %u | %s | %s | %s |\n", i, field_table[i].name,
                                 type_names[field_table[i].type], field_table[i].meaning);
}

bool event_agrees(const struct store_claimed *claimed)
{
    scoped(arena) arena = arena_new("an event's fields", STORE_LEAF_DETAIL_MAX * 8);
    const struct store_leaf *leaf = &claimed->last_leaf;
    const struct event_field *state, *rung;
    struct event_field *fields;
    struct error ignored;
    size_t count;

    if (!arena || !claimed->is_leaf_whole || !id_equal(leaf->message, claimed->message.id) ||
        leaf->delivery != claimed->delivery.number ||
        !event_parse(leaf->detail, arena, &fields, &count, &ignored))
        return false;
    state = event_field_find(fields, count, FIELD_STATE);
    rung = event_field_find(fields, count, FIELD_RUNG);
    return state && rung && state->number == (uint64_t)claimed->delivery.state &&
           rung->number == claimed->delivery.rung;
}
