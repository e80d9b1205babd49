/* What must be true of a policy as a whole, and what an administrator should be warned of. */
/* SPDX-License-Identifier: ISC */
#include "check.h"

/* ---- rules ---- */

/* Names that decisions of ours carry: a release by name must never mean two things. */
static bool is_built_in(struct span name)
{
    static const char *const names[] = {"no rule", "inwards", "internal"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (span_equal(name, span_of(names[i])))
            return true;
    return false;
}

static bool check_rule_names(struct checker *checker, const struct organisation *section)
{
    scoped(arena) arena = arena_new("names of rules", POLICY_ARENA_MAX);
    struct span *names;
    unsigned *lines;
    struct set set;
    size_t at = 0;

    if (!arena || !(names = arena_take_array(arena, section->rule_count, sizeof *names)) ||
        !(lines = arena_take_array(arena, section->rule_count, sizeof *lines)) ||
        !set_init(&set, names, section->rule_count, arena))
        return complain_of_memory(checker);
    for (size_t stage = 0; stage < STAGE_COUNT; stage++)
        for (const struct rule *rule = section->rules[stage]; rule; rule = rule->next, at++) {
            names[at] = rule->name;
            lines[at] = rule->place.line;
            const size_t same = set_add(&set, at);
            if (is_built_in(rule->name))
                complain(checker->book, POLICY_ERROR, rule->place,
                         "the gateway itself uses this name; choose another");
            else if (same != at)
                complain(checker->book, POLICY_ERROR, rule->place,
                         "a rule of this name stands in line %u already", lines[same]);
        }
    return true;
}

/* After a rule without `when` no later one of its stage is asked; after such a `refuse`, none. */
static void warn_of_dead_rules(struct checker *checker, const struct organisation *section)
{
    const struct rule *taker = NULL;

    for (size_t stage = 0; stage < STAGE_COUNT; stage++) {
        if (taker && taker->stage != STAGE_REFUSE)
            taker = NULL;
        for (const struct rule *rule = section->rules[stage]; rule; rule = rule->next) {
            if (taker)
                complain(checker->book, POLICY_WARNING, rule->place,
                         "this rule can never fire: the one in line %u takes every message",
                         taker->place.line);
            else if (!rule->when)
                taker = rule;
        }
    }
}

static void demand_last_send(struct checker *checker, const struct organisation *section)
{
    const struct rule *last = section->rules[STAGE_SEND];

    if (section->domain_count == 0)
        return;
    while (last && last->next)
        last = last->next;
    if (last && !last->when)
        return;
    struct place place = section->number == 0 ? section->domain_places[0] : section->place;
    complain(checker->book, POLICY_ERROR, last ? last->place : place,
             "the last `send` of an organisation has no `when`, so that every message has a way; "
             "add one such as `send \"everything else\" by { tls verify, return }`");
}

/* ---- cleartext ---- */

static bool has_cleartext(const struct ladder *ladder)
{
    for (size_t i = 0; i < ladder->count; i++)
        if (ladder->rungs[i].way == WAY_CLEARTEXT)
            return true;
    return false;
}

static bool could_permit(const struct organisation *section, const struct list *to)
{
    for (const struct permit_row *row = section->permits; row; row = row->next)
        if (!row->has_to || !to || (row->to.list && list_may_share(row->to.list, to)))
            return true;
    return false;
}

/* Whether a permit could cover a message that the rule matches. The recipients are known where the
 * condition is `to …`, or an `and` with such a part; else they may be anybody. */
static bool is_coverable(const struct checker *checker, const struct organisation *section,
                         const struct condition *when)
{
    const struct organisation *gateway = checker->policy->first;
    const struct list *to = NULL;

    if (when && when->kind == CONDITION_FACT && when->fact == FACT_TO)
        to = when->value.list;
    for (const struct condition *part = when && when->kind == CONDITION_AND ? when->first : NULL;
         part && !to; part = part->next)
        if (part->kind == CONDITION_FACT && part->fact == FACT_TO)
            to = part->value.list;
    return could_permit(gateway, to) && (section == gateway || could_permit(section, to));
}

static void check_cleartext(struct checker *checker, const struct organisation *section)
{
    const char *const hint =
        section->number == 0
            ? "`cleartext` needs a `permit cleartext` that covers these messages"
            : "`cleartext` needs a `permit cleartext` that covers these messages, of the gateway "
              "and of the organisation both";

    for (const struct rule *rule = section->rules[STAGE_SEND]; rule; rule = rule->next)
        if (has_cleartext(&rule->ladder) && !is_coverable(checker, section, rule->when))
            complain(checker->book, POLICY_ERROR, rule->ladder_place, "%s", hint);
    for (const struct named_ladder *named = section->ladders; named; named = named->next)
        if (!named->is_used && has_cleartext(&named->ladder) &&
            !is_coverable(checker, section, NULL))
            complain(checker->book, POLICY_ERROR, named->place, "%s", hint);
}

static void warn_of_void_permits(struct checker *checker, const struct organisation *section)
{
    for (const struct permit_row *row = section->permits; row; row = row->next)
        if (row->permit.until_ms != 0 && row->permit.until_ms <= checker->now_ms)
            complain(checker->book, POLICY_WARNING, row->place,
                     "this permit is past its date: what it allowed is impossible now");
}

/* ---- routes ---- */

static bool is_ours(const struct policy *policy, const struct organisation *section,
                    struct span pattern)
{
    if (pattern.len > 0 && pattern.data[0] == '.') {
        for (size_t i = 0; i < policy->domain_count; i++)
            if (span_ends_with_caseless(policy->domains[i], pattern) &&
                (section->number == 0 || policy->domain_owners[i] == section))
                return true;
        return false;
    }
    size_t at = pattern.len;
    while (at > 0 && pattern.data[at - 1] != '@')
        at--;
    at = set_find_span(&policy->domain_set, span_from(pattern, at));
    return at != SIZE_MAX && (section->number == 0 || policy->domain_owners[at] == section);
}

static void check_routes(struct checker *checker, const struct organisation *section)
{
    for (const struct route_row *row = section->routes; row; row = row->next) {
        const struct list *list = row->to.list;

        for (size_t i = 0; list && i < list->count; i++) {
            if (is_ours(checker->policy, section, list->keys[i]))
                continue;
            complain(checker->book, POLICY_ERROR, row->to.place,
                     "a route by `lmtp` leads inwards: name it for what is in the `domains` %s",
                     section->number == 0 ? "of this policy" : "of this organisation");
            break;
        }
    }
}

bool check_sections(struct checker *checker)
{
    for (struct organisation *section = checker->policy->first; section; section = section->next) {
        if (!check_rule_names(checker, section))
            return false;
        warn_of_dead_rules(checker, section);
        demand_last_send(checker, section);
        check_cleartext(checker, section);
        warn_of_void_permits(checker, section);
        check_routes(checker, section);
    }
    return true;
}

/* ---- settings ---- */

static void check_required(struct checker *checker)
{
    static const struct {
        enum setting setting;
        const char *hint;
    } required[] = {
        {SETTING_HOSTNAME, "`hostname` is missing: the name that the gateway greets with, such as "
                           "`hostname \"mx.x.example\"`"},
        {SETTING_STATE, "`state` is missing: the folder in which mail waits, such as "
                        "`state \"/var/lib/letterlock\"`"},
        {SETTING_CERTIFICATE,
         "`certificate` is missing: what listeners prove themselves with, such "
         "as `certificate \"chain.pem\" key \"key.pem\"`"},
        {SETTING_MASTER_KEY, "`master key` is missing: what seals the mail that waits, such as "
                             "`master key credential \"letterlock\"`"},
    };
    const struct policy *policy = checker->policy;

    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++)
        if (policy->said[required[i].setting].line == 0)
            complain(checker->book, POLICY_ERROR, place_of_nothing(), "%s", required[i].hint);
    if (!policy->listener_rows)
        complain(checker->book, POLICY_ERROR, place_of_nothing(),
                 "`listen` is missing: where mail comes in, such as `listen smtp port 25`");
}

static void check_listener(struct checker *checker, const struct listener_row *row)
{
    const struct settings *settings = &checker->policy->settings;
    struct network laboratory, address;

    switch (row->listener.trust) {
    case TRUST_NETWORK:
        complain(checker->book, POLICY_WARNING, row->place,
                 "a listener that trusts a network: anybody who can send from there can send as "
                 "anybody");
        break;
    case TRUST_NOBODY:
        if (row->listener.kind != LISTENER_SMTP)
            complain(checker->book, POLICY_WARNING, row->place,
                     "nobody can send through this listener: say whom it trusts");
        break;
    case TRUST_CERTIFICATE:
        break;
    }
    if (settings->laboratory.host.len > 0 &&
        (!network_parse(settings->laboratory.host, &laboratory) ||
         !network_parse(row->listener.address, &address) || !network_covers(&laboratory, &address)))
        complain(checker->book, POLICY_ERROR, row->place,
                 "with a `laboratory` every listener is inside it: say `on` an address of %.*s",
                 SPAN_ARGS(settings->laboratory.host));
}

static void check_listeners(struct checker *checker)
{
    const struct listener_row *rows = checker->policy->listener_rows;

    for (const struct listener_row *row = rows; row; row = row->next) {
        check_listener(checker, row);
        for (const struct listener_row *other = rows; other != row; other = other->next)
            if (other->listener.port == row->listener.port &&
                span_equal_caseless(other->listener.address, row->listener.address)) {
                complain(checker->book, POLICY_ERROR, row->place,
                         "the listener in line %u has this address and port already",
                         other->place.line);
                break;
            }
    }
}

static void read_setting_file(struct checker *checker, enum setting setting, struct span path,
                              struct span *text)
{
    const struct place said = checker->policy->said[setting];
    struct error why;

    if (path.len > 0 && !checker->reader->read(checker->reader->self, path, POLICY_PEM_MAX,
                                               checker->policy->arena, text, &why))
        complain(checker->book, POLICY_ERROR, said.line > 0 ? said : place_of_nothing(),
                 "cannot read the file of %s: %s",
                 setting == SETTING_CERTIFICATE ? "the certificate"
                 : setting == SETTING_ROOTS     ? "the root certificates"
                                                : "the trust anchors",
                 why.text);
}

void check_settings(struct checker *checker)
{
    struct settings *settings = &checker->policy->settings;

    check_required(checker);
    check_listeners(checker);
    if (settings->master_key == MASTER_KEY_FILE)
        complain(checker->book, POLICY_WARNING, checker->policy->said[SETTING_MASTER_KEY],
                 "a key file beside the data protects little");
    read_setting_file(checker, SETTING_CERTIFICATE, settings->certificate_path,
                      &settings->certificate_pem);
    read_setting_file(checker, SETTING_ROOTS, settings->roots_path, &settings->roots_pem);
    read_setting_file(checker, SETTING_TRUST_ANCHOR, settings->trust_anchor_path,
                      &settings->trust_anchors);
}
