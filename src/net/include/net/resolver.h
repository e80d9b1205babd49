/* DNS by a validating resolver in the process. A look-up has three answers, never two. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/arena.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "base/error.h"
#include "base/network.h"
#include "base/span.h"
#include "net/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum answer {
    ANSWER_YES,     /* results were written */
    ANSWER_NO,      /* proven: the name does not exist, or has no such record */
    ANSWER_UNKNOWN, /* timeout, SERVFAIL, REFUSED, bogus …: nothing may be concluded; see *why */
};

/* Thread-safe. */
struct resolver;
struct resolver_terms {
    struct span forward_address; /* of a name server to ask; empty: resolve from the roots */
    uint16_t forward_port;       /* 53 */
    struct span trust_anchors; /* zone-file lines (DS or DNSKEY); empty: none, nothing is secure */
    unsigned timeout_ms;       /* for one question, all tries together; 0: 10,000 */
    /* Called once, in a thread of the resolver, when it has lost the library's ear: from then on
     * each look-up is ANSWER_UNKNOWN at once, and only a new resolver helps. May be NULL. */
    void (*on_broken)(void *self);
    void *self;
};
MUST_USE bool resolver_new(const struct resolver_terms *terms, struct resolver **out,
                           struct error *why);
void resolver_free(struct resolver *resolver);
SCOPED_FREE(resolver)
/* Loads what the library needs from files (hosts, resolv.conf is never read) and starts its
 * threads; to be called once before a sandbox closes. */
void resolver_warm_up(struct resolver *resolver);

struct mx_host {
    struct span name; /* lower case, without the final dot */
    uint16_t preference;
};
struct mx_hosts {
    struct mx_host *hosts; /* by preference, equals shuffled */
    size_t count;
    bool is_null;     /* RFC 7505: the domain takes no mail. count is 0 then */
    bool is_implicit; /* proven "no MX": the one host is the domain itself (RFC 5321 section 5.1) */
    bool is_secure;   /* DNSSEC validated */
};
/* ANSWER_NO: the domain does not exist (NXDOMAIN): 5.1.2. An alias loop is ANSWER_UNKNOWN. A null
 * MX beside others is ignored. */
enum answer resolver_mx(struct resolver *resolver, struct span domain,
                        const struct entropy *entropy, struct arena *arena, struct mx_hosts *out,
                        struct error *why);

struct host_address {
    struct sockaddr_storage address; /* the port is 0 */
    socklen_t len;
    char text[46];
};
struct host_addresses {
    struct host_address *addresses; /* IPv6 first, then IPv4 */
    size_t count;
    bool is_secure;
    bool is_partial; /* one family could not be asked (SERVFAIL …); what is here may be used */
};
/* An IP address in text is its own answer. ANSWER_NO only when both families are proven absent. */
enum answer resolver_addresses(struct resolver *resolver, struct span host, struct arena *arena,
                               struct host_addresses *out, struct error *why);

/* Private, loopback, link-local, unspecified, multicast, documentation of no use on the Internet:
 * no destination for mail from the outside world. */
bool address_is_public(const struct sockaddr *address);

bool network_holds(const struct network *network, const struct sockaddr *address);
