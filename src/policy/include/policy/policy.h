/* The policy: one file that says what may leave the gateway, and how. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/scoped.h"
#include "base/span.h"
#include "message/address.h"
#include "policy/ladder.h"
#include "policy/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { POLICY_DIGEST_BYTES = 32 };

/* Where the files that a policy names come from: the disk for tools and the supervisor, a bundle
 * for the roles. `path` is as written in the policy, relative to the policy file's folder. */
struct policy_reader {
    bool (*read)(void *self, struct span path, size_t limit, struct arena *arena, struct span *text,
                 struct error *why);
    void *self;
};
/* Reads below the folder of `policy_path` (absolute paths as they are). The path must outlive it.
 */
struct policy_reader policy_reader_of_disk(const char *policy_path);

/* Immutable once loaded, so that threads share it; reference counted. */
struct policy;

enum policy_severity { POLICY_ERROR, POLICY_WARNING };
struct policy_complaint {
    enum policy_severity severity;
    unsigned line, column; /* from 1; a column is a character */
    /* What is wrong, what was expected, and a hint. Names of lists and ladders may stand in it, but
     * no string of the policy: it is safe for logs. The source line is not. */
    struct span text;
    struct span source_line; /* for printing it with a caret; empty where none is to be shown */
};
struct policy_complaints {
    struct policy_complaint *list;
    size_t count;
    size_t error_count;
};

/* Parses, resolves names, loads lists, checks. NULL when there was an error; complaints (errors and
 * warnings) live in `arena`. `file` is its path for messages, `now_ms` decides which permits are
 * past their date (a warning). */
struct policy *policy_load(struct span file, struct span text, const struct policy_reader *reader,
                           int64_t now_ms, struct arena *arena,
                           struct policy_complaints *complaints);
struct policy *policy_ref(const struct policy *policy);
void policy_free(struct policy *policy); /* drops one reference */
SCOPED_FREE(policy)
/* `file:line:column: error: …`, the source line, a caret. */
void policy_complaints_print(const struct policy_complaints *complaints, struct span file,
                             struct buffer *out);
/* SHA-256 over the canonical text and the digests of the lists. */
const uint8_t *policy_digest(const struct policy *policy);
/* The file as it was understood, defaults filled in; parses back to the same policy. */
void policy_print(const struct policy *policy, struct buffer *out);

/* ---- settings ---- */

enum listener_kind { LISTENER_SMTP, LISTENER_SUBMISSION, LISTENER_SUBMISSIONS, LISTENER_RELAY };
enum trust_kind { TRUST_NOBODY, TRUST_CERTIFICATE, TRUST_NETWORK };
struct listener {
    enum listener_kind kind;
    uint16_t port;
    struct span address; /* text; default: all, "::" */
    enum trust_kind trust;
    /* TRUST_CERTIFICATE: "sha256:<hex>" or DNS names in a certificate that leads to `roots`.
     * TRUST_NETWORK: one network. */
    const struct span *trusted;
    size_t trusted_count;
    unsigned line;
};
struct permit {
    bool weaker_rungs; /* else: cleartext */
    bool notices;
    const struct span *to; /* V resolved; none: everybody */
    size_t to_count;
    int64_t until_ms; /* end of the day; 0: no end */
};
enum route_kind { ROUTE_LMTP };
struct route {
    const struct span *domains; /* V resolved: "x.example", ".x.example", "a@x.example" */
    size_t domain_count;
    enum route_kind kind;
    struct span host; /* host name or address; or the path of a unix socket */
    uint16_t port;    /* 0 for a unix socket */
    bool is_unix;
};
struct host_port {
    struct span host;
    uint16_t port;
};
enum master_key_kind {
    MASTER_KEY_NONE,
    MASTER_KEY_CREDENTIAL,
    MASTER_KEY_PASSPHRASE,
    MASTER_KEY_FILE
};
struct settings {
    struct span hostname;
    struct span state_directory;
    struct span certificate_path, certificate_pem; /* the chain; text loaded */
    struct span key_path;                          /* never loaded here: the keeper's alone */
    struct span roots_path, roots_pem;             /* default: the system's bundle */
    struct span trust_anchor_path, trust_anchors;  /* may be empty */
    struct host_port resolver;                     /* host empty: from the roots */
    struct host_port laboratory;                   /* host = network text; empty: none */
    struct span administrator;                     /* address for alarms; may be empty */
    enum master_key_kind master_key;
    struct span master_key_source; /* credential's name or path */
    size_t largest_message;        /* bytes; default 50 MB */
    const struct listener *listeners;
    size_t listener_count;
};
const struct settings *policy_settings(const struct policy *policy);

/* ---- organisations ---- */

/* Number 0 is the gateway's own ("" is its name); others follow as in the file. */
size_t policy_organisation_count(const struct policy *policy);
struct span policy_organisation_name(const struct policy *policy, size_t organisation);
/* The organisation whose `domains` hold this domain exactly; false: none, it is not ours. */
bool policy_organisation_of_domain(const struct policy *policy, struct span domain,
                                   size_t *organisation);
bool policy_organisation_of_name(const struct policy *policy, struct span name,
                                 size_t *organisation);
/* The route inwards for a recipient, or NULL. An organisation's own come before the gateway's. */
const struct route *policy_route(const struct policy *policy, const struct address *recipient);
/* The queue's key of a delivery: the route's, else the recipient's domain. `route` may be NULL.
 * .data is NULL when the arena is full. */
struct span policy_destination(const struct route *route, const struct address *recipient,
                               struct arena *arena);
/* May this message leave in the clear to the recipient now? */
bool policy_permits_cleartext(const struct policy *policy, size_t organisation,
                              const struct address *recipient, int64_t now_ms);
/* The same for a plain connection inwards along a route that is neither loopback nor a unix socket.
 */
bool policy_permits_plain_route(const struct policy *policy, size_t organisation,
                                const struct address *recipient, int64_t now_ms);

/* ---- deciding ---- */

/* Which lists of words were found in a subject, and which not: so a message to a thousand
 * recipients is searched once. Of one policy, one subject and one thread; a memory, no fact: what
 * is decided is the same with it and without. */
struct subject_notes;
/* Without notes yet; they live in the arena. NULL when that is full. */
struct subject_notes *subject_notes_new(const struct policy *policy, struct arena *arena);

/* Facts of one message for one recipient, fixed at the end of the data. */
struct facts {
    size_t organisation;
    struct address from; /* the checked envelope sender; null for bounces */
    struct address to;
    /* Who handed it in: the client's IP address, a space, and what the listener trusted about it:
     *     10.1.2.3 network 10.0.0.0/8
     *     10.1.2.3 certificate ehr.hospital.example
     *     192.0.2.9
     * (the last: nothing, the space may be left out). `through S` holds where S is that identity's
     * value (case ignored), where S is the address, and where S is a network that holds the
     * address. IPv4 in IPv6 (::ffff:10.1.2.3) is the IPv4 address. */
    struct span through;
    struct span subject;         /* header_subject() */
    struct subject_notes *notes; /* of this subject; NULL: it is searched anew each time */
    uint64_t size;
    unsigned recipients; /* of the whole transaction */
    bool is_inward;      /* the recipient is ours and has a route */
};
/* Canonical bytes of the facts (to be sealed and stored) and back; the spans lie in `bytes`. */
void facts_print(const struct facts *facts, struct span organisation_name, struct buffer *out);
MUST_USE bool facts_parse(struct span bytes, const struct policy *policy, struct facts *facts,
                          struct error *why);

enum decision_kind { DECISION_SEND, DECISION_HOLD, DECISION_REFUSE };
struct rule; /* opaque: its name and place are told by decision */
struct decision {
    enum decision_kind kind;
    struct span rule;     /* its name; "no rule" for the hold of what nothing matched;
                             "inwards" for a route */
    unsigned line;        /* of the rule in the file; 0: built in */
    bool is_gateway_rule; /* written by the gateway, not by an organisation */
    struct ladder ladder; /* DECISION_SEND */
    int64_t hold_ms;      /* DECISION_HOLD: how long, 7 days by default */
};
/* What a delivery so decided stands on: one held waits on a ladder that holds, so that the keeper
 * can see it is held; one refused among others is returned. `own` is room for that one rung. */
struct ladder decision_ladder(const struct decision *decision, struct rung *own);
/* Pure and total: the same facts always give the same decision. Rules named in `passed_over` (those
 * whose hold an administrator lifted) are not asked. Stages: refuse, hold, (escalate,) send. */
void policy_decide(const struct policy *policy, const struct facts *facts,
                   const struct span *passed_over, size_t passed_over_count,
                   struct decision *decision);

/* Every rule asked, for `decide`: called once a rule in the order of asking, `matched` yes or no,
 * `because` names the fact that decided ("`to partners` holds"). The last call is the rule that
 * won, with line 0 and "no rule" or "inwards" for what is built in. */
struct rule_told {
    struct span rule;
    unsigned line;
    const char *stage; /* "refuse", "hold", "send" */
    bool matched;
    struct span because;
};
void policy_explain(const struct policy *policy, const struct facts *facts, struct arena *arena,
                    void (*tell)(void *self, const struct rule_told *told), void *self,
                    struct decision *decision);
