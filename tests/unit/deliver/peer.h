/* How the house runs its peers. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "deliver_house.h"
#include "net/stream.h"
#include "net/tls.h"

struct running {
    struct peer plan;
    int listening;
    pthread_t thread;
    pthread_mutex_t lock;
    struct buffer log, message;
    int used[MANNERS_MAX];
    atomic_int talks;
    struct tls_server *tls;
};
/* *port is 0 at first: the first peer chooses it for all. */
void peers_start(const struct peer *plans, size_t count, uint16_t *port, struct tls_server *good,
                 struct tls_server *strange);
void peers_stop(void);
