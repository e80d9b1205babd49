/* What is known of the hosts out there: how many sessions each has with us, and which did not even
 * answer a moment ago. Bounded: what is idle is forgotten first. Thread-safe. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/scoped.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

struct hosts;
struct hosts *hosts_new(void); /* NULL: memory is out */
void hosts_free(struct hosts *hosts);
SCOPED_FREE(hosts)

enum hosts_entry {
    HOSTS_WELCOME, /* counted: hosts_leave() follows */
    HOSTS_DEAD,    /* passed over until a time not yet come */
    HOSTS_BUSY,    /* has `max` sessions with us */
};
/* A host is its name and address together. `now_ns` is monotonic. */
enum hosts_entry hosts_enter(struct hosts *hosts, struct span host, const char *address,
                             unsigned max, int64_t now_ns);
/* The session stands: it has been greeted. */
void hosts_mark_open(struct hosts *hosts, struct span host, const char *address);
void hosts_leave(struct hosts *hosts, struct span host, const char *address, bool was_open);
/* False: it is not dead, for other sessions of ours stand there; it has but enough of us. */
bool hosts_mark_dead(struct hosts *hosts, struct span host, const char *address, int64_t until_ns);
