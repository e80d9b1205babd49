/* Envelope addresses: what stands between the brackets, with quoting undone and put back. */
/* SPDX-License-Identifier: ISC */
#include "message/address.h"

#include "message/limits.h"

#include <arpa/inet.h>

enum { LABEL_MAX = 63 }; /* RFC 1035 section 2.3.4 */

/* What is still to be read of an address, and why it is none. */
struct reader {
    struct span rest;
    struct arena *arena;
    const char *fault;  /* static, fit for logs */
    bool arena_is_full; /* then the address is not to blame */
};

static bool fail(struct reader *in, const char *fault)
{
    in->fault = fault;
    return false;
}

static bool fail_full(struct reader *in)
{
    in->arena_is_full = true;
    return fail(in, "no memory for an address");
}

static bool at(const struct reader *in, char c)
{
    return in->rest.len > 0 && in->rest.data[0] == c;
}

static bool take(struct reader *in, char c)
{
    if (!at(in, c))
        return false;
    in->rest = span_from(in->rest, 1);
    return true;
}

static bool is_atext(char c)
{
    return ascii_is_letter(c) || ascii_is_digit(c) ||
           (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool is_printable(char c)
{
    return c >= ' ' && c <= '~';
}

/* Does the local part stand without quotes (Dot-string of RFC 5321 section 4.1.2)? */
static bool is_dot_string(struct span local)
{
    bool after_dot = true; /* none at the start, none at the end, no two in a row */

    for (size_t i = 0; i < local.len; i++) {
        if (local.data[i] == '.' ? after_dot : !is_atext(local.data[i]))
            return false;
        after_dot = local.data[i] == '.';
    }
    return !after_dot;
}

/* Bytes of the local part as it is printed. */
static size_t printed_length(struct span local)
{
    size_t len = local.len + 2;

    if (is_dot_string(local))
        return local.len;
    for (size_t i = 0; i < local.len; i++)
        len += local.data[i] == '"' || local.data[i] == '\\';
    return len;
}

/* What follows the opening quote, up to and with the closing one. */
static bool read_quoted(struct reader *in, struct span *local)
{
    char *content = arena_take(in->arena, in->rest.len);
    size_t len = 0;

    if (!content)
        return fail_full(in);
    while (!take(in, '"')) {
        (void)take(in, '\\');
        if (in->rest.len == 0)
            return fail(in, "a quoted local part without an end");
        if (!is_printable(in->rest.data[0]))
            return fail(in, "a local part with bytes that no address may hold");
        content[len++] = in->rest.data[0];
        in->rest = span_from(in->rest, 1);
    }
    *local = span_make(content, len);
    return true;
}

static bool read_local(struct reader *in, struct span *local)
{
    size_t len = 0;

    if (take(in, '"'))
        return read_quoted(in, local);
    while (len < in->rest.len && (is_atext(in->rest.data[len]) || in->rest.data[len] == '.'))
        len++;
    if (!is_dot_string(span_until(in->rest, len)))
        return fail(in, "no local part, or dots where none may stand");
    *local = arena_copy(in->arena, span_until(in->rest, len));
    in->rest = span_from(in->rest, len);
    return local->data || fail_full(in);
}

static bool is_label_byte(char c)
{
    return ascii_is_letter(c) || ascii_is_digit(c) || c == '-' || c == '_';
}

static bool label_is_valid(struct span label)
{
    if (label.len == 0 || label.len > LABEL_MAX)
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!is_label_byte(label.data[i]))
            return false;
    return label.data[0] != '-' && label.data[label.len - 1] != '-';
}

static bool is_number(struct span label)
{
    for (size_t i = 0; i < label.len; i++)
        if (!ascii_is_digit(label.data[i]))
            return false;
    return true;
}

bool domain_is_valid(struct span domain)
{
    struct span label, rest = domain;
    bool goes_on = domain.len <= ADDRESS_DOMAIN_MAX;

    if (!goes_on)
        return false;
    while (goes_on) {
        goes_on = span_split(rest, '.', &label, &rest);
        if (!label_is_valid(label))
            return false;
    }
    /* No top-level domain is a number; "127.1" is an address to a careless resolver. */
    return !is_number(label);
}

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 section 4.1.3). */
static bool literal_is_valid(struct span literal)
{
    static const struct span ipv6 = SPAN_LITERAL("ipv6:");
    char text[INET6_ADDRSTRLEN] = {0};
    unsigned char bytes[sizeof(struct in6_addr)];
    struct span inner;
    int family = AF_INET;

    if (literal.len < 2 || literal.data[0] != '[' || literal.data[literal.len - 1] != ']')
        return false;
    inner = span_from(span_until(literal, literal.len - 1), 1);
    if (span_starts_with_caseless(inner, ipv6)) {
        inner = span_from(inner, ipv6.len);
        family = AF_INET6;
    }
    if (inner.len >= sizeof text || memchr(inner.data, '\0', inner.len))
        return false;
    memcpy(text, inner.data, inner.len);
    return inet_pton(family, text, bytes) == 1;
}

/* Takes a domain or an address literal off the rest, without its final dot. */
static bool read_domain_text(struct reader *in, struct span *domain)
{
    size_t len = 0;
    struct span text;

    if (at(in, '[')) {
        len = span_index(in->rest, ']') + 1;
        text = span_until(in->rest, len);
        if (!literal_is_valid(text))
            return fail(in, "an address literal that is none");
    } else {
        while (len < in->rest.len &&
               (is_label_byte(in->rest.data[len]) || in->rest.data[len] == '.'))
            len++;
        text = span_until(in->rest, len);
        if (text.len > 1 && text.data[text.len - 1] == '.')
            text.len--;
        if (!domain_is_valid(text))
            return fail(in, "no domain that can be");
    }
    *domain = text;
    in->rest = span_from(in->rest, len);
    return true;
}

static bool read_domain(struct reader *in, struct span *domain)
{
    struct span text;
    char *lower;

    if (!read_domain_text(in, &text))
        return false;
    if (!(lower = arena_take(in->arena, text.len)))
        return fail_full(in);
    for (size_t i = 0; i < text.len; i++)
        lower[i] = ascii_lower(text.data[i]);
    *domain = span_make(lower, text.len);
    return true;
}

static bool is_postmaster_text(struct span text)
{
    return span_equal_caseless(text, SPAN_LITERAL("postmaster"));
}

/* local@domain, or "postmaster" alone. The rest may hold what follows. */
static bool read_mailbox(struct reader *in, struct address *address)
{
    const char *start = in->rest.data;
    size_t before = in->rest.len, printed;

    if (!read_local(in, &address->local))
        return false;
    if (!take(in, '@')) {
        if (!is_postmaster_text(span_make(start, before - in->rest.len)))
            return fail(in, "no \"@\" where one must stand");
        address->domain = SPAN_LITERAL("");
        return true;
    }
    if (!read_domain(in, &address->domain))
        return false;
    printed = printed_length(address->local);
    if (printed > ADDRESS_LOCAL_MAX || printed + 1 + address->domain.len > ADDRESS_PATH_MAX)
        return fail(in, "an address that is too long");
    return true;
}

/* "@a.example,@b.example:" before the mailbox: to be accepted and ignored (RFC 5321 section
 * 4.1.1.3 and appendix C). */
static bool skip_source_route(struct reader *in)
{
    struct span ignored;

    if (!at(in, '@'))
        return true;
    do {
        if (!take(in, '@') || !read_domain_text(in, &ignored))
            return fail(in, "a source route that is none");
    } while (take(in, ','));
    return take(in, ':') || fail(in, "a source route without an end");
}

static bool refuse(const struct reader *in, const char *status, struct error *why)
{
    if (in->arena_is_full)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "%s", in->fault);
    return error_set(why, ERROR_REJECTED, status, "%s", in->fault);
}

/* After the opening bracket, up to and with the closing one. */
static bool read_path(struct reader *in, bool may_be_null, struct address *address)
{
    if (may_be_null && take(in, '>')) {
        *address = (struct address){SPAN_LITERAL(""), SPAN_LITERAL("")};
        return true;
    }
    if (!skip_source_route(in) || !read_mailbox(in, address))
        return false;
    if (may_be_null && address->domain.len == 0)
        return fail(in, "a sender without a domain");
    return take(in, '>') || fail(in, "an address that goes on after its end");
}

bool address_parse_path(struct span text, bool may_be_null, struct arena *arena,
                        struct address *address, struct span *rest, struct error *why)
{
    struct reader in = {.rest = text, .arena = arena};
    struct address result;

    (void)take(&in, ' '); /* what booking systems and scanners send */
    if (!take(&in, '<'))
        return error_set(why, ERROR_REJECTED, "5.5.4", "no address in angle brackets");
    if (in.rest.len == 0 || at(&in, ' '))
        return error_set(why, ERROR_REJECTED, "5.5.4", "a blank or nothing in angle brackets");
    if (!read_path(&in, may_be_null, &result))
        return refuse(&in, may_be_null ? "5.1.7" : "5.1.3", why);
    if (in.rest.len > 0 && !at(&in, ' '))
        return error_set(why, ERROR_REJECTED, "5.5.4", "no blank before the parameters");
    *address = result;
    *rest = in.rest;
    return true;
}

bool address_parse(struct span text, struct arena *arena, struct address *address,
                   struct error *why)
{
    struct reader in = {.rest = text, .arena = arena};
    struct address result;

    if (!read_mailbox(&in, &result))
        return refuse(&in, "5.1.3", why);
    if (in.rest.len > 0)
        return error_set(why, ERROR_REJECTED, "5.1.3", "an address that goes on after its end");
    *address = result;
    return true;
}

/* Writes the local part as it must stand, and gives the place after it. */
static char *print_local(struct span local, char *out)
{
    bool needs_quotes = !is_dot_string(local);

    if (needs_quotes)
        *out++ = '"';
    for (size_t i = 0; i < local.len; i++) {
        if (local.data[i] == '"' || local.data[i] == '\\')
            *out++ = '\\';
        *out++ = local.data[i];
    }
    if (needs_quotes)
        *out++ = '"';
    return out;
}

struct span address_print(const struct address *address, struct arena *arena)
{
    size_t len;
    char *text, *end;

    if (address_is_null(address))
        return SPAN_LITERAL("");
    if (address->domain.len == 0) /* <Postmaster> */
        return arena_copy(arena, address->local);
    len = printed_length(address->local) + 1 + address->domain.len;
    if (!(text = arena_take(arena, len)))
        return (struct span){NULL, 0};
    end = print_local(address->local, text);
    *end++ = '@';
    memcpy(end, address->domain.data, address->domain.len);
    return span_make(text, len);
}

bool address_equal(const struct address *a, const struct address *b)
{
    if (!span_equal_caseless(a->domain, b->domain))
        return false;
    return address_is_postmaster(a) ? address_is_postmaster(b) : span_equal(a->local, b->local);
}

bool address_is_null(const struct address *address)
{
    return address->local.len == 0 && address->domain.len == 0;
}

bool address_is_postmaster(const struct address *address)
{
    return is_postmaster_text(address->local);
}

bool helo_name_is_tolerable(struct span name)
{
    if (name.len == 0 || name.len > ADDRESS_DOMAIN_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] <= ' ' || name.data[i] > '~')
            return false;
    return true;
}
