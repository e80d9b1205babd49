/* Command lines and parameters are read strictly, whatever a client makes of them. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "command.h"

/* ---- lines ---- */

static const struct line_case {
    const char *name, *line;
    const char *verb, *argument; /* verb NULL: the line must be refused */
} lines[] = {
    {"a verb alone has no argument", "QUIT", "QUIT", ""},
    {"an argument follows a blank", "EHLO a.example", "EHLO", "a.example"},
    {"blanks around an argument are none of it", "EHLO \t a.example \t", "EHLO", "a.example"},
    {"blanks within an argument stay", "MAIL FROM:<\"a b\"@x>", "MAIL", "FROM:<\"a b\"@x>"},
    {"a verb that runs into a colon is none", "RCPT:<a@b>", "", "RCPT:<a@b>"},
    {"a verb holds letters only", "X-FOO 1", "", "X-FOO 1"},
    {"an empty line has no verb", "", "", ""},
    {"a line of a blank has no verb", " QUIT", "", "QUIT"},
    {"bytes over 127 are left to the parser of the argument", "NOOP \xff", "NOOP", "\xff"},
    {"a control is refused", "NOOP \x01", NULL, NULL},
    {"an escape is refused", "NOOP \x1b[2J", NULL, NULL},
    {"a DEL is refused", "NOOP \x7f", NULL, NULL},
};

static void line_is_split(void **state)
{
    const struct line_case *c = *state;
    struct span verb, argument;

    assert_int_equal(command_split(span_of(c->line), &verb, &argument), c->verb != NULL);
    if (!c->verb)
        return;
    assert_true(span_equal(verb, span_of(c->verb)));
    assert_true(span_equal(argument, span_of(c->argument)));
}

static void nul_in_a_line_is_refused(void **state)
{
    struct span verb, argument;

    (void)state;
    assert_false(command_split(SPAN_LITERAL("NOOP a\0b"), &verb, &argument));
    assert_false(command_split(SPAN_LITERAL("\0NOOP"), &verb, &argument));
}

/* ---- MAIL ---- */

static const struct mail_case {
    const char *name, *text;
    bool tolerates_auth;
    unsigned code; /* 0: fine */
    const char *status;
    unsigned long long size;
    bool is_8bit;
} mails[] = {
    {"no parameter is fine", "", false, 0, NULL, 0, false},
    {"blanks alone are fine", "  ", false, 0, NULL, 0, false},
    {"a size is read", " SIZE=13343", false, 0, NULL, 13343, false},
    {"a size of nothing means that none was told", " SIZE=0", false, 0, NULL, 0, false},
    {"case plays no part", " body=8bitMIME size=10", false, 0, NULL, 10, true},
    {"two blanks between parameters are one", "  BODY=7BIT  SIZE=1", false, 0, NULL, 1, false},
    {"a size needs a value", " SIZE=", false, 501, "5.5.4", 0, false},
    {"a size without a sign is malformed", " SIZE", false, 501, "5.5.4", 0, false},
    {"a size of letters is malformed", " SIZE=abc", false, 501, "5.5.4", 0, false},
    {"a negative size is malformed", " SIZE=-1", false, 501, "5.5.4", 0, false},
    {"a size with a plus is malformed", " SIZE=+5", false, 501, "5.5.4", 0, false},
    {"a size beyond all numbers is too large", " SIZE=123456789012345678901", false, 552, "5.3.4",
     0, false},
    {"a size told twice is malformed", " SIZE=5 SIZE=6", false, 501, "5.5.4", 0, false},
    {"a body told twice is malformed", " BODY=7BIT BODY=7BIT", false, 501, "5.5.4", 0, false},
    {"a body of another kind is malformed", " BODY=9BIT", false, 501, "5.5.4", 0, false},
    {"BINARYMIME is not offered", " BODY=BINARYMIME", false, 501, "5.5.4", 0, false},
    {"a parameter must follow a blank", "SIZE=5", false, 501, "5.5.4", 0, false},
    {"an unknown one is not known", " FOO=bar", false, 555, "5.5.4", 0, false},
    {"SMTPUTF8 is not offered", " SMTPUTF8", false, 555, "5.5.4", 0, false},
    {"RET is not offered", " RET=FULL", false, 555, "5.5.4", 0, false},
    {"ENVID is not offered", " ENVID=a+0D+0Ab", false, 555, "5.5.4", 0, false},
    {"a keyword does not begin with a hyphen", " -A=1", false, 501, "5.5.4", 0, false},
    {"a keyword is not empty", " =1", false, 501, "5.5.4", 0, false},
    {"a value holds no second sign", " SIZE=1=2", false, 501, "5.5.4", 0, false},
    {"a value holds no byte over 127", " SIZE=\xd9\xa1", false, 501, "5.5.4", 0, false},
    {"AUTH is unknown to strangers", " AUTH=<>", false, 555, "5.5.4", 0, false},
    {"AUTH of nobody is tolerated", " AUTH=<> SIZE=7", true, 0, NULL, 7, false},
    {"AUTH of somebody is tolerated", " AUTH=e+3Dmc2@clinic.example", true, 0, NULL, 0, false},
    {"AUTH brings no line ends", " AUTH=a+0D+0ARCPT+20TO:x", true, 501, "5.5.4", 0, false},
    {"AUTH brings no DEL", " AUTH=a+7F", true, 501, "5.5.4", 0, false},
    {"AUTH in lower-case hex is malformed", " AUTH=a+3d", true, 501, "5.5.4", 0, false},
    {"AUTH that breaks off is malformed", " AUTH=a+3", true, 501, "5.5.4", 0, false},
    {"AUTH told twice is malformed", " AUTH=<> AUTH=<>", true, 501, "5.5.4", 0, false},
};

static void mail_parameters_are_read(void **state)
{
    const struct mail_case *c = *state;
    struct mail_parameters read = {.size = 99};
    struct refusal why = {.code = 0};

    assert_int_equal(mail_parameters_parse(span_of(c->text), c->tolerates_auth, &read, &why),
                     c->code == 0);
    assert_int_equal(why.code, c->code);
    if (c->code != 0) {
        assert_string_equal(why.status, c->status);
        assert_int_equal(read.size, 99); /* nothing is written on failure */
        return;
    }
    assert_true(read.size == c->size);
    assert_int_equal(read.is_8bit, c->is_8bit);
}

/* ---- RCPT and BDAT ---- */

static const struct rcpt_case {
    const char *name, *text;
    unsigned code;
} rcpts[] = {
    {"a recipient needs no parameter", "", 0},
    {"NOTIFY is not offered", " NOTIFY=SUCCESS,FAILURE", 555},
    {"ORCPT is not offered", " ORCPT=rfc822;a+0Ab", 555},
    {"a malformed one is told from an unknown one", " ORCPT=", 501},
    {"what runs into the path is malformed", "x", 501},
};

static void rcpt_parameters_are_refused(void **state)
{
    const struct rcpt_case *c = *state;
    struct refusal why = {.code = 0};

    assert_int_equal(rcpt_parameters_parse(span_of(c->text), &why), c->code == 0);
    assert_int_equal(why.code, c->code);
}

static const struct bdat_case {
    const char *name, *text;
    bool is_fine;
    unsigned long long size;
    bool is_last;
} bdats[] = {
    {"a chunk has a size", "1000", true, 1000, false},
    {"the last one says so", "500 LAST", true, 500, true},
    {"case plays no part in it", "0 last", true, 0, true},
    {"blanks between may be many", "7   LAST", true, 7, true},
    {"a chunk without a size is none", "", false, 0, false},
    {"LAST alone is none", "LAST", false, 0, false},
    {"a size holds digits only", "+5", false, 0, false},
    {"a size fits in a number", "18446744073709551616", false, 0, false},
    {"no other word is known", "5 FIRST", false, 0, false},
    {"nothing follows LAST", "5 LAST 6", false, 0, false},
};

static void chunk_sizes_are_read(void **state)
{
    const struct bdat_case *c = *state;
    unsigned long long size = 99;
    bool is_last = false;

    assert_int_equal(bdat_parse(span_of(c->text), &size, &is_last), c->is_fine);
    assert_true(size == (c->is_fine ? c->size : 99));
    assert_int_equal(is_last, c->is_last);
}

static void every_error_of_an_address_has_its_reply(void **state)
{
    struct error why;

    (void)state;
    error_set(&why, ERROR_REJECTED, "5.5.4", "no path");
    assert_int_equal(refusal_of_address(&why).code, 501);
    error_set(&why, ERROR_REJECTED, "5.1.7", "a sender");
    assert_int_equal(refusal_of_address(&why).code, 553);
    error_set(&why, ERROR_REJECTED, "5.1.3", "a recipient");
    assert_int_equal(refusal_of_address(&why).code, 553);
    error_set(&why, ERROR_INTERNAL, "4.3.0", "the arena is full");
    assert_int_equal(refusal_of_address(&why).code, 451);
}

int main(void)
{
    const struct CMUnitTest others[] = {
        cmocka_unit_test(nul_in_a_line_is_refused),
        cmocka_unit_test(every_error_of_an_address_has_its_reply),
    };

    return run_table("lines", lines, line_is_split) +
           run_table("MAIL", mails, mail_parameters_are_read) +
           run_table("RCPT", rcpts, rcpt_parameters_are_refused) +
           run_table("BDAT", bdats, chunk_sizes_are_read) +
           cmocka_run_group_tests(others, NULL, NULL);
}
