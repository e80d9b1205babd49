/* Compares the settings in force with those of a reload. */
/* SPDX-License-Identifier: ISC */
#include "reload.h"

static bool is_same_listener(const struct listener *a, const struct listener *b)
{
    if (a->kind != b->kind || a->port != b->port || !span_equal(a->address, b->address) ||
        a->trust != b->trust || a->trusted_count != b->trusted_count)
        return false;
    for (size_t i = 0; i < a->trusted_count; i++)
        if (!span_equal(a->trusted[i], b->trusted[i]))
            return false;
    return true;
}

static bool are_same_listeners(const struct settings *a, const struct settings *b)
{
    if (a->listener_count != b->listener_count)
        return false;
    for (size_t i = 0; i < a->listener_count; i++)
        if (!is_same_listener(&a->listeners[i], &b->listeners[i]))
            return false;
    return true;
}

static bool is_same_place(const struct host_port *a, const struct host_port *b)
{
    return span_equal(a->host, b->host) && a->port == b->port;
}

const char *reload_needs_restart(const struct settings *now, const struct settings *next)
{
    const struct {
        bool is_same;
        const char *setting;
    } rows[] = {
        {span_equal(now->hostname, next->hostname), "hostname"},
        {span_equal(now->state_directory, next->state_directory), "state"},
        {span_equal(now->certificate_pem, next->certificate_pem) &&
             span_equal(now->certificate_path, next->certificate_path) &&
             span_equal(now->key_path, next->key_path),
         "certificate"},
        {span_equal(now->roots_pem, next->roots_pem), "roots"},
        {span_equal(now->trust_anchors, next->trust_anchors), "trust anchor"},
        {is_same_place(&now->resolver, &next->resolver), "resolver"},
        {now->master_key == next->master_key &&
             span_equal(now->master_key_source, next->master_key_source),
         "master key"},
        {are_same_listeners(now, next), "listen"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!rows[i].is_same)
            return rows[i].setting;
    return NULL;
}
