/* Log lines: one fact, one write, and nothing in it that could pass for another line. */
/* SPDX-License-Identifier: ISC */
#include "base/log.h"

#include "base/clock.h"

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

/* The first character of well-formed UTF-8 and its length in bytes (RFC 3629 section 3); 0 where
 * there is none, or where it is spelt longer than needed. */
static size_t decode(struct span s, unsigned long *point)
{
    static const struct {
        unsigned char mask, lead;
        unsigned long least;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    const unsigned char *b = (const unsigned char *)s.data;
    size_t len = 0;

    while (len < sizeof forms / sizeof forms[0] && (b[0] & forms[len].mask) != forms[len].lead)
        len++;
    if (len++ == sizeof forms / sizeof forms[0] || s.len < len)
        return 0;
    *point = b[0] & (unsigned char)~forms[len - 1].mask;
    for (size_t i = 1; i < len; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return 0;
        *point = *point << 6 | (b[i] & 0x3f);
    }
    return *point >= forms[len - 1].least ? len : 0;
}

/* The length of a first character that shows as itself, else 0: a terminal would obey controls,
 * line separators and marks that turn the direction of writing. Surrogates and what lies beyond
 * Unicode are no characters. */
static size_t visible_sequence(struct span s)
{
    static const unsigned long hidden[][2] = {
        {0x0000, 0x001f}, {0x007f, 0x009f}, {0x200b, 0x200f}, {0x2028, 0x202e},
        {0x2060, 0x206f}, {0xd800, 0xdfff}, {0xfeff, 0xfeff}, {0x110000, 0x1fffff},
    };
    unsigned long point = 0;
    size_t len = decode(s, &point);

    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
        if (point >= hidden[i][0] && point <= hidden[i][1])
            return 0;
    return len;
}

/* Cuts in front of a character, not inside one. */
static struct span cut_value(struct span value)
{
    size_t len = VALUE_MAX;

    if (value.len <= VALUE_MAX)
        return value;
    for (size_t back = 0; back < 3 && ((unsigned char)value.data[len] & 0xc0) == 0x80; back++)
        len--;
    return span_until(value, len);
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
        size_t visible = visible_sequence(value);

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
    struct span value = cut_value(whole);
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
