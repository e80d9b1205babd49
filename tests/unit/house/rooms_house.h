/* What both halves of a gateway need in tests: a directory, a policy, and a keeper in a thread. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "cmocka_house.h"

#include "keys/keeper.h"
#include "policy/slot.h"

#include <pthread.h>

enum { DIRECTORY_SIZE = 64 };
/* A new one in /tmp, with this in its name. */
void directory_make(const char *name, char directory[static DIRECTORY_SIZE]);
/* With all that is in it. */
void directory_remove(const char *directory);

/* The policy must load; each file that it names says "a file". Complaints are printed. */
struct policy_slot *slot_of(struct span policy_text);

struct keeper_house {
    struct keeper *clients[KEEPER_PEER_COUNT]; /* one for each sibling */
    struct keeper_terms terms;
    int stop[2];
    pthread_t thread;
};
/* With a new file in the directory. */
void keeper_house_open(struct keeper_house *house, const char *directory);
void keeper_house_close(struct keeper_house *house);
