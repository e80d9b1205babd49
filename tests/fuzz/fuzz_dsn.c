/* fuzz-deps: base message */
/* Whatever a peer replied, the report is well-formed and says only what we put there. */
/* SPDX-License-Identifier: ISC */
#include "base/memory.h"
#include "message/content.h"
#include "message/dsn.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t count_of(struct span text, struct span wanted)
{
    size_t count = 0;
    const char *at;

    while (text.len > 0 && (at = memmem(text.data, text.len, wanted.data, wanted.len)) != NULL) {
        text = span_from(text, (size_t)(at - text.data) + 1);
        count++;
    }
    return count;
}

/* One input is cut into host, address and reply at its first two NULs, and stands for each. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span host, address, reply, text = span_make(data, size);
    struct dsn_recipient recipient = {.status = "5.1.1", .reason = SPAN_LITERAL("It was refused.")};
    struct dsn_facts facts = {.host_name = SPAN_LITERAL("mx.clinic.example"),
                              .sender = SPAN_LITERAL("nurse@clinic.example"),
                              .recipients = &recipient,
                              .recipient_count = 1};
    struct content content;
    struct error why;
    scoped_buffer report;

    span_split(text, '\0', &host, &text);
    span_split(text, '\0', &address, &reply);
    recipient.remote_host = host;
    recipient.address = address;
    recipient.peer_reply = reply;
    buffer_init(&report, MIB(1));
    assert(dsn_write(&facts, &report, &why));
    content_begin(&content, SPAN_LITERAL(""));
    content_feed(&content, buffer_span(&report));
    assert(content_end(&content, &why));
    assert(!content.has_8bit && content.longest_line <= 998);
    for (size_t i = 0; i < report.len; i++)
        assert(report.data[i] >= ' ' || report.data[i] == '\r' || report.data[i] == '\n');
    assert(count_of(buffer_span(&report), SPAN_LITERAL("\nAction: failed\r\n")) == 1);
    assert(count_of(buffer_span(&report), SPAN_LITERAL("\nFinal-Recipient:")) == 1);
    assert(count_of(buffer_span(&report), SPAN_LITERAL("\n--")) == 4);
    assert(count_of(buffer_span(&report), SPAN_LITERAL("\r\n\r\n")) >= 8);
    return 0;
}
