/* Loading policies in tests: files out of a table, a first line with what every policy must say. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "cmocka_house.h"

#include "base/memory.h"
#include "policy/policy.h"

/* Line 1 of the policies in tables, so that what a row says begins in line 2. */
#define NEEDED                                                                                     \
    "hostname \"mx.clinic.example\" state \"/s\" certificate \"c\" key \"k\" master key "          \
    "passphrase listen smtp port 25\n"

static const struct file_on_shelf {
    const char *path, *text;
} shelf[] = {
    {"c", "the chain"},
    {"/etc/ssl/certs/ca-certificates.crt", "the roots"},
    {"anchor", "the anchor"},
    {"partners.txt",
     "# partners\npartner.example\n\n  .group.example   # all below\nMary@Solo.example\r\n"},
    {"empty.txt", "# nothing yet\n"},
    {"words.txt", "[secure]\nvertraulich\n#hash\nC#\n"},
    {"broken.txt", "x.example\nnot a domain\n"},
    {"latin1.txt", "x.example\n\xE9.example\n"},
    {"marked.txt", "\xEF\xBB\xBF[secure]\n"},
};

static bool read_shelf(void *self, struct span path, size_t limit, struct arena *arena,
                       struct span *text, struct error *why)
{
    (void)self;
    for (size_t i = 0; i < COUNT(shelf); i++)
        if (span_equal(path, span_of(shelf[i].path)) && strlen(shelf[i].text) <= limit) {
            *text = arena_copy(arena, span_of(shelf[i].text));
            return text->data || error_set(why, ERROR_TEMPORARY, "", "no memory");
        }
    return error_set(why, ERROR_IMPOSSIBLE, "", "there is no such file");
}
static const struct policy_reader shelf_reader = {.read = read_shelf};

/* 2026-11-25. */
enum { NOW_S = 1795564800 };
static const int64_t now_ms = (int64_t)NOW_S * 1000;

/* NULL where the policy has an error; the complaints are in *complaints, which may be NULL. */
static inline struct policy *load_text(const char *text, struct arena *arena,
                                       struct policy_complaints *complaints)
{
    struct policy_complaints unheard;
    return policy_load(SPAN_LITERAL("test.conf"), span_of(text), &shelf_reader, now_ms, arena,
                       complaints ? complaints : &unheard);
}

static inline struct policy *load_after_needed(const char *text, struct arena *arena,
                                               struct policy_complaints *complaints)
{
    struct span whole = arena_format(arena, "%s%s", NEEDED, text);
    struct policy_complaints unheard;

    assert_non_null(whole.data);
    return policy_load(SPAN_LITERAL("test.conf"), whole, &shelf_reader, now_ms, arena,
                       complaints ? complaints : &unheard);
}

/* The policy must load; its complaints are shown where it does not. */
static inline struct policy *must_load(const char *text, struct arena *arena)
{
    struct policy_complaints complaints;
    struct policy *policy = load_after_needed(text, arena, &complaints);

    if (!policy) {
        scoped_buffer out;
        buffer_init(&out, MIB(1));
        policy_complaints_print(&complaints, SPAN_LITERAL("test.conf"), &out);
        print_error("%.*s", (int)out.len, out.data);
    }
    assert_non_null(policy);
    return policy;
}

static inline bool span_has(struct span text, const char *part)
{
    const size_t len = strlen(part);

    for (size_t i = 0; i + len <= text.len; i++)
        if (memcmp(text.data + i, part, len) == 0)
            return true;
    return false;
}

static inline void assert_span(struct span got, const char *expected)
{
    if (!span_equal(got, span_of(expected)))
        print_error("got: %.*s\n", (int)got.len, got.data);
    assert_true(span_equal(got, span_of(expected)));
}

static inline struct address address_of(const char *text)
{
    struct address address;

    address.local = span_of(text);
    address.domain = SPAN_LITERAL("");
    for (size_t i = strlen(text); i > 0; i--)
        if (text[i - 1] == '@') {
            address.local = span_make(text, i - 1);
            address.domain = span_of(text + i);
            break;
        }
    return address;
}
