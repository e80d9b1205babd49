/* Log lines: one fact, one write, and nothing in it that could pass for another line. */
/* SPDX-License-Identifier: ISC */
#include "base/log.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
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

/* The length of the well-formed UTF-8 sequence at the start (RFC 3629 section 4), of a character
 * that shows as itself; 0 where there is none. Controls, line separators and marks that turn the
 * writing direction do not show as themselves: a terminal would obey them. */
static size_t visible_sequence(struct span s)
{
    const unsigned char *b = (const unsigned char *)s.data;
    size_t len = b[0] < 0x80 ? 1 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
    unsigned long point;

    if (len == 1)
        return b[0] >= ' ' && b[0] != 0x7f;
    if (b[0] < 0xc2 || b[0] > 0xf4 || s.len < len)
        return 0;
    point = b[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (b[i] & 0x3f);
    }
    if ((len == 3 && point < 0x800) || (len == 4 && (point < 0x10000 || point > 0x10ffff)))
        return 0; /* a longer spelling than needed, or beyond Unicode */
    if ((point >= 0xd800 && point < 0xe000) || point < 0xa0)
        return 0; /* surrogates, C1 controls */
    if ((point >= 0x200b && point <= 0x200f) || (point >= 0x2028 && point <= 0x202e) ||
        (point >= 0x2060 && point <= 0x206f) || point == 0xfeff)
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
