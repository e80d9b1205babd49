/* E-mail addresses as the envelope has them (RFC 5321 section 4.1.2). ASCII only in this release.
 */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/span.h"

#include <stdbool.h>

/* `local` without needless quotes and with its case kept; `domain` in lower case without a final
 * dot, or an address literal in brackets. Both empty: the null sender <>. Local part "postmaster"
 * with an empty domain: <Postmaster> (RFC 5321 section 4.1.1.3). */
struct address {
    struct span local; /* the content, quoting undone: `a b` for <"a b"@x> */
    struct span domain;
};

/* The path after "FROM:" or "TO:": one space after the colon is tolerated. *rest is what follows
 * the path (the parameters, starting with a space, or empty), a slice of `text`; the address lives
 * in the arena. Source routes are dropped as RFC 5321 asks.
 * Fails with ERROR_REJECTED and 5.1.7 (sender: may_be_null) or 5.1.3 (recipient), 5.5.4 where no
 * path stands at all ("", "< >", no brackets) or no space follows it; with ERROR_INTERNAL when the
 * arena is full. */
MUST_USE bool address_parse_path(struct span text, bool may_be_null, struct arena *arena,
                                 struct address *address, struct span *rest, struct error *why);
/* One mailbox without brackets: `a@x.example`, or `postmaster` alone. Never the null sender. Fails
 * with ERROR_REJECTED 5.1.3, and ERROR_INTERNAL when the arena is full. */
MUST_USE bool address_parse(struct span text, struct arena *arena, struct address *address,
                            struct error *why);
/* The canonical text, with quotes where they are needed: address_parse() reads it back. Empty span
 * for the null sender. .data is NULL when the arena is full. */
struct span address_print(const struct address *address, struct arena *arena);
/* For policy and duplicates: domains always ignore case; local parts do only when they are
 * "postmaster". */
bool address_equal(const struct address *a, const struct address *b);
bool address_is_null(const struct address *address);
bool address_is_postmaster(const struct address *address); /* of any domain, or of none */
/* A host name's or mail domain's syntax: LDH and underscore labels of at most 63 bytes without a
 * hyphen at an end, no final dot, at most 255 bytes, the last label not a number. */
bool domain_is_valid(struct span domain);
/* An EHLO argument that RFC 5321 or the field's imperfect clients send: names with underscores,
 * trailing hyphens, double dots, address literals, any printable ASCII; never empty, over 255
 * bytes, or with a blank, a control or an 8-bit byte in it. */
bool helo_name_is_tolerable(struct span name);
