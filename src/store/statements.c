/* The table of statements: what the store asks of SQLite. */
/* SPDX-License-Identifier: ISC */
#include "statements.h"

#include "store/store.h"

#include <stdint.h>

/* They stand as numbers in the statements and in the partial indexes (schema.c). */
_Static_assert(DELIVERY_WAITING == 0 && DELIVERY_HELD == 1, "the open states as SQL knows them");

/* The columns as rows.c reads them. An outer join, so that a row that somebody has robbed of its
 * organisation or message is seen, and held, rather than overlooked. */
#define MESSAGE_COLUMNS                                                                            \
    "m.id, o.name, m.accepted_at, m.size, m.has_8bit, m.is_sender_known, m.is_inward, "            \
    "m.is_report, m.wrapped_content, m.wrapped_record, m.content_day, m.record_day, m.sender, "    \
    "m.facts"
#define DELIVERY_COLUMNS                                                                           \
    "d.message, d.number, d.state, t.name, d.recipient, d.ladder, d.rule, "                        \
    "d.is_rule_of_gateway, d.policy_digest, d.tag, d.rung, d.attempts, d.rung_since, d.due_at, "   \
    "d.ends_at, d.lease, d.last_reason, d.begun_at"
#define WITH_ORGANISATION_OF(row) " LEFT JOIN organisation o ON o.id = " row ".organisation"
#define WITH_DESTINATION " LEFT JOIN destination t ON t.id = d.destination"
#define EVENT_COLUMNS                                                                              \
    "e.sequence, e.kind, e.at, e.message, e.delivery, o.name, e.detail, e.salt, e.hash"
/* Of a delivery that is due: could we have written it? A number cut to 32 bits would pass for
 * another delivery's, and what came of it would be recorded there: the row would stay due. */
#define IS_OURS " AND d.number BETWEEN 1 AND 4294967295 AND length(d.message) = 16 "
#define QUEUE_ROWS "SELECT " MESSAGE_COLUMNS ", " DELIVERY_COLUMNS " FROM delivery d"
#define WITH_MESSAGE " LEFT JOIN message m ON m.id = d.message" WITH_ORGANISATION_OF("m")

const struct sql_statement sql_statements[SQL_STATEMENT_COUNT] = {
    [SQL_BEGIN_READ] = {"BEGIN"},
    [SQL_BEGIN_WRITE] = {"BEGIN IMMEDIATE"},
    [SQL_COMMIT] = {"COMMIT"},
    [SQL_ROLLBACK] = {"ROLLBACK"},

    [SQL_FIND_ORGANISATION] = {"SELECT id FROM organisation WHERE name = ?1"},
    [SQL_ADD_ORGANISATION] = {"INSERT INTO organisation(name) VALUES(?1)"},
    [SQL_COUNT_ORGANISATION] =
        {"UPDATE organisation SET waiting = waiting + ?2, held = held + ?3, "
         "delivered = delivered + ?4, returned = returned + ?5, deleted = deleted + ?6, "
         "dropped = dropped + ?7, messages = messages + ?8 WHERE id = ?1"},
    [SQL_SUM_COUNTS] = {"SELECT total(waiting), total(held), total(delivered), total(returned), "
                        "total(deleted), total(dropped), total(messages) FROM organisation",
                        .may_scan = true},

    [SQL_FIND_DESTINATION] = {"SELECT id FROM destination WHERE name = ?1"},
    [SQL_ADD_DESTINATION] = {"INSERT INTO destination(name) VALUES(?1)"},
    /* The scalar max() is NULL where nothing waits: the row then leaves the index of what is due.
     */
    [SQL_COUNT_DESTINATION] =
        {"UPDATE destination SET waiting = waiting + ?2, held = held + ?3, "
         "next_due = max(put_off_until, (SELECT min(d.due_at) FROM delivery d "
         "WHERE d.destination = ?1 AND d.state = 0 AND d.lease = 0" IS_OURS ")) WHERE id = ?1"},
    [SQL_PUT_DESTINATION_OFF] =
        {"UPDATE destination SET put_off_until = ?2, failures = ?3 WHERE id = ?1"},
    [SQL_DESTINATION_FAILURES] = {"SELECT failures FROM destination WHERE name = ?1"},
    [SQL_LIST_DESTINATIONS] =
        {"SELECT name, waiting, held, next_due, failures FROM destination INDEXED BY "
         "destination_due WHERE waiting + held > 0 ORDER BY waiting + held DESC LIMIT ?1",
         .may_scan = true}, /* the index holds those with open deliveries, and no other */

    [SQL_ADD_MESSAGE] =
        {"INSERT INTO message(id, organisation, accepted_at, size, has_8bit, is_sender_known, "
         "is_inward, is_report, wrapped_content, wrapped_record, content_day, record_day, sender, "
         "facts, chunks, first_chunk) "
         "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"},
    [SQL_FIND_MESSAGE] = {"SELECT " MESSAGE_COLUMNS
                          " FROM message m" WITH_ORGANISATION_OF("m") " WHERE m.id = ?1"},
    [SQL_REWRAP_MESSAGE] = {"UPDATE message SET wrapped_content = ?2, content_day = ?3 "
                            "WHERE id = ?1 AND content_day < ?3"}, /* its deliveries' latest */
    [SQL_ERASE_MESSAGE] = {"UPDATE message SET wrapped_content = NULL, chunks = 0, "
                           "first_chunk = NULL WHERE id = ?1"},
    [SQL_ADD_CHUNK] = {"INSERT INTO body(message, number, organisation, bytes) "
                       "VALUES(?1, ?2, ?3, ?4)"},
    [SQL_READ_FIRST_CHUNK] = {"SELECT chunks, first_chunk FROM message WHERE id = ?1"},
    [SQL_READ_CHUNK] = {"SELECT m.chunks, b.bytes FROM message m CROSS JOIN body b "
                        "ON b.message = m.id AND b.number = ?2 WHERE m.id = ?1"},
    [SQL_ERASE_CHUNKS] = {"DELETE FROM body WHERE message = ?1"},

    [SQL_ADD_DELIVERY] =
        {"INSERT INTO delivery(message, number, organisation, destination, state, recipient, "
         "ladder, rule, is_rule_of_gateway, policy_digest, tag, rung, attempts, rung_since, "
         "due_at, ends_at, lease, last_reason) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, "
         "?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)"},
    [SQL_FIND_DELIVERIES] = {"SELECT " DELIVERY_COLUMNS " FROM delivery d" WITH_DESTINATION
                             " WHERE d.message = ?1 ORDER BY d.number"},
    [SQL_PLACE_OF_DELIVERY] = {"SELECT destination, organisation FROM delivery "
                               "WHERE message = ?1 AND number = ?2"},
    [SQL_MOVE_DELIVERY] =
        {"UPDATE delivery SET state = ?5, rung = ?6, attempts = ?7, rung_since = ?8, "
         "due_at = ?9, ends_at = ?10, lease = 0, last_reason = ?11 "
         "WHERE message = ?1 AND number = ?2 AND lease = ?3 AND state = ?4 "
         "AND (?12 = 0 OR rung_since = ?12)"},
    [SQL_BIND_DELIVERY] =
        {"UPDATE delivery SET ladder = ?3, rule = ?4, is_rule_of_gateway = ?5, tag = ?6, "
         "policy_digest = ?7 WHERE message = ?1 AND number = ?2"},
    [SQL_BEGIN_DELIVERY_AGAIN] = {"UPDATE delivery SET begun_at = ?3 "
                                  "WHERE message = ?1 AND number = ?2"},
    [SQL_IS_MESSAGE_OPEN] = {"SELECT 1 FROM delivery INDEXED BY delivery_open "
                             "WHERE message = ?1 AND state < 2 LIMIT 1"},
    [SQL_LIST_QUEUE] = {QUEUE_ROWS " INDEXED BY delivery_open" WITH_MESSAGE WITH_DESTINATION
                                   " WHERE d.state < 2 AND (d.message, d.number) > (?1, ?2) "
                                   "ORDER BY d.message, d.number LIMIT ?3"},
    [SQL_LIST_QUEUE_OF_DESTINATION] =
        {QUEUE_ROWS " INDEXED BY delivery_open" WITH_MESSAGE WITH_DESTINATION
                    " WHERE d.destination = ?4 AND d.state < 2 AND "
                    "(d.message, d.number) > (?1, ?2) ORDER BY d.message, d.number LIMIT ?3"},
    [SQL_LIST_LATEST] = {"SELECT id FROM message WHERE id < ?1 ORDER BY id DESC LIMIT ?2"},

    [SQL_DUE_DESTINATIONS] = {"SELECT id, name FROM destination INDEXED BY destination_due "
                              "WHERE waiting + held > 0 AND next_due <= ?1 ORDER BY next_due"},
    [SQL_DUE_DELIVERIES] =
        {"SELECT " DELIVERY_COLUMNS " FROM delivery d INDEXED BY delivery_due" WITH_DESTINATION
         " WHERE d.destination = ?1 AND d.state = 0 AND d.lease = 0 AND d.due_at <= ?2" IS_OURS
         "ORDER BY d.due_at LIMIT ?3"},
    [SQL_IMPATIENT_DELIVERIES] = {"SELECT " DELIVERY_COLUMNS
                                  " FROM delivery d INDEXED BY delivery_patience" WITH_DESTINATION
                                  " WHERE d.state < 2 AND d.lease = 0 AND d.ends_at <= ?1" IS_OURS
                                  "ORDER BY d.ends_at LIMIT ?2"},
    [SQL_LEASE_DELIVERY] = {"UPDATE delivery SET lease = ?3, due_at = ?4 "
                            "WHERE message = ?1 AND number = ?2 RETURNING destination"},
    [SQL_EXPIRE_LEASES] = {"UPDATE delivery INDEXED BY delivery_leased SET lease = 0 "
                           "WHERE lease <> 0 AND due_at <= ?1 AND lease <> ?2 "
                           "RETURNING destination"},
    /* The next three walk an index that holds what is leased, and nothing else, or take its first.
     */
    [SQL_LEASED_DELIVERIES] = {"SELECT message, number FROM delivery INDEXED BY delivery_leased "
                               "WHERE lease = ?1 AND lease <> 0 AND due_at < ?2"},
    [SQL_RENEW_LEASE] = {"UPDATE delivery SET due_at = ?3 WHERE message = ?1 AND number = ?2"},
    [SQL_END_LEASES] = {"UPDATE delivery INDEXED BY delivery_leased SET lease = 0, due_at = ?2 "
                        "WHERE lease <> 0 AND lease <> ?1 RETURNING destination",
                        .may_scan = true},
    [SQL_FIRST_LEASE_END] = {"SELECT due_at FROM delivery INDEXED BY delivery_leased "
                             "WHERE lease <> 0 ORDER BY due_at LIMIT 1",
                             .may_scan = true},
    [SQL_FIRST_PATIENCE] = {"SELECT d.ends_at FROM delivery d INDEXED BY delivery_patience "
                            "WHERE d.state < 2 AND d.lease = 0" IS_OURS
                            "ORDER BY d.ends_at LIMIT 1",
                            .may_scan = true},
    [SQL_NEXT_DESTINATIONS] = {"SELECT name, next_due FROM destination INDEXED BY destination_due "
                               "WHERE waiting + held > 0 AND next_due IS NOT NULL "
                               "ORDER BY next_due"}, /* in order, until one is not skipped */

    [SQL_READ_TREE] = {"SELECT epoch, size, peaks FROM tree WHERE id = 1"},
    [SQL_WRITE_TREE] = {"UPDATE tree SET epoch = ?1, size = ?2, peaks = ?3 WHERE id = 1"},
    [SQL_ADD_EVENT] =
        {"INSERT INTO event(sequence, kind, at, message, delivery, organisation, detail, salt, "
         "hash) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"},
    [SQL_LAST_EVENT] = {"SELECT " EVENT_COLUMNS
                        " FROM event e INDEXED BY event_of_message" WITH_ORGANISATION_OF(
                            "e") " WHERE e.message = ?1 AND e.delivery = ?2 "
                                 "ORDER BY e.sequence DESC LIMIT 1"},
    [SQL_EVENTS_OF_MESSAGE] = {"SELECT " EVENT_COLUMNS
                               " FROM event e INDEXED BY event_of_message" WITH_ORGANISATION_OF(
                                   "e") " WHERE e.message = ?1 ORDER BY e.sequence"},
    [SQL_EVENTS_FROM] = {"SELECT " EVENT_COLUMNS " FROM event e" WITH_ORGANISATION_OF(
        "e") " WHERE e.sequence >= ?1 ORDER BY e.sequence LIMIT ?2"},
    [SQL_ADD_CHECKPOINT] = {"INSERT INTO checkpoint(epoch, size, bytes) VALUES(?1, ?2, ?3) "
                            "ON CONFLICT(epoch, size) DO UPDATE SET bytes = excluded.bytes"},
    [SQL_CHECKPOINTS_FROM] = {"SELECT epoch, size, bytes FROM checkpoint "
                              "WHERE (epoch, size) > (?1, ?2) ORDER BY epoch, size LIMIT ?3"},
    [SQL_ADD_POLICY] = {"INSERT INTO policy(digest, text) VALUES(?1, ?2) "
                        "ON CONFLICT(digest) DO NOTHING"},
    [SQL_FIND_POLICY] = {"SELECT text FROM policy WHERE digest = ?1"},
};
