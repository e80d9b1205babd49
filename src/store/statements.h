/* Every SQL statement of the store, by name. SQL lives in schema.c and statements.c, nowhere else.
 */
/* SPDX-License-Identifier: ISC */
#pragma once

#include <stdbool.h>

enum sql {
    SQL_BEGIN_READ,
    SQL_BEGIN_WRITE,
    SQL_COMMIT,
    SQL_ROLLBACK,

    SQL_FIND_ORGANISATION,
    SQL_ADD_ORGANISATION,
    SQL_COUNT_ORGANISATION,
    SQL_SUM_COUNTS,

    SQL_FIND_DESTINATION,
    SQL_ADD_DESTINATION,
    SQL_COUNT_DESTINATION,
    SQL_PUT_DESTINATION_OFF,
    SQL_DESTINATION_FAILURES,
    SQL_LIST_DESTINATIONS,

    SQL_ADD_MESSAGE,
    SQL_FIND_MESSAGE,
    SQL_REWRAP_MESSAGE,
    SQL_ERASE_MESSAGE,
    SQL_ADD_CHUNK,
    SQL_READ_FIRST_CHUNK,
    SQL_READ_CHUNK,
    SQL_ERASE_CHUNKS,

    SQL_ADD_DELIVERY,
    SQL_FIND_DELIVERIES,
    SQL_PLACE_OF_DELIVERY,
    SQL_MOVE_DELIVERY,
    SQL_BIND_DELIVERY,
    SQL_BEGIN_DELIVERY_AGAIN,
    SQL_IS_MESSAGE_OPEN,
    SQL_LIST_QUEUE,
    SQL_LIST_QUEUE_OF_DESTINATION,
    SQL_LIST_LATEST,

    SQL_DUE_DESTINATIONS,
    SQL_DUE_DELIVERIES,
    SQL_IMPATIENT_DELIVERIES,
    SQL_LEASE_DELIVERY,
    SQL_EXPIRE_LEASES,
    SQL_LEASED_DELIVERIES,
    SQL_RENEW_LEASE,
    SQL_END_LEASES,
    SQL_FIRST_LEASE_END,
    SQL_FIRST_PATIENCE,
    SQL_NEXT_DESTINATIONS,

    SQL_READ_TREE,
    SQL_WRITE_TREE,
    SQL_ADD_EVENT,
    SQL_LAST_EVENT,
    SQL_EVENTS_OF_MESSAGE,
    SQL_EVENTS_FROM,
    SQL_ADD_CHECKPOINT,
    SQL_CHECKPOINTS_FROM,
    SQL_ADD_POLICY,
    SQL_FIND_POLICY,

    SQL_STATEMENT_COUNT
};

/* The states of a delivery that is not at an end come first; 0 is waiting, 1 is held (store.h). */
extern const struct sql_statement {
    const char *text;
    bool may_scan; /* walks a whole table or index, on purpose: it stays small, or the first will do
                    */
} sql_statements[SQL_STATEMENT_COUNT];
