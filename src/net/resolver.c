/* Where mail for a domain goes: its MX hosts and their addresses, each answer one of three. */
/* SPDX-License-Identifier: ISC */
#include "net/resolver.h"

#include "net/stream.h"
#include "resolver_ask.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

enum {
    NAME_MAX_CHARACTERS = 253, /* 255 bytes on the wire */
    LABEL_MAX = 63,
    V4_SHARE = RESOLVER_ADDRESSES_MAX / 2, /* IPv6 addresses leave so many places to IPv4 */
};

static bool is_host_character(char c)
{
    return ascii_is_letter(c) || ascii_is_digit(c) || c == '-' || c == '_';
}

/* A name that DNS can hold and mail can use, a final dot aside. */
static bool is_host_name(struct span text)
{
    size_t label = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '.' ? label == 0 : !is_host_character(text.data[i]))
            return false;
        label = text.data[i] == '.' ? 0 : label + 1;
        if (label > LABEL_MAX)
            return false;
    }
    return label > 0 && text.len <= NAME_MAX_CHARACTERS;
}

static struct span without_final_dot(struct span name)
{
    return name.len > 0 && name.data[name.len - 1] == '.' ? span_until(name, name.len - 1) : name;
}

/* The name in lower case; NULL when memory is out. */
static char *lower_name(struct span text, struct arena *arena)
{
    char *name = arena_string(arena, text);

    for (char *c = name; c && *c != '\0'; c++)
        *c = ascii_lower(*c);
    return name;
}

/* --- MX --- */

/* The name in an MX record's data (RFC 1035 section 3.3.9), which the library has uncompressed, as
 * text with a dot behind each label. False where it is none that mail can use: no top-level domain
 * is a number, so that an address written as a name is left out too (RFC 1123 section 2.1). */
static bool exchange_name(struct span wire, char out[256], struct span *name)
{
    size_t len = 0;
    bool is_number = false;

    while (wire.len > 0) {
        size_t label = (unsigned char)wire.data[0];

        if (label == 0) {
            *name = span_make(out, len);
            return wire.len == 1 && !is_number;
        }
        is_number = true;
        if (label > LABEL_MAX || label >= wire.len || len + label + 1 > NAME_MAX_CHARACTERS + 1)
            return false;
        for (size_t i = 1; i <= label; i++) {
            if (!is_host_character(wire.data[i]))
                return false;
            is_number = is_number && ascii_is_digit(wire.data[i]);
            out[len++] = ascii_lower(wire.data[i]);
        }
        out[len++] = '.';
        wire = span_from(wire, label + 1);
    }
    return false;
}

/* The records as they came, so many as are of use; *has_null tells of a null MX among them. */
static bool read_exchanges(const struct ub_result *result, struct arena *arena,
                           struct mx_hosts *found, bool *has_null)
{
    size_t count = 0;

    while (result->data[count])
        count++;
    found->hosts = arena_take_array(arena, count, sizeof *found->hosts);
    if (!found->hosts)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct span data = span_make(result->data[i], (size_t)result->len[i]), name;
        struct mx_host *host = &found->hosts[found->count];
        char text[256];

        if (data.len < 3 || !exchange_name(span_from(data, 2), text, &name))
            continue;
        if (name.len == 0) {
            *has_null = true;
            continue;
        }
        host->preference =
            (uint16_t)((unsigned char)data.data[0] << 8 | (unsigned char)data.data[1]);
        host->name = arena_copy(arena, span_until(name, name.len - 1));
        if (!host->name.data)
            return false;
        found->count++;
    }
    return true;
}

static bool is_named(const struct mx_host *hosts, size_t count, struct span name)
{
    for (size_t i = 0; i < count; i++)
        if (span_equal(hosts[i].name, name))
            return true;
    return false;
}

static int by_preference(const void *a, const void *b)
{
    const struct mx_host *left = *(const struct mx_host *const *)a;
    const struct mx_host *right = *(const struct mx_host *const *)b;

    if (left->preference != right->preference)
        return left->preference < right->preference ? -1 : 1;
    return left < right ? -1 : left > right; /* as they were shuffled */
}

/* By preference, equals in a random order (RFC 5321 section 5.1), each host once, at its best
 * preference. */
static bool order_hosts(struct mx_hosts *found, const struct entropy *entropy, struct arena *arena)
{
    const struct mx_host **order = arena_take_array(arena, found->count, sizeof *order);
    struct mx_host *kept = arena_take_array(arena, RESOLVER_HOSTS_MAX, sizeof *kept);
    size_t kept_count = 0;

    if (!order || !kept)
        return false;
    for (size_t i = found->count; i > 1; i--) {
        size_t other = entropy_below(entropy, (uint32_t)i);
        struct mx_host swapped = found->hosts[i - 1];

        found->hosts[i - 1] = found->hosts[other];
        found->hosts[other] = swapped;
    }
    for (size_t i = 0; i < found->count; i++)
        order[i] = &found->hosts[i];
    qsort(order, found->count, sizeof *order, by_preference);
    for (size_t i = 0; i < found->count && kept_count < RESOLVER_HOSTS_MAX; i++)
        if (!is_named(kept, kept_count, order[i]->name))
            kept[kept_count++] = *order[i];
    found->hosts = kept;
    found->count = kept_count;
    return true;
}

static enum answer no_memory(struct error *why)
{
    error_set(why, ERROR_TEMPORARY, "4.3.0", "no memory for an answer of DNS");
    return ANSWER_UNKNOWN;
}

/* Proven: there is no MX, so the domain is its own host (RFC 5321 section 5.1). */
static enum answer implicit_host(const char *domain, bool is_secure, struct arena *arena,
                                 struct mx_hosts *out, struct error *why)
{
    struct mx_host *host = arena_take(arena, sizeof *host);

    if (!host)
        return no_memory(why);
    host->name = span_of(domain);
    *out =
        (struct mx_hosts){.hosts = host, .count = 1, .is_implicit = true, .is_secure = is_secure};
    return ANSWER_YES;
}

static enum answer no_such_domain(struct error *why, const char *problem)
{
    error_set(why, ERROR_IMPOSSIBLE, "5.1.2", "%s", problem);
    return ANSWER_NO;
}

enum answer resolver_mx(struct resolver *resolver, struct span domain,
                        const struct entropy *entropy, struct arena *arena, struct mx_hosts *out,
                        struct error *why)
{
    struct span asked = without_final_dot(domain);
    char *name = is_host_name(asked) ? lower_name(asked, arena) : NULL;
    scoped(question) question = name ? question_ask(resolver, name, DNS_MX, why) : NULL;
    struct dns_result result;
    struct mx_hosts found = {NULL};
    bool has_null = false;

    if (!is_host_name(asked))
        return no_such_domain(why, "no domain can have this name");
    if (!name)
        return no_memory(why);
    result = question_wait(question, question_deadline(resolver), why);
    if (result.answer == ANSWER_UNKNOWN)
        return ANSWER_UNKNOWN;
    if (result.is_nxdomain)
        return no_such_domain(why, "the domain does not exist");
    if (result.answer == ANSWER_NO)
        return implicit_host(name, result.is_secure, arena, out, why);
    if (!read_exchanges(result.data, arena, &found, &has_null) ||
        (found.count > 0 && !order_hosts(&found, entropy, arena)))
        return no_memory(why);
    if (found.count == 0 && (!has_null || result.data->data[1])) {
        error_set(why, ERROR_TEMPORARY, "4.4.3", "no MX record of %.200s names a host", name);
        return ANSWER_UNKNOWN;
    }
    found.is_null = found.count == 0;
    found.is_secure = result.is_secure;
    *out = found;
    return ANSWER_YES;
}

/* --- addresses --- */

static size_t record_count(const struct dns_result *result, int size)
{
    size_t count = 0;

    if (result->answer == ANSWER_YES)
        while (result->data->data[count] && result->data->len[count] == size)
            count++;
    return count;
}

static struct host_address address_of(int family, const void *bytes)
{
    struct host_address address = {.len = sizeof(struct sockaddr_in6)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_in v4 = {.sin_family = AF_INET};

    if (family == AF_INET6) {
        memcpy(&v6.sin6_addr, bytes, sizeof v6.sin6_addr);
        memcpy(&address.address, &v6, sizeof v6);
    } else {
        memcpy(&v4.sin_addr, bytes, sizeof v4.sin_addr);
        memcpy(&address.address, &v4, sizeof v4);
        address.len = sizeof v4;
    }
    address_text((const struct sockaddr *)&address.address, address.text);
    return address;
}

/* An address in text, which DNS need not be asked for. */
static bool own_answer(struct span host, struct host_address *address)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t bytes[16];

    if (host.len >= sizeof text || span_index(host, '\0') < host.len)
        return false;
    memcpy(text, host.data, host.len);
    text[host.len] = '\0';
    if (inet_pton(AF_INET, text, bytes) == 1)
        *address = address_of(AF_INET, bytes);
    else if (inet_pton(AF_INET6, text, bytes) == 1)
        *address = address_of(AF_INET6, bytes);
    else
        return false;
    return true;
}

static enum answer gather(const struct dns_result *v6, const struct dns_result *v4,
                          struct arena *arena, struct host_addresses *out, struct error *why)
{
    size_t v4_count = record_count(v4, 4), v6_count = record_count(v6, 16), v6_max;
    struct host_addresses found = {
        arena_take_array(arena, RESOLVER_ADDRESSES_MAX, sizeof *found.addresses)};

    if (!found.addresses)
        return no_memory(why);
    v6_max = RESOLVER_ADDRESSES_MAX - (v4_count < V4_SHARE ? v4_count : V4_SHARE);
    for (size_t i = 0; i < v6_count && i < v6_max; i++)
        found.addresses[found.count++] = address_of(AF_INET6, v6->data->data[i]);
    for (size_t i = 0; i < v4_count && found.count < RESOLVER_ADDRESSES_MAX; i++)
        found.addresses[found.count++] = address_of(AF_INET, v4->data->data[i]);
    if (found.count == 0) {
        error_set(why, ERROR_TEMPORARY, "4.4.3", "no address record of the host can be read");
        return ANSWER_UNKNOWN;
    }
    found.is_partial = v6->answer == ANSWER_UNKNOWN || v4->answer == ANSWER_UNKNOWN;
    /* What failed says nothing; what answered must all be signed. */
    found.is_secure = (v6->answer == ANSWER_UNKNOWN || v6->is_secure) &&
                      (v4->answer == ANSWER_UNKNOWN || v4->is_secure);
    *out = found;
    return ANSWER_YES;
}

enum answer resolver_addresses(struct resolver *resolver, struct span host, struct arena *arena,
                               struct host_addresses *out, struct error *why)
{
    struct deadline until = question_deadline(resolver);
    scoped(question) asked_v6 = NULL;
    scoped(question) asked_v4 = NULL;
    struct dns_result v6, v4;
    struct host_address *own = arena_take(arena, sizeof *own);
    char *name;

    if (!own)
        return no_memory(why);
    if (own_answer(host, own)) {
        *out = (struct host_addresses){.addresses = own, .count = 1};
        return ANSWER_YES;
    }
    host = without_final_dot(host);
    if (!is_host_name(host))
        return no_such_domain(why, "no host can have this name");
    if (!(name = lower_name(host, arena)))
        return no_memory(why);
    asked_v6 = question_ask(resolver, name, DNS_AAAA, why);
    asked_v4 = question_ask(resolver, name, DNS_A, why);
    v6 = question_wait(asked_v6, until, why);
    v4 = question_wait(asked_v4, until, why);
    if (v6.answer == ANSWER_YES || v4.answer == ANSWER_YES)
        return gather(&v6, &v4, arena, out, why);
    if (v6.answer == ANSWER_UNKNOWN || v4.answer == ANSWER_UNKNOWN)
        return ANSWER_UNKNOWN;
    return no_such_domain(why, "the host has no address");
}
