/* A log line stays one line, and a value stays inside its quotes. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

static char last[8192];
static size_t last_len, line_count;

static void keep(void *self, struct span line)
{
    (void)self;
    assert_true(line.len < sizeof last);
    memcpy(last, line.data, line.len);
    last[line.len] = '\0';
    last_len = line.len;
    line_count++;
}

static int divert(void **state)
{
    (void)state;
    last_len = line_count = 0;
    log_begin("test", LOG_LEVEL_INFO);
    log_divert(keep, NULL);
    return 0;
}

static int restore(void **state)
{
    (void)state;
    log_divert(NULL, NULL);
    return 0;
}

/* The line after its time, which is checked for its shape only. */
static const char *after_time(void)
{
    assert_true(last_len > 31);
    assert_memory_equal(last, "time=2", 6);
    assert_memory_equal(last + 24, "Z ", 2);
    assert_int_equal(last[last_len - 1], '\n');
    assert_ptr_equal(memchr(last, '\n', last_len), last + last_len - 1);
    assert_int_equal(strlen(last), last_len);
    return last + 26;
}

static const struct value_case {
    const char *name;
    struct span value;
    const char *printed;
} values[] = {
    {"a word stands as it is", {"01hz9-x", 7}, "01hz9-x"},
    {"nothing is quoted", {"", 0}, "\"\""},
    {"nothing at all", {NULL, 0}, "\"\""},
    {"a blank is quoted", {"a b", 3}, "\"a b\""},
    {"an equals sign is quoted", {"a=b", 3}, "\"a=b\""},
    {"a quote is escaped", {"a\"b", 3}, "\"a\\\"b\""},
    {"a backslash is escaped", {"a\\b", 3}, "\"a\\\\b\""},
    {"a line end is escaped", {"a\r\nb", 4}, "\"a\\x0d\\x0ab\""},
    {"NUL is escaped", {"a\0b", 3}, "\"a\\x00b\""},
    {"escape and delete are escaped", {"\x1b[2J\x7f", 5}, "\"\\x1b[2J\\x7f\""},
    {"UTF-8 shows", {"caf\xc3\xa9", 5}, "\"caf\xc3\xa9\""},
    {"four bytes show", {"\xf0\x9f\x94\x92", 4}, "\"\xf0\x9f\x94\x92\""},
    {"a lone continuation is escaped", {"\x80", 1}, "\"\\x80\""},
    {"a cut sequence is escaped", {"\xe2\x82", 2}, "\"\\xe2\\x82\""},
    {"an overlong slash is escaped", {"\xc0\xaf", 2}, "\"\\xc0\\xaf\""},
    {"an overlong of three is escaped", {"\xe0\x80\xaf", 3}, "\"\\xe0\\x80\\xaf\""},
    {"a surrogate is escaped", {"\xed\xa0\x80", 3}, "\"\\xed\\xa0\\x80\""},
    {"beyond Unicode is escaped", {"\xf4\x90\x80\x80", 4}, "\"\\xf4\\x90\\x80\\x80\""},
    {"a C1 control is escaped", {"\xc2\x9b", 2}, "\"\\xc2\\x9b\""},
    {"a turn of direction is escaped", {"\xe2\x80\xae", 3}, "\"\\xe2\\x80\\xae\""},
    {"a line separator is escaped", {"\xe2\x80\xa8", 3}, "\"\\xe2\\x80\\xa8\""},
};

static void a_value_is_printed_safely(void **state)
{
    const struct value_case *c = *state;
    char wanted[256];

    divert(NULL);
    log_fact(LOG_LEVEL_INFO, "a test", {"value", c->value}, {"after", SPAN_LITERAL("x")});
    snprintf(wanted, sizeof wanted, "level=info role=test fact=\"a test\" value=%s after=x\n",
             c->printed);
    assert_string_equal(after_time(), wanted);
    restore(NULL);
}

static void every_byte_stays_on_its_line(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 256; i++) {
        char byte = (char)i;

        log_fact(LOG_LEVEL_ALARM, "a test", {"value", span_make(&byte, 1)});
        for (const char *c = after_time(); *c != '\n'; c++)
            assert_true(*c >= ' ' && *c < 0x7f);
    }
    assert_int_equal(line_count, 256);
}

static void a_long_value_is_cut_before_a_character(void **state)
{
    char value[300], wanted[400];

    (void)state;
    memset(value, 'x', sizeof value);
    log_fact(LOG_LEVEL_INFO, "t", {"v", span_make(value, 200)});
    snprintf(wanted, sizeof wanted, "level=info role=test fact=t v=%.200s\n", value);
    assert_string_equal(after_time(), wanted);
    log_fact(LOG_LEVEL_INFO, "t", {"v", span_make(value, 201)});
    snprintf(wanted, sizeof wanted, "level=info role=test fact=t v=%.200s...\n", value);
    assert_string_equal(after_time(), wanted);
    memcpy(value + 199, "\xc3\xa9", 2);
    log_fact(LOG_LEVEL_INFO, "t", {"v", span_make(value, 300)});
    snprintf(wanted, sizeof wanted, "level=info role=test fact=t v=%.199s...\n", value);
    assert_string_equal(after_time(), wanted);
}

static void a_line_never_outgrows_one_write(void **state)
{
    char value[200];
    struct log_field fields[30];

    (void)state;
    memset(value, 1, sizeof value);
    for (size_t i = 0; i < COUNT(fields); i++)
        fields[i] = (struct log_field){"k", span_make(value, sizeof value)};
    log_fields(LOG_LEVEL_INFO, "a test", fields, COUNT(fields));
    after_time();
    assert_true(last_len <= 4096);
    assert_string_equal(last + last_len - 9, " cut=yes\n");
}

static void what_is_below_the_least_level_is_silent(void **state)
{
    (void)state;
    log_plain(LOG_LEVEL_DEBUG, "nobody asked");
    assert_int_equal(line_count, 0);
    log_begin("test", LOG_LEVEL_ALARM);
    log_plain(LOG_LEVEL_WARNING, "nobody asked");
    assert_int_equal(line_count, 0);
    log_plain(LOG_LEVEL_ALARM, "fire");
    assert_string_equal(after_time(), "level=alarm role=test fact=fire\n");
}

static void an_error_is_told(void **state)
{
    struct error why;

    (void)state;
    error_set(&why, ERROR_TEMPORARY, "4.4.1", "port %d", 25);
    log_error(LOG_LEVEL_WARNING, "no connection", &why);
    assert_string_equal(after_time(),
                        "level=warning role=test fact=\"no connection\" kind=temporary "
                        "status=4.4.1 reason=\"port 25\"\n");
}

enum { WRITERS = 4, LINES_EACH = 100 };

static void *write_lines(void *argument)
{
    for (int i = 0; i < LINES_EACH; i++)
        log_fact(LOG_LEVEL_INFO, "a test of threads", {"writer", span_of(argument)},
                 {"text", SPAN_LITERAL("a value\nwith a line end")});
    return NULL;
}

/* The lines of many threads, as they come out of standard error. */
static void lines_of_threads_do_not_mix(void **state)
{
    static char names[WRITERS][2] = {"a", "b", "c", "d"};
    static char got[WRITERS * LINES_EACH * 200];
    pthread_t threads[WRITERS];
    int ends[2], standard_error = dup(STDERR_FILENO);
    size_t len = 0, lines = 0;
    ssize_t part;

    (void)state;
    log_divert(NULL, NULL);
    log_begin("test", LOG_LEVEL_INFO);
    assert_int_equal(pipe(ends), 0);
    assert_true(fcntl(ends[1], F_SETPIPE_SZ, 1 << 20) > 0);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    for (size_t i = 0; i < WRITERS; i++)
        pthread_create(&threads[i], NULL, write_lines, names[i]);
    for (size_t i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    dup2(standard_error, STDERR_FILENO);
    close(standard_error);
    while ((part = read(ends[0], got + len, sizeof got - len)) > 0)
        len += (size_t)part;
    close(ends[0]);
    for (char *line = got; line < got + len; lines++) {
        char *end = memchr(line, '\n', (size_t)(got + len - line));

        assert_non_null(end);
        assert_memory_equal(line, "time=2", 6);
        *end = '\0';
        assert_non_null(strstr(line, " level=info role=test fact=\"a test of threads\" writer="));
        assert_non_null(strstr(line, " text=\"a value\\x0awith a line end\""));
        line = end + 1;
    }
    assert_int_equal(lines, WRITERS * LINES_EACH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_byte_stays_on_its_line, divert, restore),
        cmocka_unit_test_setup_teardown(a_long_value_is_cut_before_a_character, divert, restore),
        cmocka_unit_test_setup_teardown(a_line_never_outgrows_one_write, divert, restore),
        cmocka_unit_test_setup_teardown(what_is_below_the_least_level_is_silent, divert, restore),
        cmocka_unit_test(lines_of_threads_do_not_mix),
        cmocka_unit_test_setup_teardown(an_error_is_told, divert, restore),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL) +
           run_table("values", values, a_value_is_printed_safely);
}
