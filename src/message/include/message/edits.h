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
    struct span helo;        /* what the client called itself; printed escaped */
    struct span client_ip;   /* text */
    struct span host_name;   /* ours */
    struct span protocol;    /* "ESMTP", "ESMTPS" (RFC 3848) */
    struct span tls;         /* "TLSv1.3 TLS_AES_256_GCM_SHA384", or empty */
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

/* Puts Received on top (always); on submission (is_submission) adds Date and Message-ID below it
 * where absent and leaves Bcc fields out. Fails with ERROR_INTERNAL only when the arena is full. */
MUST_USE bool message_edit(struct span original, bool is_submission,
                           const struct received_facts *facts, struct arena *arena,
                           struct pieces *out, struct error *why);
