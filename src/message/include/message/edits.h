/* The closed list of edits that Letterlock makes to a message's header. Everything else passes
 * byte for byte. docs/architecture.md prints the list. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/id.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>

struct received_facts {
    struct span helo;      /* what the client called itself, whatever it was */
    struct span client_ip; /* text */
    struct span host_name; /* ours */
    struct span protocol;  /* "ESMTP", "ESMTPS" (RFC 3848) */
    struct span tls;       /* "TLSv1.3 TLS_AES_256_GCM_SHA384", or empty */
    struct id message;
    int64_t received_at_ms;
    const struct span *only_recipient; /* NULL unless the transaction has exactly one */
};

/* A message as pieces of memory, in order: ours and slices of the original. */
struct pieces {
    struct span *spans;
    size_t count;
    size_t size; /* bytes of all */
};

/* The list:
 * 1. Received on top, always: "from HELO ([IP]) by HOST with PROTOCOL (TLS) id ID for <ADDRESS>;
 *    DATE". A client's name that is neither a name nor an address literal stands in a comment:
 *    "from [IP] (helo TEXT)", with what is not printable ASCII shown as "?". "for" stands only
 * where there is one recipient.
 * 2. On submission, below it: Date and Message-ID <ID@HOST>, each where there is none.
 * 3. On submission: every Bcc and Resent-Bcc field is left out, whole.
 * 4. Where the header section ends without an empty line although something follows it (a line that
 *    is no field, RFC 5322 section 2.1), an empty line is put before that: so nobody after us reads
 *    as header what our rules took for body. To an empty message the empty line is added too; one
 * of header fields alone stays so.
 *
 * The pieces are slices of `original` and memory of the arena. Fails with ERROR_INTERNAL when the
 * arena is full or when facts hold what no header may (controls in a host name or recipient). */
MUST_USE bool message_edit(struct span original, bool is_submission,
                           const struct received_facts *facts, struct arena *arena,
                           struct pieces *out, struct error *why);
