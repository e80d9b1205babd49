/* The policy as it was understood: one canonical text, the inverse of reading it. */
/* SPDX-License-Identifier: ISC */
#include "model.h"

#include "base/clock.h"

static void print_text(const char *text, struct buffer *out)
{
    buffer_append(out, span_of(text));
}

void print_string(struct span text, struct buffer *out)
{
    buffer_append_byte(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\')
            buffer_append_byte(out, '\\');
        buffer_append_byte(out, text.data[i]);
    }
    buffer_append_byte(out, '"');
}

void print_duration(int64_t ms, struct buffer *out)
{
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = {{86400000, "day"}, {3600000, "hour"}, {60000, "minute"}, {1000, "second"}};

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        const long long count = (long long)(ms / units[i].ms);

        if (ms % units[i].ms != 0)
            continue;
        buffer_append_format(out, "%lld %s%s", count, units[i].name, count == 1 ? "" : "s");
        return;
    }
}

static void print_size(uint64_t bytes, struct buffer *out)
{
    static const char *const units[] = {"bytes", "KB", "MB", "GB"};
    size_t unit = 0;

    while (unit < 3 && bytes > 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    buffer_append_format(out, "%llu %s", (unsigned long long)bytes, units[unit]);
}

static void print_value(const struct value *value, struct buffer *out)
{
    if (value->name.len > 0)
        buffer_append(out, value->name);
    else
        print_string(value->list->texts[0], out);
}

/* ---- ladders ---- */

static void print_rung(const struct rung *rung, struct buffer *out)
{
    print_text(way_name(rung->way), out);
    for (size_t i = 0; i < rung->name_count; i++) {
        print_text(i == 0 ? " named " : " or ", out);
        print_string(rung->names[i], out);
    }
    if (rung->patience_ms > 0) {
        print_text(" for ", out);
        print_duration(rung->patience_ms, out);
    }
}

void print_ladder(const struct ladder *ladder, struct buffer *out)
{
    for (size_t i = 0; i < ladder->count; i++) {
        print_text(i == 0 ? "{ " : ", ", out);
        print_rung(&ladder->rungs[i], out);
    }
    print_text(" }", out);
}

/* ---- conditions ---- */

static void print_fact(const struct condition *fact, struct buffer *out)
{
    print_text(fact_words(fact->fact), out);
    buffer_append_byte(out, ' ');
    switch (fact->fact) {
    case FACT_FROM:
    case FACT_TO:
    case FACT_SUBJECT:
        print_value(&fact->value, out);
        break;
    case FACT_THROUGH:
        print_string(fact->text, out);
        break;
    case FACT_SIZE:
        print_size(fact->number, out);
        break;
    case FACT_RECIPIENTS:
        buffer_append_format(out, "%llu", (unsigned long long)fact->number);
        break;
    case FACT_COUNT:
        break;
    }
}

/* A part that is itself `and` or `or` stands in parentheses. */
static void print_part(const struct condition *part, struct buffer *out)
{
    const bool is_joint = part->kind == CONDITION_AND || part->kind == CONDITION_OR;

    print_text(is_joint ? "(" : "", out);
    print_condition(part, out);
    print_text(is_joint ? ")" : "", out);
}

void print_condition(const struct condition *condition, struct buffer *out)
{
    switch (condition->kind) {
    case CONDITION_FACT:
        print_fact(condition, out);
        break;
    case CONDITION_NOT:
        print_text("not ", out);
        if (condition->first->kind == CONDITION_NOT) { /* `not (not …)` */
            buffer_append_byte(out, '(');
            print_condition(condition->first, out);
            buffer_append_byte(out, ')');
        } else {
            print_part(condition->first, out);
        }
        break;
    case CONDITION_AND:
    case CONDITION_OR:
        for (const struct condition *part = condition->first; part; part = part->next) {
            if (part != condition->first)
                print_text(condition->kind == CONDITION_AND ? " and " : " or ", out);
            print_part(part, out);
        }
        break;
    }
}

/* ---- settings ---- */

/* `WORDS "text"` on a line, where there is a text. */
static void print_setting(const char *words, struct span text, struct buffer *out)
{
    if (text.len == 0)
        return;
    print_text(words, out);
    buffer_append_byte(out, ' ');
    print_string(text, out);
    buffer_append_byte(out, '\n');
}

static void print_resolver(const struct host_port *resolver, struct buffer *out)
{
    scoped_buffer text;

    buffer_init(&text, POLICY_STRING_MAX + 16);
    buffer_append(&text, resolver->host);
    if (resolver->port != 53)
        buffer_append_format(&text, " port %u", resolver->port);
    print_setting("resolver", buffer_span(&text), out);
}

static void print_master_key(const struct settings *settings, struct buffer *out)
{
    switch (settings->master_key) {
    case MASTER_KEY_NONE:
        break;
    case MASTER_KEY_CREDENTIAL:
        print_setting("master key credential", settings->master_key_source, out);
        break;
    case MASTER_KEY_PASSPHRASE:
        print_text("master key passphrase\n", out);
        break;
    case MASTER_KEY_FILE:
        print_setting("master key file", settings->master_key_source, out);
        break;
    }
}

static void print_listener(const struct listener_row *row, struct buffer *out)
{
    static const char *const kinds[] = {
        [LISTENER_SMTP] = "smtp",
        [LISTENER_SUBMISSION] = "submission",
        [LISTENER_SUBMISSIONS] = "submissions",
        [LISTENER_RELAY] = "relay",
    };
    static const char *const trusts[] = {
        [TRUST_CERTIFICATE] = " trusting certificate ",
        [TRUST_NETWORK] = " trusting network ",
    };
    const struct listener *listener = &row->listener;

    buffer_append_format(out, "listen %s port %u on ", kinds[listener->kind], listener->port);
    print_string(listener->address, out);
    if (listener->trust != TRUST_NOBODY) {
        print_text(trusts[listener->trust], out);
        print_value(&row->trusted, out);
    }
    buffer_append_byte(out, '\n');
}

static void print_settings(const struct policy *policy, struct buffer *out)
{
    const struct settings *settings = &policy->settings;

    print_setting("hostname", settings->hostname, out);
    print_setting("state", settings->state_directory, out);
    if (settings->certificate_path.len > 0) {
        print_text("certificate ", out);
        print_string(settings->certificate_path, out);
        print_setting(" key", settings->key_path, out);
    }
    print_setting("roots", settings->roots_path, out);
    print_setting("trust anchor", settings->trust_anchor_path, out);
    if (settings->resolver.host.len > 0)
        print_resolver(&settings->resolver, out);
    if (settings->laboratory.host.len > 0) {
        print_text("laboratory ", out);
        print_string(settings->laboratory.host, out);
        buffer_append_format(out, " port %u\n", settings->laboratory.port);
    }
    print_master_key(settings, out);
    print_setting("administrator", settings->administrator, out);
    print_text("largest message ", out);
    print_size(settings->largest_message, out);
    buffer_append_byte(out, '\n');
    for (const struct listener_row *row = policy->listener_rows; row; row = row->next)
        print_listener(row, out);
}

/* ---- organisations ---- */

static void print_strings(const struct span *texts, size_t count, struct buffer *out)
{
    for (size_t i = 0; i < count; i++) {
        print_text(i == 0 ? "" : ", ", out);
        print_string(texts[i], out);
    }
}

static void print_list(const struct list *list, struct buffer *out)
{
    print_text("list ", out);
    buffer_append(out, list->name);
    if (list->file.len > 0) {
        print_setting(" from", list->file, out);
        return;
    }
    print_text(" { ", out);
    print_strings(list->texts, list->count, out);
    print_text(" }\n", out);
}

static void print_permit(const struct permit_row *row, struct buffer *out)
{
    char date[CLOCK_ISO_SIZE];

    print_text("permit cleartext", out);
    if (row->has_to) {
        print_text(" to ", out);
        print_value(&row->to, out);
    }
    if (row->permit.until_ms != 0) {
        clock_print_iso(row->permit.until_ms - 1, date);
        print_text(" until ", out);
        buffer_append(out, span_until(span_of(date), 10));
    }
    buffer_append_byte(out, '\n');
}

static void print_rule(const struct rule *rule, struct buffer *out)
{
    print_text(stage_name(rule->stage), out);
    buffer_append_byte(out, ' ');
    print_string(rule->name, out);
    if (rule->when) {
        print_text(" when ", out);
        print_condition(rule->when, out);
    }
    if (rule->stage == STAGE_HOLD) {
        print_text(" for ", out);
        print_duration(rule->hold_ms, out);
    } else if (rule->stage == STAGE_SEND) {
        print_text(" by ", out);
        if (rule->ladder.name.len > 0)
            buffer_append(out, rule->ladder.name);
        else
            print_ladder(&rule->ladder, out);
    }
    buffer_append_byte(out, '\n');
}

static void print_section(const struct organisation *section, struct buffer *out)
{
    if (section->domain_count > 0) {
        print_text("domains ", out);
        print_strings(section->domains, section->domain_count, out);
        buffer_append_byte(out, '\n');
    }
    for (const struct list *list = section->lists; list; list = list->next)
        print_list(list, out);
    for (const struct named_ladder *named = section->ladders; named; named = named->next) {
        print_text("ladder ", out);
        buffer_append(out, named->ladder.name);
        buffer_append_byte(out, ' ');
        print_ladder(&named->ladder, out);
        buffer_append_byte(out, '\n');
    }
    for (const struct permit_row *row = section->permits; row; row = row->next)
        print_permit(row, out);
    for (const struct route_row *row = section->routes; row; row = row->next) {
        print_text("route ", out);
        print_value(&row->to, out);
        print_setting(" to lmtp", row->target, out);
    }
    for (size_t stage = 0; stage < STAGE_COUNT; stage++)
        for (const struct rule *rule = section->rules[stage]; rule; rule = rule->next)
            print_rule(rule, out);
}

void print_policy(const struct policy *policy, struct buffer *out)
{
    print_settings(policy, out);
    print_section(policy->first, out);
    for (const struct organisation *section = policy->first->next; section;
         section = section->next) {
        print_text("organisation ", out);
        print_string(section->name, out);
        print_text(" {\n", out);
        print_section(section, out);
        print_text("}\n", out);
    }
}
