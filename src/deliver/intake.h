/* Jobs from what was handed over fresh and from what was claimed of the store. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "job.h"
#include "room.h"
#include "store/handover.h"
#include "store/store.h"

#include <stddef.h>

/* Takes the letter over, into whose secret arena the message was taken. */
void intake_fresh(struct letter *letter, const struct fresh_message *fresh);
/* Deliveries of one message. Those whose row and journal disagree are held. */
void intake_claimed(struct deliver *deliver, const struct store_claimed *claimed, size_t count);
