/* Loading a policy: from its text to something that threads can share. */
/* SPDX-License-Identifier: ISC */
#include "check.h"
#include "parser.h"

#include "base/descriptor.h"
#include "base/memory.h"
#include "base/utf8.h"

#include <openssl/evp.h>

static const char roots_of_the_system[] = "/etc/ssl/certs/ca-certificates.crt";

/* ---- reading files ---- */

static bool read_from_disk(void *self, struct span path, size_t limit, struct arena *arena,
                           struct span *text, struct error *why)
{
    const char *const policy_path = self;
    const char *const slash = strrchr(policy_path, '/');
    scoped_buffer whole;

    buffer_init(&whole, KIB(8));
    if (slash && path.len > 0 && path.data[0] != '/')
        buffer_append(&whole, span_make(policy_path, (size_t)(slash - policy_path) + 1));
    buffer_append(&whole, path);
    buffer_append_byte(&whole, '\0');
    if (whole.failed || span_index(path, '\0') != path.len)
        return error_set(why, ERROR_IMPOSSIBLE, "", "the path is too long");
    return file_read(whole.data, limit, arena, text, why);
}

struct policy_reader policy_reader_of_disk(const char *policy_path)
{
    return (struct policy_reader){.read = read_from_disk, .self = (void *)(uintptr_t)policy_path};
}

/* ---- making ---- */

struct organisation *organisation_new(struct policy *policy)
{
    struct organisation *organisation = arena_take(policy->arena, sizeof *organisation);

    if (!organisation)
        return NULL;
    organisation->number = policy->organisation_count++;
    organisation->name = SPAN_LITERAL("");
    organisation->list_end = &organisation->lists;
    organisation->ladder_end = &organisation->ladders;
    organisation->route_end = &organisation->routes;
    organisation->permit_end = &organisation->permits;
    for (size_t stage = 0; stage < STAGE_COUNT; stage++)
        organisation->rule_end[stage] = &organisation->rules[stage];
    CHAIN_APPEND(policy->organisation_end, organisation);
    return organisation;
}

static struct policy *policy_new(void)
{
    struct arena *arena = arena_new("policy", POLICY_ARENA_MAX);
    struct policy *policy = arena ? arena_take(arena, sizeof *policy) : NULL;

    if (!policy) {
        arena_free(arena);
        return NULL;
    }
    policy->arena = arena;
    atomic_init(&policy->references, 1);
    policy->listener_end = &policy->listener_rows;
    policy->organisation_end = &policy->first;
    policy->settings.roots_path = SPAN_LITERAL(roots_of_the_system);
    policy->settings.largest_message = POLICY_MESSAGE_DEFAULT;
    if (!organisation_new(policy)) {
        policy_free(policy);
        return NULL;
    }
    return policy;
}

struct policy *policy_ref(const struct policy *policy)
{
    struct policy *shared = (struct policy *)(uintptr_t)policy; /* only its counter changes */

    atomic_fetch_add_explicit(&shared->references, 1, memory_order_relaxed);
    return shared;
}

void policy_free(struct policy *policy)
{
    if (policy && atomic_fetch_sub_explicit(&policy->references, 1, memory_order_acq_rel) == 1)
        arena_free(policy->arena); /* the policy itself lies in it */
}

/* ---- loading ---- */

/* Where the byte at `offset` stands; counted in bytes, since the text may be no text. */
static struct place place_of(struct span text, size_t offset)
{
    struct place place = {1, 1, offset};

    for (size_t i = 0; i < offset; i++) {
        place.column = text.data[i] == '\n' ? 1 : place.column + 1;
        place.line += text.data[i] == '\n';
    }
    return place;
}

static bool text_is_readable(struct book *book, struct span text)
{
    size_t bad_at = 0;

    if (text.len > POLICY_TEXT_MAX)
        return complain(book, POLICY_ERROR, place_of_nothing(), "the file is larger than %d bytes",
                        POLICY_TEXT_MAX);
    if (span_starts_with(text, SPAN_LITERAL("\xEF\xBB\xBF")))
        return complain(book, POLICY_ERROR, place_of_nothing(),
                        "the file begins with a byte order mark; save it as UTF-8 without one");
    if (span_index(text, '\0') < text.len)
        return complain(book, POLICY_ERROR, place_of(text, span_index(text, '\0')),
                        "here stands a NUL; this is no text");
    if (!utf8_is_valid(text, &bad_at))
        return complain(book, POLICY_ERROR, place_of(text, bad_at), "this byte is not UTF-8");
    return true;
}

/* The canonical text, and SHA-256 over it and the lists' digests. A text that could not be loaded
 * again is refused. */
static bool seal(struct checker *checker)
{
    struct policy *policy = checker->policy;
    scoped_buffer text;

    buffer_init(&text, 16 * POLICY_TEXT_MAX);
    print_policy(policy, &text);
    if (!text.failed && text.len > POLICY_TEXT_MAX)
        return complain(checker->book, POLICY_ERROR, place_of_nothing(),
                        "the policy is larger than %d bytes with all its defaults filled in",
                        POLICY_TEXT_MAX);
    policy->printed = arena_copy(policy->arena, buffer_span(&text));
    for (struct organisation *section = policy->first; section; section = section->next)
        for (struct list *list = section->lists; list; list = list->next)
            if (list->file.len > 0)
                buffer_append(&text, span_make(list->digest, sizeof list->digest));
    if (text.failed || !policy->printed.data ||
        !EVP_Digest(text.data, text.len, policy->digest, NULL, EVP_sha256(), NULL))
        return complain_of_memory(checker);
    return true;
}

/* Said before everything else, here and at every start: this is no gateway for real mail. */
static void tell_of_laboratory(struct checker *checker)
{
    const struct host_port *laboratory = &checker->policy->settings.laboratory;
    struct policy_complaints *complaints = checker->book->complaints;
    const size_t before = complaints->count;
    struct policy_complaint told;

    if (laboratory->host.len == 0)
        return;
    complain(checker->book, POLICY_WARNING, checker->policy->said[SETTING_LABORATORY],
             "this is a laboratory: addresses in %.*s count as public, and the mail hosts there "
             "are reached at port %u",
             SPAN_ARGS(laboratory->host), laboratory->port);
    if (complaints->count == before)
        return;
    told = complaints->list[before];
    memmove(complaints->list + 1, complaints->list, before * sizeof told);
    complaints->list[0] = told;
}

static bool understand(struct checker *checker, struct span text)
{
    struct policy *policy = checker->policy;
    struct parser parser = {
        .lexer = {.source = text, .line = 1, .column = 1},
        .book = checker->book,
        .arena = policy->arena,
        .policy = policy,
        .section = policy->first,
    };

    advance(&parser);
    parse_statements(&parser);
    if (checker->book->failed || !resolve(checker) || !check_sections(checker))
        return false;
    check_settings(checker);
    return !checker->book->failed && seal(checker);
}

struct policy *policy_load(struct span file, struct span text, const struct policy_reader *reader,
                           int64_t now_ms, struct arena *arena,
                           struct policy_complaints *complaints)
{
    scoped(policy) policy = policy_new();
    struct policy *loaded;
    struct book book;

    (void)file; /* complaints are printed with it: policy_complaints_print() */
    book_init(&book, text, arena, complaints);
    struct checker checker = {policy, &book, reader, now_ms};
    if (!policy) {
        complain_of_memory(&checker);
    } else if (text_is_readable(&book, text)) {
        text = arena_copy(policy->arena, text); /* names and strings point into it */
        book.source = text;
        if (!text.data)
            complain_of_memory(&checker);
        else
            understand(&checker, text);
        book_sort(&book);
        tell_of_laboratory(&checker);
    }
    if (book.failed) {
        /* Even where there was no memory to say why. */
        complaints->error_count += complaints->error_count == 0;
        return NULL;
    }
    loaded = policy;
    policy = NULL;
    return loaded;
}

/* ---- asking ---- */

const uint8_t *policy_digest(const struct policy *policy)
{
    return policy->digest;
}

void policy_print(const struct policy *policy, struct buffer *out)
{
    buffer_append(out, policy->printed);
}

const struct settings *policy_settings(const struct policy *policy)
{
    return &policy->settings;
}

size_t policy_organisation_count(const struct policy *policy)
{
    return policy->organisation_count;
}

struct span policy_organisation_name(const struct policy *policy, size_t organisation)
{
    return policy->organisation_name_list[organisation];
}

bool policy_organisation_of_name(const struct policy *policy, struct span name,
                                 size_t *organisation)
{
    const size_t at = set_find_span(&policy->organisation_names, name);

    if (at == SIZE_MAX)
        return false;
    *organisation = at;
    return true;
}
