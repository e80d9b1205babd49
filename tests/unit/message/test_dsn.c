/* Reports of failed deliveries: whole, well-formed, and never forged by a peer's words. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/memory.h"
#include "message/content.h"
#include "message/dsn.h"
#include "message/header.h"

#define ID "01000000000000000000000000"
#define REPORT_ID "02000000000000000000000000"
#define DATE "Wed, 25 Nov 2026 12:44:36 +0000"
#define TEN_A "aaaaaaaaaa"

static const struct dsn_recipient full = {
    .address = SPAN_LITERAL("x@partner.example"),
    .status = "5.1.1",
    .reason = SPAN_LITERAL("The server of partner.example does not know this address."),
    .remote_host = SPAN_LITERAL("mx1.partner.example"),
    .peer_reply = SPAN_LITERAL("550-5.1.1 Sorry,\r\n550 5.1.1 no such user\r\n"),
    .last_attempt_ms = 1795610676000,
};

static struct dsn_facts facts_of(const struct dsn_recipient *recipients, size_t count)
{
    return (struct dsn_facts){
        .message = {{1}},
        .report = {{2}},
        .host_name = SPAN_LITERAL("mx.clinic.example"),
        .sender = SPAN_LITERAL("nurse@clinic.example"),
        .arrived_at_ms = 1795610676000,
        .now_ms = 1795610677000,
        .recipients = recipients,
        .recipient_count = count,
    };
}

static void write_report(const struct dsn_recipient *recipients, size_t count, struct buffer *out)
{
    struct dsn_facts facts = facts_of(recipients, count);
    struct error why;

    buffer_init(out, MIB(1));
    assert_true(dsn_write(&facts, out, &why));
}

static void assert_has(const struct buffer *report, const char *text)
{
    assert_non_null(memmem(report->data, report->len, text, strlen(text)));
}

/* 7-bit, CRLF only, no control, no line over `most` bytes. */
static void assert_well_formed(const struct buffer *report, size_t most)
{
    struct content content;
    struct error why;

    content_begin(&content, SPAN_LITERAL(""));
    content_feed(&content, buffer_span(report));
    assert_true(content_end(&content, &why));
    assert_false(content.has_8bit);
    assert_true(content.longest_line <= most);
    for (size_t i = 0; i < report->len; i++)
        assert_true(report->data[i] >= ' ' || report->data[i] == '\r' || report->data[i] == '\n');
}

static size_t count_of(const struct buffer *report, const char *text)
{
    size_t count = 0;

    for (struct span rest = buffer_span(report); rest.len > 0; rest = span_from(rest, 1))
        count += span_starts_with(rest, span_of(text));
    return count;
}

static void the_whole_report_reads_so(void **state)
{
    static const char expected[] =
        "From: Mail Delivery System <MAILER-DAEMON@mx.clinic.example>\r\n"
        "To: <nurse@clinic.example>\r\n"
        "Date: Wed, 25 Nov 2026 12:44:37 +0000\r\n"
        "Message-ID: <" REPORT_ID "@mx.clinic.example>\r\n"
        "Subject: Your message could not be delivered\r\n"
        "Auto-Submitted: auto-replied\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status;\r\n"
        " boundary=\"letterlock-" REPORT_ID "\"\r\n"
        "\r\n"
        "--letterlock-" REPORT_ID "\r\n"
        "Content-Type: text/plain; charset=us-ascii\r\n"
        "Content-Description: What happened\r\n"
        "\r\n"
        "This is the mail gateway mx.clinic.example. Your message could not be\r\n"
        "delivered to the recipient below, and it will not be tried again.\r\n"
        "\r\n"
        "  <x@partner.example>\r\n"
        "    The server of partner.example does not know this address.\r\n"
        "    The other side's mail server answered: 550-5.1.1 Sorry, 550 5.1.1 no\r\n"
        "    such user\r\n"
        "    Please check the address for a mistake, or ask the recipient for the\r\n"
        "    right one.\r\n"
        "\r\n"
        "Your message came to this gateway on " DATE ".\r\n"
        "For its protection this report holds neither its subject nor its text.\r\n"
        "\r\n"
        "If you ask somebody for help, please quote this number:\r\n"
        "  " ID "\r\n"
        "\r\n"
        "--letterlock-" REPORT_ID "\r\n"
        "Content-Type: message/delivery-status\r\n"
        "Content-Description: The same for programs\r\n"
        "\r\n"
        "Reporting-MTA: dns; mx.clinic.example\r\n"
        "Arrival-Date: " DATE "\r\n"
        "X-Letterlock-Message: " ID "\r\n"
        "\r\n"
        "Final-Recipient: rfc822; x@partner.example\r\n"
        "Action: failed\r\n"
        "Status: 5.1.1\r\n"
        "Remote-MTA: dns; mx1.partner.example\r\n"
        "Diagnostic-Code: smtp; 550-5.1.1 Sorry, 550 5.1.1 no such user\r\n"
        "Last-Attempt-Date: " DATE "\r\n"
        "\r\n"
        "--letterlock-" REPORT_ID "\r\n"
        "Content-Type: text/rfc822-headers\r\n"
        "Content-Description: Where the message was\r\n"
        "\r\n"
        "Received: by mx.clinic.example id " ID ";\r\n"
        " " DATE "\r\n"
        "\r\n"
        "--letterlock-" REPORT_ID "--\r\n";
    scoped_buffer report;

    (void)state;
    write_report(&full, 1, &report);
    assert_well_formed(&report, 78);
    assert_int_equal(report.len, sizeof expected - 1);
    assert_memory_equal(report.data, expected, report.len);
}

static void each_recipient_has_its_fields(void **state)
{
    struct dsn_recipient recipients[3] = {full, full, full};
    scoped_buffer report;

    (void)state;
    recipients[1].address = SPAN_LITERAL("\"a  b\"@third.example");
    recipients[2] =
        (struct dsn_recipient){.address = SPAN_LITERAL("c@dead.example"), .status = "4.4.7"};
    write_report(recipients, COUNT(recipients), &report);
    assert_well_formed(&report, 78);
    assert_has(&report, "to the 3 recipients below");
    assert_has(&report,
               "\r\n\r\nFinal-Recipient: rfc822; \"a  b\"@third.example\r\nAction: failed\r\n");
    assert_has(&report, "\r\n\r\nFinal-Recipient: rfc822; c@dead.example\r\nAction: failed\r\n"
                        "Status: 4.4.7\r\n\r\n--letterlock");
    assert_int_equal(count_of(&report, "\r\nFinal-Recipient:"), 3);
    assert_int_equal(count_of(&report, "\r\nLast-Attempt-Date:"), 2);
}

/* `shown` is the Diagnostic-Code as it stands there. */
static const struct reply_case {
    const char *name;
    struct span reply;
    const char *shown;
} replies[] = {
    {"S64: a CR shows escaped",
     SPAN_LITERAL("550 5.1.1 a\rFinal-Recipient: rfc822; boss@clinic.example\r\n"),
     "smtp; 550 5.1.1 a\\x0DFinal-Recipient: rfc822;\r\n boss@clinic.example\r\n"},
    {"S64: a reply that ends in a blank", SPAN_LITERAL("550-5.1.1 x\r\n550 \r\n"),
     "smtp; 550-5.1.1 x 550\r\n"},
    {"S64: a code alone", SPAN_LITERAL("550"), "smtp; 550\r\n"},
    {"S64: a last line without text", SPAN_LITERAL("550-no\r\n550"), "smtp; 550-no 550\r\n"},
    {"an empty line brings no fields", SPAN_LITERAL("550 a\r\n\r\nFinal-Recipient: b\r\n"),
     "smtp; 550 a Final-Recipient: b\r\n"},
    {"a bare LF shows escaped", SPAN_LITERAL("550 a\nAction: delivered"),
     "smtp; 550 a\\x0AAction: delivered\r\n"},
    {"CR CR LF", SPAN_LITERAL("550 a\r\r\nb"), "smtp; 550 a\\x0D b\r\n"},
    {"a NUL, a byte over 127, DEL", SPAN_LITERAL("550 \0\xfc\x7f"),
     "smtp; 550 \\x00\\xFC\\x7F\r\n"},
    {"a backslash, so that nothing looks escaped that is not", SPAN_LITERAL("550 \\x0D"),
     "smtp; 550 \\x5Cx0D\r\n"},
    {"tabs and blanks are one blank", SPAN_LITERAL(" 550 \t  a "), "smtp; 550 a\r\n"},
    {"only line ends", SPAN_LITERAL("\r\n\r\n"), "smtp;\r\n"},
    {"something like a boundary", SPAN_LITERAL("550 x\r\n--letterlock-" REPORT_ID "--\r\n"),
     "smtp; 550 x --letterlock-" REPORT_ID "--\r\n"},
};

static void reply_is_shown(void **state)
{
    const struct reply_case *c = *state;
    struct dsn_recipient recipient = full;
    scoped_buffer report;

    recipient.peer_reply = c->reply;
    write_report(&recipient, 1, &report);
    assert_well_formed(&report, 78);
    assert_has(&report, "\r\nDiagnostic-Code: ");
    assert_has(&report, c->shown);
    assert_int_equal(count_of(&report, "\nFinal-Recipient:"), 1);
    assert_int_equal(count_of(&report, "\nAction:"), 1);
    assert_int_equal(count_of(&report, "\n--letterlock-"), 4);
}

static void a_long_reply_is_cut(void **state)
{
    char reply[4000];
    struct dsn_recipient recipient = full;
    scoped_buffer report;

    (void)state;
    memset(reply, 'a', sizeof reply);
    recipient.peer_reply = span_make(reply, sizeof reply);
    write_report(&recipient, 1, &report);
    assert_well_formed(&report, 998);
    assert_has(&report, "a\r\n [cut]\r\n");
    buffer_clear(&report);
    memset(reply, '\xff', sizeof reply);
    write_report(&recipient, 1, &report);
    assert_well_formed(&report, 998);
    assert_has(&report, "\\xFF\r\n [cut]\r\n");
}

static void a_hostile_host_or_address_forges_nothing(void **state)
{
    char long_address[1000];
    struct dsn_recipient recipient = full;
    scoped_buffer report;

    (void)state;
    recipient.remote_host = SPAN_LITERAL("mx\nAction: delivered");
    recipient.address = SPAN_LITERAL("a\r\n\r\nFinal-Recipient: b");
    write_report(&recipient, 1, &report);
    assert_int_equal(count_of(&report, "\nAction:"), 1);
    assert_int_equal(count_of(&report, "\nFinal-Recipient:"), 1);
    buffer_clear(&report);
    memset(long_address, '\xff', sizeof long_address);
    recipient.address = span_make(long_address, sizeof long_address);
    write_report(&recipient, 1, &report);
    assert_well_formed(&report, 998);
}

static const struct advice_case {
    const char *name, *status, *advice;
} advices[] = {
    {"an address that is wrong", "5.1.1", "check the address"},
    {"a null MX", "5.1.10", "takes no mail at all"},
    {"a domain that is wrong", "5.1.2", "after the \"@\""},
    {"a full mailbox", "5.2.2", "full"},
    {"a closed mailbox", "5.2.1", "takes no mail"},
    {"too big", "5.3.4", "too big"},
    {"a loop", "5.4.6", "circles"},
    {"time is over", "5.4.7", "out of order"},
    {"a temporary status at the end", "4.4.7", "out of order"},
    {"a form that is not taken", "5.6.1", "form"},
    {"no way is safe", "5.7.4", "another way"},
    {"anything else", "5.0.0", "administrator"},
    {"no status at all", "", "administrator"},
};

static void advice_is_given(void **state)
{
    const struct advice_case *c = *state;
    struct dsn_recipient recipient = full;
    scoped_buffer report;

    recipient.status = c->status;
    write_report(&recipient, 1, &report);
    assert_has(&report, c->advice);
    assert_well_formed(&report, 78);
}

static void a_bounce_never_bounces(void **state)
{
    struct dsn_facts facts = facts_of(&full, 1);
    struct error why;
    scoped_buffer report;

    (void)state;
    buffer_init(&report, MIB(1));
    facts.sender = SPAN_LITERAL("");
    assert_false(dsn_write(&facts, &report, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
}

static void a_sender_with_a_line_end_is_our_own_fault(void **state)
{
    struct dsn_facts facts = facts_of(&full, 1);
    struct error why;
    scoped_buffer report;

    (void)state;
    buffer_init(&report, MIB(1));
    facts.sender = SPAN_LITERAL("a\r\nBcc: b");
    assert_false(dsn_write(&facts, &report, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
}

static void no_memory_is_an_error_and_never_half_a_report(void **state)
{
    struct dsn_facts facts = facts_of(&full, 1);
    bool written = false;
    struct error why;

    (void)state;
    for (size_t limit = 0; limit < 2000; limit += 100) {
        scoped_buffer report;

        buffer_init(&report, limit);
        written = dsn_write(&facts, &report, &why);
        assert_int_equal(written, !report.failed);
    }
    written = false;
    for (unsigned n = 1; n < 50 && !written; n++) {
        scoped_buffer report;

        buffer_init(&report, MIB(1));
        memory_fail_after(n);
        written = dsn_write(&facts, &report, &why);
        memory_fail_after(0);
        if (!written)
            assert_int_equal(why.kind, ERROR_INTERNAL);
    }
    assert_true(written);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_report_reads_so),
        cmocka_unit_test(each_recipient_has_its_fields),
        cmocka_unit_test(a_long_reply_is_cut),
        cmocka_unit_test(a_hostile_host_or_address_forges_nothing),
        cmocka_unit_test(a_bounce_never_bounces),
        cmocka_unit_test(a_sender_with_a_line_end_is_our_own_fault),
        cmocka_unit_test(no_memory_is_an_error_and_never_half_a_report),
    };

    return run_table("replies", replies, reply_is_shown) +
           run_table("advice", advices, advice_is_given) +
           cmocka_run_group_tests_name("reports", tests, NULL, NULL);
}
