/* Gives names their meaning: lists, ladders, domains, and the files that a policy speaks of. */
/* SPDX-License-Identifier: ISC */
#include "check.h"
#include "parser.h"

#include <openssl/evp.h>

bool complain_of_memory(struct checker *checker)
{
    return complain(checker->book, POLICY_ERROR, place_of_nothing(),
                    "there is no memory left for this policy");
}

/* ---- names ---- */

static struct place place_of_name(const struct organisation *section, size_t at)
{
    return section->list_of_name[at] ? section->list_of_name[at]->place
                                     : section->ladder_of_name[at]->place;
}

/* A name is defined once, and an organisation's never hides one of the gateway's. */
static void check_name(struct checker *checker, const struct organisation *section, size_t at,
                       size_t same)
{
    const struct span name = section->names.keys[at];
    const struct organisation *gateway = checker->policy->first;

    if (same != at)
        complain(checker->book, POLICY_ERROR, place_of_name(section, at),
                 "the name `%.*s` was given in line %u already", SPAN_ARGS(name),
                 place_of_name(section, same).line);
    else if (section != gateway && (same = set_find_span(&gateway->names, name)) != SIZE_MAX)
        complain(checker->book, POLICY_ERROR, place_of_name(section, at),
                 "the gateway gave the name `%.*s` in line %u already", SPAN_ARGS(name),
                 place_of_name(gateway, same).line);
}

static bool index_names(struct checker *checker, struct organisation *section)
{
    struct arena *arena = checker->policy->arena;
    size_t count = 0;

    for (struct list *list = section->lists; list; list = list->next)
        count++;
    for (struct named_ladder *named = section->ladders; named; named = named->next)
        count++;
    struct span *names = arena_take_array(arena, count, sizeof *names);
    section->list_of_name = arena_take_array(arena, count, sizeof *section->list_of_name);
    section->ladder_of_name = arena_take_array(arena, count, sizeof *section->ladder_of_name);
    if (!names || !section->list_of_name || !section->ladder_of_name ||
        !set_init(&section->names, names, count, arena))
        return false;
    size_t at = 0;
    for (struct list *list = section->lists; list; list = list->next, at++) {
        names[at] = list->name;
        section->list_of_name[at] = list;
        check_name(checker, section, at, set_add(&section->names, at));
    }
    for (struct named_ladder *named = section->ladders; named; named = named->next, at++) {
        names[at] = named->ladder.name;
        section->ladder_of_name[at] = named;
        check_name(checker, section, at, set_add(&section->names, at));
    }
    return true;
}

/* The nearest name of the kind that is looked for. */
static void find_nearest(const struct organisation *section, bool is_list, struct span name,
                         struct span *nearest, unsigned *best)
{
    if (is_list) {
        for (const struct list *list = section->lists; list; list = list->next)
            if (word_is_nearer(name, list->name, best))
                *nearest = list->name;
    } else {
        for (const struct named_ladder *named = section->ladders; named; named = named->next)
            if (word_is_nearer(name, named->ladder.name, best))
                *nearest = named->ladder.name;
    }
}

static void complain_of_name(struct checker *checker, const struct organisation *section,
                             bool is_list, struct span name, struct place place)
{
    const char *kind = is_list ? "list" : "ladder";
    struct span nearest = {"", 0};
    unsigned best = 3;

    if (book_is_full(checker->book)) /* looking for the nearest would be for nobody */
        return;
    find_nearest(section, is_list, name, &nearest, &best);
    if (section != checker->policy->first)
        find_nearest(checker->policy->first, is_list, name, &nearest, &best);
    if (nearest.len > 0)
        complain(checker->book, POLICY_ERROR, place,
                 "no %s here has the name `%.*s`; did you mean `%.*s`?", kind, SPAN_ARGS(name),
                 SPAN_ARGS(nearest));
    else
        complain(checker->book, POLICY_ERROR, place, "no %s here has the name `%.*s`", kind,
                 SPAN_ARGS(name));
}

static struct list *find_list(const struct organisation *section, struct span name)
{
    const size_t at = set_find_span(&section->names, name);

    return at == SIZE_MAX ? NULL : section->list_of_name[at];
}

static struct named_ladder *find_ladder(const struct organisation *section, struct span name)
{
    const size_t at = set_find_span(&section->names, name);

    return at == SIZE_MAX ? NULL : section->ladder_of_name[at];
}

/* ---- lists ---- */

static void complain_of_entry(struct checker *checker, const struct list *list, size_t entry,
                              const char *expected)
{
    if (list->places)
        complain(checker->book, POLICY_ERROR, list->places[entry], "expected %s", expected);
    else
        complain(checker->book, POLICY_ERROR, list->file_place,
                 "in line %u of this file: expected %s", list->lines[entry], expected);
}

static void check_use(struct checker *checker, struct list *list, enum list_use use,
                      struct place place)
{
    if (list->uses & use)
        return;
    list->uses |= use;
    switch (use) {
    case USE_ADDRESSES:
        if (list->first_bad < list->count)
            complain_of_entry(checker, list, list->first_bad,
                              "a domain such as \"x.example\", all below it as \".x.example\", or "
                              "an address such as \"a@x.example\"");
        break;
    case USE_WORDS:
        list->words_number = checker->policy->words_count++;
        if (list->count > POLICY_WORDS_MAX)
            complain(checker->book, POLICY_ERROR, place,
                     "a list of words has at most %d entries: each is a search of the subject",
                     POLICY_WORDS_MAX);
        break;
    case USE_CERTIFICATES:
        for (size_t i = 0; i < list->count; i++) {
            if (certificate_name_is_valid(list->texts[i]))
                continue;
            complain_of_entry(checker, list, i,
                              "the DNS name of a certificate or \"sha256:\" and 64 hex digits");
            break;
        }
        break;
    }
}

static void resolve_value(struct checker *checker, const struct organisation *section,
                          struct value *value, enum list_use use)
{
    if (!value->list)
        value->list = find_list(section, value->name);
    if (!value->list)
        value->list = find_list(checker->policy->first, value->name);
    if (value->list)
        check_use(checker, value->list, use, value->place);
    else
        complain_of_name(checker, section, true, value->name, value->place);
}

static bool read_list(struct checker *checker, struct list *list)
{
    struct arena *arena = checker->policy->arena;
    struct span text;
    const char *fault;
    unsigned line;
    struct error why;

    if (!checker->reader->read(checker->reader->self, list->file, POLICY_LIST_BYTES_MAX, arena,
                               &text, &why)) {
        /* An empty list stands in, so that its uses are no errors of their own. */
        complain(checker->book, POLICY_ERROR, list->file_place, "cannot read this file: %s",
                 why.text);
        return list_complete(list, arena);
    }
    if (!EVP_Digest(text.data, text.len, list->digest, NULL, EVP_sha256(), NULL))
        return false;
    if (list_read(list, text, arena, &line, &fault))
        return true;
    if (!fault)
        return false;
    complain(checker->book, POLICY_ERROR, list->file_place, "in line %u of this file: %s", line,
             fault);
    return list_complete(list, arena);
}

static bool read_lists(struct checker *checker, struct organisation *section)
{
    for (struct list *list = section->lists; list; list = list->next) {
        if (list->file.len > 0 && !read_list(checker, list))
            return false;
        if (list->count == 0)
            complain(checker->book, POLICY_WARNING, list->place, "this list is empty");
    }
    return true;
}

/* ---- sections ---- */

static void resolve_condition(struct checker *checker, const struct organisation *section,
                              struct condition *condition)
{
    for (struct condition *part = condition->first; part; part = part->next)
        resolve_condition(checker, section, part);
    if (condition->kind != CONDITION_FACT)
        return;
    switch (condition->fact) {
    case FACT_FROM:
    case FACT_TO:
        resolve_value(checker, section, &condition->value, USE_ADDRESSES);
        break;
    case FACT_SUBJECT:
        resolve_value(checker, section, &condition->value, USE_WORDS);
        break;
    case FACT_THROUGH:
    case FACT_SIZE:
    case FACT_RECIPIENTS:
    case FACT_COUNT:
        break;
    }
}

static void resolve_ladder(struct checker *checker, const struct organisation *section,
                           struct rule *rule)
{
    struct named_ladder *named = find_ladder(section, rule->ladder.name);

    if (!named)
        named = find_ladder(checker->policy->first, rule->ladder.name);
    if (!named) {
        complain_of_name(checker, section, false, rule->ladder.name, rule->ladder_place);
        return;
    }
    named->is_used = true;
    rule->ladder = named->ladder;
}

static void resolve_section(struct checker *checker, struct organisation *section)
{
    for (struct route_row *row = section->routes; row; row = row->next) {
        resolve_value(checker, section, &row->to, USE_ADDRESSES);
        if (row->to.list) {
            row->route.domains = row->to.list->keys;
            row->route.domain_count = row->to.list->count;
        }
    }
    for (struct permit_row *row = section->permits; row; row = row->next) {
        if (row->has_to)
            resolve_value(checker, section, &row->to, USE_ADDRESSES);
        if (row->to.list) {
            row->permit.to = row->to.list->keys;
            row->permit.to_count = row->to.list->count;
        }
    }
    for (size_t stage = 0; stage < STAGE_COUNT; stage++)
        for (struct rule *rule = section->rules[stage]; rule; rule = rule->next) {
            if (rule->when)
                resolve_condition(checker, section, rule->when);
            if (rule->ladder.name.len > 0)
                resolve_ladder(checker, section, rule);
        }
}

static bool resolve_listeners(struct checker *checker)
{
    struct policy *policy = checker->policy;
    struct settings *settings = &policy->settings;
    struct listener *listeners =
        arena_take_array(policy->arena, settings->listener_count, sizeof *listeners);
    size_t count = 0;

    if (!listeners)
        return false;
    for (struct listener_row *row = policy->listener_rows; row; row = row->next) {
        if (row->listener.trust == TRUST_CERTIFICATE)
            resolve_value(checker, policy->first, &row->trusted, USE_CERTIFICATES);
        if (row->listener.trust != TRUST_NOBODY && row->trusted.list) {
            row->listener.trusted = row->trusted.list->keys;
            row->listener.trusted_count = row->trusted.list->count;
        }
        listeners[count++] = row->listener;
    }
    settings->listeners = listeners;
    return true;
}

/* ---- organisations ---- */

static void complain_of_domain(struct checker *checker, const struct organisation *section,
                               size_t domain, const struct organisation *owner)
{
    if (owner == section)
        complain(checker->book, POLICY_ERROR, section->domain_places[domain],
                 "this domain was named already");
    else
        complain(checker->book, POLICY_ERROR, section->domain_places[domain],
                 "a domain belongs to one organisation; this one belongs to %s",
                 owner->number == 0 ? "the gateway" : "another");
}

static bool index_domains(struct checker *checker)
{
    struct policy *policy = checker->policy;
    size_t count = 0, at = 0;

    for (struct organisation *section = policy->first; section; section = section->next)
        count += section->domain_count;
    policy->domain_count = count;
    policy->domains = arena_take_array(policy->arena, count, sizeof *policy->domains);
    policy->domain_owners = arena_take_array(policy->arena, count, sizeof *policy->domain_owners);
    if (!policy->domains || !policy->domain_owners ||
        !set_init(&policy->domain_set, policy->domains, count, policy->arena))
        return false;
    for (struct organisation *section = policy->first; section; section = section->next)
        for (size_t i = 0; i < section->domain_count; i++, at++) {
            policy->domains[at] = section->domains[i];
            policy->domain_owners[at] = section;
            const size_t same = set_add(&policy->domain_set, at);
            if (same != at)
                complain_of_domain(checker, section, i, policy->domain_owners[same]);
        }
    return true;
}

static bool index_organisations(struct checker *checker)
{
    struct policy *policy = checker->policy;
    const size_t count = policy->organisation_count;

    policy->organisations = arena_take_array(policy->arena, count, sizeof *policy->organisations);
    policy->organisation_name_list = arena_take_array(policy->arena, count, sizeof(struct span));
    if (!policy->organisations || !policy->organisation_name_list ||
        !set_init(&policy->organisation_names, policy->organisation_name_list, count,
                  policy->arena))
        return false;
    for (struct organisation *section = policy->first; section; section = section->next) {
        const size_t number = section->number;

        policy->organisations[number] = section;
        policy->organisation_name_list[number] = section->name;
        if (set_add(&policy->organisation_names, number) != number)
            complain(checker->book, POLICY_ERROR, section->place,
                     "another organisation has this name");
    }
    return true;
}

bool resolve(struct checker *checker)
{
    struct policy *policy = checker->policy;

    if (!index_organisations(checker) || !index_domains(checker))
        return complain_of_memory(checker);
    for (struct organisation *section = policy->first; section; section = section->next)
        if (!index_names(checker, section) || !read_lists(checker, section))
            return complain_of_memory(checker);
    if (!resolve_listeners(checker))
        return complain_of_memory(checker);
    for (struct organisation *section = policy->first; section; section = section->next)
        resolve_section(checker, section);
    return true;
}
