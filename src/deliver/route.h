/* From a rung and the policy in force to the hosts that may be asked, in order, and what each must
 * prove there. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/arena.h"
#include "base/entropy.h"
#include "net/resolver.h"
#include "policy/policy.h"
#include "session.h"
#include "verdict.h"

#include <stdbool.h>
#include <stddef.h>

/* What a rung asks of a way, for one policy domain (the recipients' domain) or one route. */
struct demand {
    enum way way;
    const struct span *names; /* pins; may be none */
    size_t name_count;
    struct span domain; /* where `route` is NULL */
    const struct route *route;
    bool is_plain_permitted; /* inwards: a permit covers all who go along */
    struct span key;         /* all of the above in one text: sessions are reused by it */
};
/* Fills in .key; false: the arena is full. */
MUST_USE bool demand_print_key(struct demand *demand, struct arena *arena);

struct route_terms {
    const struct policy *policy; /* the one in force */
    struct resolver *resolver;
    const struct entropy *entropy;
};
struct way_out {
    const struct route_terms *terms;
    const struct demand *demand;
    struct arena *arena;
    struct mx_hosts hosts;
    size_t next_host;
    struct span host; /* whose addresses follow */
    struct host_addresses addresses;
    size_t next_address;
    bool is_unix_done;
};
/* Finds the hosts. False: the rung ends with *end before any host was asked. */
MUST_USE bool way_out_begin(struct way_out *out, const struct route_terms *terms,
                            const struct demand *demand, struct arena *arena, struct verdict *end);
enum way_out_next {
    WAY_OUT_TARGET, /* *target is the next to try */
    WAY_OUT_NOTE,   /* a host or address that is not to be tried: *note says why */
    WAY_OUT_OVER,
};
/* Addresses are looked up as their host's turn comes. Where we are found among the hosts, those
 * that are no better than ourselves are not asked (RFC 5321 section 5.1). */
enum way_out_next way_out_next(struct way_out *out, struct target *target, struct verdict *note);
