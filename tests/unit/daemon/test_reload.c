/* A reload may change the rules; what descriptors, keys and folders hang on needs a restart. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "reload.h"

static const struct listener smtp = {.kind = LISTENER_SMTP, .port = 25},
                             relay = {.kind = LISTENER_RELAY, .port = 25},
                             smtp_26 = {.kind = LISTENER_SMTP, .port = 26},
                             loopback = {.kind = LISTENER_SMTP, .port = 25, .address = {"::1", 3}};
static const struct settings now = {
    .hostname = {"mx.x.example", 12}, .listeners = &smtp, .listener_count = 1};

static const struct reload_case {
    const char *name;
    struct settings next;
    const char *setting;
} cases[] = {
    {"the same needs nothing",
     {.hostname = {"mx.x.example", 12}, .listeners = &smtp, .listener_count = 1},
     NULL},
    {"a larger message needs nothing",
     {.hostname = {"mx.x.example", 12},
      .listeners = &smtp,
      .listener_count = 1,
      .largest_message = 9},
     NULL},
    {"another name",
     {.hostname = {"my.x.example", 12}, .listeners = &smtp, .listener_count = 1},
     "hostname"},
    {"another kind of listener",
     {.hostname = {"mx.x.example", 12}, .listeners = &relay, .listener_count = 1},
     "listen"},
    {"another port",
     {.hostname = {"mx.x.example", 12}, .listeners = &smtp_26, .listener_count = 1},
     "listen"},
    {"another address",
     {.hostname = {"mx.x.example", 12}, .listeners = &loopback, .listener_count = 1},
     "listen"},
    {"no listener", {.hostname = {"mx.x.example", 12}}, "listen"},
    {"a renewed certificate",
     {.hostname = {"mx.x.example", 12},
      .listeners = &smtp,
      .listener_count = 1,
      .certificate_pem = {"new", 3}},
     "certificate"},
    {"another key file",
     {.hostname = {"mx.x.example", 12},
      .listeners = &smtp,
      .listener_count = 1,
      .key_path = {"new", 3}},
     "certificate"},
    {"another state",
     {.hostname = {"mx.x.example", 12},
      .listeners = &smtp,
      .listener_count = 1,
      .state_directory = {"/s", 2}},
     "state"},
    {"another master key",
     {.hostname = {"mx.x.example", 12},
      .listeners = &smtp,
      .listener_count = 1,
      .master_key = MASTER_KEY_FILE},
     "master key"},
    {"another resolver",
     {.hostname = {"mx.x.example", 12},
      .listeners = &smtp,
      .listener_count = 1,
      .resolver = {.port = 53}},
     "resolver"},
    {"other roots",
     {.hostname = {"mx.x.example", 12},
      .listeners = &smtp,
      .listener_count = 1,
      .roots_pem = {"new", 3}},
     "roots"},
    {"another trust anchor",
     {.hostname = {"mx.x.example", 12},
      .listeners = &smtp,
      .listener_count = 1,
      .trust_anchors = {"new", 3}},
     "trust anchor"},
};

static void what_needs_a_restart_is_named(void **state)
{
    const struct reload_case *c = *state;
    const char *setting = reload_needs_restart(&now, &c->next);

    if (c->setting)
        assert_string_equal(setting, c->setting);
    else
        assert_null(setting);
}

int main(void)
{
    return run_table("reloads", cases, what_needs_a_restart_is_named);
}
