/* The statements about the gateway as a whole, and those about its doors: listeners and routes. */
/* SPDX-License-Identifier: ISC */
#include "parser.h"

/* A setting is said once. */
static bool begin_setting(struct parser *p, enum setting setting)
{
    struct place *said = &p->policy->said[setting];

    if (said->line != 0)
        return complain(p->book, POLICY_ERROR, p->statement, "this was already said in line %u",
                        said->line);
    *said = p->statement;
    advance(p);
    return true;
}

bool parse_hostname(struct parser *p)
{
    return begin_setting(p, SETTING_HOSTNAME) &&
           expect_domain(p, "the gateway's host name", &p->policy->settings.hostname);
}

bool parse_state(struct parser *p)
{
    return begin_setting(p, SETTING_STATE) && expect_string(p, "the folder of the gateway's state",
                                                            &p->policy->settings.state_directory);
}

bool parse_certificate(struct parser *p)
{
    struct settings *settings = &p->policy->settings;

    return begin_setting(p, SETTING_CERTIFICATE) &&
           expect_string(p, "the file of the certificate chain", &settings->certificate_path) &&
           expect_word(p, "key") &&
           expect_string(p, "the file of the certificate's key", &settings->key_path);
}

bool parse_roots(struct parser *p)
{
    return begin_setting(p, SETTING_ROOTS) &&
           expect_string(p, "the file of the root certificates", &p->policy->settings.roots_path);
}

bool parse_trust_anchor(struct parser *p)
{
    return begin_setting(p, SETTING_TRUST_ANCHOR) && expect_word(p, "anchor") &&
           expect_string(p, "the file of the DNSSEC trust anchors",
                         &p->policy->settings.trust_anchor_path);
}

bool parse_administrator(struct parser *p)
{
    struct address address;
    struct error why;
    struct span text;

    if (!begin_setting(p, SETTING_ADMINISTRATOR))
        return false;
    const struct place place = p->token.place;
    if (!expect_string(p, "the administrator's address", &text))
        return false;
    if (!address_parse(text, p->arena, &address, &why))
        return complain(p->book, POLICY_ERROR, place,
                        "expected one mail address such as \"postmaster@x.example\"");
    p->policy->settings.administrator = text;
    return true;
}

bool parse_largest_message(struct parser *p)
{
    uint64_t bytes;

    if (!begin_setting(p, SETTING_LARGEST_MESSAGE) || !expect_word(p, "message"))
        return false;
    const struct place place = p->token.place;
    if (!expect_size(p, &bytes))
        return false;
    if (bytes < POLICY_MESSAGE_MIN || bytes > POLICY_MESSAGE_MAX)
        return complain(p->book, POLICY_ERROR, place,
                        "the largest message lies between 64 KB and 1 GB");
    p->policy->settings.largest_message = (size_t)bytes;
    return true;
}

bool parse_master_key(struct parser *p)
{
    static const struct choice kinds[] = {
        {"credential", MASTER_KEY_CREDENTIAL, false},
        {"passphrase", MASTER_KEY_PASSPHRASE, false},
        {"file", MASTER_KEY_FILE, false},
    };
    struct settings *settings = &p->policy->settings;
    int kind;

    if (!begin_setting(p, SETTING_MASTER_KEY) || !expect_word(p, "key") ||
        !CHOOSE(p, kinds, "`credential`, `passphrase` or `file`", &kind))
        return false;
    settings->master_key = (enum master_key_kind)kind;
    return kind == MASTER_KEY_PASSPHRASE ||
           expect_string(p, kind == MASTER_KEY_FILE ? "the key's file" : "the credential's name",
                         &settings->master_key_source);
}

/* "address port N" within one string. */
static bool split_host_port(struct span text, struct host_port *out)
{
    struct span host, rest, word;
    unsigned long long port;

    if (!span_split(text, ' ', &host, &rest) || !span_split(rest, ' ', &word, &rest) ||
        !span_equal(word, SPAN_LITERAL("port")) || !span_number(rest, UINT16_MAX, &port) ||
        port == 0 || host.len == 0)
        return false;
    *out = (struct host_port){host, (uint16_t)port};
    return true;
}

static bool is_address(struct span text)
{
    struct network network;

    return span_index(text, '/') == text.len && network_parse(text, &network);
}

bool parse_resolver(struct parser *p)
{
    struct host_port resolver = {.port = 53};

    if (!begin_setting(p, SETTING_RESOLVER))
        return false;
    const struct place place = p->token.place;
    if (!expect_string(p, "the resolver's address", &resolver.host))
        return false;
    if (!is_address(resolver.host) &&
        !(split_host_port(resolver.host, &resolver) && is_address(resolver.host)))
        return complain(p->book, POLICY_ERROR, place,
                        "expected an IP address, or an address and a port such as "
                        "\"127.0.0.1 port 5353\"");
    p->policy->settings.resolver = resolver;
    return true;
}

static bool expect_network(struct parser *p, struct span *text)
{
    const struct place place = p->token.place;
    struct network network;

    if (!expect_string(p, "a network such as \"10.0.0.0/8\"", text))
        return false;
    return network_parse(*text, &network) ||
           complain(p->book, POLICY_ERROR, place,
                    "expected a network such as \"10.0.0.0/8\" (no bit is set behind the prefix)");
}

bool parse_laboratory(struct parser *p)
{
    struct host_port laboratory;

    if (!begin_setting(p, SETTING_LABORATORY) || !expect_network(p, &laboratory.host) ||
        !expect_port(p, &laboratory.port))
        return false;
    p->policy->settings.laboratory = laboratory;
    return true;
}

/* ---- listen ---- */

static bool parse_listen_address(struct parser *p, struct listener *listener)
{
    const struct place place = p->token.place;
    struct span text;

    if (!expect_string(p, "the address to listen on", &text))
        return false;
    if (!is_address(text))
        return complain(p->book, POLICY_ERROR, place,
                        "expected an IP address such as \"192.0.2.1\"");
    listener->address = text;
    return true;
}

static bool parse_trusting(struct parser *p, struct listener_row *row)
{
    static const struct choice kinds[] = {
        {"certificate", TRUST_CERTIFICATE, false},
        {"network", TRUST_NETWORK, false},
    };
    struct span network;
    int kind;

    if (row->listener.trust != TRUST_NOBODY)
        return fail(p, "a listener trusts one thing; write a list, or another `listen`");
    if (!CHOOSE(p, kinds, "`certificate` or `network`", &kind))
        return false;
    row->listener.trust = (enum trust_kind)kind;
    if (kind == TRUST_CERTIFICATE)
        return expect_value(p, "the name or \"sha256:…\" of a certificate", &row->trusted);
    const struct place place = p->token.place;
    return expect_network(p, &network) && value_of_string(p, network, place, &row->trusted);
}

bool parse_listen(struct parser *p)
{
    static const struct choice kinds[] = {
        {"smtp", LISTENER_SMTP, false},
        {"submission", LISTENER_SUBMISSION, false},
        {"submissions", LISTENER_SUBMISSIONS, false},
        {"relay", LISTENER_RELAY, false},
    };
    struct listener_row *row = arena_take(p->arena, sizeof *row);
    int kind;

    if (!row)
        return fail_memory(p);
    row->place = p->statement;
    row->listener = (struct listener){.address = SPAN_LITERAL("::"), .line = p->statement.line};
    advance(p);
    if (!CHOOSE(p, kinds, "`smtp`, `submission`, `submissions` or `relay`", &kind) ||
        !expect_port(p, &row->listener.port))
        return false;
    row->listener.kind = (enum listener_kind)kind;
    if (take_word(p, "on") && !parse_listen_address(p, &row->listener))
        return false;
    while (take_word(p, "trusting"))
        if (!parse_trusting(p, row))
            return false;
    if (p->policy->settings.listener_count == POLICY_LISTENERS_MAX)
        return complain(p->book, POLICY_ERROR, p->statement, "there are more than %d listeners",
                        POLICY_LISTENERS_MAX);
    CHAIN_APPEND(p->policy->listener_end, row);
    p->policy->settings.listener_count++;
    return true;
}

/* ---- route ---- */

static bool parse_route_target(struct parser *p, struct route_row *row)
{
    const struct place place = p->token.place;
    struct route *route = &row->route;
    struct host_port target;

    if (!expect_string(p, "where the route leads", &row->target))
        return false;
    if (span_starts_with(row->target, SPAN_LITERAL("unix:/"))) {
        route->is_unix = true;
        route->host = span_from(row->target, 5);
        return true;
    }
    if (!split_host_port(row->target, &target) ||
        !(is_address(target.host) || domain_is_valid(target.host)))
        return complain(p->book, POLICY_ERROR, place,
                        "expected a host and a port such as \"192.0.2.1 port 24\", or a socket "
                        "such as \"unix:/run/lmtp\"");
    route->host = target.host;
    route->port = target.port;
    return true;
}

bool parse_route(struct parser *p)
{
    static const struct choice kinds[] = {
        {"lmtp", ROUTE_LMTP, false},
        {"smtp", 0, true},
        {"smtps", 0, true},
    };
    struct route_row *row = arena_take(p->arena, sizeof *row);
    int kind;

    if (!row)
        return fail_memory(p);
    row->place = p->statement;
    advance(p);
    if (!expect_value(p, "a domain or an address", &row->to) || !expect_word(p, "to") ||
        !CHOOSE(p, kinds, "`lmtp`", &kind) || !parse_route_target(p, row))
        return false;
    row->route.kind = (enum route_kind)kind;
    CHAIN_APPEND(p->section->route_end, row);
    return true;
}
