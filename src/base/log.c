/* Log lines: one fact, one write, and nothing in it that could pass for another line. */
/* SPDX-License-Identifier: ISC */
#include "base/log.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 4096, /* PIPE_BUF: what reaches a pipe in one piece */
    VALUE_MAX = 200,
    ESCAPED_MAX = 4 * VALUE_MAX + sizeof "...",
};

static const char *const level_names[] = {
    [LOG_LEVEL_DEBUG] = "debug",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_WARNING] = "warning",
    [LOG_LEVEL_ALARM] = "alarm",
};
_Static_assert(sizeof level_names / sizeof level_names[0] == LOG_LEVEL_ALARM + 1,
               "a level without name");

static const char *_Atomic role_name = "letterlock";
static atomic_int least_level = LOG_LEVEL_INFO;

/* The lock guards the pair and holds while the sink runs, so that a test's sink needs none. */
static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool is_diverted;
static void (*sink_write)(void *self, struct span line);
static void *sink_self;

void log_begin(const char *role, enum log_level least)
{
    atomic_store(&role_name, role);
    atomic_store(&least_level, (int)least);
}

void log_divert(void (*sink)(void *self, struct span line), void *self)
{
    pthread_mutex_lock(&sink_lock);
    sink_write = sink;
    sink_self = self;
    atomic_store(&is_diverted, sink != NULL);
    pthread_mutex_unlock(&sink_lock);
}

static bool needs_quotes(struct span value)
{
    if (value.len == 0)
        return true;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.data[i];

        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f)
            return true; /* where char is signed, all that is not ASCII too */
    }
    return false;
}

static size_t escape_value(struct span value, bool is_cut, char out[ESCAPED_MAX])
{
    static const char hex[] = "0123456789abcdef";
    size_t len = 0;

    while (value.len > 0) {
        unsigned char c = (unsigned char)value.data[0];
        size_t visible = utf8_visible(value);

        if (visible == 0) {
            out[len++] = '\\';
            out[len++] = 'x';
            out[len++] = hex[c >> 4];
            out[len++] = hex[c & 15];
            value = span_from(value, 1);
            continue;
        }
        if (c == '"' || c == '\\')
            out[len++] = '\\';
        memcpy(out + len, value.data, visible);
        len += visible;
        value = span_from(value, visible);
    }
    if (is_cut) {
        memcpy(out + len, "...", 3);
        len += 3;
    }
    return len;
}

struct line {
    char text[LINE_MAX_BYTES];
    size_t len;
    bool is_cut;
};

static const struct span cut_mark = SPAN_LITERAL(" cut=yes");

/* Adds ` key=value` whole or not at all: half a value could be read as another one. */
static void add_field(struct line *line, const char *key, struct span whole)
{
    char escaped[ESCAPED_MAX];
    struct span value = utf8_until(whole, VALUE_MAX);
    size_t len = escape_value(value, value.len < whole.len, escaped);
    const char *quote = needs_quotes(value) ? "\"" : "";
    size_t room = sizeof line->text - line->len - cut_mark.len - sizeof "\n";
    int printed;

    if (strlen(key) + len + sizeof " =\"\"" > room) {
        line->is_cut = true;
        return;
    }
    printed = snprintf(line->text + line->len, room, "%s%s=%s%.*s%s", line->len > 0 ? " " : "", key,
                       quote, (int)len, escaped, quote);
    if (printed > 0)
        line->len += (size_t)printed;
}

static void write_line(struct span line)
{
    ssize_t put;

    if (atomic_load(&is_diverted)) {
        pthread_mutex_lock(&sink_lock);
        if (sink_write)
            sink_write(sink_self, line);
        pthread_mutex_unlock(&sink_lock);
        return;
    }
    do
        put = write(STDERR_FILENO, line.data, line.len);
    while (put < 0 && errno == EINTR);
    /* A log that cannot be written has nobody to tell; mail goes on. */
}

void log_fields(enum log_level level, const char *fact, const struct log_field *fields,
                size_t count)
{
    struct line line;
    char time[CLOCK_ISO_SIZE];
    int saved = errno;

    if ((int)level < atomic_load_explicit(&least_level, memory_order_relaxed))
        return;
    line.len = 0;
    line.is_cut = false;
    clock_print_iso(clock_wall_ms(&clock_of_system), time);
    add_field(&line, "time", span_of(time));
    add_field(&line, "level", span_of(level_names[level]));
    add_field(&line, "role", span_of(atomic_load(&role_name)));
    add_field(&line, "fact", span_of(fact));
    for (size_t i = 0; i < count; i++)
        add_field(&line, fields[i].key, fields[i].value);
    if (line.is_cut) {
        memcpy(line.text + line.len, cut_mark.data, cut_mark.len);
        line.len += cut_mark.len;
    }
    line.text[line.len++] = '\n';
    write_line(span_make(line.text, line.len));
    errno = saved;
}

void log_plain(enum log_level level, const char *fact)
{
    log_fields(level, fact, NULL, 0);
}

void log_error(enum log_level level, const char *fact, const struct error *why)
{
    log_fact(level, fact, {"kind", span_of(error_kind_name(why->kind))},
             {"status", span_of(why->status ? why->status : "")}, {"reason", span_of(why->text)});
}
