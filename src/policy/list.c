/* Lists of domains and addresses: read once, then asked for every recipient. */
/* SPDX-License-Identifier: ISC */
#include "model.h"

#include "base/wire.h"

enum { SCRATCH_MAX = 8192 };

/* ---- the one form that is compared ---- */

static bool is_plain_local(struct span local)
{
    for (size_t i = 0; i < local.len; i++) {
        const char c = local.data[i];

        if (c == '.'
                ? i == 0 || i + 1 == local.len || local.data[i - 1] == '.'
                : !ascii_is_letter(c) && !ascii_is_digit(c) && c != '-' && c != '_' && c != '+')
            return false;
    }
    return local.len > 0 && local.len <= 64 &&
           !span_equal_caseless(local, SPAN_LITERAL("postmaster"));
}

static bool has_upper(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (ascii_is_upper(text.data[i]))
            return true;
    return false;
}

static bool lower_key(struct span text, struct arena *arena, struct span *key)
{
    char *copy;

    *key = text;
    if (!has_upper(text))
        return true;
    copy = arena_take_array(arena, text.len, 1);
    for (size_t i = 0; copy && i < text.len; i++)
        copy[i] = ascii_lower(text.data[i]);
    *key = span_make(copy, text.len);
    return copy != NULL;
}

/* An address's local part with its quotes undone, `@`, its domain in lower case. The last `@` of a
 * key is the one before the domain, so that no two addresses share a key. */
static bool address_key(struct span text, struct arena *arena, struct arena *scratch,
                        struct span *key, bool *is_valid)
{
    struct address address;
    struct error why;

    *is_valid = address_parse(text, scratch, &address, &why) && address.domain.len > 0;
    if (!*is_valid)
        return lower_key(text, arena, key);
    if (address_is_postmaster(&address))
        address.local = SPAN_LITERAL("postmaster");
    /* arena_format would stop at a NUL, which no address holds. */
    *key = arena_format(arena, "%.*s@%.*s", SPAN_ARGS(address.local), SPAN_ARGS(address.domain));
    arena_reset(scratch);
    return key->data != NULL;
}

static bool key_of(struct span text, struct arena *arena, struct arena *scratch, struct span *key,
                   bool *is_valid)
{
    struct span local, domain;

    if (!span_split(text, '@', &local, &domain)) {
        *is_valid =
            domain_is_valid(text.len > 0 && text.data[0] == '.' ? span_from(text, 1) : text);
        return lower_key(text, arena, key);
    }
    /* Nearly every address is its own key already. */
    if (is_plain_local(local) && domain_is_valid(domain) && !has_upper(domain)) {
        *key = text;
        *is_valid = true;
        return true;
    }
    return address_key(text, arena, scratch, key, is_valid);
}

bool list_complete(struct list *list, struct arena *arena)
{
    scoped(arena) scratch = arena_new("an address of a list", SCRATCH_MAX);
    struct span *keys = arena_take_array(arena, list->count, sizeof *keys);

    if (!scratch || !keys || !set_init(&list->set, keys, list->count, arena))
        return false;
    list->keys = keys;
    list->first_bad = list->count;
    for (size_t i = 0; i < list->count; i++) {
        bool is_valid;

        if (!key_of(list->texts[i], arena, scratch, &keys[i], &is_valid))
            return false;
        if (!is_valid && list->first_bad == list->count)
            list->first_bad = i;
        set_add(&list->set, i);
    }
    return true;
}

bool certificate_name_is_valid(struct span text)
{
    uint8_t digest[32];

    if (span_starts_with_caseless(text, SPAN_LITERAL("sha256:")))
        return text.len == 7 + 2 * sizeof digest && hex_parse(span_from(text, 7), digest, 32);
    /* A name that ends in a digit is an address that was mistyped. */
    return text.len > 0 && !ascii_is_digit(text.data[text.len - 1]) && domain_is_valid(text);
}

/* ---- asking ---- */

/* The domain itself, then ".example" for each domain that it lies below. */
static bool has_domain(const struct set *set, struct span domain)
{
    if (set_find_span(set, domain) != SIZE_MAX)
        return true;
    for (size_t i = 0; i < domain.len; i++)
        if (domain.data[i] == '.' && i > 0 && set_find_span(set, span_from(domain, i)) != SIZE_MAX)
            return true;
    return false;
}

/* The null sender is in no list: no key is empty or lacks its domain. */
bool list_has_address(const struct list *list, const struct address *address)
{
    struct joined key = {{address->local, SPAN_LITERAL("@"), address->domain}};

    if (address_is_postmaster(address))
        key.part[0] = SPAN_LITERAL("postmaster");
    return set_find(&list->set, &key) != SIZE_MAX || has_domain(&list->set, address->domain);
}

/* Is something that the key means meant by the set too, as itself or as a part of something wider?
 */
static bool has_key(const struct set *set, struct span key)
{
    size_t at = key.len;

    if (set_find_span(set, key) != SIZE_MAX)
        return true;
    while (at > 0 && key.data[at - 1] != '@')
        at--;
    if (at > 0)
        return has_domain(set, span_from(key, at));
    /* ".y.x" lies below ".x" as "y.x" does. */
    for (size_t i = 1; i < key.len; i++)
        if (key.data[i] == '.' && set_find_span(set, span_from(key, i)) != SIZE_MAX)
            return true;
    return false;
}

bool list_may_share(const struct list *a, const struct list *b)
{
    for (size_t i = 0; i < a->count; i++)
        if (has_key(&b->set, a->keys[i]))
            return true;
    for (size_t i = 0; i < b->count; i++)
        if (has_key(&a->set, b->keys[i]))
            return true;
    return false;
}

/* ---- files ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Without its comment, which begins with a `#` at the start or behind a blank. */
static struct span entry_of(struct span line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] == '#' && (i == 0 || is_blank(line.data[i - 1])))
            line.len = i;
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    return span_trim(line);
}

bool list_read(struct list *list, struct span text, struct arena *arena, unsigned *line,
               const char **fault)
{
    struct span rest = text, whole;
    size_t lines = 1;

    *line = 0;
    *fault = NULL;
    for (size_t i = 0; i < text.len; i++)
        lines += text.data[i] == '\n';
    list->texts = arena_take_array(arena, lines, sizeof *list->texts);
    list->lines = arena_take_array(arena, lines, sizeof *list->lines);
    if (!list->texts || !list->lines)
        return false;
    while (rest.len > 0) {
        span_split(rest, '\n', &whole, &rest);
        ++*line;
        const struct span entry = entry_of(whole);
        if (entry.len == 0)
            continue;
        if (*line == 1 && span_starts_with(whole, SPAN_LITERAL("\xEF\xBB\xBF")))
            *fault = "a byte order mark, which nobody sees; save the file as UTF-8 without one";
        else if (entry.len > POLICY_STRING_MAX)
            *fault = "an entry is longer than 1024 bytes";
        else if (!text_is_clean(entry))
            *fault = "an entry is not UTF-8 or holds control characters";
        if (*fault)
            return false;
        list->lines[list->count] = *line;
        list->texts[list->count++] = entry;
    }
    return list_complete(list, arena);
}
