/* MX hosts outwards, the policy's route inwards, and never a way back to ourselves. */
/* SPDX-License-Identifier: ISC */
#include "route.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/un.h>
#include <unistd.h>

enum { SMTP_PORT = 25, KEY_MAX = 4096 };

bool demand_print_key(struct demand *demand, struct arena *arena)
{
    scoped_buffer key;

    buffer_init(&key, KEY_MAX);
    buffer_append_format(&key, "%s", way_name(demand->way));
    for (size_t i = 0; i < demand->name_count; i++) {
        buffer_append(&key, i == 0 ? SPAN_LITERAL(" named ") : SPAN_LITERAL(" or "));
        buffer_append(&key, demand->names[i]);
    }
    buffer_append(&key, SPAN_LITERAL(" at "));
    if (demand->route) {
        buffer_append(&key, demand->route->host);
        buffer_append_format(&key, " port %u%s", demand->route->port,
                             demand->is_plain_permitted ? " plain" : "");
    } else {
        buffer_append(&key, demand->domain);
    }
    demand->key = key.failed ? (struct span){0} : arena_copy(arena, buffer_span(&key));
    return demand->key.data != NULL;
}

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
    else if (address->ss_family == AF_INET)
        ((struct sockaddr_in *)address)->sin_port = htons(port);
}

/* The bytes of the address, IPv4 within IPv6 as IPv4. */
static size_t address_bytes(const struct sockaddr_storage *address, uint8_t out[16])
{
    if (address->ss_family == AF_INET) {
        memcpy(out, &((const struct sockaddr_in *)address)->sin_addr, 4);
        return 4;
    }
    const struct in6_addr *six = &((const struct sockaddr_in6 *)address)->sin6_addr;

    if (IN6_IS_ADDR_V4MAPPED(six)) {
        memcpy(out, six->s6_addr + 12, 4);
        return 4;
    }
    memcpy(out, six->s6_addr, 16);
    return 16;
}

static bool is_same_address(const struct sockaddr_storage *address, struct span text)
{
    char name[64];
    uint8_t a[16], b[16];
    size_t len = address_bytes(address, a);

    if (text.len >= sizeof name)
        return false;
    memcpy(name, text.data, text.len);
    name[text.len] = '\0';
    if (inet_pton(len == 4 ? AF_INET : AF_INET6, name, b) != 1)
        return false;
    return memcmp(a, b, len) == 0;
}

/* Asks the kernel, without a packet: what leads to one of its own addresses leaves from it. */
static bool is_of_this_machine(const struct sockaddr_storage *address, socklen_t len)
{
    struct sockaddr_storage own = {0};
    socklen_t own_len = sizeof own;
    uint8_t a[16], b[16];
    bool is_own = false;
    int fd = socket(address->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return false;
    if (connect(fd, (const struct sockaddr *)address, len) == 0 &&
        getsockname(fd, (struct sockaddr *)&own, &own_len) == 0) {
        size_t size = address_bytes(address, a);

        is_own = address_bytes(&own, b) == size && memcmp(a, b, size) == 0;
    }
    close(fd);
    return is_own;
}

/* Would a listener of ours answer there? */
static bool is_our_listener(const struct settings *settings, const struct sockaddr_storage *address,
                            socklen_t len, uint16_t port)
{
    for (size_t i = 0; i < settings->listener_count; i++) {
        const struct listener *listener = &settings->listeners[i];
        bool is_everywhere = listener->address.len == 0 ||
                             span_equal(listener->address, SPAN_LITERAL("::")) ||
                             span_equal(listener->address, SPAN_LITERAL("0.0.0.0"));

        if (listener->port != port)
            continue;
        if (is_everywhere ? is_of_this_machine(address, len)
                          : is_same_address(address, listener->address))
            return true;
    }
    return false;
}

static bool is_our_name(const struct settings *settings, struct span host)
{
    return span_equal_caseless(host, settings->hostname) ||
           span_equal_caseless(host, SPAN_LITERAL("localhost")) ||
           span_ends_with_caseless(host, SPAN_LITERAL(".localhost"));
}

static bool is_loopback(const struct sockaddr_storage *address)
{
    uint8_t bytes[16];
    size_t len = address_bytes(address, bytes);

    if (len == 4)
        return bytes[0] == 127;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

/* 0.0.0.0 and :: reach ourselves. */
static bool is_unspecified(const struct sockaddr_storage *address)
{
    static const uint8_t zero[16];
    uint8_t bytes[16];
    size_t len = address_bytes(address, bytes);

    return memcmp(bytes, zero, len) == 0 || (len == 4 && bytes[0] == 0);
}

static bool is_address_text(struct span host)
{
    struct network network;

    return network_parse(host, &network);
}

/* "[192.0.2.1]" and "[IPv6:2001:db8::1]" as mail domains. */
static struct span literal_of(struct span domain)
{
    struct span inner;

    if (domain.len < 3 || domain.data[0] != '[' || domain.data[domain.len - 1] != ']')
        return (struct span){0};
    inner = span_until(span_from(domain, 1), domain.len - 2);
    if (span_starts_with_caseless(inner, SPAN_LITERAL("IPv6:")))
        inner = span_from(inner, 5);
    return inner;
}

static size_t count_equals(const struct mx_hosts *hosts, size_t of)
{
    size_t count = 0;

    for (size_t i = 0; i < hosts->count; i++)
        count += hosts->hosts[i].preference == hosts->hosts[of].preference;
    return count;
}

static bool is_before(struct span a, struct span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = memcmp(a.data, b.data, len);

    return order < 0 || (order == 0 && a.len < b.len);
}

static size_t rank_by_name(const struct mx_host *equals, size_t count, size_t of)
{
    size_t rank = 0;

    for (size_t i = 0; i < count; i++)
        rank += is_before(equals[i].name, equals[of].name);
    return rank;
}

/* Which of the best hosts is first goes in turns, the others stay shuffled: a session serves
 * several letters, and of so few draws by chance one host would have twice as many as another.
 * Steps of the golden ratio give each its part, however the turns of many domains are mixed. */
static void take_turn(struct mx_hosts *hosts)
{
    static atomic_uint turns;
    uint32_t step = (uint32_t)atomic_fetch_add(&turns, 1) * UINT32_C(2654435769);
    size_t count = count_equals(hosts, 0);
    size_t rank = (size_t)(((uint64_t)step * count) >> 32);

    for (size_t i = 1; i < count; i++)
        if (rank_by_name(hosts->hosts, count, i) == rank) {
            struct mx_host chosen = hosts->hosts[i];

            hosts->hosts[i] = hosts->hosts[0];
            hosts->hosts[0] = chosen;
            return;
        }
}

static bool find_mx(struct way_out *out, struct verdict *end)
{
    struct span domain = out->demand->domain, literal = literal_of(domain);
    struct error why;

    if (literal.data) {
        struct mx_host *host = arena_take(out->arena, sizeof *host);

        if (!host)
            return verdict_set(end, OUTCOME_TEMPORARY, "4.3.0", "memory is out");
        host->name = literal;
        out->hosts = (struct mx_hosts){.hosts = host, .count = 1};
        return true;
    }
    switch (resolver_mx(out->terms->resolver, domain, out->terms->entropy, out->arena, &out->hosts,
                        &why)) {
    case ANSWER_YES:
        break;
    case ANSWER_NO:
        return verdict_set(end, OUTCOME_REJECTED, "5.1.2", "the domain %.*s does not exist",
                           SPAN_ARGS(domain));
    case ANSWER_UNKNOWN: /* of which nothing may be concluded, least of all "no MX" */
        verdict_of_error(end, &why, OUTCOME_TEMPORARY);
        end->outcome = OUTCOME_TEMPORARY;
        memcpy(end->status, "4.4.3", sizeof "4.4.3");
        verdict_within(end, "MX look-up");
        return false;
    }
    if (out->hosts.is_null)
        return verdict_set(end, OUTCOME_REJECTED, "5.1.10", "the domain %.*s takes no mail",
                           SPAN_ARGS(domain));
    if (out->hosts.count > 1)
        take_turn(&out->hosts);
    return true;
}

bool way_out_begin(struct way_out *out, const struct route_terms *terms,
                   const struct demand *demand, struct arena *arena, struct verdict *end)
{
    *out = (struct way_out){.terms = terms, .demand = demand, .arena = arena};
    if (demand->way == WAY_ROUTE) {
        if (!demand->route)
            return verdict_set(end, OUTCOME_TEMPORARY, "4.4.4",
                               "the policy in force has no route for this domain");
        return true;
    }
    if (demand->way == WAY_TLS_SECURE && demand->name_count == 0)
        return verdict_set(
            end, OUTCOME_IMPOSSIBLE, "5.7.10",
            "secure needs DANE or MTA-STS, which come with a later release, or names");
    return find_mx(out, end);
}

/* A single name, as the list that a check takes. */
static void demand_name(struct target *target, const struct span *names, size_t count)
{
    target->need = TLS_NEED_NAMED;
    target->names = names;
    target->name_count = count;
}

static void demand_of_way(const struct demand *demand, struct target *target)
{
    switch (demand->way) {
    case WAY_TLS_ENCRYPT:
        target->need = TLS_NEED_ANY;
        target->mechanism = "none";
        target->level = "encrypt";
        break;
    case WAY_TLS_VERIFY:
        demand_name(target, &target->host, 1);
        target->mechanism = "pkix";
        target->level = "verify";
        break;
    case WAY_TLS_SECURE:
        target->level = "secure"; /* by its names, below */
        break;
    case WAY_CLEARTEXT:
        target->need = TLS_NEED_NONE;
        target->mechanism = "none";
        target->level = "cleartext";
        break;
    case WAY_ROUTE:
    case WAY_HOLD:
    case WAY_RETURN:
    case WAY_COUNT:
        assert(false && "a way out by MX");
    }
    if (demand->way != WAY_CLEARTEXT && demand->name_count > 0) {
        demand_name(target, demand->names, demand->name_count);
        target->mechanism = "pin";
    }
    assert(demand->way != WAY_TLS_SECURE || target->need == TLS_NEED_NAMED);
}

static void take_address(struct way_out *out, struct target *target)
{
    const struct host_address *address = &out->addresses.addresses[out->next_address++];

    *target = (struct target){.host = out->host,
                              .address = address->address,
                              .address_len = address->len,
                              .server_name =
                                  is_address_text(out->host) ? (struct span){"", 0} : out->host};
    memcpy(target->address_text, address->text, sizeof target->address_text);
}

/* We are the host: whoever is no better than us would only send it back. */
static enum way_out_next end_in_a_loop(struct way_out *out, struct verdict *note, const char *what)
{
    verdict_set(note, OUTCOME_REJECTED, "5.4.6", "%.*s is %s: the mail would go in circles",
                SPAN_ARGS(out->host), what);
    out->next_host = out->hosts.count;
    out->next_address = out->addresses.count = 0;
    return WAY_OUT_NOTE;
}

static enum way_out_next next_mx_address(struct way_out *out, struct target *target,
                                         struct verdict *note)
{
    const struct settings *settings = policy_settings(out->terms->policy);
    struct network laboratory;
    uint16_t port = SMTP_PORT;
    bool is_laboratory;

    take_address(out, target);
    is_laboratory = settings->laboratory.host.len > 0 &&
                    network_parse(settings->laboratory.host, &laboratory) &&
                    network_holds(&laboratory, (const struct sockaddr *)&target->address);
    if (is_laboratory)
        port = settings->laboratory.port;
    set_port(&target->address, port);
    if (is_our_listener(settings, &target->address, target->address_len, port))
        return end_in_a_loop(out, note, "ourselves");
    if (!is_laboratory && !address_is_public((const struct sockaddr *)&target->address)) {
        bool is_us = is_loopback(&target->address) || is_unspecified(&target->address);

        verdict_set(note, is_us ? OUTCOME_REJECTED : OUTCOME_IMPOSSIBLE, is_us ? "5.4.6" : "5.4.4",
                    is_us ? "%.*s has the address %s: the mail would go in circles"
                          : "%.*s has the address %s, which no mail from outside may reach",
                    SPAN_ARGS(target->host), target->address_text);
        return WAY_OUT_NOTE;
    }
    target->has_equals = count_equals(&out->hosts, out->next_host - 1) > 1;
    demand_of_way(out->demand, target);
    return WAY_OUT_TARGET;
}

static enum way_out_next next_route_address(struct way_out *out, struct target *target,
                                            struct verdict *note)
{
    const struct settings *settings = policy_settings(out->terms->policy);
    const struct route *route = out->demand->route;

    take_address(out, target);
    set_port(&target->address, route->port);
    if (is_our_listener(settings, &target->address, target->address_len, route->port))
        return end_in_a_loop(out, note, "ourselves");
    target->is_lmtp = route->kind == ROUTE_LMTP;
    target->mechanism = "none";
    target->need = TLS_NEED_NONE;
    if (is_loopback(&target->address)) {
        target->level = "local";
    } else if (out->demand->is_plain_permitted) {
        target->level = "cleartext";
    } else {
        demand_name(target, &target->host, 1);
        target->mechanism = "pkix";
        target->level = "verify";
    }
    return WAY_OUT_TARGET;
}

static enum way_out_next unix_target(struct way_out *out, struct target *target,
                                     struct verdict *note)
{
    const struct route *route = out->demand->route;
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (out->is_unix_done)
        return WAY_OUT_OVER;
    out->is_unix_done = true;
    if (route->host.len >= sizeof address.sun_path) {
        verdict_set(note, OUTCOME_INTERNAL, "4.3.5", "the route's socket has too long a path");
        return WAY_OUT_NOTE;
    }
    memcpy(address.sun_path, route->host.data, route->host.len);
    *target = (struct target){.host = route->host,
                              .address_len = sizeof address,
                              .address_text = "unix",
                              .is_lmtp = route->kind == ROUTE_LMTP,
                              .need = TLS_NEED_NONE,
                              .mechanism = "none",
                              .level = "local"};
    memcpy(&target->address, &address, sizeof address);
    return WAY_OUT_TARGET;
}

/* Looks up the addresses of the next host. */
static enum way_out_next next_host(struct way_out *out, struct verdict *note)
{
    struct error why;

    out->next_address = out->addresses.count = 0;
    switch (
        resolver_addresses(out->terms->resolver, out->host, out->arena, &out->addresses, &why)) {
    case ANSWER_YES:
        return WAY_OUT_TARGET;
    case ANSWER_NO:
        out->addresses.count = 0;
        if (out->hosts.is_implicit)
            verdict_set(note, OUTCOME_REJECTED, "5.1.2", "%.*s has neither MX nor address",
                        SPAN_ARGS(out->host));
        else
            verdict_set(note, OUTCOME_IMPOSSIBLE_FOR_NOW, "5.4.4", "%.*s has no address",
                        SPAN_ARGS(out->host));
        return WAY_OUT_NOTE;
    case ANSWER_UNKNOWN:
        break;
    }
    out->addresses.count = 0;
    verdict_set(note, OUTCOME_TEMPORARY, "4.4.3", "addresses of %.*s: %.150s", SPAN_ARGS(out->host),
                why.text);
    return WAY_OUT_NOTE;
}

enum way_out_next way_out_next(struct way_out *out, struct target *target, struct verdict *note)
{
    bool is_route = out->demand->way == WAY_ROUTE;
    const struct settings *settings = policy_settings(out->terms->policy);

    if (is_route && out->demand->route->is_unix)
        return unix_target(out, target, note);
    while (out->next_address >= out->addresses.count) {
        if (out->next_host >= (is_route ? 1 : out->hosts.count))
            return WAY_OUT_OVER;
        out->host = is_route ? out->demand->route->host : out->hosts.hosts[out->next_host].name;
        out->next_host++;
        if (!is_route && is_our_name(settings, out->host))
            return end_in_a_loop(out, note, "our own name");
        if (next_host(out, note) == WAY_OUT_NOTE)
            return WAY_OUT_NOTE;
    }
    return is_route ? next_route_address(out, target, note) : next_mx_address(out, target, note);
}
